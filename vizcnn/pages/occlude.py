"""``vizcnn occlude``: what a unit and a class lose while a square is moved over a photo."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.attribution.filling import check_filling, describe_filling, fill_photo
from vizcnn.attribution.question import Question, ask, search_class_layer
from vizcnn.basics.codec import RelativeFile
from vizcnn.basics.errors import LayerError, UnsupportedOperationError
from vizcnn.basics.kept_parts import KeptParts, keep_parts
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.occlusion_figures import OcclusionRow, ShownProjection, draw_occlusion
from vizcnn.drawing.tiles import cut_box, enlarge, scale_projections
from vizcnn.drawing.words import percent, show_number
from vizcnn.gallery.manifest import Failure, Manifest, Photo, Results
from vizcnn.measures.occlusion_maps import (
    Drop,
    Grid,
    MethodAgreement,
    OcclusionMaps,
    compare_pictures,
    find_drop,
    measure_occlusion,
    place_grid,
)
from vizcnn.mining.index import hash_pixels
from vizcnn.pages.other_photos import OtherPhoto, OtherPhotos, open_other_photos
from vizcnn.pages.page import (
    Drawing,
    OutputFile,
    describe_causes,
    describe_photo,
    describe_run,
    save_files,
    use_photos,
    warn_of_cuts,
    write_page,
)
from vizcnn.photos.framing import Framing
from vizcnn.photos.images import read_photo
from vizcnn.photos.pixels import Array, Box
from vizcnn.photos.samples import name_distinctly
from vizcnn.photos.stored import PhotoFile
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import Position
from vizcnn.recording.layers import find_layer, select_stages, spell_layer
from vizcnn.zoo.classification import check_logits
from vizcnn.zoo.model import ZooModel, find_class, find_true_class

PHOTO_SIDE = 640
"""Side in pixels that photos are enlarged to, at most, by whole pixels."""
ROWS = 3
"""Photos in a figure, as in the paper's."""
COMPANY = 8
"""Other active units of the place that own parts are found from, at most."""
METHOD = "deconvnet"
"""Method of the projections that are shown, the paper's."""

Basis = Literal["asked for", "the photo's folder", "predicted"]


@dataclass(frozen=True, kw_only=True)
class OccludeSettings:
    """What to hide, and what to look at.

    Attributes:
        layer: Canonical name or module path; the net's last stage (conv5 in most) when None.
        unit: Number of the unit; the strongest of each photo when None.
        position: ``"max"`` or (row, column) in the feature map.
        class_name: Name or number of the class; when None the one that the photo's folder names,
            or else the most probable.
        side: Side of the square in pixels; an eighth of the photo's shorter side when None.
        stride: Pixels from one place to the next; a quarter of the side when None.
        fill: What the square is filled with (:func:`~vizcnn.attribution.filling.check_filling`).
        others: How many other photos of the unit to show from an index, at most.
        figure_format: Format of the figures.

    Raises:
        ImageError: If the filling is not known.
    """

    layer: str | None = None
    unit: int | None = None
    position: Position = "max"
    class_name: str | None = None
    side: int | None = None
    stride: int | None = None
    fill: str = "grey"
    others: int = 3
    figure_format: FigureFormat = "png"

    def __post_init__(self) -> None:
        check_filling(self.fill)


@dataclass(frozen=True, kw_only=True)
class ClassRegion:
    """A class that is the most probable with the square in some places.

    Attributes:
        number: Its number.
        name: Its name.
        share: Share of the places.
    """

    number: int
    name: str
    share: float


