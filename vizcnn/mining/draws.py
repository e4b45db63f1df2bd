"""Photos drawn at random for each unit, the same whoever draws, in whatever order."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

KEY_BITS = 24
"""Bits of a key: as many as a float32 holds. Equal ones go by the photo's name."""


class Draw:
    """A draw of photos for the units of a layer: those with the highest keys.

    A photo's key follows from seed, layer, unit and the photo's name alone, so that parts of a set
    draw what the whole would.

    Args:
        seed: Of the draw.
        layer: The layer's module path.
        units: How many units it has.

    Example:
        >>> keys = Draw(0, "features.0", 2).find_keys(["a.jpg", "b.jpg"])
        >>> keys.shape, bool((keys >= 0).all() and (keys < 1).all())
        ((2, 2), True)
    """

    def __init__(self, seed: int, layer: str, units: int) -> None:
        self._seed = seed
        self._units = _hash([f"{layer} {unit}" for unit in range(units)])

    def find_keys(self, photos: Sequence[str]) -> NDArray[np.float32]:
        """Give the keys of photos by their names, (photos, units), in [0, 1)."""
        mixed = _mix(_hash([f"{self._seed} {name}" for name in photos])[:, None] ^ self._units)
        return (mixed >> np.uint64(64 - KEY_BITS)).astype(np.float32) / np.float32(1 << KEY_BITS)


def _hash(texts: Sequence[str]) -> NDArray[np.uint64]:
    # names of files may hold bytes that are no text
    digests = (
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for text in texts
    )
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix all bits of each value: the end of SplitMix64 (Steele, Lea & Flood 2014, figure 16)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
