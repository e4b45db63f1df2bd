"""A pool of Ray's actors, on this machine or on a cluster: items are rows of a Ray Data set."""

import gc
import logging
import os
import re
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vizcnn.basics.errors import VizcnnError, quote
from vizcnn.basics.interrupts import ENDING, hold_interrupts
from vizcnn.basics.pools import (
    Item,
    Result,
    Work,
    do_packed,
    explain_lost,
    pack,
    unpack_answer,
)
from vizcnn.basics.processes import MOST_WORKERS, count_cores

ATTEMPTS = 3
"""How often an item is begun whose process dies; Ray's own default is without end."""

_PATIENCE = 5.0
"""Seconds in which the actor that keeps notes answers, if it still is there."""

_MUTE = logging.CRITICAL + 1

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to anybody
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # coloured "(raylet)" lines, on standard output
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # lines that its C++ part writes to standard error
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what it else advises in a warning
}
"""How Ray is kept quiet; it looks at most of this when it is imported."""


class RayPool:
    """A pool of actors that Ray keeps, on this machine or on a cluster.

    Inside a ``with`` it joins a cluster, or Ray where it already runs in this process, or else
    starts Ray on this machine, and ends what it started. Each item is a row of a Ray Data set,
    which a pool of actors maps (``map_batches``). An item whose actor dies is begun again, 3 times
    in all; actors are restarted. Nothing that Ray prints reaches the terminal.

    Args:
        address: Of the cluster: ``HOST:PORT``, or ``auto`` for the one on this machine. When
            None, that of the variable ``RAY_ADDRESS``; without it Ray is started here.
        actors: How many actors; when None one for each GPU, or for each core of a cluster without.
        device: What each computes on: ``"cuda"``, ``"cpu"``, or ``"auto"``, which is ``"cuda"`` on
            a cluster that has GPUs.

    Attributes:
        device: What the actors compute on: ``"cpu"`` or ``"cuda"``.
        actors: How many there are at the most.
        readers: How many processes that read photos suit each; None is for them to choose.

    Raises:
        VizcnnError: If Ray is not installed, cannot be started or joined, or has nothing of what
            is needed.

    Example:
        >>> from functools import partial
        >>> with RayPool(actors=1) as pool:  # doctest: +SKIP
        ...     sorted(pool.work_through(partial(partial, pow, 2), [3, 4], str))
        [(3, 8), (4, 16)]
    """

    def __init__(
        self, address: str | None = None, actors: int | None = None, device: str = "auto"
    ) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise VizcnnError(
                f"device {quote(device)} cannot be chosen for Ray's actors, which get a GPU of "
                "their own: take auto, cpu or cuda"
            )
        self._address, self._wanted = address, actors
        self.device, self.actors = device, actors or 1
        self.readers: int | None = None
        self._plan = ActorPlan("cpu", 1, 0, 1, None)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start or join Ray."""
        with ExitStack() as stack:
            stack.enter_context(_ignored_warnings())
            ray = _import_ray()
            stack.enter_context(_muted())
            if not ray.is_initialized():
                stack.callback(_shut_down, ray)
                _begin_ray(ray, self._address, self._wanted)
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            self._plan = plan_actors(nodes, self.device, self._wanted)
            self._stack = stack.pop_all()
        self.device, self.actors = self._plan.device, self._plan.actors
        self.readers = self._plan.readers
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what was started."""
        self._stack.close()

    def work_through(
        self,
        begin: Callable[[], Work[Item, Result]],
        items: Sequence[Item],
        name: Callable[[Item], str],
    ) -> Generator[tuple[Item, Result], None, None]:
        """Do some work for each item; see :meth:`vizcnn.basics.pools.Pool.work_through`."""
        import ray

        if not items:
            return
        told: set[tuple[type[Warning], str]] = set()
        waiting = dict(enumerate(items))
        failure: VizcnnError | None = None
        notes = ray.remote(_Notes).options(num_cpus=0).remote()
        try:
            rows = _map_rows(self._plan, pack(begin), [pack(item) for item in items], notes)
            try:
                for number, packed in rows:
                    yield waiting.pop(number), unpack_answer(packed, told)
            except ray.exceptions.RayError as error:
                failure = _explain_death(_read_notes(notes), waiting, name, error)
            finally:
                rows.close()
        finally:
            with suppress(ray.exceptions.RayError):
                ray.kill(notes)
        if failure:
            gc.collect()  # Ray's error holds on to an actor, in a circle: with its net, and a core
            raise failure


