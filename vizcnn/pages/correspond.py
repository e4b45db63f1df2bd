"""``vizcnn correspond``: photos with boxes of parts -> whether hiding a part changes all alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import ClassVar, get_args

import numpy as np
import torch

from vizcnn.attribution.question import Fill, find_fill
from vizcnn.basics.errors import VizcnnError, check_number, quote
from vizcnn.basics.kept_parts import keep_parts
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.basics.texts import write_percent
from vizcnn.drawing.correspondence_plots import MOST_SHOWN, draw_hidden, draw_scores
from vizcnn.drawing.sheet import to_image
from vizcnn.gallery.manifest import Manifest, Results
from vizcnn.measures.correspondence import (
    HiddenParts,
    PartScore,
    measure_signs,
    place_parts,
    score_part,
)
from vizcnn.measures.layer_features import find_deepest
from vizcnn.pages.page import (
    Drawing,
    describe_causes,
    describe_photo,
    describe_run,
    write_page,
)
from vizcnn.photos.part_boxes import MarkedPhoto
from vizcnn.photos.pixels import Array, Box
from vizcnn.photos.samples import name_distinctly
from vizcnn.recording.layers import select_layers
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True, kw_only=True)
class CorrespondSettings:
    """What to hide, and what to look at.

    Attributes:
        layers: Canonical names or module paths; the last stage and the last hidden layer when
            empty, as in the paper.
        fill: What hidden parts are filled with.
        draws: Random squares of each part's area in each photo.
        permutations: Of the test of each score.
        seed: Of the squares and the permutations.
        figure_format: Format of the figures.

    Raises:
        VizcnnError: If a choice is not known, or a number out of bounds.
    """

    layers: tuple[str, ...] = ()
    fill: Fill = "mean"
    draws: int = 16
    permutations: int = 9999
    seed: int = 0
    figure_format: FigureFormat = "png"

    def __post_init__(self) -> None:
        if self.fill not in get_args(Fill):
            raise VizcnnError(f"fill={quote(self.fill)}; needed: {', '.join(get_args(Fill))}")
        check_number("draws", self.draws, 1, 1000)
        check_number("permutations", self.permutations, 1, 10**6)


@dataclass(frozen=True, kw_only=True)
class PlacedPart:
    """A part in the net's input.

    Attributes:
        photo: Name of the photo.
        part: The part.
        box: Top, left, bottom, right in pixels of the input.
    """

    photo: str
    part: str
    box: Box


@dataclass(frozen=True, kw_only=True)
class CorrespondResults(Results):
    """How alike the changes are that hiding a part makes.

    Attributes:
        layers: Names of the layers.
        parts: Names of the parts.
        boxes: Where they lie in the net's input.
        object: Where random squares lie, in words.
        scores: For each layer and part.
    """

    kind: ClassVar[str] = "correspond"
    layers: tuple[str, ...]
    parts: tuple[str, ...]
    boxes: tuple[PlacedPart, ...]
    object: str
    scores: tuple[PartScore, ...]


def make_correspond_gallery(
    model: ZooModel,
    photos: Sequence[MarkedPhoto],
    folder: Path,
    settings: CorrespondSettings | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[CorrespondResults]:
    """Hide parts of photos, measure how alike features change, and write the page.

    A run that was killed goes on with the next photo.

    Args:
        model: A net of the zoo.
        photos: Photos with boxes, two at least, from
            :func:`~vizcnn.photos.part_boxes.read_parts`.
        folder: Where the gallery goes; complete or untouched.
        settings: What to hide, and what to look at.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        ImageError: If a photo cannot be read: scores compare all of them.
        DataError: If a box is outside its photo, or of what the net sees of it.
        LayerError: If a layer does not exist, or has no features.
    """
    settings = settings or CorrespondSettings()
    if len(photos) < 2:
        raise VizcnnError("two photos at least are needed to compare what hiding a part changes")
    layers = select_layers(model, settings.layers) or find_deepest(model)
    paths = [photo.path for photo in photos]
    hidden = [
        place_parts(model, photo, settings.draws, np.random.default_rng([settings.seed, number]))
        for number, photo in enumerate(photos)
    ]
    boxes = [[list(box) for box in (*one.parts.values(), *_list_squares(one))] for one in hidden]
    causes = describe_causes([model], paths, settings, boxes=boxes)
    with keep_parts(folder, causes) as parts:
        names = [f"photo {number}" for number in range(len(photos))]
        measure = partial(measure_signs, model)
        signs = [
            parts.get(names[number], partial(measure, hidden[number], layers, settings.fill))
            for number in parts.count_off(names, progress, label="hide", unit="photo")
        ]
        scores = [
            score_part(
                [of_photo[layer][place] for of_photo in signs],
                layer,
                part,
                settings.permutations,
                np.random.default_rng([settings.seed, 10**6 + place]),
            )
            for layer in layers
            for place, part in enumerate(hidden[0].parts)
        ]
        with write_folder(folder, held=True) as staging:
            titles = list(name_distinctly(list(dict.fromkeys(paths))).values())
            if len(titles) < len(paths):  # one photo with two objects
                titles = [f"{path.name} ({number})" for number, path in enumerate(paths, 1)]
            results = CorrespondResults(
                layers=layers,
                parts=tuple(hidden[0].parts),
                boxes=tuple(
                    PlacedPart(photo=title, part=part, box=box)
                    for title, one in zip(titles, hidden, strict=True)
                    for part, box in one.parts.items()
                ),
                object=_describe_object(photos),
                scores=tuple(scores),
            )
            run = describe_run(
                results,
                f"{model.title}: correspondence of {', '.join(results.parts)}",
                [model],
                settings,
                command,
                [
                    describe_photo(path, name=title)
                    for path, title in zip(paths, titles, strict=True)
                ],
            )
            return write_page(run, draw(run, model, hidden), staging, settings.figure_format)


def _list_squares(hidden: HiddenParts) -> list[Box]:
    return [box for squares in hidden.squares.values() for box in squares]


def _describe_object(photos: Sequence[MarkedPhoto]) -> str:
    if all(photo.object for photo in photos):
        return "on the object that the file names"
    if any(photo.object for photo in photos):
        return "on the object where the file names one, else anywhere in what the net sees"
    return "anywhere in what the net sees of the photo"


def draw(
    run: Manifest[CorrespondResults], model: ZooModel, hidden: Sequence[HiddenParts]
) -> Iterator[Drawing]:
    """Draw what was hidden, and the scores."""
    results, (net,), settings = run.results, run.nets, run.settings
    names = [photo.name for photo in run.photos]
    words = [
        f"{net.title}, {net.weights.describe()}, input {net.input_size[0]} px",
        f"what is hidden has {describe_fill(settings['fill'])}",
        f"{settings['draws']} random squares of each part's area in each photo, {results.object}, "
        f"seed {settings['seed']}",
        "after Zeiler & Fergus 2013 (arXiv 1311.2901), section 4.3",
    ]
    caption = " · ".join(words)
    shown = list(zip(hidden, names, strict=True))[:MOST_SHOWN]
    fill = settings["fill"]
    yield Drawing(
        "hidden",
        "What was hidden",
        f"Photos with one part hidden at a time: {', '.join(results.parts)}, and a random square",
        partial(
            draw_hidden,
            [_show(model, one, fill) for one, _ in shown],
            [name for _, name in shown],
            ["photo", *results.parts, "random square"],
            f"{model.title}: parts hidden in {_count(len(shown), len(names))}",
            caption,
        ),
        f"Zeiler & Fergus, Figure 8. The square, of the area of {results.parts[-1]}, is one of "
        "those that parts are compared with.",
    )
    yield Drawing(
        "scores",
        "How alike the changes are",
        "Points with error bars: score of each part beside those of random squares, layer by layer",
        partial(
            draw_scores,
            results.scores,
            results.layers,
            results.parts,
            f"{model.title}: do {', '.join(results.parts)} correspond from photo to photo?",
            caption,
            "mean ± standard deviation over pairs; grey: random squares of the part's area; low: "
            "features change alike; p: as low by chance",
        ),
        "Zeiler & Fergus, Table 1: Hamming distance of the signs of what hiding a part changes in "
        "two photos. p: how often a score is as low if, photo by photo, the part and its squares "
        f"change places by chance ({settings['permutations']:,} permutations). "
        f"{describe_zeros(results.scores)}",
    )


def _count(shown: int, photos: int) -> str:
    """Say how many photos are shown, and of how many."""
    return f"{shown} photos" if shown == photos else f"{shown} of {photos} photos"


def describe_fill(fill: Fill) -> str:
    """Say what is in the place of what is hidden."""
    return "the net's mean colour" if fill == "mean" else f"the colour {fill}"


def describe_zeros(scores: Sequence[PartScore]) -> str:
    """Say how many features do not change at all: a low score may mean nothing else.

    Example:
        >>> score = PartScore(
        ...     layer="conv5", part="nose", mean=0.1, deviation=0.0, squares=0.1,
        ...     squares_deviation=0.0, draws=(), p=1.0, zeros=0.75, chance=0.3,
        ... )
        >>> describe_zeros([score])
        'A feature that does not change has sign 0, which counts as a third sign: conv5 75 %. ...'
    """
    layers = dict.fromkeys(score.layer for score in scores)
    told = ", ".join(
        f"{layer} {write_percent(fmean(s.zeros for s in scores if s.layer == layer), 0)}"
        for layer in layers
    )
    return (
        f"A feature that does not change has sign 0, which counts as a third sign: {told}. After a "
        "rectifier most are silent with and without the part, so that scores are low in any case, "
        "and only those of one layer can be compared."
    )


def _show(model: ZooModel, hidden: HiddenParts, fill: Fill) -> list[Array]:
    """Show a photo, each part hidden, and the first square of the last part."""
    images = hidden.hide(find_fill(model, fill))
    each = 1 + len(next(iter(hidden.squares.values())))
    last = (len(hidden.parts) - 1) * each + 1
    pixels = torch.stack([hidden.pixels[0], *images[::each], images[last]])
    return [to_image(one) for one in model.preprocessing.show(pixels)]
