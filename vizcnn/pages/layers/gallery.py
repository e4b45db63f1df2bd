"""A net and photos -> a site of whole layers: mined, projected, drawn; a killed run goes on."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from vizcnn.basics.errors import DataError, VizcnnError
from vizcnn.basics.files import hash_file
from vizcnn.basics.output import write_folder
from vizcnn.basics.pools import Pool
from vizcnn.basics.progress import Progress, silent
from vizcnn.basics.version import __version__
from vizcnn.drawing.style import find_style
from vizcnn.gallery.manifest import Manifest
from vizcnn.gallery.site import write_gallery
from vizcnn.mining.cluster import Load, mine_with
from vizcnn.mining.identity import describe_identity, list_differences, list_photo_differences
from vizcnn.mining.index import INDEX_NAME, Identity, StrongestIndex, read_index, refuse_unreadable
from vizcnn.mining.machine_kinds import refuse_mixed
from vizcnn.mining.maxima import Maxima
from vizcnn.mining.photo_sets import PhotoSet
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.pages.layers.description import UnitCommand, UnitPython, describe_gallery
from vizcnn.pages.layers.job import ROOM, Job, Room, TopSettings, settle_job
from vizcnn.pages.layers.layer_plans import plan_layers
from vizcnn.pages.layers.places import NOWHERE, cut_portions
from vizcnn.pages.layers.pooled_units import Crew, make_units
from vizcnn.pages.layers.projecting import LOT_KIND, keep_photos, list_missing, project_portion
from vizcnn.pages.layers.sheet_files import write_posters, write_sheets
from vizcnn.pages.layers.site_pages import LayersResults
from vizcnn.pages.layers.spool import BYTES_PER_PIXEL
from vizcnn.pages.layers.work_folder import Notice, WorkFolder, open_work
from vizcnn.pages.page import list_versions
from vizcnn.zoo.model import ZooModel


def make_top_gallery(
    model: ZooModel,
    photos: PhotoSet,
    settings: TopSettings,
    folder: Path,
    index: Path | None = None,
    command: str = "",
    unit_command: UnitCommand = lambda layer, unit: "",
    unit_python: UnitPython = lambda layer, unit, photo, position: "",
    progress: Progress = silent,
    notice: Notice = lambda line: None,
    room: Room = ROOM,
    pool: Pool | None = None,
    load: Load | None = None,
    parts: int | None = None,
    strict: bool = False,
) -> Manifest[LayersResults]:
    """Find each unit's strongest places in photos, project them back and write a site.

    A run that was killed or interrupted goes on when it is called again with the same arguments,
    and ends with the same bytes as an unbroken one.

    With a pool the photos are mined in parts, in a folder that its processes and this one share
    (:func:`~vizcnn.mining.cluster.mine_with`), and then each unit is projected and drawn in one of
    them, and written here. Its bytes are those of a run that has no room in the spool.

    Args:
        model: A net of the zoo.
        photos: The photos to look through.
        settings: What to show.
        folder: Where the site goes; complete or untouched, apart from a hidden working folder.
        index: A complete index of these photos, which spares the mining.
        command: The command that repeats the run.
        unit_command: Gives the command that repeats one unit of a layer.
        unit_python: Gives lines of Python that project a unit at a place of a photo.
        progress: Shows how far it is.
        notice: Is told what of a former run cannot be used.
        room: How much it may take at a time.
        pool: Processes, of this machine or others, that mine, project and draw; this one and copies
            of it when None.
        load: Loads the net in each of them, such as ``functools.partial(vizcnn.load, "zfnet")``.
        parts: Into how many parts they mine the photos; chosen by their number when None.
        strict: Whether to refuse an index that machines of several kinds computed, and a pool of
            such.

    Returns:
        What was written, as in manifest.json.

    Raises:
        DataError: If no photo can be read, photos changed since they were mined, the index is of
            another net or of other settings, or places are ranked by relevance and no photo lies in
            a folder of a class.
        LayerError: If a layer or unit does not exist.
        UnsupportedOperationError: If the method has no rule for an operation of the net.
        VizcnnError: If the folder is not vizcnn's own, the disk is full, or a process of the pool
            ended.

    Example:
        >>> import tempfile
        >>> import vizcnn
        >>> from vizcnn.mining.photo_sets import SamplePatches
        >>> model = vizcnn.load("lenet", weights="bundled")
        >>> settings = TopSettings(layers=("conv1",), units=(0, 3), workers=0)
        >>> site = Path(tempfile.mkdtemp()) / "site"
        >>> manifest = make_top_gallery(model, SamplePatches(model.preprocessing), settings, site)
        >>> [len(unit.places) for unit in manifest.results.layers[0].units]
        [9, 9]
        >>> (site / "conv1" / "unit-0003.html").is_file()
        True
    """
    crew = _gather_crew(pool, load, parts)
    if crew is not None:
        room = replace(room, spool=0)  # each unit is a portion
    projector = settings.attach(model)
    layers = plan_layers(projector, model, settings.layers, settings.units)
    with open_work(folder, notice) as work:
        file, found = find_strongest(
            model, photos, settings, work, index, progress, notice, strict, crew
        )
        causes = {"index": hash_file(file), **_list_causes(model, photos, settings, room, pool)}
        begin = partial(work.begin, causes, notice)
        job = settle_job(
            projector, model, photos, found, settings, layers, work, begin, notice, room
        )
        _draw(job, progress, crew, strict)
        manifest = describe_gallery(job, command, unit_command, unit_python)
        with write_folder(folder, held=True) as staging:
            work.copy_site(job.ledger, staging)
            (staging / INDEX_NAME).write_bytes(file.read_bytes())
            write_gallery(manifest, staging, progress)
    return replace(manifest, folder=folder)


def find_strongest(
    model: ZooModel,
    photos: PhotoSet,
    settings: TopSettings,
    work: WorkFolder,
    file: Path | None,
    progress: Progress,
    notice: Notice = lambda line: None,
    strict: bool = False,
    crew: Crew | None = None,
) -> tuple[Path, StrongestIndex]:
    """Mine the photos, go on with it, or read what was mined before.

    Returns:
        The index's file, and the index.
    """
    former = _read_former(work, notice)
    if former:
        _refuse_other_run(model, photos, settings, work, file, former)
    if former is None or not former.complete:
        _refuse_parts(work, file, crew)
    if former is None and file is None and work.has_begun:
        notice(f"{str(work.index)!r} is missing: the photos are mined anew")
    if file is not None:
        index = read_index(file)
        check_index(index, file, model, settings, strict)
        refuse_unreadable(index)
        return file, index
    mining = MiningSettings(
        layers=settings.layers,
        top=settings.top,
        per_photo=settings.per_photo,
        workers=settings.workers,
        rank=settings.rank,
        ranges=settings.ranges,
        seed=settings.seed,
    )
    if crew is None:
        index = mine(model, photos, work.index, mining, progress, strict)
    else:
        identity = _describe_wanted(model, settings)
        mining = replace(mining, precision=identity.precision)
        index = mine_with(
            crew.pool,
            crew.load,
            identity,
            photos,
            work.index,
            mining,
            crew.parts,
            progress,
            notice,
            strict,
        )
    try:
        refuse_unreadable(index)
    except DataError:
        work.index.unlink()  # nothing of it is of use when they can be read
        work.maxima.unlink(missing_ok=True)
        raise
    return work.index, index


def _read_former(work: WorkFolder, notice: Notice) -> StrongestIndex | None:
    """Read what a dead run has mined; what is of no use goes, and is told."""
    if not work.index.exists():
        return None
    try:
        index = read_index(work.index)
    except DataError:
        notice(f"{str(work.index)!r} is damaged: the photos are mined anew")
        work.index.unlink()
        return None
    if not _has_maxima(work, index):
        notice(f"{str(work.maxima)!r} is missing or damaged: the photos are mined anew")
    elif index.done > len(index.failures):
        return index
    elif index.done:
        notice(f"a former run could read none of {index.done} photos: they are read again")
    work.index.unlink()
    return None


def _has_maxima(work: WorkFolder, index: StrongestIndex) -> bool:
    """Tell whether the maxima are there that the mining needs to go on."""
    if index.complete or not index.done or not index.identity.keeps_maxima:
        return True
    try:
        return all(True for _ in Maxima(work.maxima, index).check(index.done))
    except DataError:
        return False


def _describe_wanted(model: ZooModel, settings: TopSettings) -> Identity:
    return describe_identity(
        model,
        settings.layers,
        settings.top,
        settings.per_photo,
        rank=settings.rank,
        seed=settings.seed,
        ranges=settings.ranges,
    )


def _refuse_other_run(
    model: ZooModel,
    photos: PhotoSet,
    settings: TopSettings,
    work: WorkFolder,
    file: Path | None,
    former: StrongestIndex,
) -> None:
    """Spare what another run has mined and not yet shown: it may have taken hours.

    Raises:
        DataError: If it is of another run.
    """
    differences = ["this one has an index"]
    if file is None:
        wanted = _describe_wanted(model, settings)
        differences = list_differences(former.identity, wanted)
        differences += list_photo_differences(former, tuple(photos.names), tuple(photos.sizes))
    if differences:
        raise DataError(
            f"{str(work.path)!r} holds what another run has mined ({'; '.join(differences)}): "
            "end that run, remove the folder, or choose another --out"
        )


def _refuse_parts(work: WorkFolder, file: Path | None, crew: Crew | None) -> None:
    """Spare what many machines have mined and this run would not go on with.

    Raises:
        DataError: If there is such a thing.
    """
    if work.has_parts and (crew is None or file is not None):
        raise DataError(
            f"{str(work.path)!r} holds parts that many machines have mined, and this run does not "
            "go on with them: end that run by the command that began it, remove the folder, or "
            "choose another --out"
        )


def check_index(
    index: StrongestIndex,
    file: Path,
    model: ZooModel,
    settings: TopSettings,
    strict: bool = False,
) -> None:
    """Make sure that an index holds what a gallery asks for.

    It may hold more layers and places, and ranges.

    Raises:
        DataError: If it does not, is not complete, or is of several kinds of machines where that
            is refused.
    """
    name = f"the index {str(file)!r}"
    if not index.complete:
        raise DataError(
            f"{name} has looked at {index.done} of {len(index.photos)} photos: end its mining first"
        )
    wanted = _describe_wanted(model, settings)
    held = replace(index.identity, weights=wanted.weights)  # where they lay; sha256 says which
    if set(wanted.layers) <= set(held.layers):
        held = replace(held, layers=wanted.layers)
    if held.top >= wanted.top:
        held = replace(held, top=wanted.top)
    if held.ranges:
        held = replace(held, ranges=wanted.ranges)
    differences = list_differences(held, wanted)
    if differences:
        raise DataError(f"{name} is of another run ({'; '.join(differences)}): mine anew")
    if strict:
        kinds = dict.fromkeys(index.machines, "")
        refuse_mixed(name, kinds, "mine anew on one kind of machine, or leave --strict out")


def _list_causes(
    model: ZooModel, photos: PhotoSet, settings: TopSettings, room: Room, pool: Pool | None
) -> dict[str, Any]:
    """List all that the files depend on, beside the index."""
    return {
        **asdict(replace(settings, workers=None)),
        "room": asdict(room),  # it decides on the projections' company, so on their last digits
        "photos": photos.describe(),
        "weights": model.provenance.describe(),
        # a pool may compute on GPUs where this machine has none
        "device": getattr(pool, "device", next(model.module.parameters()).device.type),
        "figures": find_style().describe(),
        "vizcnn": __version__,
        **list_versions(),
    }


def _gather_crew(pool: Pool | None, load: Load | None, parts: int | None) -> Crew | None:
    if pool is not None and load is not None:
        return Crew(pool, load, parts)
    if pool is None and load is None and parts is None:
        return None
    raise VizcnnError(
        "a pool needs what loads the net in its processes, and parts need a pool: give pool and "
        "load, or none of the three"
    )


def _draw(job: Job, progress: Progress, crew: Crew | None, strict: bool) -> None:
    """Project and draw from where a former run has come to."""
    if crew is not None:
        make_units(job, crew, progress, strict)
    else:
        _draw_portions(job, progress)
    keep_photos(job)
    write_posters(job, progress)


def _draw_portions(job: Job, progress: Progress) -> None:
    sizes = [
        (len(layer.units), BYTES_PER_PIXEL * job.settings.slots * layer.window[0] * layer.window[1])
        for layer in job.layers
    ]
    for portion in cut_portions(sizes, job.room.spool):
        if any(list_missing(job, part) for part in portion):
            project_portion(job, portion, progress)
            if any((job.places[part.layer].silent != NOWHERE).any() for part in portion):
                keep_photos(job)  # their sheets show photos of which nothing is projected
            write_sheets(job, portion, progress)
            job.work.clear_spool()
            job.ledger.forget(LOT_KIND)
