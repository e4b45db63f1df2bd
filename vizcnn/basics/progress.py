"""Progress of long jobs, passed in by the caller: the library itself prints nothing."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Wraps an iterable and shows how far it has come, as ``tqdm`` does.

    ``initial`` items of the ``total`` were done in a former run.
    """

    def __call__(
        self,
        items: Iterable[T],
        *,
        label: str,
        total: int | None = None,
        unit: str = "it",
        initial: int = 0,
    ) -> Iterator[T]: ...


def silent(
    items: Iterable[T],
    *,
    label: str,
    total: int | None = None,
    unit: str = "it",
    initial: int = 0,
) -> Iterator[T]:
    """Show nothing."""
    return iter(items)
