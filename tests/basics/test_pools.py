"""Pools of the executors that there are: dead workers, broken pools, lost drivers."""

import logging
import multiprocessing
import os
import signal
import time
import warnings
import weakref
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest

from tests.support.command_line import ROOT, start
from tests.support.pool_work import Squares
from vizcnn.basics import pools
from vizcnn.basics.errors import PhotoWarning, VizcnnError
from vizcnn.basics.pools import ExecutorPool
from vizcnn.basics.processes import answer

ITEMS = [1, 2, 3, 4]
SQUARES = {1: 1, 2: 4, 3: 9, 4: 16}


def name(item):
    return f"number {item}"


def square(executor, work):
    return dict(ExecutorPool(executor).work_through(work, ITEMS, name))


def make_pool(workers=2):
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_processes_and_threads_begin_once_and_do_each_item_once(tmp_path):
    work = Squares(tmp_path)
    with make_pool(1) as processes, ThreadPoolExecutor(1) as threads:
        for number, executor in enumerate((processes, threads), 1):
            assert square(executor, work) == SQUARES
            assert (work.count("begun"), work.count("done")) == (number, 4 * number)
        assert square(threads, work) == SQUARES  # which has held it
        assert work.count("begun") == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_pool_whose_process_died_says_so_once_and_takes_no_more(tmp_path):
    work = Squares(tmp_path, deaths=1)
    with make_pool() as broken:
        with pytest.raises(VizcnnError, match=r"no answer came for number .*, or another one"):
            square(broken, work)
        with pytest.raises(VizcnnError, match=r"takes no work \(BrokenProcessPool: .*a new one"):
            square(broken, work)
    with make_pool() as another:
        assert square(another, work) == SQUARES


def test_threads_lose_no_warning_of_each_other_or_of_what_they_are_at_work_for():
    """Python's own record takes those of all threads, and may stay in place."""
    meet = Barrier(3, timeout=10)

    def warn(item):
        meet.wait()
        warnings.warn(f"{item} is odd", PhotoWarning, stacklevel=1)
        meet.wait()
        return item

    def answer_there(item):
        found = answer(warn, item)
        meet.wait()
        return found

    with ThreadPoolExecutor(2) as threads, warnings.catch_warnings(record=True) as here:
        answers = [threads.submit(answer_there, item) for item in ("one", "two")]
        meet.wait()
        warnings.warn("this thread", PhotoWarning, stacklevel=1)
        meet.wait()
        meet.wait()
        warnings.warn("afterwards", PhotoWarning, stacklevel=1)
    told = [future.result().warnings for future in answers]
    assert told == [[(PhotoWarning, f"{item} is odd")] for item in ("one", "two")]
    assert [str(word.message) for word in here] == ["this thread", "afterwards"]


def test_an_executor_that_is_closed_is_one_line(tmp_path):
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    with pytest.raises(VizcnnError, match="takes no work") as caught:
        square(threads, Squares(tmp_path))
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(VizcnnError, match="cannot be sent to other processes"):
        square(threads, lambda: None)  # which is no fault of the executor


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_end_with_a_driver_that_is_killed(tmp_path):
    """They would wait for work forever, each with a net, and the lock of its part."""
    script = (
        "import multiprocessing, pathlib, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from vizcnn.basics.pools import ExecutorPool\n"
        "from tests.support.pool_work import Squares\n"
        f"work = Squares(pathlib.Path({str(tmp_path)!r}))\n"
        "executor = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('fork'))\n"
        "while work.count('begun') < 2:\n"
        "    for item in ExecutorPool(executor).work_through(work, [1, 2], str): pass\n"
        "print(*executor._processes, flush=True)\n"
        "time.sleep(60)\n"
    )
    driver = start("-c", script)
    assert driver.stdout
    workers = [int(word) for word in driver.stdout.readline().split()]
    assert len(workers) == 2 and all(map(is_running, workers))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    end = time.monotonic() + 20
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(is_running, workers))
    driver.communicate()


