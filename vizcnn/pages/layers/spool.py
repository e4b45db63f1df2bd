"""Projections on the disk, between the photos that they come from and the sheets they go into."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.files import replacing
from vizcnn.drawing.unit_sheets import Pixels
from vizcnn.photos.pixels import Array

BYTES_PER_PIXEL = 9
"""Of a window: three colours in 16 bits, and the photo's three in 8."""


@dataclass(frozen=True, eq=False)
class Spool:
    """The projections and patches of some units of a layer, in files that are mapped into memory.

    Attributes:
        windows: Projections (units, top, h, w, 3), float16, each divided by its peak.
        peaks: Largest absolute value of each projection, (units, top), float32.
        patches: The photos in the same windows, (units, top, h, w, 3), uint8.
    """

    windows: NDArray[np.float16]
    peaks: NDArray[np.float32]
    patches: Pixels

    def store(self, row: int, rank: int, window: Array, patch: Pixels) -> None:
        """Keep one projection (h, w, 3), signed, and its patch (h, w, 3)."""
        peak = np.abs(window).max()
        self.peaks[row, rank] = peak
        self.windows[row, rank] = window / peak if peak > 0 else 0
        self.patches[row, rank] = patch

    def load(self, row: int, count: int) -> tuple[list[Array], list[Pixels]]:
        """Give back the projections and patches of a unit's first places."""
        projections = [
            self.windows[row, rank].astype(np.float32) * self.peaks[row, rank]
            for rank in range(count)
        ]
        return projections, [np.asarray(self.patches[row, rank]) for rank in range(count)]

    def flush(self) -> None:
        """Bring all that was stored onto the disk."""
        flush_arrays((self.windows, self.peaks, self.patches))


def open_spool(folder: Path, name: str, units: int, top: int, window: tuple[int, int]) -> Spool:
    """Open the spool of some units; its files are made when they are missing.

    Args:
        folder: Where the files are.
        name: Beginning of their names.
        units: Number of units.
        top: Places of each.
        window: Height and width of the windows.

    Raises:
        VizcnnError: If the disk has no room for it.
    """
    shape = (units, top, *window, 3)
    return Spool(
        open_array(folder / f"{name}-windows.npy", np.float16, shape),
        open_array(folder / f"{name}-peaks.npy", np.float32, (units, top)),
        open_array(folder / f"{name}-patches.npy", np.uint8, shape),
    )


def open_array(path: Path, kind: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map a file of numbers into memory, to be read and written; made of zeros when missing.

    Raises:
        VizcnnError: If the disk has no room for it, or the file is damaged.
    """
    if not path.exists():
        with replacing(path) as temporary:
            np.lib.format.open_memmap(temporary, "w+", kind, shape)
            _claim(temporary)
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, "r+")
    except (OSError, ValueError) as error:
        raise VizcnnError(
            f"{str(path)!r} is damaged ({error}): remove its folder {str(path.parent)!r}"
        ) from None
    if array.shape != shape or array.dtype != kind:
        raise VizcnnError(
            f"{str(path)!r} is of another run: remove its folder {str(path.parent)!r}"
        )
    return array


def flush_arrays(arrays: Iterable[NDArray[Any]]) -> None:
    """Bring arrays of :func:`open_array` onto the disk."""
    for array in arrays:
        if isinstance(array, np.memmap):
            array.flush()


def _claim(path: Path) -> None:
    """Take the file's room on the disk now: a full one would end the process at a later write."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
