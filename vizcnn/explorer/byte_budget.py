"""What was computed, kept for the next question while it fits into a number of bytes."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteBudget(Generic[K, V]):
    """Keeps values by key; those that were not asked for longest make room for new ones.

    For one thread at a time.

    Args:
        budget: Bytes that all values may take together. One that takes more by itself is not kept.

    Example:
        >>> kept = ByteBudget[str, bytes](budget=10)
        >>> kept.put("a", b"aaaa", 4), kept.put("b", b"bbbb", 4)
        ([], [])
        >>> kept.get("a")
        b'aaaa'
        >>> kept.put("c", b"cccc", 4)  # b was not asked for
        ['b']
        >>> list(kept), kept.used
        (['a', 'c'], 8)
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Give what is kept under a key, if it still is."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: K, value: V, size: int) -> list[K]:
        """Keep a value of so many bytes, in the place of a former one of this key.

        Returns:
            Keys whose values had to go; the key itself if its value is larger than the budget.
        """
        self.drop(key)
        if size > self.budget:
            return [key]
        self._values[key] = (value, size)
        self.used += size
        gone = []
        while self.used > self.budget:
            gone.append(next(iter(self._values)))
            self.drop(gone[-1])
        return gone

    def drop(self, key: K) -> None:
        """Let a value go, if it is kept."""
        if found := self._values.pop(key, None):
            self.used -= found[1]

    def clear(self) -> None:
        """Let all go."""
        self._values.clear()
        self.used = 0

    def __iter__(self) -> Iterator[K]:
        """Give the keys, the one that was not asked for longest first."""
        return iter(self._values)
