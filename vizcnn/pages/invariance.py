"""``vizcnn invariance``: photos moved, scaled and turned -> how features and class follow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vizcnn.basics.errors import VizcnnError, quote
from vizcnn.basics.kept_parts import keep_parts
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.basics.texts import write_percent
from vizcnn.drawing.invariance_plots import (
    MOST_BANDS,
    MOST_LAYERS,
    SHOWN,
    choose_examples,
    draw_distances,
    draw_layers,
)
from vizcnn.drawing.sheet import to_image
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.measures.invariance import (
    KindChange,
    LayerChange,
    Movement,
    PhotoChange,
    Yardstick,
    measure_invariance,
    measure_yardsticks,
)
from vizcnn.measures.invariance_curves import (
    MeasuredLayer,
    PhotoClass,
    SummaryRow,
    TransformRow,
    describe_layers,
    summarise_rows,
    tabulate_changes,
)
from vizcnn.measures.layer_features import find_first_and_last
from vizcnn.pages.page import (
    Drawing,
    describe_causes,
    describe_photo,
    describe_run,
    use_photos,
    write_page,
)
from vizcnn.photos.pixels import Array
from vizcnn.photos.samples import SAMPLES, find_sample, name_distinctly
from vizcnn.photos.stored import PhotoFile
from vizcnn.photos.transforms import (
    BORDERS,
    KINDS,
    STILL,
    Border,
    Kind,
    Transform,
    check_amounts,
)
from vizcnn.receptive.fields import measure_fields
from vizcnn.recording.layers import select_layers
from vizcnn.zoo.model import ZooModel

FEWEST_COMPARED, MOST_COMPARED = 5, 64
"""Photos whose distances from each other are the unit: samples join where there are less."""

PAPER_SHIFT, PAPER_SIZE = 60, 224
"""Pixels by which the paper moves photos, in its input of 224 pixels."""
LARGEST_STEP = 4
"""Pixels from one translation to the next, at most; whole strides of many first layers."""
PAPER_SCALES = tuple(round(1 + 0.05 * step, 2) for step in range(17))
PAPER_ANGLES = tuple(10.0 * step for step in range(36))


@dataclass(frozen=True, kw_only=True)
class InvarianceSettings:
    """What to do to photos, and what to look at.

    Attributes:
        layers: Canonical names or module paths; the first stage and the last hidden layer when
            empty, as in the paper.
        shift: Pixels of the input that photos are moved down; when None as far as in the paper,
            60 pixels of 224.
        scale: Factors.
        rotate: Degrees, anticlockwise.
        border: What comes in where a photo has moved out of the window.
        window: Share of its usual window that the net is shown, so that there is more of the photo
            around it.
        figure_format: Format of the figures.

    Raises:
        VizcnnError: If there is no such border, the window is not possible, or an amount is not.
    """

    layers: tuple[str, ...] = ()
    shift: tuple[float, ...] | None = None
    scale: tuple[float, ...] = PAPER_SCALES
    rotate: tuple[float, ...] = PAPER_ANGLES
    border: Border = "photo"
    window: float = 1.0
    figure_format: FigureFormat = "png"

    def __post_init__(self) -> None:
        if self.border not in BORDERS:
            raise VizcnnError(f"border={quote(self.border)}; needed: {', '.join(BORDERS)}")
        if not 0.05 <= self.window <= 1:
            raise VizcnnError(f"window={quote(self.window)}; needed: a share from 0.05 to 1")
        if not any((self.shift is None or self.shift, self.scale, self.rotate)):
            raise VizcnnError("nothing is done to the photos: leave none out of one transform")
        for kind, amounts in self._list():
            check_amounts(amounts, kind)

    def _list(self) -> list[tuple[Kind, tuple[float, ...]]]:
        named = {"shift": self.shift or (), "scale": self.scale, "rotate": self.rotate}
        return [(kind, named[kind]) for kind in KINDS]

    def list_amounts(self, size: int) -> dict[Kind, tuple[float, ...]]:
        """List the amounts of each kind of transform that is done, for an input of ``size`` pixels.

        Raises:
            VizcnnError: If a photo would move out of the input.

        Example:
            >>> InvarianceSettings(scale=(), rotate=(0,)).list_amounts(224)["shift"][-3:]
            (52.0, 56.0, 60.0)
        """
        amounts = {kind: check_amounts(several, kind) for kind, several in self._list() if several}
        if self.shift is None:
            step = min(max(size // 32, 1), LARGEST_STEP)
            count = max(PAPER_SHIFT * size // PAPER_SIZE // step, 1)
            pixels = [step * number for number in range(-count, count + 1)]
            amounts = {"shift": check_amounts(pixels, "shift"), **amounts}
        furthest = max(map(abs, amounts.get("shift", (0.0,))))
        if furthest >= size:
            raise VizcnnError(
                f"moved by {furthest:g} pixels a photo is out of the net's input of {size}: give "
                "a smaller shift"
            )
        return amounts


@dataclass(frozen=True, kw_only=True)
class InvarianceResults(Results):
    """How features and class followed.

    Attributes:
        border: What came in at the borders, in words.
        compared: Which photos' distances are the unit, in words.
        layers: The layers.
        classes: Whose probability was read, photo by photo.
        rows: The curves, by kind of transform.
    """

    kind: ClassVar[str] = "invariance"
    border: str
    compared: str
    layers: tuple[MeasuredLayer, ...]
    classes: tuple[PhotoClass, ...]
    rows: tuple[TransformRow, ...]

    def summarise(self) -> list[SummaryRow]:
        """Give a line for each kind of transform and layer."""
        return summarise_rows(self.rows)


def make_invariance_gallery(
    model: ZooModel,
    photos: Sequence[PhotoFile],
    folder: Path,
    settings: InvarianceSettings | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[InvarianceResults]:
    """Transform photos, measure what a net's features do, and write the page.

    A run that was killed goes on with the next photo.

    Args:
        model: A net of the zoo.
        photos: Photo files.
        folder: Where the gallery goes; complete or untouched.
        settings: What to do, and what to look at.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        LayerError: If a layer does not exist, or has no features.
        ImageError: If no photo can be read, or does not fill the net's input.
        ModelError: If a class score is not finite.
        VizcnnError: If a photo would move out of the input.
    """
    settings = settings or InvarianceSettings()
    amounts = settings.list_amounts(model.input_size)
    movement = Movement(settings.border, settings.window)
    layers = select_layers(model, settings.layers) or find_first_and_last(model)
    failures: list[Failure] = []
    show = partial(_show_still, model, movement)
    read = [path for path, _ in use_photos(photos, show, failures, "read", progress)]
    compared, told = choose_compared(read)
    causes = describe_causes([model], [*read, *compared], settings, compared=len(compared))
    with keep_parts(folder, causes) as parts:
        fields = measure_fields(model, layers)
        kept = parts.get(
            "distances of two photos",
            lambda: _pack_yardsticks(measure_yardsticks(model, compared, fields, movement)),
        )
        rulers = [Yardstick(field, kept[str(place)]) for place, field in enumerate(fields)]
        measure = partial(_measure_photo, model, amounts, rulers, movement)
        names = [f"photo {place}" for place in range(len(read))]
        changes = [
            _unpack(parts.get(names[place], partial(measure, read[place])), amounts, len(layers))
            for place in parts.count_off(names, progress, label="transform", unit="photo")
        ]
        with write_folder(folder, held=True) as staging:
            titles = name_distinctly(read)
            results = InvarianceResults(
                border=describe_border(settings.border, settings.window),
                compared=told,
                layers=describe_layers(rulers),
                classes=tuple(
                    PhotoClass(
                        photo=titles[path],
                        name=_name_class(model, change.class_number),
                        is_true=change.is_true,
                    )
                    for path, change in zip(read, changes, strict=True)
                ),
                rows=tabulate_changes(changes, describe_layers(rulers), amounts),
            )
            run = describe_run(
                results,
                f"{model.title}: invariance",
                [model],
                settings,
                command,
                [describe_photo(path, name=titles[path]) for path in read],
                failures,
            )
            return write_page(
                run, draw(run, model, read, movement), staging, settings.figure_format
            )


def _show_still(model: ZooModel, movement: Movement, path: PhotoFile) -> None:
    movement.show(model, path, [STILL])


def choose_compared(photos: Sequence[PhotoFile]) -> tuple[list[PhotoFile], str]:
    """Choose the photos whose distances from each other are the unit of all distances.

    Returns:
        The photos themselves, evenly chosen where there are many, joined by scikit-image's sample
        photos where there are few; and what they are, in words.
    """
    chosen = list(photos)
    words = f"the {len(photos)} photos"
    if len(chosen) > MOST_COMPARED:
        picks = np.linspace(0, len(photos) - 1, MOST_COMPARED).round().astype(int)
        chosen = [photos[pick] for pick in picks]
        words = f"{len(chosen)} of {words}, evenly chosen"
    if len(chosen) < FEWEST_COMPARED:
        samples = [path for name in SAMPLES if (path := find_sample(name))]
        chosen += [path for path in samples if path not in chosen]
        mine = "the photo" if len(photos) == 1 else words
        words = f"{len(chosen)} photos, {mine} and scikit-image's samples"
    return chosen, f"all {len(chosen) * (len(chosen) - 1) // 2} pairs of {words}"


def describe_border(border: Border, window: float = 1.0) -> str:
    """Say what came in at the borders, and what that means for the numbers."""
    words = {
        "photo": "what lies there in the photo, and where the photo itself ends its mirror image",
        "reflect": "the mirror image of the window",
        "mask": "the net's mean colour (zero at its input); the photo compared with is masked at "
        "the same pixels, so that what is hidden is no part of a distance; probabilities are those "
        "of masked photos",
        "black": "black, which is a colour like any other to the net: distances and probabilities "
        "have its edges in them",
        "wrap": "what has left the window on the other side",
    }[border]
    if window < 1:
        words += f"; the window has {write_percent(window, 0)} of its usual side"
    return words


def _name_class(model: ZooModel, number: int | None) -> str | None:
    if number is None:
        return None
    return model.classes[number] if number < len(model.classes) else str(number)


def _measure_photo(
    model: ZooModel,
    amounts: Mapping[Kind, Sequence[float]],
    rulers: Sequence[Yardstick],
    movement: Movement,
    photo: PhotoFile,
) -> dict[str, NDArray[np.float64]]:
    return _pack(measure_invariance(model, photo, amounts, rulers, movement))


def _pack_yardsticks(rulers: Sequence[Yardstick]) -> dict[str, NDArray[np.float64]]:
    return {str(place): ruler.spread for place, ruler in enumerate(rulers)}


def _pack(change: PhotoChange) -> dict[str, NDArray[np.float64]]:
    """Give a photo's numbers as arrays that can be kept."""
    number = -1 if change.class_number is None else change.class_number
    arrays = {"class": np.array([number, change.is_true], dtype=np.float64)}
    for kind, found in change.kinds.items():
        arrays[f"{kind} filled"] = found.filled
        if found.probabilities is not None:
            arrays[f"{kind} probabilities"] = found.probabilities
        for place, layer in enumerate(found.layers):
            arrays[f"{kind} {place}"] = np.stack([layer.distances, layer.returned, layer.inside])
    return arrays


