"""Which layers and units to show, what is written beside them, and what the manifest says."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vizcnn.basics.errors import LayerError
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.version import __version__
from vizcnn.drawing.receptive_fields import MOST_BOXES, FieldBox, choose_view, draw_fields
from vizcnn.drawing.saving import save_figure
from vizcnn.gallery.receptive_manifest import DrawnUnit, ReceptiveLayer, ReceptiveManifest
from vizcnn.gallery.records import Net, PageFigure
from vizcnn.gallery.site import write_gallery
from vizcnn.pages.page import describe_weights, list_versions
from vizcnn.photos.images import photo_sha256
from vizcnn.photos.pixels import Array
from vizcnn.photos.samples import name_photo, name_source
from vizcnn.receptive.fields import ReceptiveField, find_box, find_centre, measure_fields
from vizcnn.recording.layers import find_layer, list_stages, select_layers
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


@dataclass(frozen=True)
class ReceptiveExhibit:
    """A net's receptive fields and the units that stand for its layers.

    Attributes:
        fields: Of all layers, by size.
        drawn: Those of the layers that are drawn, by size; at most one for each colour.
        place: Row and column in the image around which units are drawn.
        where: The same in words.
    """

    fields: tuple[ReceptiveField, ...]
    drawn: tuple[ReceptiveField, ...]
    place: tuple[float, float]
    where: str

    def find_unit(self, field: ReceptiveField) -> Unit:
        """Find the unit of a layer whose receptive field is nearest to the place."""
        rows, columns = (
            [abs(find_centre(span) - wanted) for span in spans]
            for spans, wanted in zip((field.rows, field.columns), self.place, strict=True)
        )
        return rows.index(min(rows)), columns.index(min(columns))

    def list_boxes(self, corner: bool) -> list[FieldBox]:
        """List the boxes of a figure: units around the place, or those in the upper left corner."""
        return [
            FieldBox(
                find_box(field, *(unit := (0, 0) if corner else self.find_unit(field)), clip=False),
                field.layer,
                (
                    f"{_show_field(field)}, {describe_stride(field)}",
                    _describe_corner(field) if corner else _describe_share(field, unit),
                ),
            )
            for field in self.drawn
        ]

    def describe_layers(self) -> tuple[ReceptiveLayer, ...]:
        """Bring the layers into the manifest's form."""
        return tuple(self._describe_layer(field) for field in self.fields)

    def _describe_layer(self, field: ReceptiveField) -> ReceptiveLayer:
        drawn = field in self.drawn
        return ReceptiveLayer(
            name=field.layer,
            path=field.path,
            maps=field.maps,
            map_size=field.map_size,
            size=field.size,
            stride=field.stride,
            offset=field.offset,
            centre=field.centre,
            share=field.share,
            sees_all=field.sees_all,
            exact=field.exact,
            middle=_describe_unit(field, self.find_unit(field)) if drawn else None,
            corner=_describe_unit(field, (0, 0)) if drawn else None,
        )


def make_exhibit(model: ZooModel, settings: ReceptiveSettings) -> ReceptiveExhibit:
    """Measure the layers and choose the units.

    Raises:
        LayerError: If a layer or the position does not exist.
    """
    fields = measure_fields(model, _list_layers(model, settings.layers))
    ordered = tuple(sorted(fields, key=lambda field: field.size))
    drawn = _choose_drawn(model, ordered, settings.layers)
    place, where = _choose_place(drawn, settings.position)
    return ReceptiveExhibit(ordered, drawn, place, where)


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
    row, _, column = (part.strip() for part in text.partition(","))
    if row.isdecimal() and column.isdecimal():
        return int(row), int(column)
    raise LayerError(f"position {text!r} is not known; needed: middle, or ROW,COLUMN")


def _list_layers(model: ZooModel, wanted: Sequence[str]) -> tuple[str, ...]:
    """List the layers asked for; by default all with a name, each module once."""
    if wanted:
        return select_layers(model, wanted)
    stages = select_layers(model, [list_stages(model)])
    names: dict[str, str] = {}
    for name in (*stages, *model.layers):
        names.setdefault(find_layer(model, name), name)
    # in the net's order, so that layers of equal fields stand in it
    in_order = dict.fromkeys(model.layers[name] for name in model.layers)
    return tuple(names[path] for path in in_order)


def _choose_drawn(
    model: ZooModel, fields: tuple[ReceptiveField, ...], wanted: Sequence[str]
) -> tuple[ReceptiveField, ...]:
    stages = () if wanted else select_layers(model, [list_stages(model)])
    chosen = [field for field in fields if not stages or field.layer in stages]
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
    return place, f"unit ({row}, {column}) of {deepest.layer} and those nearest to it"