@dataclass(frozen=True, kw_only=True)
class OccludedPhoto:
    """What was found on one photo.

    Attributes:
        unit: Number of the unit.
        unit_name: The class that it stands for, in the layer of the classes.
        position: Row and column in the feature map; None in a layer without places.
        box: Receptive field in pixels: top, left, bottom, right.
        class_number: Number of the class.
        class_name: Its name.
        class_basis: Where it is from.
        predicted: Name of the most probable class of the untouched photo.
        side: Side of the squares in pixels.
        stride: Pixels from one to the next.
        places: Rows and columns of squares.
        total: The unit's map, summed; None in a layer without places.
        value: The unit's value at its place.
        probability: Probability of the class.
        regions: The classes that are the most probable somewhere, the largest first.
        agreements: Rank correlations of the unit's drops with pictures.
        other_unit: Number of the other unit of these; None where no other is active there.
        compared: How many squares they were found from.
        compared_whole: Whether these lie in the receptive field; else they reach into it.
        left_out: Methods that the net does not allow, and why.
        others: Photos of column (c), from the index.
        unprojected: What is missing in column (c), and why.
        computed: How the passes were computed.
        arrays: File of the maps: total, value, probability, best, rows and columns of the centres.
        used: What of the photo was used, and how, in words.
    """

    unit: int
    unit_name: str
    position: tuple[int, int] | None
    box: tuple[int, int, int, int]
    class_number: int
    class_name: str
    class_basis: Basis
    predicted: str
    side: int
    stride: int
    places: tuple[int, int]
    total: Drop | None
    value: Drop
    probability: Drop
    regions: tuple[ClassRegion, ...]
    agreements: tuple[MethodAgreement, ...]
    other_unit: int | None
    compared: int
    compared_whole: bool
    left_out: tuple[Failure, ...]
    others: tuple[OtherPhoto, ...]
    unprojected: str
    computed: str
    arrays: RelativeFile
    used: str = ""


@dataclass(frozen=True, kw_only=True)
class OccludeResults(Results):
    """Photos with squares hidden.

    Attributes:
        layer: The unit's layer.
        photos: The photos, in the order of the run's.
        choices: What was chosen, and what the paper does not state.
        index: File name of the index that other photos are from; empty without one.
    """

    kind: ClassVar[str] = "occlude"
    layer: str
    photos: tuple[OccludedPhoto, ...]
    choices: tuple[str, ...]
    index: str = ""


@dataclass(frozen=True)
class OccludedMaps:
    """A photo's maps, with what the figure shows.

    Attributes:
        section: What the manifest says.
        row: What the figure needs.
        files: The photo's files.
        image: File of the photo as the net sees it.
    """

    section: OccludedPhoto
    row: OcclusionRow
    files: tuple[OutputFile, ...]
    image: RelativeFile


def make_occlude_gallery(
    model: ZooModel,
    photos: Sequence[PhotoFile],
    folder: Path,
    settings: OccludeSettings | None = None,
    command: str = "",
    index: Path | None = None,
    data: Sequence[PurePath] = (),
    progress: Progress = silent,
) -> Manifest[OccludeResults]:
    """Move a square over photos and write pictures, index.html and manifest.json.

    Each photo's maps are kept as soon as they are measured: a run that was stopped goes on with
    them.

    Args:
        model: A net of the zoo.
        photos: Photo files; those that cannot be read are listed, the others go through.
        folder: Where the page goes; complete or untouched.
        settings: What to hide, and what to look at.
        command: The command that repeats the run.
        index: Index of ``vizcnn mine`` or a gallery, for the unit's other strongest photos.
        data: The photos that it was mined from.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        VizcnnError: If no photo can be read, or the settings do not fit the net, or the index does
            not fit net and photos.
    """
    settings = settings or OccludeSettings()
    others = open_other_photos(model, index, data)
    layer = _choose_layer(model, settings.layer)
    names = name_distinctly(photos)
    failures: list[Failure] = []
    framings: dict[str, Framing] = {}
    uses: dict[str, str] = {}

    def read(path: PhotoFile) -> Tensor:
        photo = read_photo(path)
        framings[names[path]] = model.preprocessing.frame(photo)
        uses[names[path]] = model.preprocessing.describe_use(photo)
        return model.read(photo)

    measured: list[OccludedMaps] = []
    used: list[Photo] = []
    causes = _list_causes(model, settings)
    with (
        keep_parts(folder, causes) as parts,
        write_folder(folder, held=True) as staging,
    ):
        for path, pixels in use_photos(photos, read, failures, "occlude", progress):
            found = measure(
                model,
                pixels,
                layer,
                settings,
                find_true_class(model, path),
                f"photo-{len(measured) + 1:03d}",
                parts,
                others,
                progress,
            )
            name = names[path]
            section = replace(found.section, used=uses[name])
            found = replace(
                found,
                section=section,
                row=replace(found.row, name=f"{name} · {describe_row(section, layer)}"),
            )
            save_files(found.files, staging)
            measured.append(replace(found, files=()))
            used.append(describe_photo(path, found.image, name))
        warn_of_cuts(framings)
        results = OccludeResults(
            layer=layer,
            photos=tuple(found.section for found in measured),
            choices=_describe_choices(settings, measured, index),
            index="" if index is None else index.name,
        )
        title = f"{model.title} {layer}: what hiding a square takes away"
        run = describe_run(results, title, [model], settings, command, used, failures)
        rows = [found.row for found in measured]
        return write_page(run, draw(run, rows), staging, settings.figure_format)


