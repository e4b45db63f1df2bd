"""Units projected and drawn one by one in the processes of a pool, on whatever machines."""

import pickle
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from vizcnn.basics.errors import DataError, ImageError, quote
from vizcnn.basics.files import replacing
from vizcnn.basics.pools import Pool, Work
from vizcnn.basics.progress import Progress, silent
from vizcnn.mining.cluster import Load
from vizcnn.mining.identity import hash_module
from vizcnn.mining.index import Identity, StrongestIndex
from vizcnn.mining.machine_kinds import describe_kind, refuse_mixed, unite_kinds
from vizcnn.mining.photo_sets import ChosenPhotos, PhotoSet
from vizcnn.pages.layers.job import Job, Room, TopSettings
from vizcnn.pages.layers.layer_plans import LayerPlan
from vizcnn.pages.layers.pieces import Piece
from vizcnn.pages.layers.places import LayerPlaces, Part
from vizcnn.pages.layers.projecting import (
    keep_photos,
    list_missing,
    name_photo,
    name_photo_file,
    name_unit,
    project_portion,
)
from vizcnn.pages.layers.sheet_files import choose_poster_units, write_sheets
from vizcnn.pages.layers.work_folder import WorkFolder
from vizcnn.projection.deconvnet import Projector
from vizcnn.recording.arithmetic import Precision, use_precision
from vizcnn.zoo.model import ZooModel

LARGEST_SENT = 1 << 16
"""Bytes that tell where a photo lies, at most: a set that needs more holds others, too."""


@dataclass(frozen=True, eq=False)
class Crew:
    """Where the units of a gallery are projected and drawn, if not here, and photos mined.

    Attributes:
        pool: The processes.
        load: Loads the net in each of them.
        parts: Into how many parts photos are cut for mining; chosen by their number when None.
    """

    pool: Pool
    load: Load
    parts: int | None = None


def make_units(job: Job, crew: Crew, progress: Progress, strict: bool = False) -> None:
    """Project and draw the units that are missing, each by itself, in the processes of a pool.

    A unit is a portion of its own, as with no room in the spool (:class:`Room`): its bytes do not
    depend on which process makes it. What comes back is written here, photos before the sheets that
    show them, and nowhere else: the working folder is this process's alone.

    Args:
        job: The gallery.
        crew: Who projects and draws.
        progress: Shows how far it is.
        strict: Whether to refuse machines of several kinds, as soon as there are; what is done
            stays.

    Raises:
        DataError: If a photo is gone, cannot be read any more, or is another than was mined; a
            process has another net; or machines are of several kinds and that is refused.
        VizcnnError: If a process ended, with the unit that it was at.
    """
    kinds = list_kinds(job)
    if strict:
        _refuse_mixed(job, kinds)
    tasks = _list_tasks(job)
    if not tasks:
        return
    begin = _Artist(
        crew.load,
        job.index.identity,
        replace(job.settings, workers=0),
        tuple(replace(layer, units=(), classes=()) for layer in job.layers),
        job.room,
        job.lot,
        job.projector.precision,
    )
    count = sum(len(layer.units) for layer in job.layers)
    initial = count - len(tasks)
    with closing(_make_each(crew.pool, begin, tasks, job.room.items)) as made:
        for task, files in progress(made, label="units", total=count, unit="unit", initial=initial):
            for number, photo in files.photos.items():
                _keep_photo(job, number, photo)
            piece = replace(
                files.unit.piece, name=name_unit(task.layer, task.unit), machine=files.machine
            )
            if strict:
                kinds = unite_kinds(kinds, [files.machine])
                _refuse_mixed(job, kinds)
            _keep(job, piece, files.unit.contents)


def list_kinds(job: Job) -> tuple[str, ...]:
    """List the kinds of machines of a pool that have made units."""
    pieces = [
        job.ledger.find(name_unit(layer, unit))
        for layer, plan in enumerate(job.layers)
        for unit in plan.units
    ]
    return unite_kinds(piece.machine for piece in pieces if piece and piece.machine)


