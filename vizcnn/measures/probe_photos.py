"""Photos for a probe: classes that the net was not trained on, without near-duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.errors import DataError, ImageError, VizcnnError, check_number, quote
from vizcnn.basics.kept_parts import KeptParts
from vizcnn.basics.output import FigureFormat
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.linear_probes import CLASSIFIERS, MOST_TESTED, Classifier
from vizcnn.measures.near_duplicates import (
    AT_ONCE,
    THRESHOLD,
    Overlap,
    find_overlaps,
    find_twins,
    keep_nearest,
    make_thumbnails,
)
from vizcnn.measures.pooled_features import LOT
from vizcnn.mining.photo_sets import PhotoSet
from vizcnn.zoo.model import ZooModel, find_true_class

TrainedClasses = Literal["refuse", "leave-out", "mark"]
"""What is done about classes that the net was trained on."""
TRAINED_CLASSES: tuple[TrainedClasses, ...] = get_args(TrainedClasses)
SPLITS = ("train", "val", "valid", "validation", "test")
"""Folders that hold the classes' folders of a part of a data set; their photos are put together."""
SHOWN_CLASSES = 5
"""Classes that an error names."""


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """What to probe, and how.

    Attributes:
        layers: Layers; conv1, conv2, ... and what follows them but for the classes when empty.
        per_class: How many training photos of each class, rising; the larger sets hold the
            smaller ones, and all are tested on the same photos.
        folds: How often photos are drawn.
        classifiers: Which.
        tested: Photos of a class that test at most.
        places: Rows and columns that feature maps are averaged down to.
        trained_classes: What is done about classes that the net was trained on.
        correlation: Normalised correlation from which on two photos count as one.
        baseline: Whether the same net with random weights is probed beside.
        seed: Of the draws, the validation and the random weights.
        figure_format: Format of the figures.

    Raises:
        VizcnnError: If a number is out of bounds, or there is no such choice.
    """

    layers: tuple[str, ...] = ()
    per_class: tuple[int, ...] = (15, 30)
    folds: int = 5
    classifiers: tuple[Classifier, ...] = CLASSIFIERS
    tested: int = MOST_TESTED
    places: int = 6
    trained_classes: TrainedClasses = "refuse"
    correlation: float = THRESHOLD
    baseline: bool = True
    seed: int = 0
    figure_format: FigureFormat = "png"

    def __post_init__(self) -> None:
        if not self.per_class:
            raise VizcnnError("per_class is empty; needed: numbers of training photos, as 15, 30")
        for number in self.per_class:
            check_number("per_class", number, 1, 10**6)
        check_number("folds", self.folds, 1, 1000)
        check_number("tested", self.tested, 1, 10**6)
        check_number("places", self.places, 1, 1000)
        check_number("seed", self.seed, 0, 2**63 - 1)
        if not 0 < self.correlation <= 1:
            raise VizcnnError(f"correlation is {self.correlation:g}; needed: above 0, at most 1")
        for given, known in (
            *((name, CLASSIFIERS) for name in self.classifiers),
            (self.trained_classes, TRAINED_CLASSES),
        ):
            if given not in known:
                raise VizcnnError(f"no choice {quote(given)}; needed: {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class RemovedPhoto:
    """A photo that was removed for what it is like.

    Attributes:
        photo: Its name.
        other: The photo that it is like.
        correlation: Their normalised correlation.
        training: Whether that one is of the net's training photos; else it is of the same set.
    """

    photo: str
    other: str
    correlation: float
    training: bool


@dataclass(frozen=True)
class ProbePhotos:
    """The photos that are drawn from.

    Attributes:
        numbers: Their numbers in the set.
        labels: The class of each, (N,).
        classes: Names of the classes, sorted.
        trained: Which of them the net was trained on, (classes,).
        removed: Photos that were removed for what they are like.
        pairs: The same by their numbers, and whether the other is of the training photos.
        too_few: Classes with too few photos, and how many they have.
        left_out: Classes that were left out because the net was trained on them.
        unreadable: Numbers of photos that cannot be read, and why.
    """

    numbers: tuple[int, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    trained: NDArray[np.bool_]
    removed: tuple[RemovedPhoto, ...]
    pairs: tuple[tuple[Overlap, bool], ...]
    too_few: tuple[tuple[str, int], ...]
    left_out: tuple[str, ...]
    unreadable: tuple[tuple[int, str], ...]


def list_classes(names: Sequence[str]) -> list[str]:
    """Give the class of each photo: its folder in the set, or in a part of it such as ``train``.

    Args:
        names: Names of photos, with ``/`` between their parts.

    Raises:
        DataError: If a photo lies in no folder.

    Example:
        >>> list_classes(["cat/1.jpg", "dog/old/2.jpg"]), list_classes(["val/cat/1.jpg"])
        (['cat', 'dog'], ['cat'])
    """
    split = [name.split("/") for name in names]
    if all(len(parts) > 2 and parts[0].casefold() in SPLITS for parts in split):
        split = [parts[1:] for parts in split]
    loose = ["/".join(parts) for parts in split if len(parts) < 2]
    if loose:
        raise DataError(
            f"{quote(loose[0])} lies in no class's folder{_count_more(len(loose))}; needed: a "
            "folder that holds a folder of photos for each class"
        )
    return [parts[0] for parts in split]


def _count_more(count: int) -> str:
    return f", nor do {count - 1} more photos" if count > 1 else ""


def find_trained_class(model: ZooModel, name: str) -> bool:
    """Tell by its name whether a class is one that a net was trained on.

    Folder names are read as :func:`~vizcnn.zoo.model.find_true_class` reads them; of a net's class
    with several names, as ImageNet's have, any one counts.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("zfnet", weights="bundled")
        >>> [find_trained_class(net, name) for name in ("sea_horse", "walrus")]
        [True, False]
    """
    if model.provenance.source == "random":
        return False
    if find_true_class(model, f"{name}/photo") is not None:
        return True
    words = name.casefold().replace("_", " ")
    return any(words in known.casefold().split(", ") for known in model.classes)


def choose_photos(
    model: ZooModel,
    photos: PhotoSet,
    training: PhotoSet | None,
    settings: ProbeSettings,
    parts: KeptParts,
    progress: Progress = silent,
) -> ProbePhotos:
    """Choose the photos of a probe.

    Args:
        model: The net.
        photos: Photos in folders of classes.
        training: Photos that the net was trained on; None where they are not at hand.
        settings: What to probe.
        parts: Keeps what was computed.
        progress: Shows how far it is.

    Raises:
        DataError: If photos lie in no class's folder, or fewer than two classes have enough.
        VizcnnError: If the net was trained on some of the classes, and settings refuse that.
    """
    named = list_classes(photos.names)
    trained = {name for name in dict.fromkeys(named) if find_trained_class(model, name)}
    if trained and settings.trained_classes == "refuse":
        raise VizcnnError(_refuse_trained(model, sorted(trained), len(set(named))))
    left_out = tuple(sorted(trained)) if settings.trained_classes == "leave-out" else ()
    numbers = [number for number, name in enumerate(named) if name not in left_out]
    if not numbers:
        raise DataError(f"{model.title} was trained on all classes: give photos of others")
    small, unreadable = _read_thumbnails(photos, numbers, parts, progress)
    bad = {number for number, _ in unreadable}
    numbers = [number for number in numbers if number not in bad]
    twins = find_twins(small, settings.correlation)
    gone = {found.photo for found in twins}
    overlaps = [
        found
        for found in _compare_training(small, training, settings.correlation, parts, progress)
        if found.photo not in gone
    ]
    gone |= {found.photo for found in overlaps}
    counts = dict.fromkeys(sorted({named[number] for number in numbers}), 0)
    kept = [number for place, number in enumerate(numbers) if place not in gone]
    for number in kept:
        counts[named[number]] += 1
    most = max(settings.per_class)
    classes = [name for name, count in counts.items() if count > most]
    if len(classes) < 2:
        raise DataError(
            f"{len(classes)} of {len(counts)} classes have more than {most} photos to draw from; "
            "needed: two at least, or fewer training photos a class (--per-class)"
        )
    order = {name: index for index, name in enumerate(classes)}
    kept = [number for number in kept if named[number] in order]
    pairs = [
        (replace(found, photo=numbers[found.photo], other=other), is_training)
        for found, other, is_training in (
            *((found, found.other, True) for found in overlaps),
            *((found, numbers[found.other], False) for found in twins),
        )
    ]
    return ProbePhotos(
        numbers=tuple(kept),
        labels=np.array([order[named[number]] for number in kept]),
        classes=tuple(classes),
        trained=np.array([name in trained for name in classes]),
        removed=tuple(
            RemovedPhoto(
                photo=photos.names[found.photo],
                other=(training if is_training and training else photos).names[found.other],
                correlation=found.correlation,
                training=is_training,
            )
            for found, is_training in pairs
        ),
        pairs=tuple(pairs),
        too_few=tuple((name, count) for name, count in counts.items() if count <= most),
        left_out=left_out,
        unreadable=unreadable,
    )


def _refuse_trained(model: ZooModel, trained: Sequence[str], count: int) -> str:
    shown = ", ".join(quote(name) for name in trained[:SHOWN_CLASSES])
    more = f" and {len(trained) - SHOWN_CLASSES} more" if len(trained) > SHOWN_CLASSES else ""
    return (
        f"{model.title} was trained on {len(trained)} of the {count} classes, by their names "
        f"({shown}{more}): on these a probe shows what was trained, not how features generalise; "
        "give photos of other classes, or --trained-classes leave-out, or mark"
    )


def _read_thumbnails(
    photos: PhotoSet, numbers: Sequence[int], parts: KeptParts, progress: Progress
) -> tuple[NDArray[np.float32], tuple[tuple[int, str], ...]]:
    """Read photos once: what they are compared by, and which cannot be read, with the reason."""
    lots = [numbers[first : first + LOT] for first in range(0, len(numbers), LOT)]
    names = [f"photos-{index}" for index in range(len(lots))]
    found, unreadable = [], []
    for index in parts.count_off(names, progress, label="read photos", unit="lot"):
        lot = lots[index]
        kept = parts.get(names[index], partial(_shrink, photos, lot))
        found.append(kept["thumbnails"])
        for place in np.flatnonzero(~kept["usable"]).tolist():
            unreadable.append((lot[place], _explain(photos, lot[place])))
    return np.concatenate(found), tuple(unreadable)


def _shrink(photos: PhotoSet, lot: Sequence[int]) -> dict[str, NDArray[np.generic]]:
    pixels: list[Tensor] = []
    usable = np.ones(len(lot), dtype=np.bool_)
    for place, number in enumerate(lot):
        try:
            pixels.append(photos.read(number))
        except ImageError:
            usable[place] = False
    stacked = torch.stack(pixels) if pixels else torch.zeros(0, 3, 1, 1)
    return {"thumbnails": make_thumbnails(stacked), "usable": usable}


def _explain(photos: PhotoSet, number: int) -> str:
    try:
        photos.read(number)
    except ImageError as error:
        return str(error)
    return f"{photos.names[number]!r} could not be read a moment ago"


def _compare_training(
    small: NDArray[np.float32],
    training: PhotoSet | None,
    threshold: float,
    parts: KeptParts,
    progress: Progress,
) -> list[Overlap]:
    """Find photos that the net was trained on."""
    if training is None:
        return []

    def compare(first: int) -> dict[str, NDArray[np.generic]]:
        lot = range(first, min(first + AT_ONCE, len(training.names)))
        others = np.zeros((len(lot), small.shape[1]), dtype=np.float32)
        for place, number in enumerate(lot):
            try:
                others[place] = make_thumbnails(training.read(number)[None])[0]
            except ImageError:  # what cannot be read was not trained on either
                continue
        found = find_overlaps(small, others, threshold, first)
        return {
            "pairs": np.array([(one.photo, one.other) for one in found], np.int64).reshape(-1, 2),
            "near": np.array([one.correlation for one in found], np.float64),
        }

    firsts = range(0, len(training.names), AT_ONCE)
    names = [f"training-{first}" for first in firsts]
    label = "compare with training photos"
    found: list[Overlap] = []
    for number in parts.count_off(names, progress, label=label, unit="lot"):
        kept = parts.get(names[number], partial(compare, firsts[number]))
        for (photo, other), near in zip(kept["pairs"].tolist(), kept["near"].tolist(), strict=True):
            found.append(Overlap(photo, other, near))
    return keep_nearest(found)
