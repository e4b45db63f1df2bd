"""Run the command line in this process, on a small net (see the fixture ``small_net``)."""

from click.testing import CliRunner

from vizcnn.cli.main import commands
from vizcnn.cli.train import train


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