@dataclass(frozen=True)
class ActorPlan:
    """What each actor of a pool gets.

    Attributes:
        device: What it computes on.
        actors: How many there are.
        gpus: GPUs of each.
        cpus: Cores of each.
        readers: Processes that read photos, for each; None is for it to choose.
    """

    device: str
    actors: int
    gpus: int
    cpus: int
    readers: int | None


def plan_actors(
    nodes: Sequence[Mapping[str, float]], device: str = "auto", actors: int | None = None
) -> ActorPlan:
    """Share the machines of a cluster out to actors.

    Args:
        nodes: What each machine has, as Ray tells it: ``{"CPU": 16.0, "GPU": 4.0}``.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        actors: How many are wanted; as many as there is room for when None.

    Raises:
        VizcnnError: If there is no GPU and one is needed, or no core.

    Example:
        >>> plan_actors([{"CPU": 16, "GPU": 4}, {"CPU": 8}])
        ActorPlan(device='cuda', actors=4, gpus=1, cpus=4, readers=4)
        >>> plan_actors([{"CPU": 2}], actors=1)
        ActorPlan(device='cpu', actors=1, gpus=0, cpus=1, readers=None)
    """
    gpus = [(int(node.get("GPU", 0)), int(node.get("CPU", 0))) for node in nodes]
    with_gpus = [(count, cores) for count, cores in gpus if count]
    if device == "cuda" and not with_gpus and actors is None:
        raise VizcnnError(
            "Ray has no GPU, and --device cuda needs one for each actor: take --device auto, or "
            "with a cluster that adds machines by itself --actors"
        )
    if device == "cuda" or (device == "auto" and with_gpus):
        cores = min((cores // count for count, cores in with_gpus), default=1)
        readers = max(min(cores, MOST_WORKERS), 1)
        count = actors or sum(count for count, _ in with_gpus)
        return ActorPlan("cuda", count, 1, min(cores, readers), readers)
    count = actors or sum(cores for _, cores in gpus)
    if not count:
        raise VizcnnError(
            "Ray has no core to compute on: add machines, or with a cluster that adds them by "
            "itself say how many actors it shall have room for (--actors)"
        )
    return ActorPlan("cpu", count, 0, 1, None)


def _import_ray() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import pyarrow  # noqa: F401
        import ray
        import ray.data
    except ImportError as error:
        raise VizcnnError(f"Ray is not installed ({error}): pip install 'vizcnn[ray]'") from None
    return ray


def _begin_ray(ray: Any, address: str | None, actors: int | None) -> None:
    """Join a cluster, or start Ray here."""
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _try_address(address)
    own: dict[str, Any] = {}
    if address == "local":
        own = {"num_cpus": max(count_cores(), actors or 1), "include_dashboard": False}
    former = {number: signal.getsignal(number) for number in ENDING}
    try:
        with _silent_errors():
            ray.init(address, log_to_driver=False, logging_level=_MUTE, **own)
    except Exception as error:  # of any kind: sockets, versions, what a machine lacks
        reason = " ".join(str(error).split())
        what = "started here" if own else f"joined at {quote(address)}"
        if not own:
            way_out = (
                "see that its address is right (--address), and where the cluster asks for a "
                "token, set RAY_AUTH_MODE=token"
            )
        elif "path length" in reason:  # of its sockets, in a deep TMPDIR
            way_out = "set RAY_TMPDIR to a folder of a shorter path, such as /tmp"
        else:
            way_out = "free some memory and disk"
        raise VizcnnError(
            f"Ray cannot be {what} ({type(error).__name__}: {quote(reason, 200)}): {way_out}"
        ) from None
    finally:
        with suppress(ValueError):  # outside the main thread none were set
            for number, handler in former.items():
                signal.signal(number, handler)


def _try_address(address: str) -> None:
    """Refuse an address where nobody answers: Ray would wait for minutes, deaf to Ctrl-C.

    Raises:
        VizcnnError: If it is one.
    """
    if "://" in address:
        raise VizcnnError(
            f"the address {quote(address)} is for clients outside of a cluster: run vizcnn on one "
            "of its machines (ray job submit), with HOST:PORT or auto as address"
        )
    host, colon, port = address.rpartition(":")
    if not (colon and re.fullmatch("[0-9]{1,5}", port)):
        return  # a word of Ray's, or none, which it says at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise VizcnnError(
            f"no cluster of Ray answers at {quote(address)} ({error}): give the address that "
            "`ray start --head` told (--address)"
        ) from None


@contextmanager
def _silent_errors() -> Iterator[None]:
    """Keep what is written to the open file of standard error from outside Python off it."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _shut_down(ray: Any) -> None:
    # which ends with SIGTERM given back to the system, whoever had it: here it is put back
    with hold_interrupts():
        ray.shutdown()


@contextmanager
def _ignored_warnings() -> Iterator[None]:
    """Ignore what Ray warns of: its own future. What others warn of is heard."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray(\.|\Z)")
        yield


