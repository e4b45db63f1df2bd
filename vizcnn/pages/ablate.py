"""``vizcnn ablate``: a net without layers or of other widths, trained anew with several seeds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vizcnn.basics.errors import VizcnnError, check_number
from vizcnn.basics.files import PREFIX
from vizcnn.basics.output import FigureFormat, open_folder, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.ablation_plots import (
    ErrorRow,
    SeedErrors,
    draw_changes,
    draw_curves,
    draw_errors,
)
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.measures.published import read_published
from vizcnn.measures.seed_bands import Difference, SeedBand, compare_seeds, measure_band
from vizcnn.pages.page import Drawing, describe_run, write_page
from vizcnn.training.ablation_runs import AblationRun, name_weights, train_rows
from vizcnn.training.ablations import (
    TABLE_3,
    WHOLE,
    Ablation,
    Printed,
    ablation_recipe,
    choose_rows,
    find_printed,
    make_own,
)
from vizcnn.training.card import DataSource
from vizcnn.training.digits import DIGITS, find_photos
from vizcnn.training.net import find_trained, outline_net
from vizcnn.training.photos import PhotoFolder, open_photos
from vizcnn.training.recipe import Recipe
from vizcnn.training.run_folder import name_list

RUNS = "runs"
"""Folder of the trainings beside the page."""
MOST_SEEDS = 1000
SCALE = (
    "ImageNet 2012 (1.3 million training photos, 1,000 classes), 224 px, 4,096 units in fc6 and "
    "fc7, one run each"
)
"""What the paper's numbers were measured on (its sections 3 and 5.1)."""
FEW_CLASSES = 5
"""With as many classes or fewer, a net's five likeliest are all of them."""


@dataclass(frozen=True, kw_only=True)
class AblateSettings:
    """What to train.

    Attributes:
        rows: Names of rows of the net's table (:func:`vizcnn.training.ablations.list_rows`); all
            when there are neither these nor own ones.
        without: Layers that own rows leave out, such as ``("conv3,conv4",)``; one for each row.
        widths: Other widths of own rows, such as ``("fc6=2048",)``; one for each row, or one for
            all. So with ``without``.
        seeds: How many trainings there are of each row.
        seed: The first seed; the others follow it.
        epochs: Passes over the training photos; the net's usual number when None.
        crop: Side of the net's input; as usual when None.
        batch: Photos in a step; as usual when None.
        learning_rate: Peak of the schedule; as usual when None.
        hidden: Width of fc6 and fc7 of the whole net; as usual when None.
        variant: Form of the net; as usual when None: ZFNet's with the maps of the paper's Figure 3.
        figure_format: Format of the figures.

    Raises:
        VizcnnError: If there is no seed, or own rows do not pair.
    """

    rows: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    widths: tuple[str, ...] = ()
    seeds: int = 3
    seed: int = 0
    epochs: int | None = None
    crop: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    hidden: int | None = None
    variant: str | None = None
    figure_format: FigureFormat = "png"

    def __post_init__(self) -> None:
        check_number("seeds", self.seeds, 1, MOST_SEEDS)
        counts = len(self.without), len(self.widths)
        if min(counts) > 1 and counts[0] != counts[1]:
            raise VizcnnError(
                f"{counts[0]} times layers to leave out and {counts[1]} times widths are given: "
                "give either once for all own rows, or both once for each"
            )

    def list_own(self) -> tuple[Ablation, ...]:
        """List the user's own rows.

        Raises:
            ModelError: If one is of another form.
        """
        count = max(len(self.without), len(self.widths))
        without = self.without * count if len(self.without) == 1 else self.without or ("",) * count
        widths = self.widths * count if len(self.widths) == 1 else self.widths or ("",) * count
        return tuple(make_own(*pair) for pair in zip(without, widths, strict=True))


@dataclass(frozen=True, kw_only=True)
class AblatedRow:
    """A row of the table; errors are shares of photos, 0..1.

    Attributes:
        name: Its short name.
        title: What is left out or changed.
        without: Layers that are left out.
        widths: Layers of other widths.
        parameters: Weights of the net.
        runs: What each seed gave.
        weights: Files of weights, one per seed, beside the page.
        train_top1: Top-1 error on the training photos.
        train_top5: Top-5 error on the training photos.
        top1: Top-1 error on the validation photos.
        top5: Top-5 error on the validation photos.
        change: ``top1`` minus that of the whole net; None of this.
        printed: What the paper prints.
    """

    name: str
    title: str
    without: str
    widths: str
    parameters: int
    runs: tuple[AblationRun, ...]
    weights: tuple[str, ...]
    train_top1: SeedBand
    train_top5: SeedBand
    top1: SeedBand
    top5: SeedBand
    change: Difference | None
    printed: Printed | None


