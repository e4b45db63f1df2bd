"""The desk: one thread answers, the newest of a purpose wins, and nothing is computed twice."""

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from vizcnn.basics.errors import ImageError, VizcnnWarning
from vizcnn.explorer.answers import Answer
from vizcnn.explorer.desk import ENDED, SUPERSEDED, Desk

CHOICE = contextvars.ContextVar("choice", default="usual")


class Slow:
    """Answers when it is let, and remembers what it was asked in which thread."""

    def __init__(self):
        self.asked, self.threads = [], set()
        self.begun, self.let = threading.Semaphore(0), threading.Semaphore(0)

    def answer(self, question):
        self.threads.add(threading.get_ident())
        self.begun.release()
        assert self.let.acquire(timeout=10)
        self.asked.append(question["n"])
        return Answer({"n": question["n"]}, bytes(10))


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as made:
        yield made


def wait_for_length(desk, length, done):
    for one in done:
        one.result(10)
    for _ in range(1000):
        if desk.count_waiting() == length:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"{desk.count_waiting()} wait, not {length}")


def test_one_thread_answers_all_in_turn(slow, pool):
    with Desk(slow) as desk:
        asked = [pool.submit(desk.ask, {"ask": "maps", "n": n}) for n in range(8)]
        for _ in range(8):
            slow.let.release()
        assert [one.result(10).fields["n"] for one in asked] == list(range(8))
    assert sorted(slow.asked) == list(range(8))
    assert len(slow.threads) == 1
    assert slow.threads != {threading.get_ident()}


def test_of_several_that_wait_for_one_purpose_the_newest_is_answered(slow, pool):
    with Desk(slow) as desk:
        working = pool.submit(desk.ask, {"ask": "hide", "n": 0}, "square")
        assert slow.begun.acquire(timeout=10)
        waiting = []
        for number in (1, 2, 3):
            waiting.append(pool.submit(desk.ask, {"ask": "hide", "n": number}, "square"))
            wait_for_length(desk, 1, waiting[:-1])
        other = pool.submit(desk.ask, {"ask": "hide", "n": 4}, "another")
        wait_for_length(desk, 2, waiting[:-1])
        assert [one.result(10) for one in waiting[:-1]] == [SUPERSEDED] * 2
        for _ in range(3):
            slow.let.release()
        assert working.result(10).fields == {"n": 0}  # what is begun is finished
        assert waiting[-1].result(10).fields == {"n": 3}
        assert other.result(10).fields == {"n": 4}
    assert slow.asked == [0, 3, 4]


def test_several_that_wait_for_the_same_get_the_one_answer(slow, pool):
    with Desk(slow) as desk:
        working = pool.submit(desk.ask, {"ask": "photo", "n": 0}, "photo")
        assert slow.begun.acquire(timeout=10)
        gone = [pool.submit(desk.ask, {"ask": "photo", "n": 1}, "photo", lambda: False)]
        wait_for_length(desk, 1, [])
        same = [pool.submit(desk.ask, {"n": 1, "ask": "photo"}, "photo") for _ in range(5)]
        for _ in range(2):
            slow.let.release()
        assert working.result(10).fields == {"n": 0}
        assert [one.result(10).fields for one in gone + same] == [{"n": 1}] * 6
    assert slow.asked == [0, 1]


def test_what_nobody_waits_for_any_more_is_not_computed(slow, pool):
    with Desk(slow) as desk:
        first = pool.submit(desk.ask, {"ask": "maps", "n": 0})
        assert slow.begun.acquire(timeout=10)
        gone = pool.submit(desk.ask, {"ask": "maps", "n": 1}, None, lambda: False)
        wait_for_length(desk, 1, [])
        slow.let.release()
        assert first.result(10).fields == {"n": 0}
        assert gone.result(10) == SUPERSEDED
    assert slow.asked == [0]