@contextmanager
def _muted() -> Iterator[None]:
    """Keep what Ray tells in words off the terminal; its files of logs get it."""
    from ray.data import DataContext

    context = DataContext.get_current()
    shown = context.enable_progress_bars
    loud = [
        (handler, handler.level)
        for name in ("ray", "ray.data")
        for handler in logging.getLogger(name).handlers
        if isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
    ]
    try:
        context.enable_progress_bars = False
        for handler, _ in loud:
            handler.setLevel(_MUTE)
        yield
    finally:
        context.enable_progress_bars = shown
        for handler, level in loud:
            handler.setLevel(level)


class _Notes:
    """An actor that knows which items were begun, how often, and not ended."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}

    def begin(self, number: int) -> None:
        self._begun[number] = self._begun.get(number, 0) + 1

    def end(self, number: int) -> None:
        self._begun.pop(number, None)

    def list_begun(self) -> dict[int, int]:
        return self._begun


class _Worker:
    """What an actor is: it begins the work with the first row, and does it for each."""

    def __init__(self, begin: bytes, notes: Any, folder: str) -> None:
        with suppress(OSError):  # relative names are then those of the caller
            os.chdir(folder)
        self._begin, self._notes = begin, notes

    def __call__(self, rows: Any) -> Any:
        import pyarrow
        import ray

        (number,), (item,) = (rows[name].to_pylist() for name in ("number", "item"))
        ray.get(self._notes.begin.remote(number))  # waited for: the work may end this process
        packed = do_packed(self._begin, item)
        self._notes.end.remote(number)
        answer = pyarrow.array([packed], pyarrow.large_binary())
        return pyarrow.table({"number": [number], "answer": answer})


def _map_rows(
    plan: ActorPlan, begin: bytes, items: Sequence[bytes], notes: Any
) -> Generator[tuple[int, bytes], None, None]:
    """Let actors answer items; gives numbers and packed answers as they come."""
    import ray.data

    rows = [{"number": number, "item": item} for number, item in enumerate(items)]
    with warnings.catch_warnings():
        # by names, which Ray has announced to take away, as it has those two; see pyproject.toml
        warnings.simplefilter("ignore", DeprecationWarning)
        # a block for each row: an actor gets one at a time, and whoever is free takes the next
        mapped = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Worker,
            fn_constructor_args=(begin, notes, str(Path.cwd())),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                size=min(plan.actors, len(rows)), max_tasks_in_flight_per_actor=1
            ),
            num_cpus=plan.cpus,
            num_gpus=plan.gpus,
            # what bounds is how often an item is tried; a long run outlives many actors
            max_restarts=ATTEMPTS * len(rows),
            max_task_retries=ATTEMPTS - 1,
        )
    batches = mapped.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    for batch in batches:
        columns = (batch[name].to_pylist() for name in ("number", "answer"))
        yield from zip(*columns, strict=True)


def _read_notes(notes: Any) -> dict[int, int]:
    import ray

    try:
        begun: dict[int, int] = ray.get(notes.list_begun.remote(), timeout=_PATIENCE)
    except ray.exceptions.RayError:
        return {}
    return begun


def _explain_death(
    begun: Mapping[int, int],
    waiting: Mapping[int, Item],
    name: Callable[[Item], str],
    error: Exception,
) -> VizcnnError:
    """Say which item it was that ended its process, as far as is known."""
    open_ones = {number: times for number, times in begun.items() if number in waiting}
    most = max(open_ones.values(), default=0)
    suspects = [name(waiting[number]) for number, times in open_ones.items() if times == most]
    named = " or ".join(suspects[:3]) + (" or others" if suspects[3:] else "")
    if most < ATTEMPTS:  # not by what was done: a machine is gone, or has no vizcnn
        return explain_lost(named or f"{len(waiting)} of the items", error)
    return VizcnnError(
        f"{named} ended its process {most} times: what it needs takes more memory than there is, "
        "or crashes there; what is done is kept, and the same call goes on from there"
    )
