"""Each photo's maximum of each unit, in a file beside the index: what percentiles are found in.

Percentiles of all photos do not follow from those of parts, so until all parts are there each
photo's maxima have to be kept: 4 bytes for a unit and photo, and 2 for the place of the maximum (4
in maps of more than 65,536 places). For ZFNet's five layers (2,400 units) and 1.28 million photos
that is a file of 18 GB. It is mapped into memory, not read: what runs take of it they give back.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vizcnn.basics.errors import DataError, quote
from vizcnn.basics.files import explain_refused_file, open_plain_file
from vizcnn.mining.index import DIGEST_BYTES, StrongestIndex

SUFFIX = ".maxima"
"""Ending of the file's name, after that of the index."""

HEAD = b"vizcnn.maxima.1\n"
"""First bytes of the file."""

SMALL_MAP = 1 << 16
"""Places of a map that two bytes can number."""

CHECKED_AT_ONCE = 1 << 24
"""Bytes of rows that are looked at together."""


def name_maxima(index: Path) -> Path:
    """Name the file of the maxima that belongs to an index.

    Example:
        >>> name_maxima(Path("strongest.safetensors")).name
        'strongest.safetensors.maxima'
    """
    return index.with_name(index.name + SUFFIX)


@dataclass(frozen=True, eq=False)
class LayerMaxima:
    """The maxima of a layer's units in some photos.

    Attributes:
        values: (photos, units), float32; -inf in a photo that cannot be read.
        spots: The maxima's places in the maps, counted row by row, (photos, units); None of a
            vector of units.
    """

    values: NDArray[np.float32]
    spots: NDArray[np.integer[Any]] | None


class Maxima:
    """The maxima of all photos of an index, a row for each in the order of the photos.

    A row begins with its checksum, into which net, settings and the photo's name go: a row that is
    damaged, or of another run, is none.

    Args:
        file: Where they are.
        index: The index; its layers say how long a row is.
        writable: Whether rows are written.
        is_new: Whether the file is begun anew; one of this kind that is there is replaced.

    Raises:
        DataError: If the file is missing, of another length, something else, or cannot be written.
    """

    def __init__(
        self, file: Path, index: StrongestIndex, writable: bool = False, is_new: bool = False
    ) -> None:
        self.file = file
        self._names = index.photos
        self._layers = {
            name: (f"values-{number}", f"spots-{number}" if layer.map_size else "")
            for number, (name, layer) in enumerate(index.layers.items())
        }
        self._row = _plan_row(index)
        record = json.dumps(asdict(index.identity), sort_keys=True)
        self._key = hashlib.sha256(record.encode("ascii")).digest()
        size = len(HEAD) + len(index.photos) * self._row.itemsize
        self._rows = self._map(size, writable, is_new)

    def _map(self, size: int, writable: bool, is_new: bool) -> NDArray[Any]:
        if not is_new:
            with open_plain_file(self.file, "file of maxima", DataError) as file:
                if file.read(len(HEAD)) != HEAD or os.fstat(file.fileno()).st_size != size:
                    raise self._refuse("is of other photos or layers, or cut off")
        else:
            _make_room(self.file, size)
        with explain_refused_file(self.file, DataError):
            rows: NDArray[Any] = np.memmap(
                self.file,
                self._row,
                "r+" if writable else "r",
                offset=len(HEAD),
                shape=(len(self._names),),
            )
        return rows

    def __len__(self) -> int:
        return len(self._names)

    def write(self, first: int, layers: Mapping[str, LayerMaxima]) -> None:
        """Write the rows of some photos.

        Args:
            first: Number of the first photo.
            layers: Their maxima by layer.
        """
        count = len(next(iter(layers.values())).values)
        rows = np.zeros(count, self._row)
        for name, (values, spots) in self._layers.items():
            rows[values] = layers[name].values
            if spots:
                rows[spots] = layers[name].spots
        rows["digest"] = self._digest(rows, self._names[first : first + count])
        self._rows[first : first + count] = rows

    def copy_from(self, other: "Maxima", numbers: Sequence[int]) -> None:
        """Take over the rows of another file, whose photos have these numbers here."""
        step = max(CHECKED_AT_ONCE // self._row.itemsize, 1)
        for first in range(0, len(other), step):
            some = np.asarray(numbers[first : first + step])
            self._rows[some] = other._rows[first : first + len(some)]

    def flush(self) -> None:
        """Wait until the disk has all that was written.

        Raises:
            DataError: If it cannot be written.
        """
        with explain_refused_file(self.file, DataError):
            self._rows.flush()  # type: ignore[attr-defined]  # of a memmap

    def check(self, count: int) -> Iterator[int]:
        """Make sure that the first rows are those that were written; gives each photo's number.

        Raises:
            DataError: If one is not.
        """
        step = max(CHECKED_AT_ONCE // self._row.itemsize, 1)
        for first in range(0, count, step):
            rows = np.array(self._rows[first : min(first + step, count)])
            names = self._names[first : first + len(rows)]
            wrong = (rows["digest"] != self._digest(rows, names)).any(axis=1).nonzero()[0]
            if len(wrong):
                photo = quote(names[wrong[0]])
                raise self._refuse(f"is damaged, or of another run, at the photo {photo}")
            yield from range(first, first + len(rows))

    def cut(self, layer: str, block: int) -> Iterator[tuple[int, LayerMaxima]]:
        """Give a layer's maxima in all photos, some units at a time.

        Args:
            layer: Its name.
            block: How many units at a time.

        Yields:
            Number of the first unit, and the maxima.
        """
        values, spots = self._layers[layer]
        units = self._row[values].shape[0]
        for first in range(0, units, block):
            some = slice(first, first + block)
            yield (
                first,
                LayerMaxima(
                    np.array(self._rows[values][:, some]),
                    np.array(self._rows[spots][:, some]) if spots else None,
                ),
            )

    def _digest(self, rows: NDArray[Any], names: Iterable[str]) -> NDArray[np.uint8]:
        digests = b""
        for row, name in zip(rows, names, strict=True):
            own = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=self._key)
            own.update(row.tobytes()[DIGEST_BYTES:])
            digests += own.digest()[:DIGEST_BYTES]
        return np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)

    def _refuse(self, reason: str) -> DataError:
        return DataError(
            f"{quote(self.file)}, the maxima that go with the index, {reason}: put the former "
            "back, or delete both and mine anew"
        )


def _plan_row(index: StrongestIndex) -> np.dtype[Any]:
    entries: list[Any] = [("digest", np.uint8, (DIGEST_BYTES,))]
    for number, layer in enumerate(index.layers.values()):
        entries.append((f"values-{number}", "<f4", (layer.units,)))
        if layer.map_size:
            is_small = layer.map_size[0] * layer.map_size[1] <= SMALL_MAP
            entries.append((f"spots-{number}", "<u2" if is_small else "<u4", (layer.units,)))
    return np.dtype(entries)


def _make_room(path: Path, size: int) -> None:
    """Make the file anew, and take its room on the disk: a full one would end the process later.

    Raises:
        DataError: If something else is there, or there is no room.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with explain_refused_file(path, DataError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, flags, 0o666), "r+b") as file:
            begins = file.read(len(HEAD))
            if begins and not HEAD.startswith(begins):
                raise DataError(
                    f"{quote(path)} is to hold the maxima of photos, and holds something else: "
                    "move it away, or give the index another name"
                )
            file.truncate(0)  # what is there is of another run
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            file.seek(0)
            file.write(HEAD)
