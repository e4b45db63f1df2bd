"""Projections on the disk, between the photos that they come from and the sheets they go into."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vizcnn.basics.files import explain_refused_file
from vizcnn.drawing.unit_sheets import Pixels
from vizcnn.photos.pixels import Array

BYTES_PER_PIXEL = 9
"""Of a window: three colours in 16 bits, and the photo's three in 8."""

EVIDENCE = ("selectivity", "compared", "active", "effective_number")
"""What is said of a place's projection, by the names that it has in a manifest."""


Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of R projections, beside their pixels.

    Attributes:
        boxes: Receptive fields, (R, 4).
        corners: Top and left of the windows, (R, 2).
        evidence: As in a spool, (R, 4).
    """

    boxes: Numbers
    corners: Numbers
    evidence: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spool:
    """The projections and patches of some units of a layer, in files that are mapped into memory.

    Attributes:
        windows: Projections (units, top, h, w, 3), float16, each divided by its peak.
        peaks: Largest absolute value of each projection, (units, top), float32.
        patches: The photos in the same windows, (units, top, h, w, 3), uint8.
        boxes: Receptive fields, (units, top, 4), int32.
        corners: Top and left of the windows, (units, top, 2), int32.
        evidence: What a place's projection is compared with, as :data:`EVIDENCE` names it, (units,
            top, 4), float64; nan where there is none.
    """

    windows: NDArray[np.float16]
    peaks: NDArray[np.float32]
    patches: Pixels
    boxes: NDArray[np.int32]
    corners: NDArray[np.int32]
    evidence: NDArray[np.float64]

    def store(
        self, rows: Numbers, ranks: Numbers, windows: Array, patches: Pixels, facts: Facts
    ) -> None:
        """Keep projections and what is known of them.

        Args:
            rows: The units' rows, (R,).
            ranks: Their places' ranks, (R,).
            windows: The projections (R, h, w, 3), signed.
            patches: The photos in the same windows, (R, h, w, 3).
            facts: Boxes, corners and evidence.
        """
        peaks = np.maximum(windows.max(axis=(1, 2, 3)), -windows.min(axis=(1, 2, 3)))
        self.peaks[rows, ranks] = peaks
        self.windows[rows, ranks] = windows / np.where(peaks > 0, peaks, 1)[:, None, None, None]
        self.patches[rows, ranks] = patches
        self.boxes[rows, ranks] = facts.boxes
        self.corners[rows, ranks] = facts.corners
        self.evidence[rows, ranks] = facts.evidence

    def load(self, row: int, ranks: Iterable[int]) -> tuple[list[Array], list[Pixels]]:
        """Give back the projections and patches of some of a unit's places."""
        ranks = list(ranks)
        projections = [
            self.windows[row, rank].astype(np.float32) * self.peaks[row, rank] for rank in ranks
        ]
        return projections, [np.asarray(self.patches[row, rank]) for rank in ranks]

    def read_bytes(self, row: int, rank: int) -> Iterator[bytes]:
        """Give all that is held of a place, for its checksum."""
        for field in fields(self):
            yield getattr(self, field.name)[row, rank].tobytes()


def open_spool(folder: Path, name: str, units: int, top: int, window: tuple[int, int]) -> Spool:
    """Open the spool of some units; its files are made when they are missing.

    Args:
        folder: Where the files are.
        name: Beginning of their names.
        units: Number of units.
        top: Places of each, with those of its range.
        window: Height and width of the windows.

    Raises:
        VizcnnError: If the disk has no room for it.
    """
    shape = (units, top, *window, 3)
    return Spool(
        _open_array(folder / f"{name}-windows", np.float16, shape),
        _open_array(folder / f"{name}-peaks", np.float32, (units, top)),
        _open_array(folder / f"{name}-patches", np.uint8, shape),
        _open_array(folder / f"{name}-boxes", np.int32, (units, top, 4)),
        _open_array(folder / f"{name}-corners", np.int32, (units, top, 2)),
        _open_array(folder / f"{name}-evidence", np.float64, (units, top, len(EVIDENCE))),
    )


def _open_array(path: Path, kind: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map a file of plain numbers into memory, to be read and written.

    What it holds is anything at all: checksums tell what of it is to be made anew.
    """
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    with explain_refused_file(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags, 0o666), "r+b") as file:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                # take its room now: a full disk would end the process at a later write
                os.posix_fallocate(file.fileno(), 0, size)
            array: NDArray[Any] = np.memmap(file, kind, "r+", shape=shape)
    return array
