"""Mining in parts on many machines: each part a file, and the parts merged in a tree."""

import multiprocessing
import os
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

from vizcnn.basics.errors import DataError, quote
from vizcnn.basics.locks import BusyError
from vizcnn.basics.output import hold_output
from vizcnn.basics.pools import ASKED_EVERY, ExecutorPool, Pool, Work
from vizcnn.basics.progress import Progress, silent
from vizcnn.mining.identity import (
    describe_identity,
    list_differences,
    list_photo_differences,
)
from vizcnn.mining.index import Identity, StrongestIndex, read_index
from vizcnn.mining.lots import ReaderDiedError
from vizcnn.mining.machine_kinds import refuse_mixed
from vizcnn.mining.maxima import name_maxima
from vizcnn.mining.merging import FAN, merge_files
from vizcnn.mining.photo_sets import PartOfPhotos, PhotoSet
from vizcnn.mining.run import MiningRun, MiningSettings
from vizcnn.mining.working_copies import (
    IndexPlace,
    Place,
    list_names,
    read_copies,
    remove_empty_folder,
    remove_place,
    work_on,
)
from vizcnn.zoo.model import ZooModel

LEAST_OF_A_PART = 256
"""Photos of a part, if nobody says into how many parts to cut: eight lots."""
USUAL_PARTS = 512
"""Parts that many photos are cut into: 2,500 of ImageNet's in each."""
MOST_PARTS = 100_000

ATTEMPTS = 3
"""How often a part is gone on with after the process died that reads its photos."""

PATIENCE = 300.0
"""Seconds that a part is waited for which another run writes: a process of one that was killed goes
on with its part."""

Load = Callable[[], ZooModel]
"""Loads the net; it is pickled, and called once in each process."""

Notice = Callable[[str], None]
"""Takes a line for the user."""


def mine_parts(
    executor: Any,
    load: Load,
    photos: PhotoSet,
    out: IndexPlace,
    settings: MiningSettings | None = None,
    parts: int | None = None,
    progress: Progress = silent,
    notice: Notice = lambda line: None,
    strict: bool = False,
) -> StrongestIndex:
    """Find the strongest places over a set of photos, in parts, with whatever has ``submit``.

    Each part is mined in a process of the executor and saved to a file in the folder
    ``OUT.parts``, which the processes and the caller have to share, as they have to share the
    photos. The files are merged, and the index in ``out`` has the bytes of one run
    (:func:`~vizcnn.mining.run.mine`). What was mined stays when a process dies, or the caller: the
    same call goes on from there. The folder is removed when all is done.

    ``out`` may be in an object store (:func:`~vizcnn.basics.remote.read_place`). Then the folder is
    there, too, and the processes need no disk in common: each part is mined in a temporary file,
    and sent as a whole when it is mined or an error ends it; of a process that is killed, its part
    is lost.

    Args:
        executor: A process pool, Dask's ``client.get_executor()``, submitit's executor, mpi4py's
            ``MPIPoolExecutor``; see :class:`~vizcnn.basics.pools.ExecutorPool`.
        load: Loads the net, such as ``functools.partial(vizcnn.load, "zfnet")``. It is pickled and
            called in each process (and here, once).
        photos: All the photos.
        out: The index to write.
        settings: What to keep, and how to work; by default :class:`MiningSettings`.
        parts: In how many parts; by default one for every 256 photos, 512 at most.
        progress: Shows how far it is.
        notice: Is told what is mined anew.
        strict: Whether to refuse parts of several kinds of machines, as soon as there are; the
            parts stay.

    Returns:
        The complete index.

    Raises:
        DataError: As :func:`~vizcnn.mining.run.mine`; or if the folder holds other parts, or a
            process has another net.
        VizcnnError: If a process ended, with the number of its part; or the net or photos cannot
            be pickled.

    Example:
        >>> import tempfile
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from functools import partial
        >>> import vizcnn
        >>> from vizcnn.mining.photo_sets import SamplePatches
        >>> load = partial(vizcnn.load, "lenet", weights="bundled")
        >>> photos = SamplePatches(load().preprocessing)
        >>> out = Path(tempfile.mkdtemp()) / "strongest.safetensors"
        >>> settings = MiningSettings(layers=("conv1",), workers=0)
        >>> with ThreadPoolExecutor(1) as executor:
        ...     index = mine_parts(executor, load, photos, out, settings, parts=2)
        >>> index.complete, [path.name for path in out.parent.iterdir()]
        (True, ['strongest.safetensors'])
    """
    settings = settings or MiningSettings()
    pool = ExecutorPool(executor)
    identity = identify_run(load(), settings)
    return mine_with(pool, load, identity, photos, out, settings, parts, progress, notice, strict)


