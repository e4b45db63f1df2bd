"""``vizcnn receptive``: receptive fields measured, drawn as boxes on a photo, and in a table."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from vizcnn.basics.codec import unwritten
from vizcnn.basics.errors import ImageError, LayerError, quote
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.drawing.receptive_fields import MOST_BOXES, FieldBox, choose_view, draw_fields
from vizcnn.drawing.sheet import to_image
from vizcnn.gallery.manifest import Manifest, Results
from vizcnn.pages.page import Drawing, describe_photo, describe_run, warn_of_cuts, write_page
from vizcnn.photos.images import read_photo
from vizcnn.photos.pixels import Array, Box
from vizcnn.photos.samples import name_photo
from vizcnn.photos.stored import PhotoFile
from vizcnn.receptive.fields import ReceptiveField, find_box, find_centre, measure_fields
from vizcnn.recording.layers import find_layer, select_layers, select_stages
from vizcnn.zoo.model import ZooModel

Unit = tuple[int, int]


@dataclass(frozen=True)
class ReceptiveSettings:
    """What to show.

    Attributes:
        layers: Canonical names or module paths; all that have canonical names when empty, of
            which the stages conv1, conv2, ... are drawn.
        position: Row and column of the unit that is drawn, in the map of the deepest layer drawn;
            None for the middle of the image. Of the other layers the unit is drawn whose
            receptive field has its middle nearest to that one's.
        figure_format: Format of the figures.
    """

    layers: tuple[str, ...] = ()
    position: Unit | None = None
    figure_format: FigureFormat = "png"


@dataclass(frozen=True, kw_only=True)
class DrawnUnit:
    """A unit whose receptive field is drawn on the photo.

    Attributes:
        position: Row and column in the feature map; None in a layer without places.
        box: Its receptive field in pixels of the input, uncut: top, left, bottom, right, the last
            two exclusive; negative where it lies in the padding.
        seen: The part of it that lies in the image and is really read.
    """

    position: Unit | None
    box: Box
    seen: Box


@dataclass(frozen=True, kw_only=True)
class DrawnLayer:
    """A layer that is drawn.

    Attributes:
        name: Name of the layer.
        middle: The unit drawn nearest to the chosen place.
        corner: The unit (0, 0).
        field: The layer's receptive field.
    """

    name: str
    middle: DrawnUnit
    corner: DrawnUnit
    field: ReceptiveField = unwritten()


@dataclass(frozen=True, kw_only=True)
class ReceptiveResults(Results):
    """What the units of a net's layers see.

    Attributes:
        place: Which units are drawn, in words.
        layers: The layers, by the size of their receptive fields.
        drawn: Those that are drawn, by size; at most one for each colour.
        used: What of the photo was used, and how, in words.
        photo: The photo as the net sees it, (S, S, 3), 0..1.
    """

    kind: ClassVar[str] = "receptive"
    place: str
    layers: tuple[ReceptiveField, ...]
    drawn: tuple[DrawnLayer, ...]
    used: str = ""
    photo: Array = unwritten()


def measure(model: ZooModel, photo: PhotoFile, settings: ReceptiveSettings) -> ReceptiveResults:
    """Measure the layers and choose the units.

    Raises:
        LayerError: If a layer or the position does not exist.
        ImageError: If the photo cannot be read.
    """
    if model.preprocessing.fitting == "none":
        raise ImageError(
            "receptive fields are drawn in the net's square input, and fit none leaves the photo "
            "its own size: use fit crop, pad or squash (--fit), and give the side (--size)"
        )
    fields = measure_fields(model, _list_layers(model, settings.layers))
    layers = tuple(sorted(fields, key=lambda field: field.size))
    drawn = _choose_drawn(model, layers, settings.layers)
    place, where = _choose_place(drawn, settings.position)
    original = read_photo(photo)
    framing = model.preprocessing.frame(original)
    warn_of_cuts({name_photo(photo): framing})
    return ReceptiveResults(
        place=where,
        layers=layers,
        drawn=tuple(
            DrawnLayer(
                name=field.name,
                middle=_describe_unit(field, _find_unit(field, place)),
                corner=_describe_unit(field, (0, 0)),
                field=field,
            )
            for field in drawn
        ),
        used=framing.describe(),
        photo=show_photo(model, original),
    )


def _find_unit(field: ReceptiveField, place: tuple[float, float]) -> Unit:
    """Find the unit of a layer whose receptive field is nearest to a place in the image."""
    rows, columns = (
        [abs(find_centre(span) - wanted) for span in spans]
        for spans, wanted in zip((field.rows, field.columns), place, strict=True)
    )
    return rows.index(min(rows)), columns.index(min(columns))


def parse_unit(text: str) -> Unit | None:
    """Read which unit to draw from text: ``middle`` or ``ROW,COLUMN``.

    Raises:
        LayerError: If it is neither.

    Example:
        >>> parse_unit("3, 7"), parse_unit("middle")
        ((3, 7), None)
    """
    if text == "middle":
        return None
    found = re.fullmatch(r" *([0-9]{1,9}) *, *([0-9]{1,9}) *", text)
    if found:
        return int(found[1]), int(found[2])
    raise LayerError(f"position {quote(text)} is not known; needed: middle, or ROW,COLUMN")


def _list_layers(model: ZooModel, wanted: Sequence[str]) -> tuple[str, ...]:
    """List the layers asked for; by default all with a name, each module once."""
    if wanted:
        return select_layers(model, wanted)
    stages = select_stages(model)
    names: dict[str, str] = {}
    for name in (*stages, *model.layers):
        names.setdefault(find_layer(model, name), name)
    # in the net's order, so that layers of equal fields stand in it
    in_order = dict.fromkeys(model.layers[name] for name in model.layers)
    return tuple(names[path] for path in in_order)


def _choose_drawn(
    model: ZooModel, fields: tuple[ReceptiveField, ...], wanted: Sequence[str]
) -> tuple[ReceptiveField, ...]:
    stages = () if wanted else select_stages(model)
    chosen = [field for field in fields if not stages or field.name in stages]
    picks = np.linspace(0, len(chosen) - 1, min(len(chosen), MOST_BOXES)).round().astype(int)
    return tuple(chosen[pick] for pick in picks)


def _choose_place(
    drawn: Sequence[ReceptiveField], position: Unit | None
) -> tuple[tuple[float, float], str]:
    height, width = drawn[0].input_size
    if position is None:
        return ((height - 1) / 2, (width - 1) / 2), "the units nearest to the middle of the image"
    maps = [field for field in drawn if field.map_size is not None]
    if not maps:
        raise LayerError("the layers have no feature maps: leave the position out")
    deepest, (row, column) = maps[-1], position
    find_box(deepest, row, column)  # complains if the map has no such place
    place = find_centre(deepest.rows[row]), find_centre(deepest.columns[column])
    return place, f"unit ({row}, {column}) of {deepest.name} and those nearest to it"


def _describe_unit(field: ReceptiveField, unit: Unit) -> DrawnUnit:
    return DrawnUnit(
        position=unit if field.map_size else None,
        box=find_box(field, *unit, clip=False),
        seen=find_box(field, *unit),
    )


def list_boxes(results: ReceptiveResults, corner: bool) -> list[FieldBox]:
    """List the boxes of a figure: units around the place, or those in the upper left corner."""
    boxes = []
    for layer in results.drawn:
        unit, field = layer.corner if corner else layer.middle, layer.field
        size = ("" if field.exact else "at most ") + f"{show_size(field.size)} px"
        note = _describe_corner(unit, field) if corner else _describe_share(unit, field)
        boxes.append(FieldBox(unit.box, layer.name, (f"{size}, {describe_stride(field)}", note)))
    return boxes


def _describe_share(unit: DrawnUnit, field: ReceptiveField) -> str:
    share = _area(unit.seen) / math.prod(field.input_size)
    seen = "the whole image" if share == 1 else f"{_show_share(share)} of the image"
    return f"unit {unit.position}: {seen}" if unit.position else seen


def _describe_corner(unit: DrawnUnit, field: ReceptiveField) -> str:
    (top, left, bottom, right), (height, width) = unit.box, field.input_size
    cut = max(top, 0), max(left, 0), min(bottom, height), min(right, width)
    outside = 1 - _area(cut) / _area(unit.box)
    if not outside:
        return "lies inside the image"
    return f"starts at {show_pair(field.offset)}, {_show_share(outside)} is outside"


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _show_share(share: float) -> str:
    if 0 < share < 0.001:
        return "< 0.1%"
    return f"{share:.0%}" if 0.01 <= share <= 0.99 or share in (0, 1) else f"{share:.1%}"


def describe_stride(field: ReceptiveField) -> str:
    """Say how far apart neighbouring units look, in words."""
    if field.stride is not None:
        return f"stride {show_size(field.stride)}"
    return "one place" if field.map_size in (None, (1, 1)) else "uneven stride"


def show_size(size: tuple[int, int]) -> str:
    """Write height and width, or one number where they are equal.

    Example:
        >>> show_size((7, 7)), show_size((1, 7))
        ('7', '1 × 7')
    """
    return str(size[0]) if size[0] == size[1] else f"{size[0]} × {size[1]}"


def show_pair(pair: tuple[int, int]) -> str:
    """Write a row and a column with true minus signs, or one number where they are equal.

    Example:
        >>> show_pair((-3, -3)), show_pair((-3, 0))
        ('−3', '(−3, 0)')
    """
    first, second = (str(number).replace("-", "−") for number in pair)
    return first if first == second else f"({first}, {second})"


def show_photo(model: ZooModel, photo: Image.Image) -> Array:
    """Give a photo as the net sees it: (S, S, 3), 0..1; grey for a net that sees grey."""
    return to_image(model.preprocessing.show(model.read(photo))[0])


SOURCE = (
    "from the recorded graph; size, stride and offset as in Araujo, Norris & Sim 2019 "
    "(Distill, doi 10.23915/distill.00021)"
)


def make_receptive_gallery(
    model: ZooModel,
    photo: PhotoFile,
    folder: Path,
    settings: ReceptiveSettings | None = None,
    command: str = "",
) -> Manifest[ReceptiveResults]:
    """Measure receptive fields, draw them and write pictures, index.html and manifest.json.

    Args:
        model: A net of the zoo; what weights it has plays no part.
        photo: A photo file.
        folder: Where the gallery goes; complete or untouched.
        settings: What to show.
        command: The command that repeats the run.

    Returns:
        What was written, as in manifest.json.

    Raises:
        LayerError: If a layer or the position does not exist.
        ImageError: If the photo cannot be read.
    """
    settings = settings or ReceptiveSettings()
    with write_folder(folder) as staging:
        run = describe_run(
            measure(model, photo, settings),
            f"{model.title}: receptive fields",
            [model],
            settings,
            command,
            [describe_photo(photo)],
        )
        return write_page(run, draw(run), staging, settings.figure_format)


def draw(run: Manifest[ReceptiveResults]) -> Iterator[Drawing]:
    """Draw the receptive fields on the photo: around the chosen place, and at the corner."""
    results, (net,), (photo,) = run.results, run.nets, run.photos
    caption = f"{net.title} at {net.input_size[0]} px, photo: {photo.name}"
    around, corner = list_boxes(results, corner=False), list_boxes(results, corner=True)
    names = ", ".join(layer.name for layer in results.drawn)
    words = _write_caption(results.place, caption, around, results.photo)
    yield Drawing(
        "fields",
        "On the photo",
        f"Nested boxes on the photo: {names}",
        draw_fields(results.photo, around, run.title, words),
        f"What {results.place} can see, layer by layer.",
    )
    words = _write_caption("unit (0, 0) of each layer", caption, corner, results.photo)
    padded = any(min(box.box) < 0 for box in corner)
    yield Drawing(
        "corner",
        "At the corner",
        f"Boxes of the units in the upper left corner: {names}",
        draw_fields(results.photo, corner, f"{run.title} at the corner", words, led_from="bottom"),
        "What the first unit of each layer can see: "
        + ("a part of it is padding." if padded else "no padding here."),
    )


def _write_caption(units: str, caption: str, boxes: Sequence[FieldBox], photo: Array) -> str:
    words, size = [units, caption], photo.shape[0]
    view = choose_view([box.box for box in boxes], size)
    if view.side > size:
        words.append("hatched: outside the image")
    if any(box.box[2] > view.right and box.box[0] < view.top for box in boxes):
        words.append("boxes that are not drawn lie beyond the picture")
    return " · ".join([*words, SOURCE])
