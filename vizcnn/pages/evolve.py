"""``vizcnn evolve``: what units see at the epochs of a training, as in ZF's Figure 4."""

import hashlib
import json
import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from vizcnn.basics.errors import VizcnnError, WeightsError
from vizcnn.basics.kept_parts import FOLDER_NAME, Arrays, KeptParts, keep_parts
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.basics.texts import name_files
from vizcnn.drawing.evolution_blocks import EvolutionCell, EvolutionRow, draw_block
from vizcnn.drawing.evolution_curves import draw_courses
from vizcnn.drawing.tiles import ROBUST_PERCENTILE, scale_projections
from vizcnn.drawing.words import describe_part, explain_selectivity, show_number
from vizcnn.gallery.manifest import Failure, Manifest, Net, Photo, Results
from vizcnn.measures.evolution import (
    CONVERGED,
    LayerCourse,
    find_cosine,
    find_half_life,
    find_last_change,
    lay_on_field,
    sum_up,
)
from vizcnn.mining.identity import hash_module
from vizcnn.mining.photo_sets import PhotoSet, find_source, list_left_out
from vizcnn.pages.evidence import Evidence
from vizcnn.pages.layers.job import TopSettings
from vizcnn.pages.layers.layer_plans import LayerPlan, plan_layers
from vizcnn.pages.layers.records import PhotoData
from vizcnn.pages.layers.spool import EVIDENCE
from vizcnn.pages.layers.strongest import find_strongest_places
from vizcnn.pages.page import (
    Drawing,
    MethodSettings,
    describe_causes,
    describe_net,
    describe_run,
    write_page,
)
from vizcnn.photos.folders import SHOWN_NAMES
from vizcnn.photos.pixels import Array
from vizcnn.projection.methods import describe_method
from vizcnn.projection.parts import Part
from vizcnn.receptive import find_boxes
from vizcnn.recording.layers import list_stages, select_layers
from vizcnn.training.moments import TrainedRun
from vizcnn.zoo.model import ZooModel

CellScaling = Literal["cell", "row"]
"""Each picture at its own contrast, or all of a unit's at one."""
MOST_UNITS = 50
"""Rows of a block, at most."""


@dataclass(frozen=True, kw_only=True)
class EvolveSettings(MethodSettings):
    """What to show of a training.

    Attributes:
        layers: Names of layers; the stages, as far as they were kept, when empty.
        units: Numbers of units, of every layer; drawn by the seed when empty.
        count: How many units of a layer are drawn.
        seed: Seed of that draw.
        scaling: ``"cell"`` gives each picture its own contrast, ``"row"`` all of a unit's one.
        workers: Processes that read photos and project; None chooses by the machine.
        figure_format: Format of the figures.

    Raises:
        VizcnnError: If a number is out of range.
    """

    layers: tuple[str, ...] = ()
    units: tuple[int, ...] = ()
    count: int = 6
    seed: int = 0
    scaling: CellScaling = "cell"
    workers: int | None = None
    figure_format: FigureFormat = "png"

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = len(self.units) or self.count
        if not 1 <= wanted <= MOST_UNITS:
            raise VizcnnError(f"{wanted} units of a layer; needed: 1 to {MOST_UNITS}")


@dataclass(frozen=True, kw_only=True)
class EvolvedCell(Evidence):
    """A unit at an epoch: its strongest place over all photos.

    Attributes:
        photo: Name of the photo; empty where the unit is silent.
        position: Row and column in the feature map; None in a layer without places.
        box: Receptive field, cut at the photo's edges: top, left, bottom, right, the last two
            exclusive.
        changed: Whether it is another photo than at the epoch before.
        cosine: Of its projection with that of the last epoch, each laid on the receptive field;
            None where the unit is silent at either.
        peak: Largest absolute value of the projection, in shares of the full range of pixels.
    """

    photo: str
    position: tuple[int, int] | None
    box: tuple[int, int, int, int] | None
    changed: bool
    cosine: float | None
    peak: float