def identify_run(model: ZooModel, settings: MiningSettings) -> Identity:
    """Describe what the index of a run knows of its net and settings; see :func:`mine_with`."""
    return describe_identity(
        model,
        settings.layers,
        settings.top,
        settings.per_photo,
        settings.precision,
        settings.rank,
        settings.seed,
        settings.ranges,
    )


def mine_with(
    pool: Pool,
    load: Load,
    identity: Identity,
    photos: PhotoSet,
    out: IndexPlace,
    settings: MiningSettings,
    parts: int | None = None,
    progress: Progress = silent,
    notice: Notice = lambda line: None,
    strict: bool = False,
) -> StrongestIndex:
    """Find the strongest places over a set of photos, in parts, in the processes of a pool.

    Args:
        pool: Where the parts are mined and merged.
        load: Loads the net, in each process.
        identity: Of the net and settings: a process with another one is refused.
        photos: All the photos.
        out: The index to write.
        settings: What to keep, and how to work.
        parts: In how many parts; by default one for every 256 photos, 512 at most.
        progress: Shows how far it is.
        notice: Is told what is mined anew.
        strict: Whether to refuse parts of several kinds of machines, as soon as there are; the
            parts stay.

    Returns:
        The complete index.

    Raises:
        DataError, VizcnnError: As :func:`mine_parts`.
    """
    tasks = plan_parts(photos, out, parts)
    with hold_output(out) if isinstance(out, Path) else nullcontext():
        if (found := find_complete(identity, photos, out)) is not None:
            if strict:
                way_out = "mine all of it anew on one kind of machine, or leave --strict out"
                refuse_mixed(quote(out), dict.fromkeys(found.machines, ""), way_out)
            remove_parts(out)  # of a run that was killed when it was about to
            return found
        _check_folder(tasks)
        kinds = _Kinds(out, strict, notice)
        mined = _mine_all(pool, _Miner(load, identity, settings, strict), tasks, notice, kinds)
        total = len(photos.names)
        for _ in progress(mined, label="mine", total=total, unit="photo"):
            pass
        files: Sequence[IndexPlace] = [task.file for task in tasks]
        if not identity.keeps_maxima:  # whose files of maxima are larger than all else, many times
            files = merge_groups(pool, files, progress)
        index = merge_files(files, out, strict)
        remove_parts(out)
    return index


def find_complete(identity: Identity, photos: PhotoSet, out: IndexPlace) -> StrongestIndex | None:
    """Find the index that a run would write, if it is there already and complete.

    Args:
        identity: Of the run's net and settings.
        photos: All its photos.
        out: The index.

    Raises:
        DataError: If there is another run's, or one that a run in one process has not finished:
            what they took must not be lost.
    """
    with read_copies([out]) as (file,):
        if not os.path.lexists(file):
            return None
        index = read_index(file)
    if index.holds_nothing:
        return None
    differences = list_differences(index.identity, identity)
    differences += list_photo_differences(index, tuple(photos.names), tuple(photos.sizes))
    if differences:
        raise DataError(
            f"{quote(out)} is the index of another run ({'; '.join(differences)}): give another "
            "file, or delete it"
        )
    if not index.complete:
        raise DataError(
            f"{quote(out)} is the unfinished index of a run that was not in parts: go on without "
            "an engine, give another file, or delete it"
        )
    return index


@dataclass(frozen=True)
class PartTask(Generic[Place]):
    """A part to be mined.

    Attributes:
        part: Its number, from 1.
        parts: How many there are.
        photos: Its photos.
        file: Its index.
    """

    part: int
    parts: int
    photos: PhotoSet
    file: Place

    def __str__(self) -> str:
        return f"part {self.part}/{self.parts}"


@dataclass(frozen=True)
class PartReport:
    """What became of a part.

    Attributes:
        photos: How many photos it has.
        machines: The kinds of machines that mined it.
        notices: Lines for the user.
    """

    photos: int
    machines: tuple[str, ...]
    notices: tuple[str, ...] = ()