def _list_causes(model: ZooModel, settings: OccludeSettings) -> dict[str, Any]:
    """List what a photo's maps depend on, the photo itself aside."""
    alike = replace(settings, figure_format="png", others=0)
    return describe_causes([model], [], alike)


def _choose_layer(model: ZooModel, layer: str | None) -> str:
    """Spell the layer, or choose the net's last stage."""
    if layer is not None:
        return spell_layer(model, layer)
    return select_stages(model)[-1]


def measure(
    model: ZooModel,
    pixels: Tensor,
    layer: str,
    settings: OccludeSettings,
    true_class: int | None = None,
    home: str = "photo",
    parts: KeptParts | None = None,
    others: OtherPhotos | None = None,
    progress: Progress = silent,
) -> OccludedMaps:
    """Measure one photo.

    Args:
        model: The net.
        pixels: The photo as the net sees it, (1, 3, S, S), RGB 0..1.
        layer: The unit's layer.
        settings: What to hide, and what to look at.
        true_class: Number of the photo's class, where that is known.
        home: Folder of the photo's files.
        parts: Keeps what was measured.
        others: Where the unit's other photos are.
        progress: Shows how far it is.

    Raises:
        LayerError: If layer, unit, place or class do not exist.
        ImageError: If the squares do not fit the photo.
        ModelError: If a class's score is not finite.
    """
    question, _ = ask(model, pixels, layer, settings.unit, settings.position, COMPANY)
    grid = place_grid(pixels.shape[-2], pixels.shape[-1], settings.side, settings.stride)
    logits = model.logits(pixels)
    check_logits(logits, model.name)
    predicted = int(logits.argmax())
    target, basis = _choose_class(model, settings, true_class, predicted)
    # before what takes long: an index may not fit
    shown, found, unprojected = _project(question, others, settings.others)

    def compute() -> Mapping[str, NDArray[Any]]:
        maps = measure_occlusion(question, target, grid, settings.fill, progress)
        return maps.to_arrays()

    key = hash_pixels((pixels[0].cpu() * 255).round().to(torch.uint8)).hex()
    unit = int(question.units)
    name = f"{key} {layer} {unit} {question.position} {target}"
    maps = OcclusionMaps.from_arrays(
        compute() if parts is None else parts.get(name, compute)  # type: ignore[arg-type]
    )
    agreements = compare_pictures(question, maps.value, maps.whole_value, grid)
    numbers, counts = np.unique(maps.best, return_counts=True)
    regions = [
        ClassRegion(number=number, name=_name(model, number), share=count / maps.best.size)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
    ]
    section = OccludedPhoto(
        unit=unit,
        unit_name=_name_unit(model, pixels, layer, unit),
        position=question.position if question.has_places else None,
        box=question.box,
        class_number=target,
        class_name=_name(model, target),
        class_basis=basis,
        predicted=_name(model, predicted),
        side=grid.side,
        stride=grid.stride,
        places=grid.shape,
        total=find_drop(maps.total, maps.whole_total, grid, question.box)
        if question.has_places
        else None,
        value=find_drop(maps.value, maps.whole_value, grid, question.box),
        probability=find_drop(maps.probability, maps.whole_probability, grid, question.box),
        regions=tuple(sorted(regions, key=lambda region: (-region.share, region.number))),
        agreements=agreements.methods,
        other_unit=agreements.other,
        compared=agreements.squares,
        compared_whole=agreements.whole_squares,
        left_out=tuple(Failure(source=name, error=why) for name, why in agreements.left_out),
        others=tuple(found),
        unprojected=unprojected,
        computed=maps.computed,
        arrays=f"{home}/maps.npz",
    )
    photo = _to_image(pixels[0])
    square = _choose_square(maps, grid)
    row = OcclusionRow(
        name="",
        hidden=_hide(model, pixels, settings.fill, square),
        square=square,
        box=question.box,
        grid=grid,
        maps=(maps.total if question.has_places else None, maps.value, maps.probability),
        wholes=(maps.whole_total, maps.whole_value, maps.whole_probability),
        best=maps.best,
        names={region.number: region.name for region in regions},
        target=target,
        projections=shown,
        unprojected=unprojected,
    )
    image = f"{home}/photo.png"
    rows, columns = (np.array(starts) + grid.side / 2 for starts in (grid.tops, grid.lefts))
    arrays: dict[str, NDArray[Any]] = {
        "total": maps.total,
        "value": maps.value,
        "probability": maps.probability,
        "best": maps.best,
        "rows": rows,
        "columns": columns,
    }
    files = (OutputFile(image, enlarge(photo, PHOTO_SIDE)), OutputFile(section.arrays, arrays))
    return OccludedMaps(section, row, files, image)


