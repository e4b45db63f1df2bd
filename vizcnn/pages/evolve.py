"""``vizcnn evolve``: what units see at the epochs of a training, as in ZF's Figure 4."""

import hashlib
import json
import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vizcnn.basics.errors import VizcnnError, WeightsError
from vizcnn.basics.kept_parts import FOLDER_NAME, Arrays, KeptParts, keep_parts
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.gallery.manifest import Failure, Manifest, Net, Photo
from vizcnn.measures.evolution import (
    find_cosine,
    find_half_life,
    find_last_change,
    lay_on_field,
    sum_up,
)
from vizcnn.mining.identity import hash_module
from vizcnn.mining.photo_sets import PhotoSet, list_left_out
from vizcnn.pages.evolution_figures import describe_scaling, draw
from vizcnn.pages.evolution_records import (
    CellScaling,
    Evolution,
    EvolvedCell,
    EvolvedLayer,
    EvolvedUnit,
    EvolveResults,
    Pictures,
    UnitPictures,
)
from vizcnn.pages.layers.job import TopSettings
from vizcnn.pages.layers.layer_plans import LayerPlan, plan_layers
from vizcnn.pages.layers.records import PhotoData
from vizcnn.pages.layers.spool import EVIDENCE
from vizcnn.pages.layers.strongest import find_strongest_places
from vizcnn.pages.page import (
    MethodSettings,
    describe_causes,
    describe_net,
    describe_run,
    describe_seen,
    write_page,
)
from vizcnn.photos.folders import SHOWN_NAMES
from vizcnn.photos.pixels import Array
from vizcnn.projection.methods import describe_method
from vizcnn.receptive import find_boxes
from vizcnn.recording.layers import list_stages, select_layers
from vizcnn.training.moments import TrainedRun
from vizcnn.zoo.model import ZooModel

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
            return write_page(
                described, draw(evolution, settings.scaling), staging, settings.figure_format
            )


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
        scaling=describe_scaling(settings.scaling),
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
    return tuple(describe_seen(photos, bisect_left(photos.names, name)) for name in sorted(shown))
