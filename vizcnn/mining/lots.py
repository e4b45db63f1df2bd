"""Photos on their way into a net: read by workers, in order, in lots of one size."""

import pickle
import signal
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import Pipe, Process, get_context
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from vizcnn.basics.errors import DataError, ImageError, PhotoWarning, quote
from vizcnn.basics.interrupts import hold_interrupts, leave_signals_to_the_parent
from vizcnn.basics.processes import (
    MOST_WORKERS,
    PATIENCE,
    can_fork,
    count_cores,
    make_sendable,
)
from vizcnn.basics.sharing import hear_warnings
from vizcnn.mining.index import DIGEST_BYTES, hash_pixels
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

LARGEST_WORKERS = 256
"""Workers that can be asked for."""


@dataclass(frozen=True)
class Lot:
    """Photos that go through the net together.

    Attributes:
        first: Number of the first.
        count: How many there are; fewer than :data:`LOT` only at the end.
        pixels: (LOT, 3, S, S), uint8; black where there is no photo, or none that can be read.
        usable: Which of them are photos, (LOT,).
        digests: Checksum of each photo's pixels, (count, DIGEST_BYTES), uint8; zeros of one that
            cannot be read.
        failures: Numbers of photos that cannot be read, and why, in one line each.
    """

    first: int
    count: int
    pixels: Tensor
    usable: Tensor
    digests: Tensor
    failures: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class _Facts:
    """What is said of a lot, beside its pixels."""

    digests: bytes
    failures: tuple[tuple[int, str], ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Lots:
    """Reads one lot after the other; goes to the workers."""

    photos: PhotoSet
    first: int
    last: int
    size: int

    def __len__(self) -> int:
        return -(-(self.last - self.first) // LOT)

    def read(
        self, index: int, tell: Callable[[int], None] = lambda number: None
    ) -> tuple[_Facts, Tensor]:
        """Read a lot; the number of each photo is told before it is read."""
        first = self.first + index * LOT
        pixels = torch.zeros(LOT, 3, self.size, self.size, dtype=torch.uint8)
        digests, failures = b"", []
        with hear_warnings() as heard:
            for number in range(first, min(first + LOT, self.last)):
                tell(number)
                try:
                    photo = self._read(number)
                except ImageError as error:
                    failures.append((number, " ".join(str(error).split())))
                    digests += bytes(DIGEST_BYTES)
                    continue
                pixels[number - first] = photo
                digests += hash_pixels(photo)
        told = (text for category, text in heard if issubclass(category, PhotoWarning))
        return _Facts(digests, tuple(failures), tuple(told)), pixels

    def read_all(self) -> Generator[tuple[_Facts, Tensor], None, None]:
        """Read all lots in this process."""
        for index in range(len(self)):
            yield self.read(index)

    def _read(self, number: int) -> Tensor:
        photo = self.photos.read(number)
        if photo.dtype != torch.uint8 or photo.shape != (3, self.size, self.size):
            raise DataError(
                f"photo {self.photos.names[number]!r} came as {photo.dtype} of shape "
                f"{tuple(photo.shape)}; the net needs uint8 (3, {self.size}, {self.size})"
            )
        return photo


class LotReader(Iterator[Lot]):
    """What :func:`read_lots` gives: lots in order, until it is closed."""

    def __init__(self, lots: _Lots, workers: int, pin: bool) -> None:
        self._lots = lots
        workers = min(workers, len(lots))
        self._workers = _Workers(lots, workers, pin) if workers else None
        items = lots.read_all() if self._workers is None else self._workers.receive_all()
        self._read = self._make_lots(items)

    def __next__(self) -> Lot:
        return next(self._read)

    def close(self) -> None:
        """End the workers; nothing more is read."""
        self._read.close()
        if self._workers is not None:
            self._workers.close()

    def _make_lots(
        self, items: Generator[tuple[_Facts, Tensor], None, None]
    ) -> Generator[Lot, None, None]:
        told: set[str] = set()
        try:
            for index, (facts, pixels) in enumerate(items):
                for text in dict.fromkeys(facts.warnings):
                    if text not in told:
                        warnings.warn(text, PhotoWarning, stacklevel=3)
                told.update(facts.warnings)
                yield _make_lot(self._lots.first + index * LOT, self._lots.last, facts, pixels)
        finally:
            items.close()


def read_lots(
    photos: PhotoSet, first: int, size: int, workers: int, pin: bool, last: int | None = None
) -> LotReader:
    """Read photos ahead of the net that takes them; workers begin at once.

    Every worker has a lot ready at the most, whatever the number of photos, and hands it over
    through a pipe: that takes neither shared memory, nor semaphores, nor files, of which a
    container may have none, and costs a few ms of the second that a lot takes.

    Args:
        photos: What to read.
        first: Number of the first photo to read, a multiple of :data:`LOT`.
        size: Side of the net's input in pixels.
        workers: Processes that read; 0 reads in this one.
        pin: Whether the pixels go on to a CUDA device. They are then received where it can fetch
            them from; torch uses that memory again for later lots.
        last: Number of the photo to stop before; all are read when None.

    Returns:
        The lots in the order of the photos, whichever worker is the fastest; to be closed if not
        all of them are taken.

    Raises:
        DataError: If photos are of another size than the net's, or a worker cannot be started or
            is ended from outside.
    """
    lots = _Lots(photos, first, len(photos.names) if last is None else last, size)
    return LotReader(lots, workers, pin)


def _make_lot(first: int, last: int, facts: _Facts, pixels: Tensor) -> Lot:
    count = min(LOT, last - first)
    usable = torch.arange(LOT) < count
    for number, _ in facts.failures:
        usable[number - first] = False
    digests = torch.frombuffer(bytearray(facts.digests), dtype=torch.uint8)
    return Lot(first, count, pixels, usable, digests.view(count, DIGEST_BYTES), facts.failures)


class _Workers:
    """Processes that read lots in turn; they begin as soon as they are made."""

    def __init__(self, lots: _Lots, count: int, pin: bool) -> None:
        self._lots, self._count, self._pin = lots, count, pin
        self._ends: list[Connection] = []
        self._processes: list[Process] = []
        self._reading: dict[int, int] = {}
        """The photo that each worker is reading, or has read as the last."""
        try:
            with hold_interrupts():  # held until they know that a Ctrl-C is not theirs
                self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        # a fork has all it needs; a process that begins anew takes seconds to import torch
        context: Any = get_context("fork" if can_fork() else None)
        try:
            for number in range(self._count):
                receiving, sending = Pipe(duplex=False)
                self._ends.append(receiving)
                with closing(sending):  # this process's: a worker that dies then ends its pipe
                    others = tuple(self._ends)
                    process = context.Process(
                        target=_work,
                        args=(self._lots, number, self._count, sending, others),
                        daemon=True,
                    )
                    process.start()
                self._processes.append(process)
        except OSError as error:
            raise DataError(
                f"{self._count} processes that read photos cannot be started "
                f"({error.strerror or type(error).__name__}): run again with fewer --workers, or "
                "with --workers 0, which reads in the same process"
            ) from None
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            # where processes begin anew the photos are pickled for them, and a data set may not be
            reason = " ".join(str(error).split())
            raise DataError(
                f"the photos cannot be sent to processes that read them ({reason:.200}): define "
                "their data set in a module, or read in the same process (workers=0)"
            ) from None

    def receive_all(self) -> Generator[tuple[_Facts, Tensor], None, None]:
        """Take lots from the workers in turn, the next being received meanwhile."""
        try:
            with ThreadPoolExecutor(1) as receiver:
                try:
                    waiting = receiver.submit(self._receive, 0)
                    for index in range(len(self._lots)):
                        item = waiting.result()
                        if index + 1 < len(self._lots):
                            waiting = receiver.submit(self._receive, index + 1)
                        yield item
                except _WorkerDiedError as error:
                    time.sleep(PATIENCE)
                    raise self._explain_death(error.worker) from error
                finally:
                    self._end()  # first, so that nothing waits for them
        finally:
            self.close()

    def _explain_death(self, worker: int) -> "ReaderDiedError":
        self._processes[worker].join(PATIENCE)
        code = self._processes[worker].exitcode
        number = self._reading.get(worker)
        name = "" if number is None else self._lots.photos.names[number]
        while_it = f" while it read {quote(name)}" if name else ""
        if code is not None and code in _CRASHES:
            return ReaderDiedError(
                f"a process that reads photos crashed{while_it} ({signal.Signals(-code).name}): "
                "the library that decodes it does not bear this photo; take it out, or save it "
                "anew with another program"
            )
        return ReaderDiedError(
            f"a process that reads photos was ended from outside{while_it}, perhaps for want of "
            "memory: run again with fewer --workers"
        )

    def _receive(self, index: int) -> tuple[_Facts, Tensor]:
        worker = index % self._count
        end = self._ends[worker]
        size = self._lots.size
        pixels = torch.empty(LOT, 3, size, size, dtype=torch.uint8, pin_memory=self._pin)
        try:
            while isinstance(found := end.recv(), int):
                self._reading[worker] = found
            if isinstance(found, _Facts):
                end.recv_bytes_into(pixels.numpy().data.cast("B"))
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise _WorkerDiedError(worker) from error
        if not isinstance(found, _Facts):
            raise found
        return found, pixels

    def close(self) -> None:
        """End the workers and let go of their pipes."""
        self._end()
        while self._ends:
            self._ends.pop().close()

    def _end(self) -> None:
        """End the workers, whatever they do: they hold nothing that could be left half-done."""
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.join()
            process.close()


class ReaderDiedError(DataError):
    """A process that reads photos has ended before its photos."""


class _WorkerDiedError(Exception):
    """A worker's pipe has ended before the worker."""

    def __init__(self, worker: int) -> None:
        super().__init__(worker)
        self.worker = worker


_CRASHES = tuple(
    -getattr(signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE")
    if hasattr(signal, name)
)
"""How a process ends that a library takes down, as multiprocessing tells it."""


def _work(
    lots: _Lots, first: int, step: int, sending: Connection, others: tuple[Connection, ...]
) -> None:
    """Read every so many-th lot, in a process of its own."""
    leave_signals_to_the_parent()
    for end in others:  # a forked worker has them too, and would not see that the parent is gone
        end.close()
    torch.set_num_threads(1)
    try:
        for index in range(first, len(lots), step):
            try:
                facts, pixels = lots.read(index, sending.send)
            except Exception as error:
                sending.send(make_sendable(error))
                return
            sending.send(facts)
            sending.send_bytes(pixels.numpy().data.cast("B"))
    except OSError:  # the parent has enough, or is gone
        pass


def choose_workers(device: str, cores: int | None = None) -> int:
    """Choose how many processes read photos.

    Beside a CPU that computes, reading takes a small part of the work: one process per four cores.
    A GPU leaves all cores free.

    Args:
        device: Where the net is, such as ``"cpu"`` or ``"cuda"``.
        cores: Cores that this process may use; counted when None.
    """
    cores = count_cores() if cores is None else cores
    return max(cores // 4 if device == "cpu" else min(cores, MOST_WORKERS), 1)
