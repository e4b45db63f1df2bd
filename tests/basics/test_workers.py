"""Work shared out to copies of this process: its results, and every way in which it ends."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from vizcnn.basics.errors import DataError, VizcnnError
from vizcnn.basics.processes import can_fork
from vizcnn.basics.workers import limit_workers, work_through

pytestmark = pytest.mark.skipif(not can_fork(), reason="copies are made on Linux only")


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_each_item_is_worked_on_once(workers):
    found = list(work_through(lambda word: (word, word * 2), list("abcdefg"), workers, "doubles"))
    assert sorted(found) == [(word, word * 2) for word in "abcdefg"]
    assert not multiprocessing.active_children()


def test_nothing_to_do_is_done():
    assert list(work_through(str, [], 2, "writes")) == []


def test_workers_are_other_processes_of_one_thread_that_work_at_a_time(tmp_path):
    def meet(number):
        (tmp_path / f"{number}").touch()
        until = time.monotonic() + 30
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        return os.getpid(), torch.get_num_threads(), len(list(tmp_path.iterdir()))

    found = list(work_through(meet, [0, 1], 2, "meets"))
    assert len({process for process, *_ in found} - {os.getpid()}) == 2
    assert [tuple(rest) for _, *rest in found] == [(1, 2), (1, 2)]


def test_torch_computes_in_a_copy_of_a_process_in_which_it_has_computed():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3))
    image = torch.rand(4, 3, 40, 40)

    def differentiate(row):
        leaf = image[row : row + 1].clone().requires_grad_()
        net(leaf).sum().backward()
        assert leaf.grad is not None
        return row, leaf.grad.numpy()

    wanted = dict(map(differentiate, range(4)))
    for row, found in work_through(differentiate, range(4), 2, "differentiates"):
        assert np.allclose(found, wanted[row], atol=1e-6)


def test_what_is_written_into_a_mapped_file_is_seen(tmp_path):
    shared = np.memmap(tmp_path / "numbers", np.int64, "w+", shape=(9,))

    def write(place):
        shared[place] = place + 1

    for _ in work_through(write, range(9), 3, "writes"):
        pass
    assert shared.tolist() == list(range(1, 10))


class OddError(Exception):
    """An error that cannot be pickled, not even once Dask was imported, which teaches errors so."""

    def __init__(self, one, other):
        super().__init__("odd")
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DataError("one line"), DataError),
        (KeyError(3), KeyError),
        (EOFError("of a file"), EOFError),  # no worker has died
        (OddError(1, 2), RuntimeError),
    ],
)
def test_an_error_of_the_work_is_raised_here(error, expected):
    def fail(number):
        if number == 3:
            raise error

    with pytest.raises(expected) as caught:
        list(work_through(fail, range(9), 2, "fails"))
    assert caught.type is expected
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_ended_is_one_line(kill):
    def die(number):
        if number == 3:
            os.kill(os.getpid(), kill)
            time.sleep(30)

    with pytest.raises(VizcnnError, match="a process that works was ended from outside") as caught:
        list(work_through(die, range(9), 2, "works"))
    assert "\n" not in str(caught.value)
    assert not multiprocessing.active_children()


def test_workers_that_cannot_be_started_are_one_line(monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(VizcnnError, match=r"3 processes that work cannot be .*fewer --work"):
        list(work_through(str, range(9), 3, "works"))


def test_workers_end_when_no_more_is_asked_for():
    began = time.monotonic()
    with closing(work_through(lambda number: time.sleep(30 * number), [0, 1], 2, "waits")) as done:
        assert next(done) is None
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()
    assert time.monotonic() - began < 25


def test_a_warning_is_told_once():
    def warn(number):
        warnings.warn(f"photo {number % 2} is odd", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(work_through(warn, range(8), 2, "warns"))
    assert sorted(str(word.message) for word in caught) == ["photo 0 is odd", "photo 1 is odd"]


PARENT = r"""
import os, time
from vizcnn.basics.workers import work_through
def wait(number):
    os.write(1, f"{os.getpid()}\n".encode())  # in one piece
    time.sleep(60)
list(work_through(wait, [1, 2], 2, "waits"))
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(kill):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(kill)
        assert parent.wait(30) != 0
        until = time.monotonic() + 30
        while any(map(is_alive, workers)) and time.monotonic() < until:
            time.sleep(0.01)
    assert not any(map(is_alive, workers))


def is_alive(process):
    """Tell whether a process is there, and no mere entry of one that has ended."""
    try:
        facts = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return facts.rpartition(")")[2].split()[0] != "Z"


def test_as_many_workers_as_memory_holds_or_none():
    assert limit_workers(3, 1) == 3
    assert limit_workers(3, 1 << 60) == 0
    assert limit_workers(1, 1) == limit_workers(0, 1) == 0
    assert list(work_through(lambda needed: limit_workers(2, needed), [1, 1], 2, "asks")) == [0, 0]