def _choose_class(
    model: ZooModel, settings: OccludeSettings, true_class: int | None, predicted: int
) -> tuple[int, Basis]:
    if settings.class_name is not None:
        return find_class(model, settings.class_name), "asked for"
    if true_class is not None:
        return true_class, "the photo's folder"
    return predicted, "predicted"


def _name(model: ZooModel, number: int) -> str:
    return model.classes[number] if number < len(model.classes) else f"class {number}"


def _name_unit(model: ZooModel, pixels: Tensor, layer: str, unit: int) -> str:
    """Name a unit that is a class; empty for others."""
    try:
        classes = find_layer(model, search_class_layer(model, pixels))
    except LayerError:
        return ""
    return _name(model, unit) if find_layer(model, layer) == classes else ""


def _choose_square(maps: OcclusionMaps, grid: Grid) -> Box:
    """Give the square where the unit falls most."""
    row, column = np.unravel_index(int(maps.value.argmin()), grid.shape)
    top, left = grid.tops[int(row)], grid.lefts[int(column)]
    return top, left, top + grid.side, left + grid.side


def _hide(model: ZooModel, pixels: Tensor, filling: str, square: Box) -> Array:
    top, left, bottom, right = square
    hidden = pixels.float().cpu().clone()
    filled = fill_photo(model, hidden, filling, bottom - top)
    hidden[..., top:bottom, left:right] = filled[..., top:bottom, left:right]
    return _to_image(hidden[0])


def _to_image(pixels: Tensor) -> Array:
    image: Array = pixels.float().cpu().clamp(0, 1).permute(1, 2, 0).numpy()
    return image


def _project(
    question: Question, others: OtherPhotos | None, count: int
) -> tuple[tuple[ShownProjection, ...], list[OtherPhoto], str]:
    """Project the unit here and in its other strongest photos, for column (c)."""
    unit, layer = int(question.units), question.layer
    found = [] if others is None else others.find(layer, unit, question.pixels, count)
    try:
        projector = Projector(question.model, METHOD)
        here: Position = question.position if question.has_places else "max"
        images = [_cut(projector.project(question.pixels, layer, unit, here))]
        for pixels, told in found:
            there: Position = told.position if told.position and question.has_places else "max"
            images.append(_cut(projector.project(pixels, layer, unit, there)))
    except UnsupportedOperationError as error:
        return (), [told for _, told in found], f"no projection: {error}"
    shown = scale_projections(images, "unit")
    words = ""
    if others is None:
        words = "other photos: with an index"
    elif not found:
        words = "the index holds no other photo of it"
    return (
        tuple(ShownProjection(image, number == 0) for number, image in enumerate(shown)),
        [told for _, told in found],
        words,
    )


def _cut(projection: Projection) -> Array:
    """Cut a projection to its receptive field, (h, w, 3)."""
    top, left, bottom, right = projection.boxes[0].tolist()
    pixels: Array = projection.pixels[0].detach().float().cpu().permute(1, 2, 0).numpy()
    return cut_box(pixels, (top, left, bottom, right))