def _unpack(
    arrays: Mapping[str, NDArray[np.float64]], amounts: Mapping[Kind, object], layers: int
) -> PhotoChange:
    number, is_true = arrays["class"].astype(int).tolist()
    return PhotoChange(
        {
            kind: KindChange(
                tuple(LayerChange(*arrays[f"{kind} {place}"]) for place in range(layers)),
                arrays[f"{kind} filled"],
                arrays.get(f"{kind} probabilities"),
            )
            for kind in amounts
        },
        None if number < 0 else number,
        bool(is_true),
    )


def draw(
    run: Manifest[InvarianceResults],
    model: ZooModel,
    photos: Sequence[PhotoFile],
    movement: Movement,
) -> Iterator[Drawing]:
    """Draw the paper's figure, three layers at a time, and the layers on one scale."""
    results = run.results
    caption = write_caption(run)
    scaled = write_caption(run, scaled=True)
    names = [photo.name for photo in run.photos]
    layers = [layer.name for layer in results.layers]
    several = "one line for each photo, dashed: their mean, band: mean ± standard deviation"
    if len(photos) == 1:
        several = "one photo"
    for first in range(0, len(layers), MOST_LAYERS):
        some = layers[first : first + MOST_LAYERS]
        title = f"{model.title}: how far {' and '.join(some)} change"
        examples = partial(_make_examples, model, photos[:SHOWN], results.rows, movement)
        yield Drawing(
            f"distances-{first // MOST_LAYERS + 1}" if first else "distances",
            "As the paper draws it" if not first else f"{', '.join(some)}, as the paper draws it",
            "Curves by amount of vertical translation, scale and rotation, with examples beside",
            partial(draw_distances, results.rows, examples, names, some, title, caption, several),
            "Zeiler & Fergus, Figure 5: Euclidean distance between a layer's features of a photo "
            "and of the same photo transformed, in the layer's own units, and the probability of "
            f"the photo's class. {describe_classes(results.classes)}",
        )
    bands = ", bands: ± standard deviation" if len(layers) <= MOST_BANDS else ""
    over = "one photo" if len(photos) == 1 else f"mean over the photos{bands}"
    yield Drawing(
        "layers",
        "Layers on one scale, and maps moved back",
        "Curves of all layers: distances in units of the distance of two photos, and what is left "
        "of them when maps are moved back",
        partial(
            draw_layers,
            results.rows,
            f"{model.title}: invariance and equivariance, layer by layer",
            scaled,
            f"{over}; at 1 the photo is as far from itself as from another; "
            "dotted: places whose whole receptive field stays in sight",
        ),
        describe_layers_figure(results),
    )