@dataclass(frozen=True, kw_only=True)
class EvolvedUnit:
    """A unit through the training.

    Attributes:
        unit: Its number.
        name: The class that it stands for, in a net's last layer; else empty.
        cells: One at each epoch.
        last_change: Kept epoch at which its strongest photo was another for the last time; None
            if it never was.
        half_life: Epochs until half of the way (1 - cosine) to the last picture was gone, known
            up to the kept epochs; None where there is none.
        growth: Its last activation over its first; None where either is not above zero.
    """

    unit: int
    name: str
    cells: tuple[EvolvedCell, ...]
    last_change: int | None
    half_life: int | None
    growth: float | None


@dataclass(frozen=True, kw_only=True)
class EvolvedLayer:
    """A layer through the training.

    Attributes:
        name: Its name.
        path: Its module path.
        units_total: How many units it has.
        field: Height and width of a receptive field, before the photo's edges cut it.
        units: Those shown.
        course: Their numbers, summed up.
    """

    name: str
    path: str
    units_total: int
    field: tuple[int, int]
    units: tuple[EvolvedUnit, ...]
    course: LayerCourse


@dataclass(frozen=True, kw_only=True)
class EvolveResults(Results):
    """Units at the epochs of a training.

    Attributes:
        run: What the training is called.
        note: What one should know of it.
        needed: What shows layers that were not kept; empty of whole nets.
        epochs: The epochs, rising.
        data: The photos that were looked through.
        method: The method.
        method_source: Where it is from.
        part: What of a projection is shown.
        drawn: How units were chosen, in words.
        scaling: How values became colours, in words.
        layers: The layers.
    """

    kind: ClassVar[str] = "evolve"
    run: str
    note: str
    needed: str
    epochs: tuple[int, ...]
    data: PhotoData
    method: str
    method_source: str
    part: Part
    drawn: str
    scaling: str
    layers: tuple[EvolvedLayer, ...]


Pictures = tuple[Array, NDArray[np.uint8]]
"""A projection and the photo's patch in the same window, each (h, w, 3)."""
UnitPictures = tuple[tuple[Pictures | None, ...], ...]
"""Those of a layer's units at each epoch; None where a unit is silent."""


@dataclass(frozen=True, eq=False)
class Evolution:
    """All that was measured of a training, with its pictures.

    Attributes:
        title: The net's.
        results: The numbers.
        nets: The net at each epoch, described.
        photos: Photos that are shown, by name.
        failures: Photos that could not be read.
        pictures: Those of each layer.
    """

    title: str
    results: EvolveResults
    nets: tuple[Net, ...]
    photos: tuple[Photo, ...]
    failures: tuple[Failure, ...]
    pictures: tuple[UnitPictures, ...]