def describe_row(section: OccludedPhoto, layer: str) -> str:
    """Say in a line which unit and class a row is about.

    Where the class is the net's own guess that is said.
    """
    place = "" if section.position is None else f" at {section.position}"
    unit = f"{layer} unit {section.unit}{place}"
    unit += f" ({section.unit_name})" if section.unit_name else ""
    why = {
        "asked for": "as asked for",
        "the photo's folder": "by the photo’s folder",
        "predicted": "the most probable, as the photo’s folder names no class",
    }[section.class_basis]
    return f"{unit} · class {section.class_name}, {why}"


def _describe_choices(
    settings: OccludeSettings, measured: Sequence[OccludedMaps], index: Path | None
) -> tuple[str, ...]:
    first = measured[0].section
    rows, columns = first.places
    filled = describe_filling(check_filling(settings.fill), first.side)
    ways = sorted({found.section.computed for found in measured})
    return (
        f"Squares of {first.side} × {first.side} px every {first.stride} px, {rows} × {columns} "
        f"places, filled with {filled}. Zeiler & Fergus state neither side nor step of their "
        "square, nor its grey: these are our choice, by default an eighth of the photo, a quarter "
        "of the square, and mid grey.",
        "Maps are by the square’s centre: one whose upper left pixel is (r, c) has it at "
        "(r + side / 2, c + side / 2), where pixel r reaches from r to r + 1. All squares lie in "
        "the photo as a whole, the last flush with its edge, so that each hides as much; no centre "
        "is nearer to the edge than half a side, and the maps are blank (mid grey) there.",
        "What a square adds to the photo, its edges and colour, counts as well.",
        "Projections are by the deconvnet, in the receptive field, each at its own contrast. "
        + (
            f"Other photos are the unit’s strongest in {index.name}."
            if index
            else "No index was given (--index), so that the unit’s other strongest photos are not "
            "shown."
        ),
        f"Computed: {'; '.join(ways)}. A window is what the square changes of a feature map: only "
        "this is computed anew, layer by layer; three places are checked against full passes.",
    )


def draw(run: Manifest[OccludeResults], rows: Sequence[OcclusionRow]) -> Iterator[Drawing]:
    """Draw the photos, a few to a figure."""
    results, (net,) = run.results, run.nets
    words = [
        f"{net.title}, {net.weights.describe()}",
        results.choices[0].partition(". ")[0],
        "maps by the square’s centre, each at its own scale: smallest value dark, largest bright",
        "(c) deconvnet, each at its own contrast",
        "(e) share of the squares; bold: the class of (d)",
        "after Zeiler & Fergus 2013, Figure 7, who state neither side nor step",
    ]
    groups = [rows[first : first + ROWS] for first in range(0, len(rows), ROWS)]
    for number, group in enumerate(groups):
        ending = f"-{number + 1}" if len(groups) > 1 else ""
        yield Drawing(
            f"occlusion{ending}",
            "Photos with a square hidden" + (f", {number + 1}" if ending else ""),
            "A row for each photo: photo with the square, sum of the unit's map, its value, its "
            "projections, probability of the class, most probable class",
            _draw_later(group, run.title, " · ".join(words)),
            "Columns as in Figure 7 of Zeiler & Fergus. Dark: the quantity is small with the "
            "square there. "
            + " ".join(
                _tell(photo) for photo in results.photos[number * ROWS : (number + 1) * ROWS]
            ),
        )


def _draw_later(rows: Sequence[OcclusionRow], title: str, caption: str) -> Callable[[], Any]:
    return lambda: draw_occlusion(rows, title, caption)


def _tell(photo: OccludedPhoto) -> str:
    """Say in a sentence what hiding did to a photo's class."""
    drop = photo.probability
    before = f"p({photo.class_name}) is {percent(drop.whole)}"
    if drop.centre is None:
        return f"{before}, and falls nowhere."
    row, column = drop.centre
    return (
        f"{before}, and at least {percent(max(drop.whole - drop.drop, 0.0))}, with the square at "
        f"({show_number(row)}, {show_number(column)})."
    )