def _refuse_mixed(job: Job, kinds: Sequence[str]) -> None:
    way_out = "give the pool machines of the former kind only, or leave --strict out"
    refuse_mixed(quote(job.work.path), dict.fromkeys(kinds, ""), way_out)


@dataclass(frozen=True, eq=False)
class UnitTask:
    """A unit to be projected and drawn, with all that this needs: as little as can be sent.

    Attributes:
        layer: Number of its layer.
        unit: Its number there.
        name: What messages call it.
        places: Its places.
        photos: The photos that it shows, in the order of the index, and no others.
        digests: Checksums of their pixels.
        wanted: Those that are to be kept for the pages: their numbers among these photos, and
            among all that the gallery shows.
        is_posted: Whether its layer's poster shows it.
    """

    layer: int
    unit: int
    name: str
    places: LayerPlaces
    photos: PhotoSet
    digests: Tensor
    wanted: dict[int, int]
    is_posted: bool


Batch = Sequence[UnitTask]
"""Units that are one item of a pool."""


@dataclass(frozen=True)
class Finished:
    """A piece that was finished elsewhere.

    Attributes:
        piece: The piece.
        contents: Its files, by their names in a working folder.
    """

    piece: Piece
    contents: dict[str, bytes]


@dataclass(frozen=True)
class UnitFiles:
    """What came of a unit.

    Attributes:
        photos: Photos that were kept, by their numbers among all that the gallery shows.
        unit: The unit's sheets.
        machine: Kind of the machine that made them.
    """

    photos: dict[int, Finished]
    unit: Finished
    machine: str


