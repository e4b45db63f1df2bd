"""``vizcnn compare``: one unit of each photo by every method, with what speaks for each method."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vizcnn.attribution.attributions import ATTRIBUTIONS, Attribution, find_attributions
from vizcnn.attribution.cams import UPSAMPLING, find_cam_layer
from vizcnn.attribution.gradients import GRADIENT_X_INPUT, measure_completeness
from vizcnn.attribution.occlusion import choose_squares, list_squares, measure_drops
from vizcnn.attribution.question import (
    AttributionSettings,
    Question,
    ask,
    search_class_layer,
)
from vizcnn.basics.codec import RelativeFile
from vizcnn.basics.errors import (
    LayerError,
    UnsupportedOperationError,
    VizcnnError,
)
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.method_grid import GridColumn, GridRow, draw_method_grid, show_map
from vizcnn.drawing.tiles import ROBUST_PERCENTILE, cut_box, enlarge
from vizcnn.drawing.words import show_number
from vizcnn.gallery.manifest import Failure, Manifest, Photo, Results
from vizcnn.measures.agreement import find_magnitudes, find_similarity
from vizcnn.measures.method_evidence import ShuffledNet, agree_with_drops, find_selectivity
from vizcnn.pages.page import (
    Drawing,
    OutputFile,
    describe_photo,
    describe_run,
    name_large,
    save_files,
    use_photos,
    warn_of_cuts,
    write_page,
)
from vizcnn.photos.framing import Framing
from vizcnn.photos.images import read_photo
from vizcnn.photos.pixels import Array
from vizcnn.photos.samples import name_distinctly
from vizcnn.photos.stored import PhotoFile
from vizcnn.projection.active_units import Compare, check_compare
from vizcnn.projection.targets import Position
from vizcnn.recording.layers import find_layer, spell_layer
from vizcnn.zoo.model import ZooModel, find_class

PHOTO_SIDE = 640
"""Side in pixels that photos are enlarged to, at most, by whole pixels."""
MOST_ROWS = 12
"""Photos in the figure; all are in the table."""


@dataclass(frozen=True, kw_only=True)
class CompareSettings(AttributionSettings):
    """What to compare.

    Attributes:
        layer: Canonical name or module path; the layer of the classes when None.
        unit: Number of the unit; the strongest of each photo when None.
        class_name: Name or number of a class, in the place of layer and unit.
        position: ``"max"`` or (row, column) in the feature map.
        methods: Names of methods; all that the net allows when empty.
        compare: How many other active units of the place a unit is compared with, at most, or
            ``"all"``.
        seed: Of the shuffled weights.
        figure_format: Format of the figure.
        save_arrays: Whether to keep the raw values.

    Raises:
        VizcnnError: If a method is not known, or a choice makes no sense.
    """

    layer: str | None = None
    unit: int | None = None
    class_name: str | None = None
    position: Position = "max"
    methods: tuple[str, ...] = ()
    compare: Compare = 8
    seed: int = 0
    figure_format: FigureFormat = "png"
    save_arrays: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        find_attributions(self.methods)
        check_compare(self.compare)
        if self.class_name is not None and (self.layer is not None or self.unit is not None):
            raise LayerError(
                "a class is a unit of the net's last layer: give --class, or --layer and --unit"
            )


@dataclass(frozen=True, kw_only=True)
class MethodNumbers:
    """What was measured of a method: on one photo, or the medians over photos.

    Attributes:
        selectivity: 0: the picture that the active units of the place share; 1: nothing of it is
            shared. None where there is no other active unit, or no picture.
        shuffled: Structural similarity (SSIM) of the picture's magnitudes to those of the net whose
            upper half of layers has shuffled weights; None where there is no picture, or it is
            smaller than SSIM's window of 7 px.
        agreement: Rank correlation, over hidden squares in the receptive field, of the drop of the
            same unit with the sum of the map in the square (of pictures, of their magnitudes).
        control: The same with the drop of another active unit of the place.
        seconds: What the picture of one unit takes on this machine, with its forward pass.
    """

    selectivity: float | None
    shuffled: float | None
    agreement: float | None
    control: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class MethodMap:
    """What a method says of a photo's unit.

    Attributes:
        method: Name of the method.
        limit: Absolute value that is shown at full contrast.
        numbers: What was measured.
        completeness_error: Of integrated gradients: by which share the sum of the map misses the
            unit's value minus that for the plain image.
        image: Image of the map in the receptive field.
        large: The same, enlarged by whole pixels; None where it is large enough.
    """

    method: str
    limit: float
    numbers: MethodNumbers
    completeness_error: float | None
    image: RelativeFile
    large: RelativeFile | None = None


@dataclass(frozen=True, kw_only=True)
class ComparedPhoto:
    """A photo's unit by every method.

    Attributes:
        unit: Number of the unit.
        name: The class that it stands for, in the layer of the classes.
        activation: Its value.
        position: Row and column in the feature map; None in a layer without places.
        box: Receptive field in pixels: top, left, bottom, right.
        active: How many units are active at the place.
        compared: Numbers of those that selectivity and own parts were found from.
        control: The unit whose drop is the control; None where no other is active.
        stand_in: The unit of the shuffled net: the same, or the next that is active there; None if
            none is.
        maps: What each method says.
        patch: Image of the photo in the receptive field.
        large_patch: The same enlarged, as the maps.
        width_px: Width of all images in pixels.
        height_px: Their height.
        arrays: File of the raw values.
        used: What of the photo was used, and how, in words.
    """

    unit: int
    name: str
    activation: float
    position: tuple[int, int] | None
    box: tuple[int, int, int, int]
    active: int
    compared: tuple[int, ...]
    control: int | None
    stand_in: int | None
    maps: tuple[MethodMap, ...]
    patch: RelativeFile
    large_patch: RelativeFile | None = None
    width_px: int
    height_px: int
    arrays: RelativeFile | None = None
    used: str = ""


@dataclass(frozen=True, kw_only=True)
class ComparedMethod:
    """A method of the comparison.

    Attributes:
        name: What users call it.
        title: Its name on figures.
        source: The paper, and what was chosen.
        colours: Whether it gives pictures, with a value for each colour.
        medians: Medians over the photos, of those where there is a number.
    """

    name: str
    title: str
    source: str
    colours: bool
    medians: MethodNumbers


@dataclass(frozen=True, kw_only=True)
class CompareResults(Results):
    """Photos by methods.

    Attributes:
        layer: The units' layer.
        methods: The columns.
        photos: The rows, in the order of the run's photos.
        left_out: Methods that make no sense for the net or layer, and why.
        choices: How hidden squares, plain images and shuffled weights were chosen, in words.
    """

    kind: ClassVar[str] = "compare"
    layer: str
    methods: tuple[ComparedMethod, ...]
    photos: tuple[ComparedPhoto, ...]
    left_out: tuple[Failure, ...]
    choices: tuple[str, ...]


@dataclass
class Columns:
    """The methods of a run: those that make no sense for the net leave at the first photo.

    Attributes:
        methods: Those that are left.
        asked_for: Whether they were asked for by name; then none may leave.
        left_out: Those that left, and why.
        settled: Whether a photo has been through them all.
    """

    methods: tuple[Attribution, ...]
    asked_for: bool
    left_out: list[Failure] = field(default_factory=list)
    settled: bool = False

    def leave_out(self, method: Attribution, error: VizcnnError) -> None:
        """Leave a method out.

        Raises:
            VizcnnError: If it was asked for by name, is the last, or answered on another photo.
        """
        told = " ".join(method.title.split())
        if self.asked_for or self.settled or len(self.methods) == 1:
            raise type(error)(f"{told}: {error}") from None
        self.methods = tuple(other for other in self.methods if other is not method)
        self.left_out.append(Failure(source=told, error=str(error)))


@dataclass
class _Target:
    """Which unit of a photo is looked at: a class, or a unit of a layer."""

    model: ZooModel
    settings: CompareSettings
    classes: str | None = None

    @property
    def layer(self) -> str:
        """The units' layer, known after the first photo."""
        if self.settings.layer:
            return spell_layer(self.model, self.settings.layer)
        return self.classes or ""

    def ask(self, pixels: Tensor) -> tuple[Question, float]:
        """Ask about a photo's unit; gives the unit's value too."""
        settings, unit = self.settings, self.settings.unit
        if self.classes is None:
            try:
                self.classes = search_class_layer(self.model, pixels)
            except LayerError:
                if settings.layer is None:
                    raise
                self.classes = ""
        if settings.class_name is not None:
            unit = find_class(self.model, settings.class_name)
        return ask(self.model, pixels, self.layer, unit, settings.position, settings.compare)

    def name(self, unit: int) -> str:
        """Name a unit that is a class; empty for others."""
        paths = [find_layer(self.model, layer) for layer in (self.layer, self.classes) if layer]
        return self.model.classes[unit] if len(paths) == 2 and paths[0] == paths[1] else ""