def test_an_answer_is_kept_until_others_need_its_place(slow):
    for _ in range(9):
        slow.let.release()
    with Desk(slow, budget=100) as desk:
        for number in (1, 1, 2, 1, 3, 2):
            assert desk.ask({"ask": "maps", "n": number}).fields == {"n": number}
        assert slow.asked == [1, 2, 3, 2]  # each takes 40 bytes, so that two are kept
        desk.ask({"n": 2, "ask": "maps"})
        assert slow.asked == [1, 2, 3, 2]
        desk.ask({"ask": "start", "n": 5}), desk.ask({"ask": "start", "n": 5})
        assert slow.asked[4:] == [5, 5]  # photos may have come


def test_what_takes_long_comes_last_and_lets_others_in_between(pool):
    asked, begun, go_on = [], threading.Event(), threading.Event()

    class Breathing:
        def answer(self, question):
            asked.append(question["n"])
            if question["ask"] == "facts" and question["n"] == 0:
                begun.set()
                assert go_on.wait(10)
                desk.breathe()
                asked.append("done")
            return Answer({"n": question["n"]})

    with Desk(Breathing()) as desk:
        slow = [pool.submit(desk.ask, {"ask": "facts", "n": 0})]
        assert begun.wait(10)
        slow.append(pool.submit(desk.ask, {"ask": "facts", "n": 1}))
        wait_for_length(desk, 1, [])
        quick = pool.submit(desk.ask, {"ask": "maps", "n": 2})
        wait_for_length(desk, 2, [])
        desk.breathe()  # of another thread's, it does nothing
        assert asked == [0]
        go_on.set()
        assert quick.result(10).fields == {"n": 2}
        assert [one.result(10).fields["n"] for one in slow] == [0, 1]
    assert asked == [0, 2, "done", 1]


class Failing:
    """Fails as it is told."""

    def __init__(self, error):
        self.error = error

    def answer(self, question):
        if self.error is None:
            return Answer({"fine": True})
        raise self.error


def test_a_refusal_is_told_and_the_next_question_answered():
    failing = Failing(ImageError("no photo: give one"))
    with Desk(failing) as desk:
        assert desk.ask({"ask": "maps"}).fields == {"error": "no photo: give one"}
        failing.error = MemoryError("Unable to allocate 9000 GiB for an array")
        assert desk.ask({"ask": "maps"}).fields["error"].startswith("not enough memory: 9663.7 GB")
        failing.error = None
        assert desk.ask({"ask": "maps"}).fields == {"fine": True}


def test_a_fault_of_our_own_is_told_to_the_page_and_on_the_terminal():
    with Desk(Failing(KeyError("x"))) as desk:
        with pytest.warns(VizcnnWarning, match="by a fault of vizcnn"):
            answer = desk.ask({"ask": "maps"})
        assert "KeyError" in answer.fields["error"]


def test_when_it_closes_the_work_is_finished_and_the_rest_told(slow, pool):
    desk = Desk(slow)
    with desk:
        working = pool.submit(desk.ask, {"ask": "maps", "n": 0})
        assert slow.begun.acquire(timeout=10)
        waiting = pool.submit(desk.ask, {"ask": "maps", "n": 1})
        wait_for_length(desk, 1, [])
        threading.Timer(0.1, slow.let.release).start()
    assert working.result(10).fields == {"n": 0}
    assert waiting.result(10) == ENDED
    assert desk.ask({"ask": "maps", "n": 2}) == ENDED
    assert slow.asked == [0]


def test_when_it_closes_long_work_is_left_at_its_next_breath(pool):
    begun, go_on = threading.Event(), threading.Event()

    class Breathing:
        def answer(self, question):
            begun.set()
            assert go_on.wait(10)
            desk.breathe()
            raise AssertionError("it went on")

    desk = Desk(Breathing())
    with desk:
        working = pool.submit(desk.ask, {"ask": "facts"})
        assert begun.wait(10)
        threading.Timer(0.1, go_on.set).start()
    assert working.result(10) == ENDED


def test_it_computes_by_what_was_chosen_where_it_was_made():
    class Choosing:
        def answer(self, question):
            return Answer({"choice": CHOICE.get()})

    token = CHOICE.set("mine")
    try:
        desk = Desk(Choosing())
    finally:
        CHOICE.reset(token)
    with desk:
        assert desk.ask({"ask": "start"}).fields == {"choice": "mine"}
