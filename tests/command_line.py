"""Run the command line in this process, on a small net (see the fixture ``small_net``)."""

from click.testing import CliRunner

from vizcnn.cli.main import commands


def run(*arguments, status=0):
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result


def fail(*arguments, status=2) -> str:
    """The one line that a failing command gives."""
    result = run(*arguments, status=status)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def deconv(*arguments, status=0, top=1, layer="conv1"):
    return run("deconv", "--top", top, "--layer", layer, *arguments, status=status)
