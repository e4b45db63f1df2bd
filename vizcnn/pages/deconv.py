"""One photo on its way into a gallery: projected, drawn and saved, layer by layer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure
from torch import Tensor

from vizcnn.basics.errors import ImageError, LayerError, VizcnnError
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.basics.version import __version__
from vizcnn.drawing.figures import LayerStrip, UnitPair, draw_layer, draw_overlay, draw_summary
from vizcnn.drawing.saving import save_arrays, save_figure, save_image
from vizcnn.drawing.tiles import (
    Scaling,
    cut_box,
    describe_scaling,
    enlarge,
    fit_tile,
    lay_over,
    scale_projections,
    to_bytes,
)
from vizcnn.drawing.words import show_number
from vizcnn.gallery.deconv_manifest import (
    DeconvManifest,
    Failure,
    LayerSection,
    PhotoSection,
    UnitTile,
)
from vizcnn.gallery.site import write_gallery
from vizcnn.pages.page import describe_weights, list_versions
from vizcnn.photos.images import photo_sha256, read_photo
from vizcnn.photos.pixels import Array, Box
from vizcnn.photos.samples import name_photo, name_source
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.methods import find_method
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import Position
from vizcnn.zoo.model import ZooModel

TILE_SIDE = 210
"""Side in pixels of a tile in figures: 1.4 inches at 150 pixels each."""
PHOTO_SIDE = 640
"""Side in pixels that photos and overlays are enlarged to, at most, by whole pixels."""


@dataclass(frozen=True)
class DeconvSettings:
    """What to project and how to show it.

    Attributes:
        layers: Canonical names or module paths, lowest first.
        method: Name of the rule.
        units: Unit numbers, or None for the strongest.
        top: How many of the strongest units per layer.
        position: Where in the feature map; see
            :meth:`~vizcnn.projection.deconvnet.Projector.project`.
        scaling: ``"unit"`` or ``"shared"`` contrast.
        passes_over_normalisation: Whether contrast normalisation is skipped; the method's own
            habit when None.
        unruled: What to do about operations without a rule.
        figure_format: Format of the figures.
        save_arrays: Whether to keep the raw values.

    Raises:
        LayerError: If there is no layer, or no unit to show.
    """

    layers: tuple[str, ...] = ("conv1", "conv2", "conv3", "conv4", "conv5")
    method: str = "deconvnet"
    units: tuple[int, ...] | None = None
    top: int = 9
    position: Position = "max"
    scaling: Scaling = "unit"
    passes_over_normalisation: bool | None = None
    unruled: Literal["refuse", "gradient"] = "refuse"
    figure_format: FigureFormat = "png"
    save_arrays: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise LayerError("no layer is named; needed: at least one, for example conv1")
        if self.top < 1:
            raise LayerError(f"the strongest {self.top} units were asked for; needed: 1 or more")


@dataclass(frozen=True)
class ShownLayer:
    """A layer's projections, ready to be looked at; one entry per unit.

    Attributes:
        name: The layer as asked for.
        shape: Shape of its output for one photo: (maps, rows, columns) or (units,).
        projection: The raw projections.
        whole: Projections over the whole input, (S, S, 3), signed.
        projections: Projections in their receptive fields, 0..1.
        patches: The photo in the same boxes, 0..1.
        boxes: Receptive fields.
        classes: What the units stand for, in the net's last layer; else empty.
    """

    name: str
    shape: tuple[int, ...]
    projection: Projection
    whole: tuple[Array, ...]
    projections: tuple[Array, ...]
    patches: tuple[Array, ...]
    boxes: tuple[Box, ...]
    classes: tuple[str, ...] = ()

    @property
    def size(self) -> str:
        """Number and size of the maps, in words."""
        if len(self.shape) == 1:
            return f"{self.shape[0]} units"
        return f"{self.shape[0]} maps, {self.shape[1]} × {self.shape[2]}"

    def name_unit(self, unit: int) -> str:
        """Give a unit's class in the net's last layer, else its number."""
        return self.classes[unit] if self.classes else f"unit {unit}"

    def to_strip(self) -> LayerStrip:
        """Give what a figure needs."""
        units, values = self.projection.units.tolist(), self.projection.activations.tolist()
        pairs = tuple(
            UnitPair(
                fit_tile(image, TILE_SIDE),
                fit_tile(patch, TILE_SIDE),
                f"{self.name_unit(unit)}\n{show_number(value) if value else 'silent'}",
            )
            for image, patch, unit, value in zip(
                self.projections, self.patches, units, values, strict=True
            )
        )
        height, width = self.projection.field
        return LayerStrip(self.name, f"{self.size}\nsees {height} × {width} px", pairs)


class PhotoExhibit:
    """Projects one photo's units and writes its pictures.

    Args:
        projector: The method, attached to the net.
        model: The net.
        settings: What to project and how to show it.
        path: The photo.
        home: Folder of the photo's pictures; its parent is the gallery.

    Raises:
        ImageError: If the photo cannot be read.
    """

    def __init__(
        self,
        projector: Projector,
        model: ZooModel,
        settings: DeconvSettings,
        path: Path,
        home: Path,
    ) -> None:
        self.projector, self.model, self.settings = projector, model, settings
        self.path, self.home, self.name = path, home, name_photo(path)
        original = read_photo(path)
        self.size, self.sha256 = original.size, photo_sha256(path)
        self.pixels = model.read(original)
        self.photo = _to_array(self.pixels[0])
        self.caption = (
            f"{projector.method.name} ({projector.method.source}) · {model.title}, "
            f"{model.provenance.describe()} · {describe_scaling(settings.scaling)}"
        )

    def make(self) -> PhotoSection:
        """Write the photo's pictures and describe them for the manifest."""
        layers = self._project_layers()
        predictions = tuple(self.model.classify(self.pixels)[0])
        strips = [layer.to_strip() for layer in layers]
        save_image(to_bytes(enlarge(self.photo, PHOTO_SIDE)), self.home / "photo.png")
        return PhotoSection(
            name=self.name,
            source=name_source(self.path),
            sha256=self.sha256,
            size=self.size,
            input_size=(self.photo.shape[1], self.photo.shape[0]),
            image=self._relative(self.home / "photo.png"),
            predictions=predictions,
            layers=tuple(
                self._write_layer(layer, strip) for layer, strip in zip(layers, strips, strict=True)
            ),
            figure=self._save(self._draw_summary(predictions, strips), "summary"),
        )

    def project_strips(self) -> list[LayerStrip]:
        """Project every layer's strongest units, for a figure; write nothing."""
        return [layer.to_strip() for layer in self._project_layers()]

    def _draw_summary(
        self, predictions: Sequence[tuple[str, float]], strips: Sequence[LayerStrip]
    ) -> Figure:
        title = f"{self.model.title}: {self.name}"
        return draw_summary(self.photo, predictions, strips, title, self.caption)

    def _project_layers(self) -> list[ShownLayer]:
        settings = self.settings
        recording = self.projector.record(self.pixels, settings.layers)
        units = tuple(dict.fromkeys(settings.units or ()))  # each once
        shown = []
        for layer in settings.layers:
            try:
                projection = self.projector.project_recording(
                    recording, layer, units or "top", settings.position, settings.top
                )
            except LayerError as error:
                raise LayerError(f"layer {layer}: {error}") from None
            shape = tuple(recording.find_output(self.projector.find_path(layer)).shape[1:])
            shown.append(self._scale(layer, shape, projection))
        return shown

    def _scale(self, layer: str, shape: tuple[int, ...], projection: Projection) -> ShownLayer:
        visible = self.model.preprocessing.to_visible(projection.pixels)
        whole = tuple(_to_array(pixels) for pixels in visible)
        boxes = tuple((box[0], box[1], box[2], box[3]) for box in projection.boxes.tolist())
        cut = [cut_box(image, box) for image, box in zip(whole, boxes, strict=True)]
        return ShownLayer(
            name=layer,
            shape=shape,
            projection=projection,
            whole=whole,
            projections=tuple(scale_projections(cut, self.settings.scaling)),
            patches=tuple(cut_box(self.photo, box) for box in boxes),
            boxes=boxes,
            classes=self.model.classes if self._is_last(layer, shape) else (),
        )

    def _is_last(self, layer: str, shape: tuple[int, ...]) -> bool:
        last = list(self.model.layers.values())[-1]
        return self.projector.find_path(layer) == last and shape == (len(self.model.classes),)

    def _write_layer(self, layer: ShownLayer, strip: LayerStrip) -> LayerSection:
        home = self.home / layer.name.replace("/", "-")
        height, width = layer.projection.field
        overlay = lay_over(self.photo, layer.whole)
        save_image(to_bytes(enlarge(overlay, PHOTO_SIDE)), home / "overlay.png")
        title = f"{self.model.title} {layer.name}: {self.name}"
        units = layer.projection.units.tolist()
        labels = [layer.name_unit(unit).removeprefix("unit ") for unit in units]
        places = draw_overlay(self.photo, overlay, layer.boxes, labels, title, self.caption)
        return LayerSection(
            name=layer.name,
            path=self.projector.find_path(layer.name),
            maps=layer.shape[0],
            map_size=(layer.shape[1], layer.shape[2]) if len(layer.shape) == 3 else None,
            receptive_field=height if height == width else None,
            tiles=tuple(self._write_tiles(layer, home)),
            scaling=describe_scaling(self.settings.scaling),
            figure=self._save(draw_layer(strip, title, self.caption), f"{home.name}/strip"),
            places=self._save(places, f"{home.name}/places"),
            overlay=self._relative(home / "overlay.png"),
            arrays=self._save_arrays(layer.projection, home),
        )

    def _write_tiles(self, layer: ShownLayer, home: Path) -> list[UnitTile]:
        tiles = []
        for k, unit in enumerate(layer.projection.units.tolist()):
            projection, patch = (
                home / f"unit-{unit:04d}-projection.png",
                home / f"unit-{unit:04d}-patch.png",
            )
            save_image(to_bytes(layer.projections[k]), projection)
            save_image(to_bytes(layer.patches[k]), patch)
            row, column = layer.projection.positions[k].tolist()
            value = layer.projection.activations[k].item()
            placed = row >= 0 and len(layer.shape) == 3 and value != 0  # a silent unit has no place
            tiles.append(
                UnitTile(
                    unit=unit,
                    name=layer.classes[unit] if layer.classes else "",
                    activation=value,
                    position=(row, column) if placed else None,
                    box=layer.boxes[k],
                    projection=self._relative(projection),
                    patch=self._relative(patch),
                    width_px=layer.patches[k].shape[1],
                    height_px=layer.patches[k].shape[0],
                )
            )
        return tiles

    def _save(self, figure: Figure, name: str) -> str:
        path = self.home / f"{name}.{self.settings.figure_format}"
        save_figure(figure, path)
        return self._relative(path)

    def _save_arrays(self, projection: Projection, home: Path) -> str | None:
        if not self.settings.save_arrays:
            return None
        names = ("pixels", "units", "activations", "positions", "boxes")
        save_arrays(
            {name: getattr(projection, name).cpu().numpy() for name in names}, home / "arrays.npz"
        )
        return self._relative(home / "arrays.npz")

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.home.parent).as_posix()