def describe_layers_figure(results: InvarianceResults) -> str:
    """Say how the layers on one scale are read."""
    words = (
        "Above: the same distances divided by the distance of two photos (root mean square over "
        f"{results.compared}), so that layers can be compared. An invariant layer stays at 0."
    )
    if any(layer.moves for layer in results.layers):
        words += (
            " Below: the transformed photo's map is moved back to where the photo's own has its "
            "units, by bicubic interpolation, and compared there, over the places in sight both "
            "times; an equivariant layer stays at 0. A shift by whole strides interpolates "
            "nothing, and leaves 0 where the whole receptive field stays in sight (dotted): the "
            "rest is the borders'."
        )
    still = [layer.name for layer in results.layers if not layer.moves]
    if still:
        words += f" {', '.join(still)}: no places, or none evenly spaced, so nothing to move back."
    return words


def describe_classes(classes: Sequence[PhotoClass]) -> str:
    """Say whose probability is shown.

    Example:
        >>> describe_classes([PhotoClass(photo="a.jpg", name="dog", is_true=False)])
        'No folder names a class of the net: the class is the most probable of the photo as it is.'
    """
    if all(one.name is None for one in classes):
        return "The net has no class scores."
    told = [one.photo for one in classes if one.is_true]
    if len(told) == len(classes):
        return "The class is the one that the photo's folder names."
    if told:
        return (
            f"The class is the one that the folder names, of {len(told)} of {len(classes)} photos; "
            "of the others, whose folder names none of the net, the most probable of the photo as "
            "it is."
        )
    return (
        "No folder names a class of the net: the class is the most probable of the photo as it is."
    )


