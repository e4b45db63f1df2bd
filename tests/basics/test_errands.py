"""Work that forks do beside a process: what comes back, and what ends it."""

import os
import signal
import time
import warnings
from functools import partial

import pytest
import torch

from tests.support.command_line import start
from vizcnn.basics.errands import Errands
from vizcnn.basics.errors import LayerError, PhotoWarning, VizcnnError
from vizcnn.basics.processes import can_fork, count_cores, make_sendable

forks = pytest.mark.skipif(
    not can_fork() or count_cores() < 2, reason="needs Linux and more than one core"
)


@forks
def test_work_is_done_elsewhere_and_comes_back():
    data = torch.arange(6.0)

    def work(number):
        return number, os.getpid(), data * number

    with Errands() as errands:
        given = [errands.start(partial(work, number)) for number in range(5)]
        found = [errand.result() for errand in given]
    assert [number for number, _, _ in found] == list(range(5))
    assert os.getpid() not in [process for _, process, _ in found]
    assert all(torch.equal(values, data * number) for number, _, values in found)
    assert given[0].result() is found[0]


def test_work_of_a_gpu_is_done_in_this_process():
    with Errands("cuda") as errands:
        assert errands.start(os.getpid).result() == os.getpid()


@forks
def test_an_errand_starts_no_process_of_its_own():
    def work():
        with Errands() as inner:
            return inner.start(os.getpid).result() == os.getpid()

    with Errands() as errands:
        assert errands.start(work).result()


@forks
def test_where_no_process_is_to_be_had_this_one_does_the_work(monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with Errands() as errands:
        assert errands.start(os.getpid).result() == os.getpid()


@forks
def test_a_ctrl_c_while_a_fork_begins_ends_it(monkeypatch):
    """It is held until the fork is there, and comes before anybody else knows of it."""
    fork, forked = os.fork, []

    def interrupt():
        number = fork()
        if number:
            forked.append(number)
            signal.raise_signal(signal.SIGINT)
        return number

    monkeypatch.setattr(os, "fork", interrupt)
    with pytest.raises(KeyboardInterrupt), Errands() as errands:
        errands.start(partial(time.sleep, 30))
    assert forked
    with pytest.raises(ChildProcessError):  # it has ended, and was waited for
        os.waitpid(forked[0], os.WNOHANG)


def fail_for_a_reason():
    try:
        raise OSError(28, "no space left")
    except OSError as error:
        raise LayerError("it cannot be done") from error


@forks
def test_an_error_comes_back_with_its_cause():
    with Errands() as errands:
        errand = errands.start(fail_for_a_reason)
        with pytest.raises(LayerError, match="it cannot be done") as caught:
            errand.result()
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == 28


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_error_that_nobody_asked_for_is_raised_in_the_end(device):
    with pytest.raises(LayerError, match="it cannot be done"), Errands(device) as errands:
        errands.start(fail_for_a_reason)


@forks
def test_warnings_are_told_here():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Errands() as errands:
            errands.start(lambda: warnings.warn("a word", PhotoWarning, stacklevel=1))
    assert [(str(word.message), word.category) for word in caught] == [("a word", PhotoWarning)]


@forks
def test_work_that_is_ended_from_outside_is_an_error():
    with (
        pytest.raises(VizcnnError, match="was ended from outside"),
        Errands() as errands,
    ):
        errands.start(lambda: os.kill(os.getpid(), signal.SIGKILL))


@forks
def test_what_ends_the_block_ends_the_work(tmp_path):
    def work():
        time.sleep(30)
        (tmp_path / "late").touch()

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Errands() as errands:
        errands.start(work)
        raise KeyboardInterrupt
    assert time.monotonic() - began < 20
    assert not (tmp_path / "late").exists()


@forks
def test_forks_end_with_their_parent(tmp_path):
    code = (
        "import os, signal, time\n"
        "from pathlib import Path\n"
        "from vizcnn.basics.errands import Errands\n"
        "def work():\n"
        "    Path('pid').write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        "with Errands() as errands:\n"
        "    errands.start(work)\n"
        "    while not Path('pid').exists() or not Path('pid').read_text(): time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    process = start("-c", code, cwd=tmp_path)
    process.communicate(timeout=60)
    number = int((tmp_path / "pid").read_text())
    for _ in range(200):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the fork outlived its parent")


def test_an_error_that_cannot_be_sent_is_told_in_words():
    class OddError(Exception):
        def __reduce__(self):
            raise TypeError

    told = make_sendable(OddError("so it was"))
    assert type(told) is RuntimeError
    assert str(told) == "OddError: so it was"
