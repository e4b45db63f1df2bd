"""Cores that a net shares with the processes that read its photos."""

import os
from typing import Any

import click


def let_waiting_threads_sleep() -> None:
    """Make OpenMP's threads sleep while they wait for each other, unless the user has said how.

    By default they wait by counting, which takes the core from a process that has work to do, such
    as reading photos. OpenMP looks at this once, when torch is loaded: call it before.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class SharingCommand(click.Command):
    """A command whose net computes beside processes that read photos."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line, which may load torch already."""
        let_waiting_threads_sleep()
        return super().make_context(*args, **kwargs)