def write_caption(run: Manifest[InvarianceResults], scaled: bool = False) -> str:
    """Say what a figure depends on.

    Args:
        run: The run.
        scaled: Whether it shows distances in units of that of two photos, and no class; else
            distances as they are, and probabilities of classes.
    """
    results, (net,) = run.results, run.nets
    filled = max(max(row.filled) for row in results.rows)
    share = f" (filled: at most {write_percent(filled, 0)} of the pixels)" if filled else ""
    compared = f"distance of two photos: root mean square over {results.compared}"
    words = [
        f"{net.title}, {net.weights.describe()}, input {net.input_size[0]} px",
        f"at the borders{share}: {results.border}",
        compared if scaled else _name_classes(results.classes),
        "after Zeiler & Fergus 2013 (arXiv 1311.2901), Figure 5",
    ]
    return " · ".join(filter(None, words))


def _name_classes(classes: Sequence[PhotoClass]) -> str:
    """Say in a caption whose probability is drawn; empty where a net has no classes."""
    named = [one for one in classes if one.name is not None]
    told = sum(one.is_true for one in named)
    if len(named) > SHOWN:
        if told == len(named):
            return f"class: the true one of all {told} photos"
        return f"class: of {told} of {len(named)} photos the true one, of the others the likeliest"
    true = "; ".join(f"{one.photo}: {one.name}" for one in named if one.is_true)
    guessed = "; ".join(f"{one.photo}: {one.name}" for one in named if not one.is_true)
    return " · ".join(
        f"{heading}: {words}"
        for heading, words in (("class", true), ("class, the net’s own guess", guessed))
        if words
    )


def _make_examples(
    model: ZooModel,
    photos: Sequence[PhotoFile],
    rows: Sequence[TransformRow],
    movement: Movement,
    kind: Kind,
) -> list[list[Array]]:
    """Show photos after some amounts of a transform, as the net sees them."""
    (row,) = (row for row in rows if row.kind == kind)
    transforms = [Transform(kind, row.amounts[pick]) for pick in choose_examples(row.amounts)]
    shown = []
    for photo in photos:
        pixels, _ = movement.show(model, photo, transforms)
        shown.append([to_image(image) for image in model.preprocessing.show(pixels)])
    return shown
