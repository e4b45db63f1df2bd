"""The desk: questions from many threads, answered one after another by the one that owns the nets.

A net computes on all cores; two questions at once would only make both late.
"""

import contextvars
import json
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from functools import partial
from operator import itemgetter
from types import TracebackType
from typing import Any, Protocol

from vizcnn.basics.errors import VizcnnError, VizcnnWarning, shorten
from vizcnn.basics.memory import describe_shortage, find_shortage
from vizcnn.explorer.answers import Answer, write_json
from vizcnn.explorer.byte_budget import ByteBudget

ANSWERS_KEPT = 128 * 2**20
"""Bytes of answers that are kept, so that going back to a place costs nothing."""

PASSING = frozenset({"start"})
"""Questions whose answer may be another one the next time."""

LAST = 2
"""Rank of what may take seconds, as what belongs to no photo, and all units' pictures: it waits for
all else."""


def rank_question(question: Mapping[str, Any]) -> int:
    """Rank a question: 0 for what answers a click, 1 for what takes many passes, :data:`LAST`.

    Example:
        >>> own = {"ask": "pictures", "method": "guided-own", "units": [7]}
        >>> rank_question({"ask": "maps"}), rank_question(own), rank_question({"ask": "facts"})
        (0, 1, 2)
    """
    asked = question.get("ask")
    if asked in ("facts", "patches") or (asked == "pictures" and question.get("units") is None):
        return LAST
    return int(asked == "use" or str(question.get("method", "")).endswith("-own"))


class Answering(Protocol):
    """Who knows the answers; asked by one thread at a time."""

    def answer(self, question: Mapping[str, Any]) -> Answer:
        """Answer a question."""
        ...