def is_running(process):
    """Tell whether a process runs; one that has ended may stay in the list of a container."""
    try:
        with open(f"/proc/{process}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Later:
    """An executor whose futures are done when they are asked twice, in a batch if in that block."""

    def __init__(self, cluster):
        self.cluster, self.open, self.most, self.batches = cluster, 0, 0, 0

    @contextmanager
    def batch(self):
        self.batches += 1
        yield

    def submit(self, function, *arguments):
        self.open += 1
        self.most = max(self.most, self.open)
        return SlowlyDone(self, function(*arguments))


class SlowlyDone:
    """A future of a kind of its own, as submitit's."""

    def __init__(self, executor, found):
        self.executor, self.found, self.asked = executor, found, 0

    def done(self):
        self.asked += 1
        return self.asked > 1

    def result(self):
        self.executor.open -= 1
        return self.found


@pytest.mark.parametrize(
    ("cluster", "at_once", "most", "batches"),
    [("slurm", None, 4, 1), ("slurm", 3, 3, 0), ("local", None, 2, 0), ("local", 1, 1, 0)],
)
def test_an_executor_has_so_many_items_at_once(
    tmp_path, monkeypatch, cluster, at_once, most, batches
):
    """An array of SLURM's is submitted whole; what stands in for SLURM starts all that it gets."""
    monkeypatch.setattr(pools, "ASKED_EVERY", 0)
    monkeypatch.setattr(pools, "count_cores", lambda: 2)
    executor = Later(cluster)
    found = ExecutorPool(executor, at_once).work_through(Squares(tmp_path), ITEMS, name)
    assert dict(found) == SQUARES
    assert (executor.most, executor.batches) == (most, batches)
    with ThreadPoolExecutor(4) as threads:
        pool = ExecutorPool(threads, at_once)
        assert dict(pool.work_through(Squares(tmp_path), ITEMS, name)) == SQUARES


def test_the_stand_in_of_submitit_is_known():
    submitit = pytest.importorskip("submitit", reason="needs submitit")
    automatic = submitit.AutoExecutor(folder="none", cluster="local")
    assert pools.starts_all_at_once(automatic) and pools.starts_all_at_once(
        submitit.LocalExecutor("none")
    )
    with pytest.raises(VizcnnError, match="got 0 items at once for an executor"):
        ExecutorPool(automatic, 0)


class Unknown:
    """What another process does not know."""

    def __reduce__(self):
        return _forget, ()


def _forget():
    raise AttributeError("Can't get attribute 'NewName' on <module 'vizcnn.mining.cluster'>")


@pytest.mark.parametrize("begin", [Unknown(), None])
def test_a_process_of_another_version_is_one_line(tmp_path, begin):
    """Whether it is the work that it does not know, or the item."""
    with ThreadPoolExecutor(1) as threads, pytest.raises(VizcnnError) as caught:
        pool, items = ExecutorPool(threads), [Unknown()]
        dict(pool.work_through(begin or Squares(tmp_path), items, str))
    assert str(caught.value) == (
        "a process of the pool does not know what another one sent (AttributeError: \"Can't get "
        "attribute 'NewName' on <module 'vizcnn.mining.cluster'>\"): give all machines the same "
        "version of vizcnn, and the modules of your net and data set"
    )


class Forgetful:
    """An executor like Dask: equal calls are one, as long as somebody holds its future."""

    def __init__(self):
        self.held = {}

    def submit(self, function, *arguments):
        if arguments not in self.held:
            future = self.held[arguments] = Future()
            future.set_result(function(*arguments))
        return self.held[arguments]


def test_no_call_is_answered_with_what_became_of_a_former_one(tmp_path):
    work, executor = Squares(tmp_path, errors=1), Forgetful()
    with pytest.raises(ValueError, match="not now"):
        square(executor, work)
    assert square(executor, work) == SQUARES


class Told:
    """A future of a kind of its own, as submitit's."""

    def __init__(self, result):
        self.result = lambda: result

    def done(self):
        return True

    def cancel(self):
        """Do nothing: it is done."""


@pytest.mark.parametrize("make_future", [Told, None])
def test_results_that_were_given_are_not_held(tmp_path, make_future):
    alive = []

    class Executor:
        def submit(self, function, *arguments):
            result = function(*arguments)
            future = make_future(result) if make_future else Future()
            if not make_future:
                future.set_result(result)
            alive.append(weakref.ref(future))
            return future

    held = []
    for _ in ExecutorPool(Executor()).work_through(Squares(tmp_path), ITEMS, name):
        held.append(sum(future() is not None for future in alive))
    assert held == [4, 3, 2, 1]


@pytest.fixture(scope="module")
def dask_client():
    distributed = pytest.importorskip("distributed", reason="needs dask[distributed]")
    import dask

    settings = {
        "distributed.scheduler.allowed-failures": 1,  # a dead worker costs a second
        "distributed.worker.profile.enabled": False,
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.slow
def test_dask_begins_anew_where_a_worker_died_and_gives_up_at_last(dask_client, tmp_path):
    """Its own matter: it restarts the worker, and tries an item again that was at work."""
    work = Squares(tmp_path, deaths=1)
    assert square(dask_client.get_executor(), work) == SQUARES
    assert work.count("died") == 1
    (tmp_path / "other").mkdir()
    fatal = Squares(tmp_path / "other", deaths=99)
    with pytest.raises(VizcnnError, match=r"no answer came for number 3 \(KilledWorker") as caught:
        # alone: Dask blames all tasks that the worker had, be they at work or waiting
        dict(ExecutorPool(dask_client.get_executor()).work_through(fatal, [3], name))
    assert len(str(caught.value).splitlines()) == 1
    assert fatal.count("died") == 2  # as is allowed, and no more


@pytest.mark.slow
def test_dask_does_not_answer_with_a_former_failure(dask_client, tmp_path):
    """A notebook holds the futures of a call that failed: the next one is tried all the same."""
    work = Squares(tmp_path, errors=1)
    with pytest.raises(ValueError, match="not now") as held:
        square(dask_client.get_executor(), work)
    assert square(dask_client.get_executor(), work) == SQUARES
    assert held.traceback


@pytest.mark.slow
def test_submitit_names_the_item_whose_process_died(tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit", reason="needs submitit")
    monkeypatch.setenv("PYTHONPATH", ROOT)
    # seconds that it waits for a file, lest the file system be slow
    monkeypatch.setattr(submitit.LocalJob, "_results_timeout_s", 0.1)
    executor = submitit.LocalExecutor(folder=tmp_path / "logs")
    work = Squares(tmp_path, deaths=1)
    with pytest.raises(VizcnnError, match=r"no answer came for number 3 \(Uncompleted") as caught:
        dict(ExecutorPool(executor).work_through(work, [3], name))
    assert len(str(caught.value).splitlines()) == 1
    found = ExecutorPool(executor).work_through(work, [3], name)
    assert dict(found) == {3: 9}