def make_compare_page(
    model: ZooModel,
    photos: Sequence[PhotoFile],
    settings: CompareSettings,
    folder: Path,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[CompareResults]:
    """Compare methods on photos and write pictures, index.html and manifest.json.

    Args:
        model: A net of the zoo.
        photos: Photo files; those that cannot be read are listed, the others go through.
        settings: What to compare.
        folder: Where the page goes; complete or untouched.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        VizcnnError: If no photo can be read, or the settings do not fit the net.
    """
    rows: list[GridRow] = []
    found: list[ComparedPhoto] = []
    used: list[Photo] = []
    failures: list[Failure] = []
    columns = Columns(find_attributions(settings.methods), bool(settings.methods))
    framings: dict[str, Framing] = {}
    uses: dict[str, str] = {}
    versions = _load_captum(columns)
    target = _Target(model, settings)
    with write_folder(folder) as staging:
        names = name_distinctly(photos)

        def read(path: PhotoFile) -> Tensor:
            photo = read_photo(path)
            framings[names[path]] = model.preprocessing.frame(photo)
            uses[names[path]] = model.preprocessing.describe_use(photo)
            return model.read(photo)

        for path, pixels in use_photos(photos, read, failures, "compare", progress):
            question, value = target.ask(pixels)
            if not found:
                if settings.cam_layer is not None:  # asked for: no method is left out for it
                    find_cam_layer(question, settings)
                # no picture's time shall hold what is loaded at the first way back
                with suppress(VizcnnError):
                    ATTRIBUTIONS["gradient"].attribute(question, settings)
                shuffled = ShuffledNet(model, target.layer, settings.seed)
            measured = measure(
                question, value, columns, shuffled, settings, f"photo-{len(found) + 1:03d}"
            )
            unit = measured.section.unit
            told = replace(
                measured.section,
                name=target.name(unit),
                used=uses[names[path]],
            )
            measured = replace(measured, section=told)
            if not found:
                choices = _describe_choices(question, columns, settings, shuffled.names)
                columns.settled = True
            save_files(measured.list_files(), staging)
            found.append(measured.section)
            used.append(describe_photo(path, measured.image, names[path]))
            if len(rows) < MOST_ROWS:
                rows.append(measured.to_row(names[path]))
        warn_of_cuts(framings)
        results = CompareResults(
            layer=target.layer,
            methods=tuple(
                _sum_up(method, [photo.maps[number].numbers for photo in found])
                for number, method in enumerate(columns.methods)
            ),
            photos=tuple(found),
            left_out=tuple(columns.left_out),
            choices=choices,
        )
        title = f"{model.title} {target.layer}: {len(columns.methods)} methods compared"
        run = describe_run(results, title, [model], settings, command, used, failures)
        run = replace(run, versions={**run.versions, **versions})
        return write_page(run, [draw(run, rows)], staging, settings.figure_format)


def _load_captum(columns: Columns) -> dict[str, str]:
    """Load Captum, if a method needs it: no picture's time shall hold that; gives its version."""
    if all(method.name != "integrated-gradients" for method in columns.methods):
        return {}
    import captum.attr

    return {"captum": str(captum.__version__)}


@dataclass(frozen=True)
class MeasuredPhoto:
    """A photo's unit by every method, with the values that are drawn.

    Attributes:
        section: What the manifest says.
        pixels: The photo as the net sees it, (S, S, 3), 0..1.
        image: File of that image.
        values: Each method's map in the receptive field, (h, w, 3 or 1), signed.
    """

    section: ComparedPhoto
    pixels: Array
    image: RelativeFile
    values: Mapping[str, Array]

    def list_files(self) -> Iterator[OutputFile]:
        """List the photo's files: images, and arrays where they were asked for."""
        section = self.section
        yield OutputFile(self.image, enlarge(self.pixels, PHOTO_SIDE))
        yield OutputFile(section.patch, cut_box(self.pixels, section.box), section.large_patch)
        for found in section.maps:
            yield OutputFile(found.image, show_map(self.values[found.method])[0], found.large)
        if section.arrays:
            yield OutputFile(section.arrays, {**self.values, "box": np.array(section.box)})

    def to_row(self, name: str) -> GridRow:
        """Give what the figure needs."""
        section = self.section
        unit = section.name or f"unit {section.unit}"
        return GridRow(
            cut_box(self.pixels, section.box),
            f"{name}\n{unit}: {show_number(section.activation)}",
            tuple(show_map(values)[0] for values in self.values.values()),
            tuple(
                f"±{show_number(found.limit)}" if found.limit else "zero everywhere"
                for found in section.maps
            ),
        )


def measure(
    question: Question,
    value: float,
    columns: Columns,
    shuffled: ShuffledNet,
    settings: CompareSettings,
    home: str = "",
) -> MeasuredPhoto:
    """Ask every method about a photo's unit, and measure what speaks for its answer.

    Args:
        question: From :func:`~vizcnn.attribution.question.ask`.
        value: The unit's value.
        columns: The methods; those that make no sense are left out.
        shuffled: The net with shuffled weights.
        settings: Choices of the methods.
        home: Folder of the photo's files.

    Raises:
        VizcnnError: If a method that was asked for makes no sense.
    """
    others = question.company[question.known :].tolist()
    # one of the others stands for all: that in the middle, by number
    control = others[len(others) // 2] if others else None
    units = [int(question.units), *([] if control is None else [control])]
    # edges of squares that reach out of the field would agree anyway
    squares = list_squares(question, settings).keep_inside(question.box)
    drops = measure_drops(
        question.model,
        question.pixels,
        question.layer,
        torch.tensor(units),
        question.position,
        squares,
        settings.fill,
    ).numpy()
    shuffled_question = shuffled.ask(question, settings.compare)
    maps: list[MethodMap] = []
    values: dict[str, Array] = {}
    for method in columns.methods:
        start = time.perf_counter()
        try:
            (whole,) = method.attribute(question, settings)
        except (LayerError, UnsupportedOperationError) as error:
            columns.leave_out(method, error)
            continue
        seconds = time.perf_counter() - start
        shown, similarity = _cut(whole, question), None
        if shuffled_question is not None:
            (after,) = method.attribute(shuffled_question, settings)
            pair = (find_magnitudes(_cut(values, question)) for values in (whole, after))
            similarity = _keep(find_similarity(*pair))
        agreements = agree_with_drops(whole.numpy(), drops, squares, question.box)
        missed = None
        if method.name == "integrated-gradients":
            (missed,) = measure_completeness(question, settings, whole[None])
        numbers = MethodNumbers(
            selectivity=find_selectivity(question, method, settings, whole),
            shuffled=similarity,
            agreement=_keep(agreements[0]),
            control=_keep(agreements[1]) if control is not None else None,
            seconds=seconds,
        )
        values[method.name] = shown.transpose(1, 2, 0)
        limit = show_map(values[method.name])[1]
        image = f"{home}/{method.name}.png"
        maps.append(
            MethodMap(
                method=method.name,
                limit=limit,
                numbers=numbers,
                completeness_error=missed,
                image=image,
                large=name_large(image, shown.shape[2], shown.shape[1]),
            )
        )
    top, left, bottom, right = question.box
    section = ComparedPhoto(
        unit=units[0],
        name="",
        activation=value,
        position=question.position if question.has_places else None,
        box=question.box,
        active=question.active,
        compared=tuple(question.company.tolist()),
        control=control,
        stand_in=None if shuffled_question is None else int(shuffled_question.units),
        maps=tuple(maps),
        patch=f"{home}/patch.png",
        large_patch=name_large(f"{home}/patch.png", right - left, bottom - top),
        width_px=right - left,
        height_px=bottom - top,
        arrays=f"{home}/arrays.npz" if settings.save_arrays else None,
    )
    pixels: Array = question.pixels[0].permute(1, 2, 0).float().cpu().numpy()
    return MeasuredPhoto(section, pixels, f"{home}/photo.png", values)


def _cut(values: Tensor, question: Question) -> Array:
    """Cut a map (C, S, S) to the receptive field."""
    top, left, bottom, right = question.box
    array: Array = values[:, top:bottom, left:right].numpy()
    return array


def _keep(value: float) -> float | None:
    return None if np.isnan(value) else value


def _sum_up(method: Attribution, numbers: Sequence[MethodNumbers]) -> ComparedMethod:
    def middle(name: str) -> float | None:
        known = [value for found in numbers if (value := getattr(found, name)) is not None]
        return median(known) if known else None

    return ComparedMethod(
        name=method.name,
        title=" ".join(method.title.split()),
        source=method.source,
        colours=method.colours,
        medians=MethodNumbers(
            selectivity=middle("selectivity"),
            shuffled=middle("shuffled"),
            agreement=middle("agreement"),
            control=middle("control"),
            seconds=median(found.seconds for found in numbers),
        ),
    )


FILLS = {
    "mean": "the colour that the net's preprocessing maps to zero",
    "black": "black",
    "grey": "mid grey",
    "white": "white",
}
"""Colours that stand for nothing, in words."""


def _describe_choices(
    question: Question,
    columns: Columns,
    settings: CompareSettings,
    shuffled: Iterable[str],
) -> tuple[str, ...]:
    side, stride = choose_squares(question, settings)
    top, left, bottom, right = question.box
    wide = side > min(bottom - top, right - left)
    fill, names = FILLS[settings.fill], {method.name for method in columns.methods}
    choices = [
        f"Occlusion: squares of {side} × {side} px every {stride} px, filled with {fill}. A pixel "
        "has the mean drop over the squares that hide it, positive where hiding it hurts. What a "
        "square adds to the photo, its edges and colour, counts as well."
        + (" None fits into the receptive field: all that reach into it are used." if wide else "")
    ]
    if "integrated-gradients" in names:
        choices.append(
            f"Integrated gradients: {settings.steps} steps from a plain image of {fill}."
        )
    if GRADIENT_X_INPUT in names:
        choices.append(
            "Gradient × input: the net's own input. That is the pixels' distance from the colour "
            "that its preprocessing maps to zero."
        )
    if names & {"grad-cam", "guided-grad-cam", "layer-cam"}:
        choices.append(
            f"Class activation maps: of {find_cam_layer(question, settings)}, {UPSAMPLING}. Their "
            "negative values are set to zero (ReLU), so that they say nothing of what speaks "
            "against the unit."
        )
    choices.append(
        f"Shuffled: the weights of {', '.join(shuffled)} (seed {settings.seed}). Each parameter's "
        "values change places; the photo goes through the shuffled net anew, and of a unit that is "
        "silent there the next active one stands in."
    )
    return tuple(choices)


LINES = {
    "selectivity": "selectivity",
    "shuffled": "after shuffling",
    "agreement": "with occlusion",
    "control": "another unit's",
    "seconds": "time",
}
"""What stands below the columns."""


def _show(name: str, value: float | None) -> str:
    """Write a number below a column.

    Example:
        >>> _show("agreement", -0.123), _show("seconds", 0.0123), _show("selectivity", None)
        ('−0.12', '0.01 s', '–')
    """
    if value is None:
        return "–"
    if name == "seconds":
        return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
    value = round(value, 2) + 0.0  # no minus at zero
    signed = f"{value:+.2f}" if name in ("agreement", "control") else f"{value:.2f}"
    return signed.replace("-", "−")


def draw(run: Manifest[CompareResults], rows: Sequence[GridRow]) -> Drawing:
    """Draw photos by methods, with the numbers below the columns."""
    results, (net,) = run.results, run.nets
    columns = [
        GridColumn(
            ATTRIBUTIONS[method.name].title,
            tuple(_show(name, getattr(method.medians, name)) for name in LINES),
        )
        for method in results.methods
    ]
    count, compare = len(results.photos), run.settings["compare"]
    others = "all" if compare == "all" else f"up to {compare}"
    words = [
        f"{net.title}, {net.weights.describe()}",
        f"the first {len(rows)} of {count} photos are drawn" if len(rows) < count else "",
        f"zero is mid grey, full contrast: {ROBUST_PERCENTILE} percentile of |values| above zero, "
        "± below each tile; cut to the receptive field",
        f"numbers: {'medians over all photos' if count > 1 else 'of this photo'}",
        f"selectivity: 1 − cos² with what {others} other active units of the place share",
        "after shuffling: SSIM of magnitudes with the picture of the net whose upper half is "
        "shuffled",
        "with occlusion, another unit's: rank correlation of what lies in a hidden square with "
        "the drop of this unit, and of another",
    ]
    words += [choice.partition(". ")[0].rstrip(".") for choice in results.choices]
    return Drawing(
        "methods",
        "Photos by methods",
        "A row for each photo, a column for each method: "
        + ", ".join(method.title for method in results.methods),
        draw_method_grid(
            columns, rows, tuple(LINES.values()), run.title, " · ".join(filter(None, words))
        ),
    )