class Desk:
    """Takes questions from any thread, and lets one thread of its own answer them in turn.

    A question may be asked *for* something, such as a pane of a page: while it waits, a newer one
    for the same takes its place, and it is answered by :data:`SUPERSEDED`. One that is being
    answered is answered to its end.

    A context: on leaving, the question at work is finished, or left where it breathes, those that
    wait are answered by :data:`ENDED`, and the thread ends.

    Args:
        explorer: Answers questions, in the desk's thread alone.
        budget: Bytes of answers that are kept.

    Example:
        >>> class Echo:
        ...     def answer(self, question):
        ...         return Answer({"asked": question["ask"]})
        >>> with Desk(Echo()) as desk:
        ...     desk.ask({"ask": "start"}).fields
        {'asked': 'start'}
    """

    def __init__(self, explorer: Answering, budget: int = ANSWERS_KEPT) -> None:
        self._explorer = explorer
        self._waiting: OrderedDict[Hashable, _Task] = OrderedDict()
        self._kept = ByteBudget[str, Answer](budget)
        self._changed = threading.Condition()
        self._ended = False
        # precision and the like are chosen for a context: the thread computes as this one would
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._work,), daemon=True)

    def ask(
        self,
        question: Mapping[str, Any],
        wanted_for: Hashable = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Answer:
        """Ask a question, and wait for its answer.

        Args:
            question: As :class:`Answering` takes it: what JSON can hold.
            wanted_for: What the answer is for; of several that wait, the newest is answered.
            is_wanted: Tells, when its turn comes, whether anyone still waits for the answer.

        Returns:
            The answer. What cannot be answered is told in one with the field ``error``.
        """
        key = json.dumps(question, sort_keys=True)
        with self._changed:
            kept = self._kept.get(key)
        if kept is not None:
            return kept
        work = partial(self._answer, key, question)
        return self.do(work, wanted_for, is_wanted, rank_question(question), key)

    def do(
        self,
        work: Callable[[], Answer],
        wanted_for: Hashable = None,
        is_wanted: Callable[[], bool] = lambda: True,
        rank: int = 0,
        name: str | None = None,
    ) -> Answer:
        """Let the desk's thread do something with the nets, and wait for what it answers.

        Args:
            work: What it does.
            wanted_for: As of :meth:`ask`.
            is_wanted: As of :meth:`ask`.
            rank: Of what waits the lowest comes first.
            name: What the work is known by: the same that waits for the same purpose is done once.
        """
        task = _Task(work, is_wanted, rank, name)
        with self._changed:
            if self._ended:
                return ENDED
            key = task if wanted_for is None else wanted_for
            former = self._waiting.get(key)
            if former is not None and former.name == name is not None:
                former.wanted_by.append(is_wanted)
                task, former = former, None
            else:
                self._waiting[key] = task  # in the former one's turn, if there was one
            self._changed.notify()
        if former is not None:
            former.answer.set_result(SUPERSEDED)
        return task.answer.result()

    def count_waiting(self) -> int:
        """Count the questions that wait for their turn."""
        with self._changed:
            return len(self._waiting)

    def _answer(self, key: str, question: Mapping[str, Any]) -> Answer:
        with self._changed:
            kept = self._kept.get(key)  # another thread may have asked the same meanwhile
        if kept is not None:
            return kept
        answer = self._explorer.answer(question)
        if "error" not in answer.fields and question.get("ask") not in PASSING:
            size = len(key) + len(write_json(answer.fields)) + len(answer.content)
            with self._changed:
                self._kept.put(key, answer, size)
        return answer

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                task = self._take_next(LAST)
            self._finish(task)

    def breathe(self) -> None:
        """Answer what waits and is not of rank :data:`LAST`, in the midst of what is.

        Raises:
            _LeftError: If the desk is being closed: nobody waits for seconds of work.
        """
        if threading.current_thread() is not self._thread:
            return
        while True:
            with self._changed:
                if self._ended:
                    raise _LeftError
                task = self._take_next(LAST - 1)
            if task is None:
                return
            self._finish(task)

    def _take_next(self, most: int) -> "_Task | None":
        """Take the task of the lowest rank, the first of several; none above a rank."""
        ranked = [(task.rank, key) for key, task in self._waiting.items() if task.rank <= most]
        # min gives the first of equal ones
        return self._waiting.pop(min(ranked, key=itemgetter(0))[1]) if ranked else None

    def _finish(self, task: "_Task | None") -> None:
        if task is not None:
            task.answer.set_result(self._do_safely(task.work) if task.is_wanted() else SUPERSEDED)

    def _do_safely(self, work: Callable[[], Answer]) -> Answer:
        try:
            return work()
        except _LeftError:
            return ENDED
        except VizcnnError as error:
            return Answer({"error": str(error)})
        except Exception as error:
            shortage = find_shortage(error)
            if shortage is not None:
                with self._changed:
                    self._kept.clear()
                return Answer({"error": describe_shortage(shortage)})
            told = shorten(" ".join(f"{type(error).__name__}: {error}".split()), 300)
            told = f"this could not be answered, by a fault of vizcnn ({told})"
            warnings.warn(told, VizcnnWarning, stacklevel=2)
            return Answer({"error": told})

    def __enter__(self) -> "Desk":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        with self._changed:
            self._ended = True
            left = list(self._waiting.values())
            self._waiting.clear()
            self._changed.notify_all()
        for task in left:
            task.answer.set_result(ENDED)
        # else Python would end while torch computes, and that ends by a crash
        self._thread.join()


class _LeftError(Exception):
    """Ends an answer in its midst."""


class _Task:
    """Something that waits for the desk's thread."""

    def __init__(
        self,
        work: Callable[[], Answer],
        is_wanted: Callable[[], bool],
        rank: int,
        name: str | None,
    ) -> None:
        self.work, self.rank, self.name = work, rank, name
        self.wanted_by = [is_wanted]
        self.answer: Future[Answer] = Future()

    def is_wanted(self) -> bool:
        """Tell whether anyone still waits for it."""
        return any(is_wanted() for is_wanted in self.wanted_by)


SUPERSEDED = Answer({"error": "a newer question took its place", "superseded": True})
"""Answers a question that nobody waits for any more."""

ENDED = Answer({"error": "the explorer is being ended"})
"""Answers what waits when the desk is closed."""