def _make_each(
    pool: Pool, begin: Callable[[], Work[Batch, list[UnitFiles]]], tasks: Batch, items: int
) -> Generator[tuple[UnitTask, UnitFiles], None, None]:
    """Make units, so many in an item that there are not too many items."""
    size = -(-len(tasks) // items)
    batches = [tasks[first : first + size] for first in range(0, len(tasks), size)]
    with closing(pool.work_through(begin, batches, _name_batch)) as made:
        for batch, files in made:
            yield from zip(batch, files, strict=True)


def _name_batch(batch: Batch) -> str:
    return " to ".join(dict.fromkeys([batch[0].name, batch[-1].name]))


@dataclass(frozen=True)
class _Artist:
    """Begins the work of a process: it loads the net, and then makes unit after unit."""

    load: Load
    identity: Identity
    settings: TopSettings
    layers: tuple[LayerPlan, ...]
    room: Room
    lot: int
    precision: Precision

    def __call__(self) -> Work[Batch, list[UnitFiles]]:
        model = self.load()
        if hash_module(model.module) != self.identity.sha256:
            raise DataError(
                "a process that projects has another net than the run: give all machines the same "
                "weights, and the same version of vizcnn"
            )
        with use_precision(self.precision):
            projector = self.settings.attach(model)
        return lambda batch: [self._make(model, projector, task) for task in batch]

    def _make(self, model: ZooModel, projector: Projector, task: UnitTask) -> UnitFiles:
        with TemporaryDirectory(prefix="vizcnn-") as folder:
            work = WorkFolder(Path(folder))
            job = self._settle(model, projector, task, work)
            for number in range(len(task.photos.names)):
                if number not in task.wanted and number not in job.places[0].silent:
                    job.ledger.add(Piece(name=name_photo(number)))  # whose file another one makes
            portion = (Part(0, 0, 1),)
            project_portion(job, portion, silent)
            keep_photos(job)  # of the silent ones sheets show what was kept
            write_sheets(job, portion, silent)
            photos = {
                shown: _read_finished(work, job.ledger.need(name_photo(number)))
                for number, shown in task.wanted.items()
            }
            unit = _read_finished(work, job.ledger.need(name_unit(0, task.unit)))
            return UnitFiles(photos, unit, describe_kind(next(model.module.parameters()).device))

    def _settle(
        self, model: ZooModel, projector: Projector, task: UnitTask, work: WorkFolder
    ) -> Job:
        """Settle a gallery of one unit, and of its photos alone."""
        count = len(task.photos.names)
        index = StrongestIndex(
            identity=self.identity,
            photos=tuple(task.photos.names),
            sizes=tuple(task.photos.sizes),
            done=count,
            digests=task.digests,
        )
        return Job(
            model=model,
            projector=projector,
            photos=task.photos,
            index=index,
            # of a poster of one unit it is that unit whose block is drawn
            settings=replace(self.settings, poster=task.is_posted, poster_units=None),
            layers=(replace(self.layers[task.layer], units=(task.unit,)),),
            places=(task.places,),
            shown=tuple(range(count)),
            work=work,
            ledger=work.begin({}, _ignore),
            notice=_ignore,
            room=self.room,
            lot=self.lot,
        )


def _ignore(line: str) -> None:
    """Leave out what a new folder has nothing to tell of."""


def _read_finished(work: WorkFolder, piece: Piece) -> Finished:
    return Finished(piece, {name: (work.path / name).read_bytes() for name in piece.files})


class _ReadWhenSent(ChosenPhotos):
    """Photos of a set of which some cannot be sent without the others: their pixels are.

    They are read when they are packed: those of all units together may be gigabytes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        try:
            pixels = torch.stack([self.read(number) for number in range(len(self.names))])
        except ImageError as error:
            raise DataError(f"{error}; when it was mined it could be read") from None
        return _SentPixels, (self.names, self.sizes, pixels)


@dataclass(frozen=True)
class _SentPixels:
    """What comes of :class:`_ReadWhenSent` in another process."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    pixels: Tensor

    def read(self, number: int) -> Tensor:
        return self.pixels[number]

    def describe(self) -> str:
        return f"{len(self.names)} photos"


def _list_tasks(job: Job) -> list[UnitTask]:
    """List the units that are missing; a photo is wanted from the first that shows it."""
    numbers = {name: number for number, name in enumerate(job.photos.names)}
    take = _choose_taking(job.photos)
    wanted = {
        photo: number
        for number, photo in enumerate(job.shown)
        if not job.ledger.find(name_photo(number))
    }
    tasks = []
    for layer, plan in enumerate(job.layers):
        posted = choose_poster_units(job, layer) if job.settings.poster else []
        places = job.places[layer]
        for row in list_missing(job, Part(layer, 0, len(plan.units))):
            shown = sorted({places.find(row, slot) for slot in places.list_slots(row)})
            task = UnitTask(
                layer=layer,
                unit=plan.units[row],
                name=f"{plan.name} unit {plan.units[row]}",
                places=places.take(row, shown),
                photos=take([numbers[job.index.photos[photo]] for photo in shown]),
                digests=job.index.digests[shown],
                wanted={n: wanted.pop(photo) for n, photo in enumerate(shown) if photo in wanted},
                is_posted=plan.units[row] in posted,
            )
            tasks.append(task)
    return tasks


def _choose_taking(photos: PhotoSet) -> Callable[[Sequence[int]], PhotoSet]:
    """Choose how some photos are taken out of a set: to be read elsewhere, or as pixels."""
    take = getattr(photos, "take", None)
    if take:
        with suppress(Exception):  # of anybody's data set, which may not be fit to be pickled
            if len(pickle.dumps(take([0]))) <= LARGEST_SENT:
                return take  # type: ignore[no-any-return]  # a method of the set
    return partial(_ReadWhenSent, photos)


def _keep_photo(job: Job, number: int, photo: Finished) -> None:
    """Write a photo that came back, by its number here."""
    file = job.work.name_file(job.work.site / name_photo_file(number))
    ((name, checksum),) = photo.piece.files.items()
    piece = replace(photo.piece, name=name_photo(number), files={file: checksum})
    _keep(job, piece, {file: photo.contents[name]})


def _keep(job: Job, piece: Piece, contents: Mapping[str, bytes]) -> None:
    for name, content in contents.items():
        with replacing(job.work.path / name, flush=False) as temporary:
            temporary.write_bytes(content)
    job.ledger.add(piece)
