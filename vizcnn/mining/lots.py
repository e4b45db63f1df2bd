"""Photos on their way into a net: read by workers, in order, in lots of one size."""

import os
import shutil
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from vizcnn.basics.errors import DataError, ImageError
from vizcnn.basics.interrupts import hold_interrupts, leave_signals_to_the_parent
from vizcnn.mining.photo_sets import PhotoSet

LOT = 32
"""Photos that go through the net at a time; not a setting, because it decides the last bits.

Matrix products and convolutions pick their order of summation by the size of a batch: the same
photo has other bits alone than among 31 others. Always so many, the last lot filled up with black,
it has the same bits in any lot and in any place of it, whatever the other photos are. That was
measured on the CPU for every family of the zoo (tests/test_mining_bits.py repeats it on the bundled
nets); a machine with another processor, another version of torch or another number of threads may
differ in the last bits.
"""

MOST_WORKERS = 16

SHARED_MEMORY = Path("/dev/shm")
LOTS_PER_WORKER = 3
"""Two that wait, as torch's loader has it, and one that is being read or taken."""

Item = tuple[Tensor, list[tuple[int, str]]]
"""What a worker hands over: pixels, and which photos failed and why."""


@dataclass(frozen=True)
class Lot:
    """Photos that go through the net together.

    Attributes:
        first: Number of the first.
        count: How many there are; fewer than :data:`LOT` only at the end.
        pixels: (LOT, 3, S, S), uint8; black where there is no photo, or none that can be read.
        usable: Which of them are photos, (LOT,).
        failures: Numbers of photos that cannot be read, and why, in one line each.
    """

    first: int
    count: int
    pixels: Tensor
    usable: Tensor
    failures: tuple[tuple[int, str], ...]


class _Lots(Dataset[Item]):
    """Reads one lot per item; goes to the workers."""

    def __init__(self, photos: PhotoSet, first: int, size: int) -> None:
        self.photos, self.first, self.size = photos, first, size

    def __len__(self) -> int:
        return -(-(len(self.photos.names) - self.first) // LOT)

    def __getitem__(self, index: int) -> Item:
        first = self.first + index * LOT
        pixels = torch.zeros(LOT, 3, self.size, self.size, dtype=torch.uint8)
        failures = []
        for number in range(first, min(first + LOT, len(self.photos.names))):
            try:
                pixels[number - first] = self._read(number)
            except ImageError as error:
                failures.append((number, " ".join(str(error).split())))
        return pixels, failures

    def _read(self, number: int) -> Tensor:
        photo = self.photos.read(number)
        if photo.dtype != torch.uint8 or photo.shape != (3, self.size, self.size):
            raise DataError(
                f"photo {self.photos.names[number]!r} came as {photo.dtype} of shape "
                f"{tuple(photo.shape)}; the net needs uint8 (3, {self.size}, {self.size})"
            )
        return photo


def read_lots(
    photos: PhotoSet, first: int, size: int, workers: int, pin: bool
) -> Generator[Lot, None, None]:
    """Read photos ahead of the net that takes them.

    A few lots per worker wait at the most, whatever the number of photos.

    Args:
        photos: What to read.
        first: Number of the first photo to read, a multiple of :data:`LOT`.
        size: Side of the net's input in pixels.
        workers: Processes that read; 0 reads in this one.
        pin: Whether the pixels go on to a CUDA device.

    Yields:
        The lots in the order of the photos, whichever worker is the fastest.

    Raises:
        DataError: If photos are of another size than the net's.
    """
    lots = _Lots(photos, first, size)
    loader = _make_loader(lots, min(workers, len(lots)), pin)
    with hold_interrupts(), _no_warning():  # held until they know that a Ctrl-C is not theirs
        items = iter(loader)
    try:
        for index, (pixels, failures) in enumerate(items):
            yield _make_lot(first + index * LOT, len(photos.names), pixels, failures)
    finally:
        if isinstance(items, _MultiProcessingDataLoaderIter):
            items._shutdown_workers()  # now, not when the garbage is collected


@contextmanager
def explain_dead_workers() -> Iterator[None]:
    """Say in one line that a worker died: torch's loader tells it wherever the program just is.

    Raises:
        DataError: If one does.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        raise DataError(
            "a process that reads photos was ended from outside, perhaps for want of memory: run "
            "again with fewer --workers"
        ) from error


def _make_loader(lots: _Lots, workers: int, pin: bool) -> DataLoader[Item]:
    with _no_warning():
        return DataLoader(
            lots,
            batch_size=None,
            num_workers=workers,
            collate_fn=_keep,
            worker_init_fn=_leave_interrupts_to_the_parent,
            pin_memory=pin,
            generator=torch.Generator(),  # the loader draws a number; not from the user's generator
        )


@contextmanager
def _no_warning() -> Iterator[None]:
    """Keep quiet about more workers than cores: a slow disk may well want them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _make_lot(first: int, photos: int, pixels: Tensor, failures: list[tuple[int, str]]) -> Lot:
    count = min(LOT, photos - first)
    usable = torch.arange(LOT) < count
    for number, _ in failures:
        usable[number - first] = False
    return Lot(first, count, pixels, usable, tuple((number, why) for number, why in failures))


def _keep(item: Any) -> Any:
    return item


def _leave_interrupts_to_the_parent(worker: int) -> None:
    leave_signals_to_the_parent()


def choose_workers(
    device: str, size: int, cores: int | None = None, shared: Path = SHARED_MEMORY
) -> int:
    """Choose how many processes read photos.

    Beside a CPU that computes, reading takes a small part of the work: one process per four cores.
    A GPU leaves all cores free. Lots come by way of shared memory, of which a container may have
    little.

    Args:
        device: Where the net is, such as ``"cpu"`` or ``"cuda"``.
        size: Side of the net's input in pixels.
        cores: Cores that this process may use; counted when None.
        shared: Where shared memory is.
    """
    cores = count_cores() if cores is None else cores
    workers = cores // 4 if device == "cpu" else min(cores, MOST_WORKERS)
    if shared.is_dir():
        room = shutil.disk_usage(shared).free // (LOT * 3 * size * size)
        workers = min(workers, room // LOTS_PER_WORKER)
    return max(workers, 1)


def count_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # of a container, its share
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