@dataclass(frozen=True, kw_only=True)
class AblateResults(Results):
    """A table of ablations.

    Attributes:
        model: Name of the net.
        title: Its title.
        data: Name of the photos.
        licence: Their licence.
        train_photos: How many were trained on.
        val_photos: How many were only measured.
        classes: How many classes they have.
        recipe: Of the whole net.
        seeds: The seeds.
        rows: The rows, the whole net first.
        source: Where the paper's numbers stand; empty where it has none of this net.
        scale: What they were measured on.
        differences: How data and scale differ from the paper's, in words.
    """

    kind: ClassVar[str] = "ablate"
    model: str
    title: str
    data: str
    licence: str
    train_photos: int
    val_photos: int
    classes: int
    recipe: dict[str, Any]
    seeds: tuple[int, ...]
    rows: tuple[AblatedRow, ...]
    source: str
    scale: str
    differences: str


def make_ablate_gallery(
    model: str,
    photos: Path,
    folder: Path,
    settings: AblateSettings | None = None,
    command: str = "",
    device: str = "cpu",
    progress: Progress = silent,
    report: Callable[[str], None] = lambda line: None,
) -> Manifest[AblateResults]:
    """Train a net without some of its layers and with other widths, and write the table as a page.

    Each training lies in a folder of its own, ``runs/ROW/seed-N``, with weights and model card.
    After an interruption the same call goes on where it was: finished trainings are not repeated.

    Args:
        model: Name of a net of the zoo whose layers can be left out.
        photos: Folder with ``train`` and ``val``; or ``digits``.
        folder: Where the page goes; the page is complete or untouched.
        settings: What to train.
        command: The command that repeats the run.
        device: Where to compute.
        progress: Shows how far a training is.
        report: Told a line for each training that is done.

    Returns:
        What was written, as in manifest.json.

    Raises:
        ModelError: If the net, a layer or a form does not exist, or cannot be left out; or a
            training diverges.
        DataError: If there are no photos, or no such row, or a folder holds another training.
        VizcnnError: If the folder holds files of others, or cannot be written.
    """
    settings = settings or AblateSettings()
    recipe = ablation_recipe(
        model,
        seed=settings.seed,
        **{
            name: getattr(settings, name)
            for name in ("epochs", "crop", "batch", "learning_rate", "hidden", "variant")
        },
    )
    rows = choose_rows(recipe, settings.rows, settings.list_own())
    for row in rows:
        _count_parameters(row.change(recipe, settings.seed), 1)  # complains before anything is made
    seeds = range(settings.seed, settings.seed + settings.seeds)
    with open_folder(folder, own=_holds_runs(folder)):
        data, source = find_photos(photos, folder)
        training, validation = open_photos(data, recipe.resize)
        count = len(training.classes)
        sizes = {row.name: _count_parameters(row.change(recipe, 0), count) for row in rows}
        runs = train_rows(
            *(folder / RUNS, rows, seeds, recipe, training, validation, source, device),
            progress=progress,
            report=report,
        )
        results = describe(recipe, rows, runs, sizes, (training, validation), source)
        failures = [
            Failure(source="", error=error) for error in training.unreadable + validation.unreadable
        ]
        title = f"{results.title}: layers left out, and widths"
        run = describe_run(results, title, [], settings, command, (), failures)
        with write_folder(folder, held=True) as staging:
            return write_page(run, draw(results), staging, settings.figure_format)


