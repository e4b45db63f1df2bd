"""``vizcnn deconv``: photos projected back from their strongest units, layer by layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from jinja2 import Environment
from torch import Tensor

from vizcnn.basics.codec import RelativeFile
from vizcnn.basics.errors import ImageError, LayerError, VizcnnError
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.figures import LayerStrip, UnitPair, draw_layer, draw_overlay, draw_summary
from vizcnn.drawing.tiles import (
    Scaling,
    cut_box,
    describe_scaling,
    enlarge,
    fit_tile,
    lay_over,
    scale_projections,
)
from vizcnn.drawing.words import show_number
from vizcnn.gallery.manifest import Failure, Manifest, Photo, Results
from vizcnn.pages.page import (
    MethodSettings,
    OutputFile,
    describe_photo,
    describe_run,
    explain_nothing,
    save_files,
    write_page,
)
from vizcnn.photos.images import read_photo
from vizcnn.photos.pixels import Array, Box
from vizcnn.photos.samples import name_photo, name_source
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.methods import describe_method
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import Position
from vizcnn.recording.recording import Recording
from vizcnn.zoo.model import ZooModel

TILE_SIDE = 210
"""Side in pixels of a tile in figures: 1.4 inches at 150 pixels each."""
PHOTO_SIDE = 640
"""Side in pixels that photos and overlays are enlarged to, at most, by whole pixels."""


@dataclass(frozen=True)
class DeconvSettings(MethodSettings):
    """What to project and how to show it.

    Attributes:
        layers: Canonical names or module paths, lowest first.
        units: Unit numbers, or None for the strongest.
        top: How many of the strongest units per layer.
        position: Where in the feature map; see
            :meth:`~vizcnn.projection.deconvnet.Projector.project`.
        scaling: ``"unit"`` or ``"shared"`` contrast.
        figure_format: Format of the figures.
        save_arrays: Whether to keep the raw values.

    Raises:
        LayerError: If there is no layer, or no unit to show.
    """

    layers: tuple[str, ...] = ("conv1", "conv2", "conv3", "conv4", "conv5")
    units: tuple[int, ...] | None = None
    top: int = 9
    position: Position = "max"
    scaling: Scaling = "unit"
    figure_format: FigureFormat = "png"
    save_arrays: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layers:
            raise LayerError("no layer is named; needed: at least one, for example conv1")
        if self.top < 1:
            raise LayerError(f"the strongest {self.top} units were asked for; needed: 1 or more")


@dataclass(frozen=True, kw_only=True)
class UnitTile:
    """One unit: its projection beside the photo's patch in its receptive field.

    Attributes:
        unit: Number of the feature map, from 0.
        activation: What was projected, in the net's own units.
        position: Row and column in the feature map; None for a unit without a place.
        box: Receptive field in pixels: top, left, bottom, right, the last two exclusive.
        projection: Image of the projection, cut to the box.
        patch: Image of the photo's patch in the box, of the same size.
        width_px, height_px: Size of both images in pixels.
        name: The class that the unit stands for, in a net's last layer.
    """

    unit: int
    activation: float
    position: tuple[int, int] | None
    box: tuple[int, int, int, int]
    projection: RelativeFile
    patch: RelativeFile
    width_px: int
    height_px: int
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class LayerSection:
    """The strongest units of one layer for one photo.

    Attributes:
        name: Canonical name (``conv5``).
        path: Module path in the net.
        maps: Number of feature maps.
        map_size: Rows and columns of a feature map; None for a layer without places.
        receptive_field: Side of the receptive field in pixels, before the photo's edge cuts it;
            None where it is not a square of one size.
        tiles: The units, strongest first.
        scaling: How values became colours, in words.
        figure: The full figure (PNG, SVG or PDF).
        places: Figure of the receptive fields on the photo, beside the overlay.
        overlay: Image of all projections laid over the photo, of the photo's input size.
        arrays: File of the raw values.
        notes: What a reader should know of this layer.
    """

    name: str
    path: str
    maps: int
    map_size: tuple[int, int] | None
    receptive_field: int | None
    tiles: tuple[UnitTile, ...]
    scaling: str
    figure: RelativeFile
    places: RelativeFile
    overlay: RelativeFile
    arrays: RelativeFile | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PhotoSection:
    """What each layer sees in one of the run's photos.

    Attributes:
        size: Width and height of the original in pixels.
        predictions: Class names and probabilities in 0..1, best first.
        layers: One section per layer, in the net's order.
        figure: The whole photo as one figure (PNG, SVG or PDF).
    """

    size: tuple[int, int]
    predictions: tuple[tuple[str, float], ...]
    layers: tuple[LayerSection, ...]
    figure: RelativeFile


@dataclass(frozen=True, kw_only=True)
class DeconvResults(Results):
    """The strongest units of photos.

    Attributes:
        method: Name of the method (``deconvnet``).
        method_source: The paper and the choices made, for the page.
        photos: What was found in each photo of the run, in its order.
    """

    kind: ClassVar[str] = "deconv"
    method: str
    method_source: str
    photos: tuple[PhotoSection, ...]

    def render(self, manifest: Manifest[Any], environment: Environment) -> dict[str, str]:
        """Render one photo as the whole; several as an index of cards and a page each."""
        if len(self.photos) == 1:
            return {"index.html": self._render_photo(manifest, environment, [None])}
        links = [name_page(index) for index in range(len(self.photos))]
        pages = {
            link: self._render_photo(manifest, environment, links, index)
            for index, link in enumerate(links)
        }
        index = environment.get_template("photos.html")
        return {
            "index.html": index.render(manifest=manifest, results=self, links=links),
            **pages,
        }

    def _render_photo(
        self,
        manifest: Manifest[Any],
        environment: Environment,
        links: Sequence[str | None],
        index: int = 0,
    ) -> str:
        section = self.photos[index]
        return environment.get_template("photo.html").render(
            manifest=manifest,
            results=self,
            photo=manifest.photos[index],
            section=section,
            number=index + 1,
            previous=links[index - 1] if index > 0 else None,
            next=links[index + 1] if index + 1 < len(links) else None,
            scalings=list(dict.fromkeys(layer.scaling for layer in section.layers)),
        )


def show_activation(value: float) -> str:
    """Write a unit's activation: zero is silence, and what is below zero says so.

    Example:
        >>> [show_activation(value) for value in (3.0, 0.0, -2.5)]
        ['3.00', 'silent', '-2.50, below zero']
    """
    if value == 0:
        return "silent"
    return show_number(value) + (", below zero" if value < 0 else "")


def name_page(index: int) -> str:
    """Name a photo's page.

    Example:
        >>> name_page(0)
        'photo-001.html'
    """
    return f"photo-{index + 1:03}.html"


@dataclass(frozen=True)
class MeasuredLayer:
    """A layer's units with the pixels that are drawn; one entry per unit.

    Attributes:
        section: What the manifest says.
        projection: The raw projections.
        whole: Projections over the whole input, (S, S, 3), signed.
        projections: Projections in their receptive fields, 0..1.
        patches: The photo in the same boxes, 0..1.
    """

    section: LayerSection
    projection: Projection
    whole: tuple[Array, ...]
    projections: tuple[Array, ...]
    patches: tuple[Array, ...]

    def to_strip(self) -> LayerStrip:
        """Give what a figure needs."""
        pairs = tuple(
            UnitPair(
                fit_tile(image, TILE_SIDE),
                fit_tile(patch, TILE_SIDE),
                f"{tile.name or f'unit {tile.unit}'}\n{show_activation(tile.activation)}",
            )
            for image, patch, tile in zip(
                self.projections, self.patches, self.section.tiles, strict=True
            )
        )
        maps, size = self.section.maps, self.section.map_size
        words = f"{maps} maps, {size[0]} × {size[1]}" if size else f"{maps} units"
        height, width = self.projection.field
        return LayerStrip(self.section.name, f"{words}\nsees {height} × {width} px", pairs)


@dataclass(frozen=True)
class MeasuredPhoto:
    """A photo's units with the pixels that are drawn.

    Attributes:
        section: What the manifest says.
        name: Short name, for titles.
        title: Title of the net.
        caption: Method, weights and scaling.
        pixels: What the net saw, (S, S, 3), 0..1.
        image: File of that image.
        layers: The layers, in the net's order.
    """

    section: PhotoSection
    name: str
    title: str
    caption: str
    pixels: Array
    image: str
    layers: tuple[MeasuredLayer, ...]


def make_deconv_gallery(
    model: ZooModel,
    photos: Sequence[Path],
    settings: DeconvSettings,
    folder: Path,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[DeconvResults]:
    """Project each photo's strongest units and write pictures, index.html and manifest.json.

    Args:
        model: A net of the zoo.
        photos: Photo files; those that cannot be read are listed, the others go through.
        settings: What to project.
        folder: Where the gallery goes; complete or untouched.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        VizcnnError: If no photo can be read, or the settings do not fit the net.
    """
    found: list[PhotoSection] = []
    used: list[Photo] = []
    failures: list[Failure] = []
    projector = settings.attach(model)
    with write_folder(folder) as staging:
        for path in progress(photos, label="project", total=len(photos), unit="photo"):
            # photo by photo: the pixels of many would not fit the memory
            try:
                photo = measure(projector, model, path, settings, f"photo-{len(found) + 1:03d}")
            except ImageError as error:
                failures.append(Failure(source=name_source(path), error=str(error)))
                continue
            save_files(draw(photo), staging)
            found.append(photo.section)
            used.append(describe_photo(path, photo.image))
        if not found:
            raise VizcnnError(explain_nothing(failures))
        results = DeconvResults(
            method=projector.method.name,
            method_source=describe_method(projector.method),
            photos=tuple(found),
        )
        run = describe_run(results, model.title, [model], settings, command, used, failures)
        return write_page(run, (), staging, settings.figure_format)


def measure(
    projector: Projector, model: ZooModel, path: Path, settings: DeconvSettings, home: str = ""
) -> MeasuredPhoto:
    """Project a photo's units.

    Args:
        projector: The method, attached to the net.
        model: The net.
        path: The photo.
        settings: What to project and how to show it.
        home: Folder of the photo's files.

    Raises:
        ImageError: If the photo cannot be read.
        LayerError: If a layer, unit or position does not exist.
    """
    original = read_photo(path)
    pixels = model.read(original)
    photo = _to_array(pixels[0])
    recording = projector.record(pixels, settings.layers)
    layers = tuple(
        _measure_layer(projector, model, recording, photo, layer, settings, home)
        for layer in settings.layers
    )
    return MeasuredPhoto(
        section=PhotoSection(
            size=original.size,
            predictions=tuple(model.classify(pixels)[0]),
            layers=tuple(layer.section for layer in layers),
            figure=f"{home}/summary.{settings.figure_format}",
        ),
        name=name_photo(path),
        title=model.title,
        caption=f"{projector.method.name} ({describe_method(projector.method)}) · {model.title}, "
        f"{model.provenance.describe()} · {describe_scaling(settings.scaling)}",
        pixels=photo,
        image=f"{home}/photo.png",
        layers=layers,
    )


def _measure_layer(
    projector: Projector,
    model: ZooModel,
    recording: Recording,
    photo: Array,
    layer: str,
    settings: DeconvSettings,
    home: str,
) -> MeasuredLayer:
    units = tuple(dict.fromkeys(settings.units or ()))  # each once
    try:
        projection = projector.project_recording(
            recording, layer, units or "top", settings.position, settings.top
        )
    except LayerError as error:
        raise LayerError(f"layer {layer}: {error}") from None
    path = projector.find_path(layer)
    shape = tuple(recording.find_output(path).shape[1:])
    last = list(model.layers.values())[-1]
    classes = model.classes if path == last and shape == (len(model.classes),) else ()
    whole = tuple(map(_to_array, model.preprocessing.to_visible(projection.pixels)))
    boxes: list[Box] = [(box[0], box[1], box[2], box[3]) for box in projection.boxes.tolist()]
    cut = [cut_box(image, box) for image, box in zip(whole, boxes, strict=True)]
    patches = tuple(cut_box(photo, box) for box in boxes)
    height, width = projection.field
    folder = f"{home}/{layer.replace('/', '-')}"
    section = LayerSection(
        name=layer,
        path=path,
        maps=shape[0],
        map_size=(shape[1], shape[2]) if len(shape) == 3 else None,
        receptive_field=height if height == width else None,
        tiles=tuple(
            UnitTile(
                unit=unit,
                name=classes[unit] if classes else "",
                activation=value,
                # a silent unit has no place
                position=place if place[0] >= 0 and len(shape) == 3 and value != 0 else None,
                box=box,
                projection=f"{folder}/unit-{unit:04d}-projection.png",
                patch=f"{folder}/unit-{unit:04d}-patch.png",
                width_px=patch.shape[1],
                height_px=patch.shape[0],
            )
            for unit, value, place, box, patch in zip(
                projection.units.tolist(),
                projection.activations.tolist(),
                map(tuple, projection.positions.tolist()),
                boxes,
                patches,
                strict=True,
            )
        ),
        scaling=describe_scaling(settings.scaling),
        figure=f"{folder}/strip.{settings.figure_format}",
        places=f"{folder}/places.{settings.figure_format}",
        overlay=f"{folder}/overlay.png",
        arrays=f"{folder}/arrays.npz" if settings.save_arrays else None,
    )
    shown = tuple(scale_projections(cut, settings.scaling))
    return MeasuredLayer(section, projection, whole, shown, patches)


def draw(photo: MeasuredPhoto) -> Iterator[OutputFile]:
    """Draw all files of a photo: figures, images, and arrays where they were asked for."""
    yield OutputFile(photo.image, enlarge(photo.pixels, PHOTO_SIDE))
    strips = [layer.to_strip() for layer in photo.layers]
    for layer, strip in zip(photo.layers, strips, strict=True):
        section, title = layer.section, f"{photo.title} {layer.section.name}: {photo.name}"
        overlay = lay_over(photo.pixels, layer.whole)
        yield OutputFile(section.overlay, enlarge(overlay, PHOTO_SIDE))
        for tile, image, patch in zip(section.tiles, layer.projections, layer.patches, strict=True):
            yield OutputFile(tile.projection, image)
            yield OutputFile(tile.patch, patch)
        yield OutputFile(section.figure, draw_layer(strip, title, photo.caption))
        boxes = [tile.box for tile in section.tiles]
        labels = [tile.name or str(tile.unit) for tile in section.tiles]
        places = draw_overlay(photo.pixels, overlay, boxes, labels, title, photo.caption)
        yield OutputFile(section.places, places)
        if section.arrays:
            names = ("pixels", "units", "activations", "positions", "boxes")
            values = {name: getattr(layer.projection, name).cpu().numpy() for name in names}
            yield OutputFile(section.arrays, values)
    title, predictions = f"{photo.title}: {photo.name}", photo.section.predictions
    figure = draw_summary(photo.pixels, predictions, strips, title, photo.caption)
    yield OutputFile(photo.section.figure, figure)


def _to_array(pixels: Tensor) -> Array:
    array: Array = pixels.permute(1, 2, 0).float().cpu().numpy()
    return array