def choose_parts(photos: int) -> int:
    """Choose into how many parts photos are cut: by their number alone, so that a run can go on.

    Example:
        >>> choose_parts(20), choose_parts(5_000), choose_parts(1_281_167)
        (1, 19, 512)
    """
    return max(min(photos // LEAST_OF_A_PART, USUAL_PARTS), 1)


def plan_parts(photos: PhotoSet, out: Place, parts: int | None = None) -> list[PartTask[Place]]:
    """Cut photos into parts, each with a file of its own.

    Args:
        photos: All the photos.
        out: The index of all of them, beside which the parts' folder is.
        parts: How many; chosen by the number of photos when None.

    Raises:
        DataError: If there are no photos, or fewer than parts.
    """
    count = len(photos.names)
    if not count:
        raise DataError("there are no photos to mine")
    wanted = choose_parts(count) if parts is None else parts
    if not 1 <= wanted <= min(count, MOST_PARTS):
        raise DataError(
            f"{quote(wanted)} parts of {count} photos were asked for; needed: 1 to "
            f"{min(count, MOST_PARTS)}"
        )
    folder = name_parts_folder(out)
    return [
        PartTask(
            number,
            wanted,
            PartOfPhotos(photos, number, wanted),
            folder / f"{number:06d}-of-{wanted:06d}.safetensors",
        )
        for number in range(1, wanted + 1)
    ]


def name_parts_folder(out: Place) -> Place:
    """Name the folder of the parts of an index.

    Example:
        >>> name_parts_folder(Path("strongest.safetensors")).name
        'strongest.safetensors.parts'
    """
    return out.with_name(f"{out.name}.parts")


_PART_FILE = re.compile(r"[0-9]{6}-of-([0-9]{6})\.safetensors(\.maxima)?")
_MERGED_FILE = re.compile(r"merged-[0-9]+-[0-9]{6}\.safetensors")


def _check_folder(tasks: Sequence[PartTask[IndexPlace]]) -> None:
    """Refuse a folder with parts of another division: they may have taken days.

    Raises:
        DataError: If it is one.
    """
    folder = tasks[0].file.parent
    for name in list_names(folder):
        found = _PART_FILE.fullmatch(name)
        if found and int(found[1]) != len(tasks):
            raise DataError(
                f"{quote(folder)} holds parts of {int(found[1])}, and {len(tasks)} are asked for: "
                f"go on with {int(found[1])} parts (--parts), or remove the folder"
            )


def _mine_all(
    pool: Pool,
    begin: "_Miner",
    tasks: Sequence[PartTask[IndexPlace]],
    notice: Notice,
    kinds: "_Kinds",
) -> Generator[int, None, None]:
    """Mine all parts; gives a number for each photo that is done."""
    # those come first of which there is something: how far a former run was is soon seen
    begun = set(list_names(tasks[0].file.parent))
    ordered = sorted(tasks, key=lambda task: task.file.name not in begun)
    with closing(pool.work_through(begin, ordered, str)) as reports:
        for task, report in reports:
            for line in report.notices:
                notice(line)
            kinds.add(task, report)
            yield from range(report.photos)


class _Kinds:
    """The kinds of machines that mine: a second one is told at once, not at the end.

    Args:
        out: The index of all parts.
        strict: Whether to refuse it.
        notice: Is told of it, if not.
    """

    def __init__(self, out: IndexPlace, strict: bool, notice: Notice) -> None:
        self._out, self._strict, self._notice = out, strict, notice
        self._homes: dict[str, str] = {}

    def add(self, task: PartTask[IndexPlace], report: PartReport) -> None:
        """Take note of a part.

        Raises:
            DataError: If it is of another kind than those before it, or itself of several, and
                that is refused.
        """
        for kind in report.machines:
            if self._homes and kind not in self._homes and not self._strict:
                self._notice(
                    f"{task} was computed by another kind of machine, whose last digits may differ "
                    f"from those of {next(iter(self._homes.values()))}: {kind}"
                )
            self._homes.setdefault(kind, str(task))
        if self._strict:
            way_out = (
                "mine all parts on one kind of machine (remove those of another from "
                f"{quote(name_parts_folder(self._out))}), or leave --strict out"
            )
            refuse_mixed(quote(self._out), self._homes, way_out)


@dataclass(frozen=True)
class _Miner:
    """Begins the work of a process: it loads the net, and then mines part after part."""

    load: Load
    identity: Identity
    settings: MiningSettings
    strict: bool

    def __call__(self) -> Work[PartTask[IndexPlace], PartReport]:
        model = self.load()
        differences = list_differences(identify_run(model, self.settings), self.identity)
        if differences:
            raise DataError(
                f"a process that mines has another net than the run ({'; '.join(differences)}): "
                "give all machines the same weights, and the same version of vizcnn"
            )
        return lambda task: self._mine(model, task)

    def _mine(self, model: ZooModel, task: PartTask[IndexPlace]) -> PartReport:
        notices = []
        with _open_part(task.file) as file:
            if _is_damaged(file):
                notices.append(f"{quote(task.file)} is damaged: {task} is mined anew")
                file.unlink()
                name_maxima(file).unlink(missing_ok=True)
            for attempt in range(1, ATTEMPTS + 1):
                # all that is there is compared with the photos, but a part that is complete
                run = MiningRun(
                    model,
                    task.photos,
                    file,
                    self._settle(),
                    strict=self.strict,
                    identity=self.identity,
                )
                if run.index.complete:
                    break
                try:
                    run.run()
                    break
                except ReaderDiedError as error:
                    if attempt == ATTEMPTS:
                        raise type(error)(f"{task}, {ATTEMPTS} times: {error}") from error
        return PartReport(len(task.photos.names), run.index.machines, tuple(notices))

    def _settle(self) -> MiningSettings:
        """Give the settings with as many readers as suit a process that is one of many."""
        workers = self.settings.workers
        if multiprocessing.current_process().daemon:  # which may have no processes of its own
            workers = 0
        return replace(self.settings, workers=1 if workers is None else workers)


@contextmanager
def _open_part(place: IndexPlace) -> Iterator[Path]:
    if isinstance(place, Path):
        with hold_part(place):
            yield place
    else:
        with work_on(place) as file:
            yield file


@contextmanager
def hold_part(file: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Keep a part's file for this process alone; one that another writes is waited for.

    Args:
        file: The file.
        patience: Seconds to wait, at most.

    Raises:
        VizcnnError: As :func:`~vizcnn.basics.output.hold_output`.
    """
    last = time.monotonic() + patience
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(hold_output(file))
                break
            except BusyError:
                if time.monotonic() > last:
                    raise
            time.sleep(ASKED_EVERY)
        yield


def _is_damaged(file: Path) -> bool:
    if not os.path.lexists(file):
        return False
    try:
        read_index(file)
    except DataError:
        return True
    return False


def merge_groups(
    pool: Pool, files: Sequence[IndexPlace], progress: Progress
) -> Sequence[IndexPlace]:
    """Merge index files in groups of :data:`FAN`, until no more than that are left.

    Args:
        pool: Where they are merged.
        files: Complete indexes of disjoint photos, without maxima.
        progress: Shows how far it is.

    Returns:
        The files that are left, beside the others.

    Raises:
        DataError: As :func:`~vizcnn.mining.merging.merge_files`.
    """
    level = 0
    while len(files) > FAN:
        level += 1
        groups = [files[first : first + FAN] for first in range(0, len(files), FAN)]
        tasks = [
            MergeTask(number, len(groups), tuple(group), group[0].with_name(name))
            for number, group in enumerate(groups, 1)
            for name in [f"merged-{level}-{number:06d}.safetensors"]
        ]
        done = pool.work_through(_Merger(), tasks, str)
        for _ in progress(done, label=f"merge {level}", total=len(tasks), unit="file"):
            pass
        files = [task.out for task in tasks]
    return files


@dataclass(frozen=True)
class MergeTask:
    """Files to be merged, and where the joint one goes."""

    number: int
    count: int
    files: tuple[IndexPlace, ...]
    out: IndexPlace

    def __str__(self) -> str:
        return f"merge {self.number}/{self.count}"


class _Merger:
    """Begins the work of a process that merges: there is nothing to load."""

    def __call__(self) -> Work[MergeTask, None]:
        return _merge


def _merge(task: MergeTask) -> None:
    remove_place(task.out)  # of a run that was killed; whatever it is, it is made anew
    merge_files(task.files, task.out)


def remove_parts(out: IndexPlace) -> None:
    """Remove the folder of an index's parts, unless somebody has put something into it.

    Args:
        out: The index, which is complete.
    """
    folder = name_parts_folder(out)
    for name in list_names(folder):
        if _PART_FILE.fullmatch(name) or _MERGED_FILE.fullmatch(name):
            remove_place(folder / name)
    remove_empty_folder(folder)