def _holds_runs(folder: Path) -> bool:
    """Tell whether all that a folder holds are trainings, whose page was never written."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir() if not path.name.startswith(PREFIX)}
    runs = list(folder.glob(f"{RUNS}/*/*"))
    return names <= {RUNS, DIGITS} and all(any(path.glob(name_list("*"))) for path in runs)


def _count_parameters(recipe: Recipe, classes: int) -> int:
    return sum(value.numel() for value in outline_net(recipe, classes).parameters())


def describe(
    recipe: Recipe,
    rows: tuple[Ablation, ...],
    runs: dict[str, tuple[AblationRun, ...]],
    parameters: dict[str, int],
    photos: tuple[PhotoFolder, PhotoFolder],
    source: DataSource,
) -> AblateResults:
    """Set what seeds gave side by side with what the paper prints.

    Args:
        recipe: Of the whole net.
        rows: What was left out or changed; the whole net first.
        runs: What each row gave, by its name.
        parameters: Weights of each row's net, by its name.
        photos: Training and validation photos.
        source: Where they come from.
    """
    training, validation = photos
    whole = [run.top1 for run in runs[WHOLE]]
    described = tuple(
        AblatedRow(
            name=row.name,
            title=row.title,
            without=row.without,
            widths=row.widths,
            parameters=parameters[row.name],
            runs=runs[row.name],
            weights=tuple(
                f"{RUNS}/{name_weights(recipe.model, row, run.seed)}" for run in runs[row.name]
            ),
            train_top1=measure_band([run.train_top1 for run in runs[row.name]]),
            train_top5=measure_band([run.train_top5 for run in runs[row.name]]),
            top1=measure_band([run.top1 for run in runs[row.name]]),
            top5=measure_band([run.top5 for run in runs[row.name]]),
            change=None
            if row.name == WHOLE
            else compare_seeds([run.top1 for run in runs[row.name]], whole),
            printed=find_printed(recipe.model, row.name),
        )
        for row in rows
    )
    printed, published = any(row.printed for row in described), read_published()
    return AblateResults(
        model=recipe.model,
        title=find_trained(recipe.model).title,
        data=source.name,
        licence=source.licence,
        train_photos=len(training),
        val_photos=len(validation),
        classes=len(training.classes),
        recipe=recipe.to_dict(),
        seeds=tuple(run.seed for run in runs[WHOLE]),
        rows=described,
        source=published.cite(published.table(TABLE_3)) if printed else "",
        scale=SCALE if printed else "",
        differences=_say_differences(recipe, training, validation) if printed else "",
    )


def _say_differences(recipe: Recipe, training: PhotoFolder, validation: PhotoFolder) -> str:
    width = f", {recipe.hidden:,} units in fc6 and fc7" if recipe.hidden else ""
    return (
        f"here {len(training):,} training and {len(validation):,} validation photos of "
        f"{len(training.classes):,} classes, {recipe.crop} px{width}, {recipe.epochs} epochs"
    )


def draw(results: AblateResults) -> Iterator[Drawing]:
    """Draw errors, their changes and the learning curves."""
    rows = [_prepare(row, results) for row in results.rows]
    caption = " · ".join(filter(None, [_say_run(results), _say_paper(results)]))
    title = f"{results.title}: errors without layers, and with other widths"
    band = (
        "Every seed is a dot. The pale bar goes from the smallest to the largest; the line is the "
        "95 % t interval of the mean, as wide as so few seeds leave it."
        if len(results.seeds) > 1
        else "One seed says nothing of how far seeds differ: there is no band. Give more (--seeds)."
    )
    few = (
        f" With {results.classes} classes the five likeliest are all: there is no top-5 error."
        if results.classes <= FEW_CLASSES
        else ""
    )
    paper = (
        f" Diamonds: {results.source}. Errors there and here cannot be compared, as data and scale "
        "differ; what a layer's removal changes can be."
        if results.source
        else ""
    )
    yield Drawing(
        "errors",
        "Errors",
        "Dots and bands: errors on training and validation photos, row by row",
        lambda: draw_errors(rows, title, caption),
        f"{band}{few}{paper}",
    )
    if len(rows) > 1:
        yield Drawing(
            "changes",
            "What each change costs",
            "Changes of the top-1 error on the validation photos against the whole net, with "
            "intervals",
            lambda: draw_changes(rows[1:], f"{results.title}: what each change costs", caption),
            say_changes(results),
        )
    yield Drawing(
        "curves",
        "Epoch by epoch",
        "Curves of the top-1 error on the validation photos by epoch, a colour for each row",
        lambda: draw_curves(rows, f"{results.title}: epoch by epoch", _say_run(results)),
        "Means over seeds; bands from the smallest to the largest.",
    )


def _prepare(row: AblatedRow, results: AblateResults) -> ErrorRow:
    top1 = SeedErrors(
        [run.train_top1 for run in row.runs],
        [run.top1 for run in row.runs],
        row.printed.train_top1 / 100 if row.printed else None,
        row.printed.top1 / 100 if row.printed else None,
    )
    top5 = SeedErrors(
        [run.train_top5 for run in row.runs],
        [run.top5 for run in row.runs],
        printed=row.printed.top5 / 100 if row.printed else None,
    )
    errors = {"top-1": top1, **({"top-5": top5} if results.classes > FEW_CLASSES else {})}
    change = row.printed.change / 100 if row.printed else None
    return ErrorRow(row.title, errors, row.change, change, [run.curve for run in row.runs])


def say_changes(results: AblateResults) -> str:
    """Say which rows these seeds tell apart from the whole net.

    Args:
        results: The table.
    """
    told = [row for row in results.rows if row.change and row.change.is_told]
    rest = [row for row in results.rows if row.change and not row.change.is_told]
    parts = []
    if told:
        changes = "; ".join(f"{row.title} {_points(row.change)}" for row in told)
        parts.append(f"Told apart from the whole net (95 %, Welch): {changes}.")
    if rest:
        names = "; ".join(row.title for row in rest)
        why = "by one seed" if len(results.seeds) == 1 else f"by {len(results.seeds)} seeds"
        parts.append(f"Not told apart {why}: {names}.")
    parts.append(
        "The interval is of seeds alone: other photos would move all of it. No allowance is made "
        "for looking at several rows."
    )
    return " ".join(parts)


def _points(change: Difference | None) -> str:
    return "" if change is None else f"{100 * change.mean:+.1f}".replace("-", "−") + " points"


def _say_run(results: AblateResults) -> str:
    seeds = results.seeds
    named = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    return (
        f"{results.title} trained anew for each dot on {results.train_photos:,} photos "
        f"({results.data}), {results.recipe['epochs']} epochs, one recipe, {named}; measured on "
        f"{results.val_photos:,} validation photos, one centre crop each"
    )


def _say_paper(results: AblateResults) -> str:
    if not results.source:
        return ""
    others = {row.printed.model for row in results.rows if row.printed} - {results.model}
    whose = "; layers were taken from its AlexNet alone" if others else ""
    return f"paper: {results.source}{whose}: {results.scale}; {results.differences}"
