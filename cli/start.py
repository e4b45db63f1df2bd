"""Where the command ``vizcnn`` begins: streams and signals are in order before it is loaded."""

import os
import sys
from contextlib import suppress
from typing import NoReturn

from vizcnn.basics.errors import shorten
from vizcnn.basics.interrupts import Interrupted, ignore_signals, raise_on_signals
from vizcnn.basics.texts import escape_controls

FAILED = 2
"""Exit status of an error."""


def main() -> None:
    """Run the command line."""
    raise_on_signals()
    open_missing_streams()
    # Jupyter passes its own on to what it starts, and matplotlib refuses to be imported with one
    # that it does not know; nothing here is drawn through a backend of the user's
    os.environ["MPLBACKEND"] = "agg"
    if not os.environ.get("TORCH_LOGS"):
        os.environ.pop("TORCH_LOGS", None)  # empty, it stops torch from being imported
    try:
        from vizcnn.cli.main import commands

        commands.main(prog_name="vizcnn")
    except Interrupted as interrupt:  # while it was loaded
        stop_interrupted(interrupt)
    finally:
        ignore_signals()  # all is done and told; Python itself still takes a moment to end
        finish_output(sys.exc_info()[1])


def open_missing_streams() -> None:
    """Open the standard streams that this process was started without, onto nothing.

    Otherwise the next files that are opened take their numbers, and what is meant for the terminal
    is written into results.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def finish_output(end: BaseException | None) -> None:
    """Write out what standard output still holds; Python would tell a full disk in three lines.

    Args:
        end: What the command ended with; after an error no second one is told.
    """
    told = isinstance(end, SystemExit) and bool(end.code)
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for the flush that Python tries again
        # a reader such as head has seen enough
        if not told and not isinstance(error, BrokenPipeError):
            stop(f"standard output cannot be written ({error})", FAILED)


LONGEST_LINE = 600
"""Characters of an error that are shown: what a user gave may be of any length."""


def stop(message: str, status: int) -> NoReturn:
    """End the process with a line on standard error, where that can still be written."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"error: {shorten(escape_controls(message), LONGEST_LINE)}\n")
        sys.stderr.flush()
    sys.exit(status)


def stop_interrupted(interrupt: BaseException) -> NoReturn:
    """End the process as shells expect it after a signal: with 128 and the signal's number."""
    number = interrupt.number if isinstance(interrupt, Interrupted) else 2
    with suppress(OSError, ValueError):
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # ends the line in which the terminal shows ^C
    stop("interrupted: nothing is left half-written", 128 + number)