def make_evolve_gallery(
    run: TrainedRun,
    photos: PhotoSet,
    folder: Path,
    settings: EvolveSettings | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[EvolveResults]:
    """Show what units see at the epochs of a training: figures, index.html and manifest.json.

    A run that was killed goes on with the next epoch when it is called again.

    Args:
        run: The training (:func:`~vizcnn.training.moments.find_run`).
        photos: The photos to look through, made for the run's nets.
        folder: Where the page goes; complete or untouched, apart from a hidden working folder.
        settings: What to show.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        LayerError: If a layer or unit does not exist, or was not kept.
        WeightsError: If a net's weights are damaged.
        DataError: If there are no photos, or none can be read.
        UnsupportedOperationError: If the method has no rule for an operation of the net.
        VizcnnError: If the folder is not vizcnn's own, or the disk is full.

    Example:
        >>> import tempfile
        >>> from vizcnn.training.digit_photos import DigitPhotos
        >>> from vizcnn.training.moments import find_run
        >>> settings = EvolveSettings(layers=("conv1",), units=(2,), workers=0)
        >>> run, page = find_run("lenet"), Path(tempfile.mkdtemp()) / "page"
        >>> run = replace(run, moments=run.moments[::4])
        >>> photos = DigitPhotos(run.moments[-1].load().preprocessing)
        >>> made = make_evolve_gallery(run, photos, page, settings)
        >>> made.results.epochs, len(made.results.layers[0].units[0].cells)
        ((0, 10, 64), 3)
    """
    settings = settings or EvolveSettings()
    last = run.moments[-1].load()
    chosen = _choose_layers(run, last, settings)
    causes = describe_causes(
        [last],
        [],
        replace(settings, workers=None),
        layers=chosen,
        names=_hash_names(photos),
        set=photos.describe(),
    )
    with keep_parts(folder, causes) as parts:
        evolution = measure(run, photos, chosen, settings, parts, folder / FOLDER_NAME, progress)
        described = describe_run(
            evolution.results,
            f"{evolution.title} through its training",
            [],
            settings,
            command,
            evolution.photos,
            evolution.failures,
        )
        described = replace(described, nets=evolution.nets)
        with write_folder(folder, held=True) as staging:
            return write_page(described, draw(evolution, settings), staging, settings.figure_format)


def _choose_layers(run: TrainedRun, model: ZooModel, settings: EvolveSettings) -> tuple[str, ...]:
    wanted = settings.layers or run.only or (list_stages(model),)
    chosen = select_layers(model, wanted)
    run.require_layers(model, chosen)
    return chosen


def _hash_names(photos: PhotoSet) -> str:
    told = json.dumps([list(photos.names), list(photos.sizes)]).encode(errors="replace")
    return hashlib.sha256(told).hexdigest()


def choose_evolved_units(
    layer: str, total: int, settings: EvolveSettings
) -> tuple[int, ...] | None:
    """Choose the units of a layer: those asked for, or drawn by the seed among all.

    Silent ones are drawn too: they are a part of what became of the layer.

    Example:
        >>> choose_evolved_units("conv1", 4, EvolveSettings(count=9))
        (0, 1, 2, 3)
    """
    if settings.units:
        return settings.units
    drawn = random.Random(f"{settings.seed} {layer}")
    return tuple(sorted(drawn.sample(range(total), min(settings.count, total))))


def measure(
    run: TrainedRun,
    photos: PhotoSet,
    layers: Sequence[str],
    settings: EvolveSettings,
    parts: KeptParts,
    scratch: Path,
    progress: Progress = silent,
) -> Evolution:
    """Find, at each epoch, the strongest place of each unit over all photos, and project it.

    Args:
        run: The training.
        photos: The photos.
        layers: Names of the layers.
        settings: What to show.
        parts: Keeps what was found at each epoch.
        scratch: A folder for files that are needed meanwhile.
        progress: Shows how far it is.
    """
    nets: list[Net] = []
    columns: list[Arrays] = []
    plans: list[LayerPlan] = []
    ways = set()
    moments = progress(run.moments, label="epochs", total=len(run.moments), unit="epoch")
    for moment in moments:
        model = moment.load()
        ways.add(model.preprocessing)
        if len(ways) > 1:
            raise WeightsError(
                f"the nets of {run.name} are shown photos in different ways (their preprocessing): "
                "give those of one run"
            )
        plans = _plan(model, layers, settings)

        def compute(model: ZooModel = model, plans: Sequence[LayerPlan] = plans) -> Arrays:
            with TemporaryDirectory(dir=scratch) as temporary:
                return _measure_moment(model, photos, plans, settings, Path(temporary), progress)

        columns.append(parts.get(f"epoch {moment.epoch} {hash_module(model.module)}", compute))
        title = f"{model.title} after epoch {moment.epoch}"
        nets.append(replace(describe_net(model), title=title))
    fields = _find_fields(model, plans, columns, settings)
    pictures = tuple(
        tuple(
            tuple(_read_pictures(column, layer, row) for column in columns)
            for row in range(len(plan.units))
        )
        for layer, plan in enumerate(plans)
    )
    evolved = tuple(
        _describe_layer(run, plan, layer, columns, fields[layer], pictures[layer], photos)
        for layer, plan in enumerate(plans)
    )
    left_out = list_left_out(photos)
    failures = json.loads(bytes(columns[-1]["failures"]).decode())
    method = settings.attach(model).method
    results = EvolveResults(
        run=run.name,
        note=run.note,
        needed=run.tell_needed(),
        epochs=run.epochs,
        data=PhotoData(
            describe=photos.describe(),
            count=len(photos.names) - len(failures),
            left_out=len(left_out),
            left_out_names=left_out[:SHOWN_NAMES],
        ),
        method=method.name,
        method_source=describe_method(method),
        part=settings.part,
        drawn="as asked for" if settings.units else f"drawn by seed {settings.seed}",
        scaling=_describe_scaling(settings.scaling),
        layers=evolved,
    )
    return Evolution(
        title=model.title,
        results=results,
        nets=tuple(nets),
        photos=_describe_photos(evolved, photos),
        failures=tuple(Failure(source=name, error=error) for name, error in failures),
        pictures=pictures,
    )


def _plan(model: ZooModel, layers: Sequence[str], settings: EvolveSettings) -> list[LayerPlan]:
    projector = settings.attach(model)
    plans = plan_layers(projector, model, layers, None)
    return [
        plan_layers(
            projector,
            model,
            [plan.name],
            choose_evolved_units(plan.name, plan.units_total, settings),
        )[0]
        for plan in plans
    ]


def _measure_moment(
    model: ZooModel,
    photos: PhotoSet,
    plans: Sequence[LayerPlan],
    settings: EvolveSettings,
    folder: Path,
    progress: Progress,
) -> Arrays:
    shared = {name: value for name, value in asdict(settings).items() if name in _SHARED}
    top = TopSettings(layers=tuple(plan.name for plan in plans), top=1, **shared)
    found, index = find_strongest_places(model, photos, top, plans, folder, progress)
    arrays = {
        f"{layer} {name}": value
        for layer, places in enumerate(found)
        for name, value in vars(places).items()
    }
    failures = json.dumps(index.failures).encode()
    return {**arrays, "failures": np.frombuffer(failures, dtype=np.uint8)}


_SHARED = {
    *("method", "passes_over_normalisation", "unruled", "gates", "start", "part", "compare"),
    "workers",
}
"""Settings of a gallery that are those of an evolution."""


def _find_fields(
    model: ZooModel,
    plans: Sequence[LayerPlan],
    columns: Sequence[Arrays],
    settings: EvolveSettings,
) -> list[NDArray[np.int64]]:
    """Find the uncut receptive fields of all places, (epochs, units, 4) for each layer.

    They depend on the net's shape alone, so that any epoch's will do.
    """
    size = model.input_size
    names = [plan.name for plan in plans]
    recording = settings.attach(model).record(torch.zeros(1, 3, size, size), names)
    assert recording.input is not None
    fields = []
    for layer, plan in enumerate(plans):
        places = np.concatenate([column[f"{layer} positions"] for column in columns])
        output = recording.find_output(plan.path)
        found = find_boxes(output, recording.input, torch.tensor(places), clip=False)
        fields.append(found.numpy().reshape(len(columns), len(plan.units), 4))
    return fields


def _read_pictures(column: Arrays, layer: int, row: int) -> Pictures | None:
    if column[f"{layer} photos"][row] < 0:
        return None
    window = column[f"{layer} windows"][row].astype(np.float32) * column[f"{layer} peaks"][row]
    return window, column[f"{layer} patches"][row]


def _describe_layer(
    run: TrainedRun,
    plan: LayerPlan,
    layer: int,
    columns: Sequence[Arrays],
    fields: NDArray[np.int64],
    pictures: UnitPictures,
    photos: PhotoSet,
) -> EvolvedLayer:
    laid = [
        [
            None
            if pair is None
            else lay_on_field(pair[0], columns[at][f"{layer} corners"][row], fields[at, row])
            for at, pair in enumerate(pictures[row])
        ]
        for row in range(len(plan.units))
    ]
    units = tuple(
        _describe_unit(run, plan, layer, row, columns, laid[row], photos)
        for row in range(len(plan.units))
    )
    course = sum_up(
        [[cell.photo for cell in unit.cells] for unit in units],
        [[cell.activation for cell in unit.cells] for unit in units],
        [[cell.cosine for cell in unit.cells] for unit in units],
        [row[-1] for row in laid],
        run.epochs,
    )
    return EvolvedLayer(
        name=plan.name,
        path=plan.path,
        units_total=plan.units_total,
        field=plan.field,
        units=units,
        course=course,
    )


def _describe_unit(
    run: TrainedRun,
    plan: LayerPlan,
    layer: int,
    row: int,
    columns: Sequence[Arrays],
    laid: Sequence[Array | None],
    photos: PhotoSet,
) -> EvolvedUnit:
    cells: list[EvolvedCell] = []
    for column, picture in zip(columns, laid, strict=True):
        place = {name: column[f"{layer} {name}"][row] for name in _KEPT}
        number = int(place["photos"])
        name = photos.names[number] if number >= 0 else ""
        found = dict(zip(EVIDENCE, place["evidence"].tolist(), strict=True))
        evidence = {} if np.isnan(found["active"]) or number < 0 else _round_evidence(found)
        cells.append(
            EvolvedCell(
                activation=float(place["activations"]),
                photo=name,
                position=tuple(place["positions"].tolist()) if name and plan.map_size else None,
                box=tuple(place["boxes"].tolist()) if name else None,
                changed=bool(cells) and name != cells[-1].photo,
                cosine=find_cosine(picture, laid[-1]),
                peak=float(place["peaks"]) if name else 0.0,
                **evidence,
            )
        )
    first, last = cells[0].activation, cells[-1].activation
    return EvolvedUnit(
        unit=plan.units[row],
        name=plan.classes[plan.units[row]] if plan.classes else "",
        cells=tuple(cells),
        last_change=find_last_change([cell.photo for cell in cells], run.epochs),
        half_life=find_half_life([cell.cosine for cell in cells], run.epochs),
        growth=last / first if first > 0 and last > 0 else None,
    )


_KEPT = ("activations", "photos", "positions", "boxes", "peaks", "evidence")
"""What of a place goes into the manifest."""


def _round_evidence(found: dict[str, float]) -> dict[str, Any]:
    selectivity = found["selectivity"]
    return {
        "selectivity": None if np.isnan(selectivity) else selectivity,
        "compared": int(found["compared"]),
        "active": int(found["active"]),
    }


def _describe_photos(layers: Sequence[EvolvedLayer], photos: PhotoSet) -> tuple[Photo, ...]:
    shown = {cell.photo for layer in layers for unit in layer.units for cell in unit.cells} - {""}
    described = []
    for name in sorted(shown):
        number = bisect_left(photos.names, name)
        seen = photos.read(number).permute(1, 2, 0).contiguous().numpy()
        digest = hashlib.sha256(seen.data).hexdigest()
        described.append(Photo(name=name, source=find_source(photos, number), sha256=digest))
    return tuple(described)


def _describe_scaling(scaling: CellScaling) -> str:
    limit = f"{ROBUST_PERCENTILE} percentile of |values|"
    whose = (
        f"each picture's own {limit}, so that growth is in the numbers only"
        if scaling == "cell"
        else f"the largest {limit} of a unit's pictures, so that small ones stay pale"
    )
    return f"zero is mid grey; full contrast: {whose}"


def draw(evolution: Evolution, settings: EvolveSettings) -> Iterator[Drawing]:
    """Draw the block of each layer, and how the layers went."""
    results = evolution.results
    for layer, pictures in zip(results.layers, evolution.pictures, strict=True):
        yield _draw_layer(evolution, layer, pictures, settings)
    title = f"{evolution.title}: when do its layers become what they stay?"
    yield Drawing(
        "courses",
        title,
        "Curves over the epochs, layer by layer: cosines with the last pictures, photos that stay, "
        "activations",
        draw_courses(
            [layer.name for layer in results.layers],
            [layer.course for layer in results.layers],
            results.epochs,
            title,
            _caption(evolution, pictures=False),
        ),
        " ".join(describe_course(layer, results.epochs) for layer in results.layers)
        + f" A layer is called converged from the kept epoch on from which the median cosine stays "
        f"at {CONVERGED} or above (dashed). Between two kept epochs nothing is known.",
    )


def describe_course(layer: EvolvedLayer, epochs: Sequence[int]) -> str:
    """Say in a sentence or two how a layer went.

    Args:
        layer: The layer.
        epochs: The epochs, rising.
    """
    course = layer.course
    if not course.units:
        return f"{layer.name}: all units that are shown are silent at the last epoch."
    when = (
        "only at the last epoch"
        if course.converged == epochs[-1]
        else f"at epoch {course.converged}"
    )
    changed = (
        f"were the last ones from epoch {epochs[0]} on"  # no earlier net is known
        if course.last_change == epochs[0]
        else f"changed for the last time at epoch {course.last_change:g}"
    )
    told = f"{layer.name} converged {when}; its units' strongest photos {changed}"
    if course.half_life is not None:
        epochs_gone = f"{course.half_life:g} epoch{'' if course.half_life == 1 else 's'}"
        told += f", and half of the way to the last pictures was gone after {epochs_gone}"
    told += f" (medians of {_count(course.units)})."
    if course.between_units is not None:
        told += (
            f" The last pictures of two of its units have a cosine of {course.between_units:.2f}."
        )
    return told


def _draw_layer(
    evolution: Evolution,
    layer: EvolvedLayer,
    pictures: UnitPictures,
    settings: EvolveSettings,
) -> Drawing:
    results = evolution.results
    title = f"{evolution.title}: {layer.name} through the training"
    rows = [_make_row(unit, row, settings) for unit, row in zip(layer.units, pictures, strict=True)]
    compared = any(cell.value for unit in layer.units for cell in unit.cells)
    numbers = "activation" + (" · selectivity" if compared else "")
    words = (
        f"each unit's strongest place in {results.data.count:,} photos at that epoch; beside it "
        f"the photo where it is another than before (framed) or the first; below: {numbers}"
    )
    return Drawing(
        f"{_name_file(layer.name, results)}",
        f"{layer.name}: {_count(len(layer.units))} of {layer.units_total}, {results.drawn}",
        f"Rows of units, columns of epochs {', '.join(map(str, results.epochs))}: projections, and "
        "the photos where they changed",
        draw_block(rows, results.epochs, title, words, _caption(evolution, compared)),
        f"{describe_course(layer, results.epochs)} A sudden jump comes from another photo, as "
        "Zeiler & Fergus note. The activation stands under each picture, as its contrast does not "
        "show it.",
    )


def _name_file(layer: str, results: EvolveResults) -> str:
    names = [other.name for other in results.layers]
    return name_files(names, ("courses",))[names.index(layer)]


def _count(units: int) -> str:
    return f"{units} unit{'' if units == 1 else 's'}"


def _make_row(
    unit: EvolvedUnit, pictures: Sequence[Pictures | None], settings: EvolveSettings
) -> EvolutionRow:
    there = [pair[0] for pair in pictures if pair is not None]
    shown = iter(scale_projections(there, "unit" if settings.scaling == "cell" else "shared"))
    cells: list[EvolutionCell] = []
    for at, (cell, pair) in enumerate(zip(unit.cells, pictures, strict=True)):
        if pair is None:
            cells.append(EvolutionCell(None, None, False, ""))
            continue
        label = " · ".join(filter(None, [show_number(cell.activation), cell.value]))
        patch = pair[1].astype(np.float32) / np.float32(255) if cell.changed or at == 0 else None
        cells.append(EvolutionCell(next(shown), patch, cell.changed, label))
    growth = "" if unit.growth is None else f"×{show_number(unit.growth)}"
    name = f"unit {unit.unit}" if not unit.name else f"{unit.unit} {unit.name}"
    return EvolutionRow(name, growth, tuple(cells))


def _caption(evolution: Evolution, compared: bool = False, pictures: bool = True) -> str:
    results, last = evolution.results, evolution.nets[-1]
    told = [
        f"at epoch {results.epochs[-1]}: {last.weights.describe()}",
        results.data.describe,
        f"{results.method} ({results.method_source})",
        describe_part(results.part),
        results.scaling if pictures else "",
        "×: last activation over first" if pictures else "",
        explain_selectivity(name="after the dot") if compared else "",
        results.note,
    ]
    return " · ".join(filter(None, told))
