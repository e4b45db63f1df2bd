"""Processes that read photos: with no shared memory, no semaphores, no room; killed, orphaned."""

import multiprocessing
import os
import signal
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.support.mining_runs import NoisePhotos, make_photos
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError, PhotoWarning
from vizcnn.basics.processes import count_cores
from vizcnn.mining.index import read_index
from vizcnn.mining.lots import LARGEST_WORKERS, choose_workers, read_lots
from vizcnn.mining.run import MiningSettings, mine

resource = pytest.importorskip("resource", reason="limits of processes are POSIX's")
COUNT = 70


@contextmanager
def at_most(seconds):
    """Fail, and do not hang, should what is waited for never come."""

    def fail(number, frame):
        raise AssertionError(f"it still waits after {seconds} s")

    former = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


@pytest.fixture
def limit():
    """Sets the soft limit of this process and its children, and sets it back."""
    former: dict[int, tuple[int, int]] = {}

    def set_limit(kind, value):
        former.setdefault(kind, resource.getrlimit(kind))
        resource.setrlimit(kind, (value, former[kind][1]))

    yield set_limit
    for kind, values in former.items():
        resource.setrlimit(kind, values)


def read_pixels(workers, photos=None):
    lots = read_lots(photos or make_photos(COUNT, size=224), 0, 224, workers, pin=False)
    with at_most(60):
        return [lot.pixels for lot in lots]


@pytest.mark.slow
def test_photos_come_where_files_may_not_grow(limit):
    """Shared memory is files too: such a limit holds for it as a small /dev/shm does."""
    wanted = read_pixels(0)
    limit(resource.RLIMIT_FSIZE, 1 << 20)
    found = read_pixels(2)
    assert all(map(torch.equal, wanted, found))


def test_photos_come_without_semaphores(monkeypatch):
    """Those of POSIX are in /dev/shm, too, which may be missing or read only."""

    def refuse(*arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("_multiprocessing.SemLock", refuse)
    assert len(read_pixels(2)) == 3


def test_workers_that_cannot_be_started_are_told(limit):
    number = os.dup(0)
    os.close(number)
    limit(resource.RLIMIT_NOFILE, number + 3)
    with pytest.raises(DataError, match=r"cannot be started \(Too many open files\).*--workers 0"):
        read_pixels(3)
    assert multiprocessing.active_children() == []


class Deadly(NoisePhotos):
    """The process that reads one of the photos is killed, as for want of memory."""

    def __init__(self, last, number=signal.SIGKILL):
        super().__init__({f"{number:02d}": number for number in range(COUNT)})
        self.last, self.signal = last, number

    def read(self, number):
        if number == self.last:
            os.kill(os.getpid(), self.signal)
            time.sleep(60)
        return super().read(number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last", "workers", "number"),
    [(0, 1, 9), (40, 1, 9), (69, 1, 9), (0, 3, 9), (40, 3, 9), (40, 3, signal.SIGTERM)],
)
def test_a_worker_that_is_killed_is_told(tmp_path, last, workers, number, capfd):
    settings = MiningSettings(layers=("conv1",), workers=workers)
    with at_most(60), pytest.raises(DataError, match="fewer --workers"):
        mine(make_model(), Deadly(last, number), tmp_path / "index", settings)
    assert not read_index(tmp_path / "index").complete
    assert multiprocessing.active_children() == []
    assert capfd.readouterr().err == ""


class Odd(NoisePhotos):
    """Raises something of its own, or warns."""

    def __init__(self, error=None):
        super().__init__({f"{number:02d}": number for number in range(COUNT)}, size=8)
        self.error = error

    def read(self, number):
        if self.error and number == 40:
            raise self.error()
        warnings.warn("has grey values", PhotoWarning, stacklevel=1)
        return super().read(number)


class TwoWordsError(Exception):
    """Cannot be unpickled: it wants another argument."""

    def __init__(self):
        super().__init__("one", "two")


@pytest.mark.parametrize(
    ("error", "found", "words"),
    [
        (ZeroDivisionError, ZeroDivisionError, ""),
        (TwoWordsError, RuntimeError, "TwoWordsError: ('one', 'two')"),
        (MemoryError, MemoryError, ""),
        (ConnectionResetError, ConnectionResetError, ""),  # the photos', not a dead worker's
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_what_reading_raises_is_raised_here(error, found, words, workers):
    found = error if workers == 0 else found
    with at_most(60), pytest.raises(found) as caught, pytest.warns(PhotoWarning):
        list(read_lots(Odd(error), 0, 8, workers, pin=False))
    if workers and found is not RuntimeError:
        assert "in read" in "".join(caught.value.__notes__)
    assert words in str(caught.value) or workers == 0


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_what_is_said_of_photos_is_said_once_and_here(workers):
    with pytest.warns(PhotoWarning) as caught:
        assert len(list(read_lots(Odd(), 0, 8, workers, pin=False))) == 3
    assert [str(warning.message) for warning in caught] == ["has grey values"]


def test_workers_end_when_the_reader_has_enough():
    with at_most(60):
        lots = read_lots(make_photos(500, size=224), 0, 224, 3, pin=False)
        assert len(multiprocessing.active_children()) == 3  # they begin at once
        next(lots)
        assert len(multiprocessing.active_children()) == 3
        lots.close()
    assert multiprocessing.active_children() == []


def test_workers_end_when_nothing_is_taken():
    read_lots(make_photos(500, size=224), 0, 224, 3, pin=False).close()
    assert multiprocessing.active_children() == []


def _read_for_ever(sending):
    lots = read_lots(make_photos(4000, size=224), 0, 224, 3, pin=False)
    next(lots)
    sending.send([child.pid for child in multiprocessing.active_children()])
    time.sleep(60)


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_workers_end_when_their_parent_is_killed():
    receiving, sending = multiprocessing.Pipe(duplex=False)
    reader = multiprocessing.get_context("fork").Process(target=_read_for_ever, args=(sending,))
    reader.start()
    with at_most(60):
        workers = receiving.recv()
        assert len(workers) == 3 and all(map(_is_alive, workers))
        reader.kill()
        reader.join()
        while any(map(_is_alive, workers)):
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("device", "cores", "workers"), [("cpu", 1, 1), ("cpu", 8, 2), ("cuda", 8, 8), ("cuda", 64, 16)]
)
def test_workers_are_chosen_by_cores(device, cores, workers):
    assert choose_workers(device, cores) == workers


def test_cores_are_counted():
    assert 1 <= count_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("workers", [-1, LARGEST_WORKERS + 1, 10**30])
def test_numbers_of_workers_have_bounds(workers):
    with pytest.raises(DataError, match=f"needed: 0 to {LARGEST_WORKERS}"):
        MiningSettings(workers=workers)
