"""``vizcnn check``: what pictures depend on, of one net or of several side by side."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import ClassVar

import torch

from vizcnn.basics.output import write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.check_pictures import (
    Visible,
    draw_cascade,
    draw_drops,
    draw_place,
)
from vizcnn.drawing.check_plots import draw_agreements, draw_curves, draw_sameness
from vizcnn.drawing.words import show_decimal, show_method, show_number
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.measures.bootstrap import RESAMPLES, Estimate
from vizcnn.measures.cascade import SWITCHES, Switches
from vizcnn.measures.checks import (
    CheckSettings,
    CheckTables,
    NetCheck,
    check_pictures,
    draw_photos,
    plan_layers,
    read_drawn,
    tabulate_checks,
)
from vizcnn.mining.photo_sets import PhotoSet, open_photos
from vizcnn.pages.aliasing import MOST_NETS, name_apart
from vizcnn.pages.page import Drawing, describe_run, describe_seen, write_page
from vizcnn.photos.pixels import Array
from vizcnn.projection.methods import METHODS
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True, kw_only=True)
class CheckedNet:
    """What was checked of a net.

    Attributes:
        layers: The layers whose units were compared.
        last: The layer of the classes.
        control: The layer of the occlusion control.
        side: Side of its grey square in pixels, in the first photo.
        squares: In how many places the square was put, in the first photo.
    """

    layers: tuple[str, ...]
    last: str
    control: str
    side: int
    squares: int


@dataclass(frozen=True, kw_only=True)
class CheckResults(Results):
    """What pictures depend on.

    Attributes:
        photos: What the photos are, in words.
        seed: Of the photos drawn, the shuffling, the control's other units and the bootstrap.
        resamples: Draws of the bootstrap.
        methods: The methods.
        nets: What was checked of each net of the run.
        tables: All numbers.
    """

    kind: ClassVar[str] = "check"
    photos: str
    seed: int
    resamples: int
    methods: tuple[str, ...]
    nets: tuple[CheckedNet, ...]
    tables: CheckTables


def make_check_page(
    models: Sequence[ZooModel],
    folder: Path,
    data: Sequence[PurePath] = (),
    settings: CheckSettings | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[CheckResults]:
    """Check nets' pictures and write the page: figures, tables and manifest.json.

    Args:
        models: Nets of the zoo, side by side.
        folder: Where the page goes; complete or untouched.
        data: Folders of photos; patches of scikit-image's sample photos when empty.
        settings: What to check.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        ModelError: If there is no net, or too many to read side by side.
        LayerError: If a net lacks a layer, or one has no feature maps.
        DataError: If there are no photos.
        ImageError: If none of them can be read.
        UnsupportedOperationError: If a method has no rule for an operation of a net.
    """
    settings = settings or CheckSettings()
    with write_folder(folder) as staging:
        nets = name_nets(models)
        for net in nets:
            plan_layers(net, settings)
        sets = [open_photos(data, net.preprocessing) for net in nets]
        drawn, failures = draw_photos(sets[0], settings.photos, settings.seed, progress)
        checks = [
            check_pictures(net, read_drawn(photos, drawn), settings, progress)
            for net, photos in zip(nets, sets, strict=True)
        ]
        run = describe_run(
            describe(checks, sets[0], len(drawn), settings),
            f"What the pictures depend on: {', '.join(net.title for net in nets)}",
            nets,
            settings,
            command,
            [describe_seen(sets[0], number) for number in drawn],
            [Failure(source=source, error=error) for source, error in failures],
        )
        return write_page(run, draw(checks, run.results, progress), staging, settings.figure_format)


def name_nets(models: Sequence[ZooModel], most: int = MOST_NETS) -> list[ZooModel]:
    """Tell nets of one title apart: by their weights where those differ, else by number.

    Args:
        models: The nets.
        most: How many can be read side by side.

    Raises:
        ModelError: If there is no net, or more than can be read side by side.
    """
    titles = [model.title for model in models]
    return name_apart(
        [
            model
            if titles.count(model.title) == 1
            else replace(model, title=f"{model.title} {_name_weights(model)}")
            for model in models
        ],
        most,
    )


def _name_weights(model: ZooModel) -> str:
    origin = model.provenance
    if origin.source == "random":
        return "untrained"
    if origin.source == "file" and origin.location:
        return Path(origin.location).stem
    return origin.source


def describe(
    checks: Sequence[NetCheck], photos: PhotoSet, drawn: int, settings: CheckSettings
) -> CheckResults:
    """Say what was found in plain numbers."""
    return CheckResults(
        photos=f"{drawn} of {photos.describe()}",
        seed=settings.seed,
        resamples=RESAMPLES,
        methods=tuple(checks[0].control.own),
        nets=tuple(
            CheckedNet(
                layers=check.layers,
                last=check.sameness.last,
                control=check.control.layer,
                side=check.control.side[0],
                squares=check.control.squares[0],
            )
            for check in checks
        ),
        tables=tabulate_checks(checks, settings.seed),
    )


def draw(
    checks: Sequence[NetCheck], results: CheckResults, progress: Progress = silent
) -> Iterator[Drawing]:
    """Draw the page, check by check."""
    figures = [
        *(partial(_draw_place, check, number, results) for number, check in _number(checks)),
        partial(_draw_sameness, checks, results),
        *(
            partial(_draw_cascade, check, number, results, switches)
            for number, check in _number(checks)
            for switches in SWITCHES
        ),
        partial(_draw_curves, checks, results),
        *(
            partial(_draw_control, check, number, results)
            for number, check in _number(checks)
            if check.control.shown
        ),
        partial(_draw_agreements, checks, results),
    ]
    for make in progress(figures, label="draw", total=len(figures), unit="figure"):
        yield make()


def _number(checks: Sequence[NetCheck]) -> list[tuple[str, NetCheck]]:
    """Give each net the ending of its files: none where there is only one."""
    return [(f"-{k + 1}" if len(checks) > 1 else "", check) for k, check in enumerate(checks)]


def _draw_place(check: NetCheck, ending: str, results: CheckResults) -> Drawing:
    shown = check.sameness.shown
    count = len(shown.units)
    title = f"{check.model.title}: one place of {shown.layer}, {_count_units(count)}"
    sample = "" if shown.compared == shown.active else f", {shown.compared} of them compared"
    row, column = shown.position
    where = f"active at row {row}, column {column} of {shown.layer} in the first photo"
    who = (
        f"Units that are {where} ({shown.active}{sample}), the strongest first."
        if shown.active
        else f"No unit is {where}; the strongest is shown."
    )
    return Drawing(
        f"place{ending}",
        title,
        "Pictures of units of one place by every method, and below them the units' own parts",
        draw_place(shown, _make_visible(check.model), title, _caption([check], results, SCALING)),
        f"{who} An own part is the picture without what all of them share: P - (P·C)C, where "
        "C is the first right singular vector of their normalised pictures. Where a row of "
        "pictures looks alike, what is seen is the place; what differs from unit to unit is in the "
        "own parts.",
    )


def _count_units(count: int) -> str:
    return f"{count} unit" if count == 1 else f"{count} units"


def _draw_sameness(checks: Sequence[NetCheck], results: CheckResults) -> Drawing:
    title = "How many different pictures the units of a place make"
    last = [check.sameness.last for check in checks]
    numbers = [
        _say_methods(
            check.model.title,
            results,
            {
                row.method: row.effective
                for row in results.tables.sameness
                if row.net == net and row.layer == check.layers[-1]
            },
            f"the active units of a place of {check.layers[-1]} make, in effect, so many pictures",
            show_number,
        )
        for net, check in enumerate(checks)
    ]
    return Drawing(
        "sameness",
        title,
        "Bars, layer by layer and method by method: cosines of two units' pictures, and effective "
        "numbers of pictures",
        draw_sameness(results.tables, _list_titles(checks), last, title, _caption(checks, results)),
        "Above: the cosine of the picture of a layer's strongest unit with that of another unit "
        "that is active at the same place (1: the same picture; the median over the others), and "
        "of the predicted class with the second likeliest. Below: the effective number of "
        "pictures, 1 / sum of squared energy shares of the singular values of the normalised "
        f"pictures (1: all units have one picture). {' '.join(numbers)}",
    )


def _draw_cascade(
    check: NetCheck, ending: str, results: CheckResults, switches: Switches
) -> Drawing:
    cascade = check.cascade
    whose = {"recomputed": "the shuffled net’s", "trained": "the unshuffled net’s"}[switches]
    title = f"{check.model.title}: layers shuffled from the top down, {whose} switches"
    target = (
        f"the class that the unshuffled net sees ({check.model.classes[cascade.shown.unit]})"
        if cascade.top == check.sameness.last and cascade.shown.unit < len(check.model.classes)
        else f"unit {cascade.shown.unit} of {cascade.top}, the strongest there"
    )
    how = {
        "recomputed": "The photo goes through the shuffled net anew.",
        "trained": "All that was recorded on the way up is the unshuffled net's: switches of "
        "pooling, active rectifiers, contrast. Only the filters of the way back are shuffled, so "
        "that what is left of a picture is what these carry.",
    }[switches]
    return Drawing(
        f"cascade-{switches}{ending}",
        title,
        "A photo, its pictures as more and more layers lose their weights, and its edges",
        draw_cascade(
            cascade.shown,
            cascade.layers,
            switches,
            _make_visible(check.model),
            title,
            _caption([check], results, SCALING, "edges: Sobel"),
        ),
        f"Pictures of {target}. From left to right one more layer has its weights shuffled, within "
        f"each parameter, so that their distribution stays. {how} A picture that stays the same "
        "does not depend on what these layers had learnt.",
    )


def _draw_curves(checks: Sequence[NetCheck], results: CheckResults) -> Drawing:
    title = "What is left of the pictures when layers are shuffled"
    told = []
    for net, check in enumerate(checks):
        shuffled = choose_step(check.cascade.layers, check.layers)
        for switches in SWITCHES:
            rows = {
                row.method: row.similarity
                for row in results.tables.cascade
                if (row.net, row.shuffled, row.switches) == (net, shuffled, switches)
            }
            whose = "new" if switches == "recomputed" else "the unshuffled net’s"
            words = (
                f"with {_list_words(shuffled)} shuffled and {whose} switches pictures keep a "
                "similarity of"
            )
            told.append(_say_methods(check.model.title, results, rows, words))
    return Drawing(
        "cascade",
        title,
        "Curves of rank correlation and structural similarity, by number of shuffled layers",
        draw_curves(results.tables, _list_titles(checks), title, _caption(checks, results)),
        "Agreement with the unshuffled net's pictures, inside the receptive field only (the zeros "
        "around it would count as agreement). Magnitudes are summed over colours and divided by "
        f"their 99.5 percentile. {' '.join(told)} High values are no proof that a picture is "
        "wrong: edges of the photo are in the pictures of any net that looks at edges (Yona & "
        "Greenfeld 2021, arXiv 2110.14297). They say that it is no evidence of what these layers "
        "have learnt.",
    )


def _draw_control(check: NetCheck, ending: str, results: CheckResults) -> Drawing:
    shown = check.control.shown
    assert shown is not None
    name = f"unit {shown.unit} of {check.control.layer}"
    title = (
        f"{check.model.title}: what a grey square takes from {name}, and whose picture foretells it"
    )
    return Drawing(
        f"control{ending}",
        title,
        "Maps of a unit's drop under a grey square, and of what pictures of two units foretell",
        draw_drops(shown, _make_visible(check.model), title, _caption([check], results)),
        f"The strongest unit of {check.control.layer} in a photo, the orange frame its receptive "
        "field. A picture foretells for a square the sum of its magnitudes in it; gradient × input "
        "(what the photo differs from the square's grey by) its signed sum, which is the drop to "
        "first order. Each map has its own contrast.",
    )


def _draw_agreements(checks: Sequence[NetCheck], results: CheckResults) -> Drawing:
    title = "Does a unit's picture foretell its drop better than another unit's does?"
    told = []
    for net, check in enumerate(checks):
        rows = {row.method: row for row in results.tables.control if row.net == net}
        pairs = ", ".join(
            f"{show_method(method)} {_write(row.own)} own against {_write(row.other)} another's "
            f"({_write(row.gap, _write_signed)} photo by photo)"
            for method, row in rows.items()
        )
        told.append(f"{check.model.title}, {check.control.layer}: {pairs}.")
    return Drawing(
        "agreement",
        title,
        "Bars: rank correlation of drops with a unit's own picture and with another's, by method",
        draw_agreements(results.tables, _list_titles(checks), title, _caption(checks, results)),
        "The control of Zeiler & Fergus' Figure 7: parts of the photo are hidden, and the drop of "
        "the strongest unit is correlated with its own picture, and with that of another unit of "
        f"the same place. {' '.join(told)} Only what is higher for the own picture is evidence of "
        "this unit; the rest is evidence of the place.",
    )


SCALING = "each picture at its own contrast (99.5 percentile of its magnitudes), zero is mid grey"


def _caption(checks: Sequence[NetCheck], results: CheckResults, *more: str) -> str:
    """Say what a figure depends on."""
    weights = (f"{check.model.title}: {check.model.provenance.describe()}" for check in checks)
    sources = (f"{name}: {METHODS[name].source}" for name in results.methods if name in METHODS)
    photos = f"photos: {results.photos}, drawn with seed {results.seed}"
    return " · ".join([*dict.fromkeys(weights), photos, *sources, *more])


def _make_visible(model: ZooModel) -> Visible:
    def show(picture: Array) -> Array:
        shown: Array = model.preprocessing.to_visible(torch.from_numpy(picture)).numpy()
        return shown

    return show


def _list_titles(checks: Sequence[NetCheck]) -> list[str]:
    return [check.model.title for check in checks]


def choose_step(layers: tuple[str, ...], compared: tuple[str, ...]) -> tuple[str, ...]:
    """Choose the step of a cascade that captions tell: down to the deepest layer compared.

    Example:
        >>> choose_step(("fc8", "conv5", "conv1"), ("conv1", "conv5"))
        ('fc8', 'conv5')
    """
    deepest = compared[-1]
    count = layers.index(deepest) + 1 if deepest in layers else -(-len(layers) // 2)
    return layers[:count]


def _list_words(names: Sequence[str]) -> str:
    return f"{names[0]} to {names[-1]}" if len(names) > 1 else names[0]


def _say_methods(
    title: str,
    results: CheckResults,
    rows: Mapping[str, Estimate],
    words: str,
    write: Callable[[float], str] = show_decimal,
) -> str:
    told = ", ".join(
        f"{show_method(method)} {_write(rows[method], write)}" for method in results.methods
    )
    return f"{title}: {words}: {told}."


def _write_signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # no minus at zero


def _write(estimate: Estimate, write: Callable[[float], str] = show_decimal) -> str:
    return "–" if estimate.value is None else write(estimate.value)
