"""Where the command ``vizcnn`` begins: a Ctrl-C while it is being loaded is told like any other."""

import sys

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells expect it (128 + SIGINT)."""

TOLD = "interrupted: nothing is left half-written"
"""What is said after Ctrl-C."""


def main() -> None:
    """Run the command line."""
    try:
        from vizcnn.cli.main import commands
    except KeyboardInterrupt:
        sys.stderr.write(f"error: {TOLD}\n")
        sys.exit(INTERRUPTED)
    commands.main(prog_name="vizcnn")
