"""``vizcnn probe``: what each layer knows of classes that the net was not trained on."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import ClassVar

from matplotlib.figure import Figure

from vizcnn.basics.errors import ImageError
from vizcnn.basics.kept_parts import keep_parts
from vizcnn.basics.output import write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.probe_plots import (
    MOST_PAIRS,
    NAMES,
    PairOfPhotos,
    draw_count_accuracies,
    draw_layer_accuracies,
    draw_pairs,
)
from vizcnn.drawing.sheet import to_image
from vizcnn.drawing.words import percent
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.measures.linear_probes import INNER_FOLDS, STRENGTHS, UNTRIED, require_sklearn
from vizcnn.measures.near_duplicates import SIDE
from vizcnn.measures.probe_photos import ProbeSettings, RemovedPhoto
from vizcnn.measures.probe_study import ProbedClass, ProbeRow, ProbeStudy, study_layers
from vizcnn.measures.published import read_published
from vizcnn.mining.photo_sets import FolderPhotos, find_source
from vizcnn.pages.page import Drawing, describe_causes, describe_run, write_page
from vizcnn.zoo.building import untrain
from vizcnn.zoo.model import ZooModel

ReadPairs = Callable[[], Sequence[PairOfPhotos]]
"""Gives photos that were removed, beside what they are like."""


@dataclass(frozen=True, kw_only=True)
class LeftOutClass:
    """A class that was not probed.

    Attributes:
        name: Name of its folder.
        reason: Why.
    """

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ProbeResults(Results):
    """How well linear classifiers do on a net's layers.

    Attributes:
        photos: What the photos are, in words.
        photos_sha256: Of the checksums of all their files, in the order of their names.
        layers: The layers.
        classes: The classes that were probed.
        chance: Accuracy of guessing, 0..1.
        tested: Photos that test in a draw.
        rows: The numbers.
        removed: Photos that were removed for what they are like.
        training: What they were compared with beside each other, in words; empty for nothing.
        left_out: Classes that were not probed.
        at_edge: In how many fits the C that was chosen is the smallest or largest that was tried.
        unfinished: In how many a solver did not come to its end.
        fits: How many there were.
    """

    kind: ClassVar[str] = "probe"
    photos: str
    photos_sha256: str
    layers: tuple[str, ...]
    classes: tuple[ProbedClass, ...]
    chance: float
    tested: int
    rows: tuple[ProbeRow, ...]
    removed: tuple[RemovedPhoto, ...]
    training: str
    left_out: tuple[LeftOutClass, ...]
    at_edge: int
    unfinished: int
    fits: int

    @property
    def choice(self) -> str:
        """How C is chosen, in words."""
        return (
            f"{INNER_FOLDS}-fold cross-validation within the training photos of each draw; with a "
            f"single photo a class it is {UNTRIED:g}"
        )

    @property
    def marked(self) -> tuple[str, ...]:
        """Classes that the net was trained on, and that were probed all the same."""
        return tuple(entry.name for entry in self.classes if entry.trained)


def make_probe_gallery(
    model: ZooModel,
    photos: Sequence[PurePath],
    folder: Path,
    settings: ProbeSettings | None = None,
    command: str = "",
    training: Sequence[PurePath] = (),
    progress: Progress = silent,
) -> Manifest[ProbeResults]:
    """Probe a net's layers and write figures, index.html and manifest.json.

    What was computed is kept in the folder until the page is complete, so that a run that was
    killed goes on where it was.

    Args:
        model: A net of the zoo.
        photos: Folders, archives or tables that hold a folder of photos for each class.
        folder: Where the page goes; complete or untouched.
        settings: What to probe.
        command: The command that repeats the run.
        training: Photos that the net was trained on, to find near-duplicates of.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        DataError: If there are no photos, they lie in no class's folder, or fewer than two classes
            have enough.
        VizcnnError: If the net was trained on some of the classes, and settings refuse that; or
            scikit-learn is not installed.
        LayerError: If a layer does not exist.
    """
    require_sklearn()
    settings = settings or ProbeSettings()
    found = FolderPhotos(photos, model.preprocessing)
    known = FolderPhotos(training, model.preprocessing) if training else None
    trained = model.provenance.source != "random"  # else it is its own twin
    baseline = untrain(model, settings.seed) if settings.baseline and trained else None
    numbers = range(len(found.names))
    causes = describe_causes(
        [model],
        map(found.locate, numbers),
        settings,
        names=found.names,
        training=[known.names, list(known.sizes)] if known else [],
        baseline=bool(baseline),
    )
    with keep_parts(folder, causes) as parts:
        study = study_layers(model, baseline, found, known, settings, parts, progress)
        digest = hashlib.sha256("".join(causes["photos"]).encode()).hexdigest()
        run = describe_run(
            describe(model, study, settings, found.describe(), known, digest),
            f"{model.title}: what each layer knows of other classes",
            [model],
            settings,
            command,
            failures=[
                Failure(source=find_source(found, number) or found.names[number], error=error)
                for number, error in study.photos.unreadable
            ],
        )
        pairs = partial(_read_pairs, study, found, known)
        with write_folder(folder, held=True) as staging:
            return write_page(run, draw(run, pairs), staging, settings.figure_format)


def describe(
    model: ZooModel,
    study: ProbeStudy,
    settings: ProbeSettings,
    photos: str,
    training: FolderPhotos | None,
    digest: str,
) -> ProbeResults:
    """Say what was found in plain values."""
    most = max(settings.per_class)
    few = f"; needed: {most + 1}, {most} to train and one to test"
    left_out = [
        LeftOutClass(name=name, reason=f"{model.title} was trained on it, by its name")
        for name in study.photos.left_out
    ] + [
        LeftOutClass(name=name, reason=f"{count} photos{few}")
        for name, count in study.photos.too_few
    ]
    return ProbeResults(
        photos=photos,
        photos_sha256=digest,
        layers=study.layers,
        classes=study.classes,
        chance=1 / len(study.classes),
        tested=study.tested,
        rows=study.rows,
        removed=study.photos.removed,
        training=training.describe() if training else "",
        left_out=tuple(left_out),
        at_edge=study.at_edge,
        unfinished=study.unfinished,
        fits=len(study.rows) * settings.folds,
    )


def _read_pairs(
    study: ProbeStudy, photos: FolderPhotos, training: FolderPhotos | None
) -> list[PairOfPhotos]:
    """Read some of the photos that were removed, and what each is like."""
    shown = []
    for found, is_training in study.photos.pairs:
        others = training if is_training and training else photos
        try:
            one, other = photos.read(found.photo), others.read(found.other)
        except ImageError:
            continue
        where = "training" if is_training else "same set"
        label = f"{photos.names[found.photo].rpartition('/')[2]}\n{found.correlation:.3f}, {where}"
        shown.append(PairOfPhotos(to_image(one / 255), to_image(other / 255), label))
        if len(shown) == MOST_PAIRS:
            break
    return shown


def draw(run: Manifest[ProbeResults], read_pairs: ReadPairs) -> Iterator[Drawing]:
    """Draw the page: accuracy by layer, by photos a class, and near-duplicates that were found."""
    results, (net,) = run.results, run.nets
    chosen = run.settings
    told = read_published()
    caption = " · ".join(
        [
            f"{net.title}: {net.weights.describe()}",
            f"photos: {results.photos}, seed {chosen['seed']}",
            "feature vectors of length 1, maps averaged to at most "
            f"{chosen['places']} × {chosen['places']} places",
            f"C of {', '.join(f'{c:g}' for c in STRENGTHS['svm'])} (SVM) and "
            f"{', '.join(f'{c:g}' for c in STRENGTHS['softmax'])} (softmax) chosen within the "
            "training photos",
            "ZF: "
            + told.cite(told.table("zfnet-layers")).rpartition(",")[0].rpartition(",")[0]
            + ", other weights and photos: not to be compared number by number",
        ]
    )
    most = max(chosen["per_class"])
    yield Drawing(
        "layers",
        "Layer by layer",
        f"Accuracy of linear classifiers on {', '.join(results.layers)}, beside the paper's",
        partial(
            draw_layer_accuracies,
            results.rows,
            results.layers,
            results.chance,
            f"{net.title}: accuracy of linear classifiers, layer by layer",
            caption,
            _say_classes(run),
        ),
        _tell_layers(results, most),
    )
    yield Drawing(
        "counts",
        "By training photos a class",
        "Accuracy against training photos a class, a line for each layer, beside the paper's",
        partial(
            draw_count_accuracies,
            results.rows,
            results.layers,
            results.chance,
            f"{net.title}: accuracy by training photos a class",
            caption,
            _say_classes(run),
        ),
        "As the paper's Figure 9. Every number of photos is tested on the same photos; the larger "
        "training sets hold the smaller ones.",
    )
    if results.removed:
        yield Drawing(
            "duplicates",
            "Near-duplicates that were removed",
            "Pairs of photos: the removed one above, below the one that it is like",
            partial(_draw_removed, results, read_pairs, chosen["correlation"]),
            f"{len(results.removed)} photos were removed, each with a normalised correlation of "
            f"{chosen['correlation']:g} or more with one that stays or that the net was trained "
            f"on, as {SIDE} × {SIDE} pixels in colour.",
        )


def _say_classes(run: Manifest[ProbeResults]) -> str:
    """Say what was drawn, and how many of the classes the net knows."""
    (net,), classes = run.nets, run.results.classes
    folds = run.settings["folds"]
    words = f"{len(classes)} classes, {folds} draw{'' if folds == 1 else 's'}, ± standard deviation"
    if net.weights.source == "random":
        return words
    count = len(run.results.marked)
    known = {0: "none", len(classes): "all"}.get(count, str(count))
    return f"{words}; {net.title} was trained on {known} of them, by their names"


def _draw_removed(results: ProbeResults, read_pairs: ReadPairs, threshold: float) -> Figure:
    pairs = read_pairs()
    return draw_pairs(
        pairs,
        f"{len(results.removed)} near-duplicates that were removed",
        f"above the removed photo, below what it is like; normalised correlation of {threshold:g} "
        f"or more, as {SIDE} × {SIDE} pixels in colour; {len(pairs)} of {len(results.removed)} "
        "are shown",
    )


def _tell_layers(results: ProbeResults, most: int) -> str:
    """Say which layer is the best, and what of that is not training."""
    told = []
    for classifier in dict.fromkeys(row.classifier for row in results.rows):
        what = (classifier, most)
        mine = [row for row in results.rows if (row.classifier, row.per_class) == what]
        best = max((row for row in mine if not row.untrained), key=lambda row: row.accuracy)
        words = f"{NAMES[classifier]}: {percent(best.accuracy)} on {best.layer}, the best"
        beside = [row for row in mine if row.untrained]
        if beside:
            other = max(beside, key=lambda row: row.accuracy)
            words += f"; untrained at best {percent(other.accuracy)} ({other.layer})"
        told.append(words)
    return (
        f"{'. '.join(told)}. Chance is {percent(results.chance)}. The paper’s “from scratch” is a "
        "net that was trained on the new photos alone; the untrained net here has random weights, "
        "and only its classifier is trained."
    )
