"""Run the command line in this process, on a small net (fixture ``small_net``), or as a process."""

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

import vizcnn
from vizcnn.cli.main import commands
from vizcnn.cli.train_command import train


def run(*arguments, status=0):
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result


def invoke_train(options):
    """Run the command ``train`` alone, so that its errors come as they are raised."""
    # a click command keeps the help option of its first context: that of the whole command line
    names = commands.context_settings["help_option_names"]
    return CliRunner().invoke(train, options, standalone_mode=False, help_option_names=names)


def fail(*arguments, status=2) -> str:
    """The one line that a failing command gives."""
    result = run(*arguments, status=status)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def deconv(*arguments, status=0, top=1, layer="conv1"):
    return run("deconv", "--top", top, "--layer", layer, *arguments, status=status)


ROOT = str(Path(vizcnn.__file__).parents[1])


def start(*arguments, environment=(), **options):
    """Start Python with the vizcnn that is tested, wherever the process runs."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT, **dict(environment)},
        **options,
    )
