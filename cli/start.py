"""Where the command ``vizcnn`` begins: a Ctrl-C while it is being loaded is told like any other."""

import os
import sys

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells expect it (128 + SIGINT)."""

TOLD = "interrupted: nothing is left half-written"
"""What is said after Ctrl-C."""


def main() -> None:
    """Run the command line."""
    # Jupyter passes its own on to what it starts, and matplotlib refuses to be imported with one
    # that it does not know; nothing here is drawn through a backend of the user's
    os.environ["MPLBACKEND"] = "agg"
    try:
        from vizcnn.cli.main import commands
    except KeyboardInterrupt:
        sys.stderr.write(f"error: {TOLD}\n")
        sys.exit(INTERRUPTED)
    commands.main(prog_name="vizcnn")