def _describe_unit(field: ReceptiveField, unit: Unit) -> DrawnUnit:
    return DrawnUnit(
        position=unit if field.map_size else None,
        box=find_box(field, *unit, clip=False),
        seen=find_box(field, *unit),
    )


def _describe_share(field: ReceptiveField, unit: Unit) -> str:
    share = _area(find_box(field, *unit)) / (field.input_size[0] * field.input_size[1])
    seen = "the whole image" if share == 1 else f"{_show_share(share)} of the image"
    return f"unit {unit}: {seen}" if field.map_size else seen


def _describe_corner(field: ReceptiveField) -> str:
    outside = 1 - _area(_cut(field)) / _area(find_box(field, 0, 0, clip=False))
    if not outside:
        return "lies inside the image"
    return f"starts at {show_pair(field.offset)}, {_show_share(outside)} is outside"


def _cut(field: ReceptiveField) -> tuple[int, int, int, int]:
    """Cut the corner unit's field at the image's edges."""
    top, left, bottom, right = find_box(field, 0, 0, clip=False)
    height, width = field.input_size
    return max(top, 0), max(left, 0), min(bottom, height), min(right, width)


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _show_share(share: float) -> str:
    if 0 < share < 0.001:
        return "< 0.1%"
    return f"{share:.0%}" if 0.01 <= share <= 0.99 or share in (0, 1) else f"{share:.1%}"


def _show_field(field: ReceptiveField) -> str:
    return ("" if field.exact else "at most ") + f"{show_size(field.size)} px"


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


def show_photo(model: ZooModel, photo: Path) -> Array:
    """Read a photo as the net sees it: (S, S, 3), 0..1; grey for a net that sees grey."""
    pixels = model.read(photo)
    seen = model.preprocessing.denormalise(model.preprocessing.normalise(pixels)).clamp(0, 1)
    array: Array = seen[0].permute(1, 2, 0).numpy()
    return array


SOURCE = (
    "from the recorded graph; size, stride and offset as in Araujo, Norris & Sim 2019 "
    "(Distill, doi 10.23915/distill.00021)"
)


def make_receptive_gallery(
    model: ZooModel,
    photo: Path,
    folder: Path,
    settings: ReceptiveSettings | None = None,
    command: str = "",
) -> ReceptiveManifest:
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
    exhibit = make_exhibit(model, settings)
    seen = show_photo(model, photo)
    title = f"{model.title}: receptive fields"
    caption = f"{model.title} at {model.input_size} px, photo: {name_photo(photo)}"
    with write_folder(folder) as staging:
        manifest = ReceptiveManifest(
            vizcnn=__version__,
            command=command,
            title=title,
            net=Net(model=model.name, title=model.title, weights=describe_weights(model)),
            input_size=(model.input_size, model.input_size),
            photo=name_source(photo),
            sha256=photo_sha256(photo),
            place=exhibit.where,
            figures=tuple(
                _draw_figures(exhibit, seen, caption, title, staging, settings.figure_format)
            ),
            layers=exhibit.describe_layers(),
            settings={**asdict(settings), "input_size": model.input_size, "net": model.options},
            versions=list_versions(),
        )
        write_gallery(manifest, staging)
    return manifest


def _draw_figures(
    exhibit: ReceptiveExhibit, photo: Array, caption: str, title: str, folder: Path, kind: str
) -> Iterable[PageFigure]:
    around, corner = exhibit.list_boxes(corner=False), exhibit.list_boxes(corner=True)
    names = ", ".join(box.name for box in around)
    yield _save(
        draw_fields(photo, around, title, _write_caption(exhibit.where, caption, around, photo)),
        folder / f"fields.{kind}",
        "On the photo",
        f"Nested boxes on the photo: {names}",
        f"What {exhibit.where} can see, layer by layer.",
    )
    words = _write_caption("unit (0, 0) of each layer", caption, corner, photo)
    padded = any(min(box.box) < 0 for box in corner)
    yield _save(
        draw_fields(photo, corner, f"{title} at the corner", words, led_from="bottom"),
        folder / f"corner.{kind}",
        "At the corner",
        f"Boxes of the units in the upper left corner: {names}",
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


def _save(figure: Figure, path: Path, title: str, text: str, note: str) -> PageFigure:
    save_figure(figure, path)
    return PageFigure(title=title, file=path.name, text=text, note=note)
