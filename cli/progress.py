"""Progress bars of the commands: on a terminal only, and only for what takes long."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

DELAY = 0.5
"""Seconds before a bar appears."""


def bar(
    items: Iterable[T],
    *,
    label: str,
    total: int | None = None,
    unit: str = "it",
    initial: int = 0,
) -> Iterator[T]:
    """Show on standard error how far an iteration is; see :mod:`vizcnn.basics.progress`."""
    from tqdm import tqdm  # costs a part of the 0.3 s that --help may take

    return iter(
        tqdm(
            items,
            desc=label,
            total=total,
            unit=unit,
            initial=initial,
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            delay=DELAY,
            leave=False,
            dynamic_ncols=True,
        )
    )
