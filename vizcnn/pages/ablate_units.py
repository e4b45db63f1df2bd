"""``vizcnn ablate --unit``: feature maps set to zero or to their mean, and what the net misses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vizcnn.basics.codec import RelativeFile, unwritten
from vizcnn.basics.errors import check_number
from vizcnn.basics.kept_parts import keep_parts
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.unit_effects import EffectBar, draw_classes, draw_matrix, draw_ranking
from vizcnn.drawing.words import percent, show_number
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.measures.checks import draw_photos
from vizcnn.measures.unit_ablation import By, UnitEffects, ablate_units, check_by
from vizcnn.mining.photo_sets import PhotoSet, open_photos
from vizcnn.mining.relevance import UNCLASSED, find_classes
from vizcnn.pages.page import (
    Drawing,
    OutputFile,
    describe_causes,
    describe_run,
    describe_seen,
    write_page,
)
from vizcnn.recording.layers import select_layers, select_stages
from vizcnn.zoo.model import ZooModel, find_class

Numbers = NDArray[np.float64]

RANKED = 24
"""Units of a ranking that are drawn."""
SHOWN = 6
"""Units of which classes are drawn."""
LOWERED, RAISED = 5, 3
"""Classes of a unit that are told: those whose score falls most, and that rises most."""
MATRIX = (24, 60)
"""Units and classes of the matrix, at most."""


@dataclass(frozen=True, kw_only=True)
class AblateUnitsSettings:
    """What to remove.

    Attributes:
        layers: Canonical names or module paths; the net's last stage (conv5) when empty.
        units: Numbers of units; all of a layer when empty.
        by: What a unit is set to: ``"zero"``, or ``"mean"``, over photos and places.
        class_name: The class, by name or number, whose units are ranked; when None they are ranked
            by the probability of each photo's own class.
        count: How many photos are drawn.
        seed: Of the drawing.
        save_arrays: Whether to keep all numbers.
        figure_format: Format of the figures.

    Raises:
        VizcnnError: If a setting is impossible.
    """

    layers: tuple[str, ...] = ()
    units: tuple[int, ...] = ()
    by: By = "zero"
    class_name: str | None = None
    count: int = 96
    seed: int = 0
    save_arrays: bool = False
    figure_format: FigureFormat = "png"

    def __post_init__(self) -> None:
        check_by(self.by)
        check_number("count", self.count, 1, 10**6)


@dataclass(frozen=True, kw_only=True)
class ClassChange:
    """A class whose score changes.

    Attributes:
        name: Its name.
        logit: Mean change of its logit over the photos that :func:`choose_scores` says.
        probability: Mean change of its probability over the same, in 0..1.
    """

    name: str
    logit: float
    probability: float


@dataclass(frozen=True, kw_only=True)
class AblatedUnit:
    """A unit, and what changes without it.

    Attributes:
        unit: Its number.
        mean: Its mean over photos and places.
        spread: Its standard deviation over them.
        active: Share of places where it is above zero.
        answer: Mean change of the probability of each photo's own class.
        answer_error: Its standard error over photos; None of one photo.
        accuracy: Change of the share of right answers; None where no photo's class is known.
        changed: Share of photos whose likeliest class is another.
        class_logit: Change of the asked class's logit; None where none was asked for.
        class_error: Its standard error over photos; None of one photo.
        class_probability: Change of its probability.
        lowered: Classes whose logit falls most.
        raised: Classes whose logit rises most.
    """

    unit: int
    mean: float
    spread: float
    active: float
    answer: float
    answer_error: float | None
    accuracy: float | None
    changed: float
    class_logit: float | None
    class_error: float | None
    class_probability: float | None
    lowered: tuple[ClassChange, ...]
    raised: tuple[ClassChange, ...]


@dataclass(frozen=True, kw_only=True)
class AblatedLayer:
    """A layer whose units were removed.

    Attributes:
        name: Its name.
        is_short: Whether only what comes after it was run for each unit.
        units: The units, the ranking's first first.
        note: What setting them to that value does to what follows.
        arrays: File of all numbers.
        effects: All numbers.
    """

    name: str
    is_short: bool
    units: tuple[AblatedUnit, ...]
    note: str
    arrays: RelativeFile | None = None
    effects: UnitEffects | None = unwritten()


@dataclass(frozen=True, kw_only=True)
class AblateUnitsResults(Results):
    """What a net misses without single units.

    Attributes:
        photos: What the photos are, in words.
        count: How many they are.
        known: Of how many the class is known, by their folder.
        right: How many of these the whole net answers rightly.
        by: What units were set to.
        asked: The class whose units are ranked; None for each photo's own.
        class_photos: On how many photos its change is measured.
        ranking: What units are ranked by, in words.
        layers: The layers.
    """

    kind: ClassVar[str] = "ablate-units"
    photos: str
    count: int
    known: int
    right: int
    by: By
    asked: str | None
    class_photos: int
    ranking: str
    layers: tuple[AblatedLayer, ...]


def make_ablate_units_gallery(
    model: ZooModel,
    photos: Sequence[PurePath],
    folder: Path,
    settings: AblateUnitsSettings | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[AblateUnitsResults]:
    """Remove units one by one, and write what changes as a page.

    What was computed is kept in the folder until the page is whole: after an interruption the same
    call goes on with it.

    Args:
        model: A net of the zoo.
        photos: Folders of photos; patches of scikit-image's sample photos when empty. The class of
            a photo is that of its folder's name, else the one that the whole net finds likeliest.
        folder: Where the page goes; complete or untouched.
        settings: What to remove.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        LayerError: If a layer, unit or class does not exist.
        DataError: If there are no photos.
        ImageError: If none of them can be read.
        ModelError: If a logit is not finite.
    """
    settings = settings or AblateUnitsSettings()
    layers = select_layers(model, settings.layers) or select_stages(model)[-1:]
    asked = None if settings.class_name is None else find_class(model, settings.class_name)
    data = open_photos(photos, model.preprocessing)
    drawn, failures = draw_photos(data, settings.count, settings.seed, progress)
    pixels = torch.stack([data.read(number) for number in drawn])
    shown = [
        describe_seen(data, number, image) for number, image in zip(drawn, pixels, strict=True)
    ]
    found = map(find_classes(model, data), drawn)
    labels = [None if label == UNCLASSED else label for label in found]
    seen = [photo.sha256 for photo in shown]
    causes = describe_causes([model], [], settings, pixels=seen, labels=labels)
    with keep_parts(folder, causes) as parts:
        effects = [
            ablate_units(
                model,
                pixels,
                layer,
                settings.units,
                settings.by,
                labels,
                progress,
                parts.get,
            )
            for layer in layers
        ]
        run = describe_run(
            describe(model, data, effects, settings, asked),
            f"{model.title}: what units are used for",
            [model],
            settings,
            command,
            shown,
            [Failure(source=source, error=error) for source, error in failures],
        )
        with write_folder(folder, held=True) as staging:
            return write_page(run, draw(model, run.results), staging, settings.figure_format)


def describe(
    model: ZooModel,
    photos: PhotoSet,
    effects: Sequence[UnitEffects],
    settings: AblateUnitsSettings,
    asked: int | None,
) -> AblateUnitsResults:
    """Rank units, and say what changes without each in plain numbers."""
    first = effects[0]
    count, known = len(first.labels), int(first.is_known.sum())
    of_class = 0 if asked is None else int(first.class_photos[asked])
    return AblateUnitsResults(
        photos=f"{count} of {photos.describe()}",
        count=count,
        known=known,
        right=int(first.right[first.is_known].sum()),
        by=settings.by,
        asked=None if asked is None else model.classes[asked],
        class_photos=of_class or count,
        ranking=_say_ranking(model, first, asked),
        layers=tuple(
            AblatedLayer(
                name=found.layer,
                is_short=found.is_short,
                units=_rank_units(model, found, asked),
                note=_say_value(model, found),
                arrays=_name_arrays(number, len(effects)) if settings.save_arrays else None,
                effects=found,
            )
            for number, found in enumerate(effects)
        ),
    )


def _name_arrays(number: int, count: int) -> str:
    return "arrays.npz" if count == 1 else f"arrays-{number + 1}.npz"


def _say_ranking(model: ZooModel, found: UnitEffects, asked: int | None) -> str:
    if asked is not None:
        photos = int(found.class_photos[asked])
        name = model.classes[asked]
        if not photos:
            return f"change of the logit of {name}, mean of all photos, as none is of that class"
        guessed = "" if found.is_known.any() else " (as the whole net has it)"
        plural = "" if photos == 1 else "s"
        return f"change of the logit of {name}, mean of its {photos} photo{plural}{guessed}"
    whose = "own" if found.is_known.all() else "own or likeliest"
    return f"change of the probability of each photo’s {whose} class, mean of all photos"


def _rank_units(model: ZooModel, found: UnitEffects, asked: int | None) -> tuple[AblatedUnit, ...]:
    of_class = None if asked is None else _measure_class(found, asked)
    keys = found.answer if of_class is None else of_class[0]
    count = len(found.labels)
    logit, probability, _ = choose_scores(found)

    def describe_class(row: int, number: int) -> ClassChange:
        return ClassChange(
            name=model.classes[number],
            logit=float(logit[row, number]),
            probability=float(probability[row, number]),
        )

    def describe_unit(row: int) -> AblatedUnit:
        # NaN comes last
        order = np.argsort(logit[row], kind="stable")[: int((~np.isnan(logit[row])).sum())].tolist()
        lowered = [number for number in order[:LOWERED] if logit[row, number] < 0]
        raised = [number for number in order[::-1][:RAISED] if logit[row, number] > 0]
        accuracy = float(found.accuracy[row])
        return AblatedUnit(
            unit=found.units[row],
            mean=float(found.mean[row]),
            spread=float(found.spread[row]),
            active=float(found.active[row]),
            answer=float(found.answer[row]),
            answer_error=_find_error(found.answer_spread[row], count),
            accuracy=None if np.isnan(accuracy) else accuracy,
            changed=float(found.changed[row]),
            class_logit=None if of_class is None else float(of_class[0][row]),
            class_error=None if of_class is None else _find_error(of_class[1][row], of_class[3]),
            class_probability=None if of_class is None else float(of_class[2][row]),
            lowered=tuple(describe_class(row, number) for number in lowered),
            raised=tuple(describe_class(row, number) for number in raised),
        )

    return tuple(describe_unit(row) for row in np.argsort(keys, kind="stable").tolist())


def choose_scores(found: UnitEffects) -> tuple[Numbers, Numbers, str]:
    """Choose over which photos a class's change is averaged, to tell classes of a unit apart.

    A unit that is set to its mean raises scores on some photos by what it lowers them on others:
    below a linear layer the mean change over all photos is zero, whatever the unit is used for.

    Returns:
        Changes of logits and of probabilities, (U, C), NaN of classes that are left out; and over
        which photos they are means.
    """
    if found.by == "mean":
        return found.own_logit, found.own_probability, "the photos of each class"
    return found.logit, found.probability, f"all {len(found.labels)} photos"


def _measure_class(found: UnitEffects, asked: int) -> tuple[Numbers, Numbers, Numbers, int]:
    """Give change of logit, its spread, change of probability, and on how many photos."""
    photos = int(found.class_photos[asked])
    if photos:
        own = found.own_logit, found.own_logit_spread, found.own_probability
    else:
        own, photos = (found.logit, found.logit_spread, found.probability), len(found.labels)
    return own[0][:, asked], own[1][:, asked], own[2][:, asked], photos


def _find_error(spread: float, photos: int) -> float | None:
    """Give the standard error of a mean, of a deviation that divides by the number itself."""
    return None if photos < 2 else float(spread) / float(np.sqrt(photos - 1))


_NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def _say_value(model: ZooModel, found: UnitEffects) -> str:
    """Say what setting units to their value does to the mean that what follows was trained with."""
    if found.by == "mean":
        return (
            "Set to its mean over these photos and all places, a unit says the same everywhere, "
            "and what follows gets the mean that it was trained with."
        )
    live = found.spread > 0
    shift = float(np.median(np.abs(found.mean[live]) / found.spread[live])) if live.any() else 0.0
    told = [
        "Set to zero, a unit also takes its mean away: what follows gets an input that is shifted "
        f"by {show_number(shift)} standard deviations of the unit (the median of {found.layer})"
    ]
    below = float((found.least < 0).mean())
    if below:
        told.append(
            f"{percent(below)} of the units go below zero, for which zero is a value in between "
            "and not silence"
        )
    if any(isinstance(part, _NORMALISATIONS) for part in model.module.modules()):
        told.append(
            "this net normalises batches, so that the mean that is taken away belongs to what "
            "its layers were fitted to"
        )
    return "; ".join(told) + ". By the mean (--by mean) it stays."


def draw(model: ZooModel, results: AblateUnitsResults) -> Iterator[Drawing | OutputFile]:
    """Draw, layer by layer, the ranking, the classes of units, and units by classes."""
    several = len(results.layers) > 1
    for number, layer in enumerate(results.layers):
        ending = f"-{number + 1}" if several else ""
        found = layer.effects
        assert found is not None
        yield _draw_ranking(model, layer, results, ending)
        yield _draw_classes(model, found, layer, results, ending)
        yield _draw_matrix(model, found, layer, results, ending)
        if layer.arrays:
            yield OutputFile(layer.arrays, found.to_arrays())


def _caption(model: ZooModel, results: AblateUnitsResults) -> str:
    value = "zero" if results.by == "zero" else "their mean over photos and places"
    guessed = results.count - results.known
    labels = (
        f"the class of {guessed} photos is not known, the whole net’s likeliest stands for it"
        if guessed
        else "classes by the photos’ folders"
    )
    return (
        f"{model.title}, {model.provenance.describe()} · {results.photos} · units set to {value}, "
        f"one at a time · {labels}"
    )


def _draw_ranking(
    model: ZooModel, layer: AblatedLayer, results: AblateUnitsResults, ending: str
) -> Drawing:
    units = layer.units
    if len(units) > RANKED:
        units = (*units[: RANKED - RANKED // 4], *units[-(RANKED // 4) :])
    bars = [
        EffectBar(
            f"unit {unit.unit}",
            100 * unit.answer if unit.class_logit is None else unit.class_logit,
            unit.class_error
            if unit.class_logit is not None
            else None
            if unit.answer_error is None
            else 100 * unit.answer_error,
        )
        for unit in units
    ]
    what = f"units of {layer.name}" + (f" for {results.asked}" if results.asked else "")
    title = f"{model.title}: {what}, by what changes without each"
    across = (
        f"change of the logit of {results.asked}"
        if results.asked
        else "change of the probability of the photos’ own class (percentage points)"
    )
    some = (
        f" Of {len(layer.units)} units those at both ends are drawn."
        if len(layer.units) > len(units)
        else ""
    )
    caption = _caption(model, results)
    if some:
        caption += f" · {len(units)} of {len(layer.units)} units: both ends of the ranking"
    accuracy = _say_accuracy(layer, results)
    return Drawing(
        f"ranking{ending}",
        f"{layer.name}: units ranked" + (f" for {results.asked}" if results.asked else ""),
        "Bars of units, the one that is missed most first",
        lambda: draw_ranking(bars, across, title, caption),
        f"Ranked by {results.ranking}; lines: standard errors over photos.{some} {accuracy} "
        f"{layer.note}",
    )


def _say_accuracy(layer: AblatedLayer, results: AblateUnitsResults) -> str:
    if not results.known:
        return "No photo’s folder names a class of the net: accuracy is not known."
    worst = min(layer.units, key=lambda unit: unit.accuracy or 0.0)
    share = f"{results.right} of {results.known} photos of known class are answered rightly"
    change = 100 * (worst.accuracy or 0.0)
    if change >= 0:
        return f"{share}; no unit’s removal lowers that."
    return f"{share}; {_signed(change)} points without unit {worst.unit}, the largest fall."


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _draw_classes(
    model: ZooModel,
    found: UnitEffects,
    layer: AblatedLayer,
    results: AblateUnitsResults,
    ending: str,
) -> Drawing:
    shown = [unit for unit in layer.units[:SHOWN] if unit.lowered or unit.raised]
    panels = [
        (
            f"unit {unit.unit}",
            [
                EffectBar(change.name, change.logit)
                for change in (*unit.lowered, *reversed(unit.raised))
            ],
        )
        for unit in shown or layer.units[:1]
    ]
    title = f"{model.title}, {layer.name}: classes that change most without a unit"
    return Drawing(
        f"classes{ending}",
        f"{layer.name}: classes by unit",
        "Bars of classes whose score falls or rises most, a panel for each unit",
        lambda: draw_classes(
            panels,
            "mean change of the logit",
            title,
            f"{_caption(model, results)} · units ranked by {results.ranking}",
        ),
        f"Of the first units of the ranking: the {LOWERED} classes whose logit falls most without "
        f"the unit, and the {RAISED} whose logit rises most; means over "
        f"{choose_scores(found)[2]}. A fall says that the unit speaks for the class.",
    )


def _draw_matrix(
    model: ZooModel,
    found: UnitEffects,
    layer: AblatedLayer,
    results: AblateUnitsResults,
    ending: str,
) -> Drawing:
    logit, _, whose = choose_scores(found)
    there = np.flatnonzero(~np.isnan(logit).all(axis=0))
    size = np.abs(logit[:, there])
    rows = np.sort(np.argsort(-size.max(axis=1), kind="stable")[: MATRIX[0]])
    columns = np.sort(there[np.argsort(-size.max(axis=0), kind="stable")[: MATRIX[1]]])
    values = logit[np.ix_(rows, columns)]
    title = f"{model.title}, {layer.name}: units and classes that change most"
    cut = (
        f" Of {len(found.units)} units and {len(there)} classes those with the largest changes are "
        "drawn."
        if (len(rows), len(columns)) != size.shape
        else ""
    )
    return Drawing(
        f"matrix{ending}",
        f"{layer.name}: units and classes",
        "A matrix in colours: change of each class's logit without each unit",
        lambda: draw_matrix(
            values,
            [str(found.units[row]) for row in rows],
            [model.classes[column] for column in columns],
            "mean change\nof the logit",
            title,
            _caption(model, results),
        ),
        f"Change of every class’s logit, mean over {whose}; one scale, zero is white.{cut}",
    )