def _to_array(pixels: Tensor) -> Array:
    array: Array = pixels.permute(1, 2, 0).float().cpu().numpy()
    return array


SHOWN_FAILURES = 3
"""Photos whose errors are told when not a single one can be used."""


def make_deconv_gallery(
    model: ZooModel,
    photos: Sequence[Path],
    settings: DeconvSettings,
    folder: Path,
    command: str = "",
    progress: Progress = silent,
) -> DeconvManifest:
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
    sections: list[PhotoSection] = []
    failures: list[Failure] = []
    projector = Projector(
        model, settings.method, settings.passes_over_normalisation, settings.unruled
    )
    with write_folder(folder) as staging:
        for path in progress(photos, label="project", total=len(photos), unit="photo"):
            try:
                home = staging / f"photo-{len(sections) + 1:03d}"
                sections.append(PhotoExhibit(projector, model, settings, path, home).make())
            except ImageError as error:
                failures.append(Failure(source=name_source(path), error=str(error)))
        if not sections:
            raise VizcnnError(_explain_nothing(failures))
        manifest = _describe_run(model, settings, command, sections, failures)
        write_gallery(manifest, staging)
    return manifest


def _explain_nothing(failures: list[Failure]) -> str:
    if not failures:
        return "no photos were given"
    if len(failures) == 1:
        return failures[0].error
    shown = "; ".join(failure.error for failure in failures[:SHOWN_FAILURES])
    more = len(failures) - SHOWN_FAILURES
    return f"none of {len(failures)} photos can be used: {shown}" + (
        f"; and {more} more" if more > 0 else ""
    )


def _describe_run(
    model: ZooModel,
    settings: DeconvSettings,
    command: str,
    photos: list[PhotoSection],
    failures: list[Failure],
) -> DeconvManifest:
    method = find_method(settings.method)
    return DeconvManifest(
        vizcnn=__version__,
        command=command,
        model=model.name,
        title=model.title,
        method=method.name,
        method_source=method.source,
        weights=describe_weights(model),
        settings={
            **asdict(settings),
            "input_size": model.input_size,
            "classes": len(model.classes),
            "net": model.options,
        },
        versions=list_versions(),
        photos=tuple(photos),
        failures=tuple(failures),
    )
