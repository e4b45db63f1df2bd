"""``vizcnn deconv``: photos projected back from their strongest units, layer by layer."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from jinja2 import Environment
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.codec import RelativeFile, Share
from vizcnn.basics.errands import Errands
from vizcnn.basics.errors import LayerError
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.basics.texts import write_percent
from vizcnn.drawing.figures import LayerStrip, UnitPair, draw_layer, draw_overlay, draw_summary
from vizcnn.drawing.tiles import (
    Scaling,
    cut_box,
    describe_scaling,
    enlarge,
    lay_over,
    scale_projections,
)
from vizcnn.drawing.used_part import show_used_part
from vizcnn.drawing.words import (
    describe_effective_number,
    describe_part,
    explain_selectivity,
    name_part,
    show_activation,
)
from vizcnn.gallery.manifest import Failure, Manifest, Photo, Results, View
from vizcnn.pages.control import (
    Control,
    MeasuredControl,
    find_other,
    measure_control,
)
from vizcnn.pages.evidence import Evidence, list_evidence
from vizcnn.pages.page import (
    MethodSettings,
    OutputFile,
    Repetition,
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
from vizcnn.photos.pixels import Array, Box
from vizcnn.photos.samples import name_distinctly, name_photo
from vizcnn.photos.stored import PhotoFile
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.methods import describe_method
from vizcnn.projection.parts import Part
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import Position, choose_targets, join_targets
from vizcnn.recording.recording import Recording
from vizcnn.zoo.model import ZooModel

PHOTO_SIDE = 640
"""Side in pixels that photos and overlays are enlarged to, at most, by whole pixels."""

EXPLAINED_PICTURES = (
    "pictures: how many different ones the active units make at the place of the layer's strongest "
    "unit"
)
"""What the short form of the effective number means."""


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
class UnitTile(Evidence):
    """One unit: its projection beside the photo's patch in its receptive field.

    Attributes:
        unit: Number of the feature map, from 0.
        position: Row and column in the feature map; None for a unit without a place.
        box: Receptive field in pixels: top, left, bottom, right, the last two exclusive.
        projection: Image of the projection, cut to the box, in its own pixels.
        patch: Image of the photo's patch in the box, of the same size.
        width_px, height_px: Size of both images in pixels.
        large_projection, large_patch: The same, enlarged by whole pixels; None where they are
            large enough.
        name: The class that the unit stands for, in a net's last layer.
        padding: Share of the box that is padding around the photo.
        command: Shell-quoted command that repeats this unit only.
        python: Lines of Python that give this projection.
    """

    unit: int
    position: tuple[int, int] | None
    box: tuple[int, int, int, int]
    projection: RelativeFile
    patch: RelativeFile
    width_px: int
    height_px: int
    large_projection: RelativeFile | None = None
    large_patch: RelativeFile | None = None
    name: str = ""
    padding: Share = 0.0
    command: str = ""
    python: str = ""

    @property
    def title(self) -> str:
        """What the unit is called."""
        return self.name or f"unit {self.unit}"


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
        effective_number: How many different pictures the active units make at the place of the
            strongest of the tiles' units; None where nothing was compared, or that unit is silent
            and so has no place.
        control: That unit beside another that is active at its place; None where there is none.
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
    effective_number: float | None = None
    control: Control | None = None
    notes: tuple[str, ...] = ()

    @property
    def strongest(self) -> UnitTile:
        """The strongest of the units that are shown."""
        return max(self.tiles, key=lambda tile: tile.activation)

    def describe_pictures(self, method: str) -> str:
        """Say how many different pictures the active units make, and where; else empty."""
        if self.effective_number is None:
            return ""
        tile = self.strongest
        if tile.compared is None or tile.active is None:
            return ""
        where = f"at the place of {tile.title}"
        if tile.position is not None:
            where += f" (row {tile.position[0]}, column {tile.position[1]})"
        elif self.map_size is None:
            where = "in this layer"
        else:
            where = "over their whole maps"
        told = describe_effective_number(self.effective_number, tile.compared, tile.active, method)
        return f"{told} {where}"

    @property
    def missing_control(self) -> str:
        """Say why there is no control; empty where there is one, or nothing was compared."""
        if self.control or not self.tiles or self.strongest.compared is None:
            return ""
        tile = self.strongest
        if tile.activation <= 0:
            return f"No control: {tile.title}, the strongest of these, is not active."
        return f"No control: no other unit is active at the place of {tile.title}."


@dataclass(frozen=True, kw_only=True)
class PhotoSection:
    """What each layer sees in one of the run's photos.

    Attributes:
        size: Width and height of the original in pixels.
        input_size: Width and height of what the net saw of it; the net's own when None.
        used: What of the photo was used, and how, in words.
        share: Share of its pixels that was used.
        whole: Image of the whole photo with the used part outlined; None where all is used.
        predictions: Class names and probabilities in 0..1, best first.
        layers: One section per layer, in the net's order.
        figure: The whole photo as one figure (PNG, SVG or PDF).
    """

    size: tuple[int, int]
    input_size: tuple[int, int] | None = None
    used: str = ""
    share: Share = 1.0
    whole: RelativeFile | None = None
    predictions: tuple[tuple[str, float], ...]
    layers: tuple[LayerSection, ...]
    figure: RelativeFile


@dataclass(frozen=True, kw_only=True)
class DeconvResults(Results):
    """The strongest units of photos.

    Attributes:
        method: Name of the method (``deconvnet``).
        method_source: The paper and the choices made, for the page.
        part: Which part of the projections is shown.
        photos: What was found in each photo of the run, in its order.
    """

    kind: ClassVar[str] = "deconv"
    method: str
    method_source: str
    part: Part = "whole"
    photos: tuple[PhotoSection, ...]

    @property
    def shown(self) -> tuple[str, ...]:
        """The photos' summaries."""
        return tuple(photo.figure for photo in self.photos)

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
        folders = group_by_folder(manifest.photos)
        return {
            "index.html": index.render(
                manifest=manifest, results=self, links=links, folders=folders
            ),
            **pages,
        }

    def list_views(self, manifest: Manifest[Any]) -> tuple[View, ...]:
        """List the photos, each by its summary."""
        several = len(self.photos) > 1
        return tuple(
            View(
                title=photo.name,
                files=(section.figure,),
                page=name_page(index) if several else "index.html",
                text=f"Strongest units of {len(section.layers)} layers, projected by {self.method}",
            )
            for index, (photo, section) in enumerate(zip(manifest.photos, self.photos, strict=True))
        )

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


def group_by_folder(photos: Sequence[Photo]) -> dict[str, list[int]]:
    """Give the numbers of photos by the folder that they come from, in order.

    Example:
        >>> photos = [Photo(name=name, source=name, sha256="") for name in ("a/1.jpg", "b/1.jpg")]
        >>> group_by_folder([*photos, Photo(name="coffee", source="sample coffee", sha256="")])
        {'a': [0], 'b': [1], '.': [2]}
    """
    folders: dict[str, list[int]] = {}
    for number, photo in enumerate(photos):
        folders.setdefault(str(Path(photo.source).parent), []).append(number)
    return folders


def describe_evidence(tiles: Sequence[UnitTile]) -> str:
    """Say in a caption what units' selectivities are; empty where nothing was compared."""
    if all(tile.compared is None for tile in tiles):
        return ""
    values = [tile.selectivity for tile in tiles if tile.selectivity is not None]
    if not values:
        return explain_selectivity("–: there is nothing to compare with")
    least, most = f"{min(values):.2f}", f"{max(values):.2f}"
    return explain_selectivity(least if least == most else f"{least} to {most}")


def tell_padding(tiles: Sequence[UnitTile]) -> tuple[str, ...]:
    """Say which units see padding around the photo; nothing where none does."""
    shares = [tile.padding for tile in tiles if tile.padding > 0]
    if not shares:
        return ()
    few = f"{len(shares)} of these {len(tiles)} units see" if len(tiles) > 1 else "This unit sees"
    most = write_percent(max(shares), 0)
    return (f"{few} padding around the photo, in up to {most} of the receptive field.",)


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
        projection: The raw projections, whole; behind those of the tiles that of the control's
            other unit.
        whole: Projections over the whole input, (S, S, 3), signed; of the part that is shown.
        projections: Projections in their receptive fields, 0..1; of that part.
        patches: The photo in the same boxes, 0..1.
        part: Which part is shown.
        control: The strongest unit beside another of its place.
        arrays: The raw values by name, where they were asked for.
        evidence: What the layer's selectivities are, for captions.
    """

    section: LayerSection
    projection: Projection
    whole: tuple[Array, ...]
    projections: tuple[Array, ...]
    patches: tuple[Array, ...]
    part: Part
    control: MeasuredControl | None
    arrays: dict[str, NDArray[Any]] | None
    evidence: str

    def to_strip(self) -> LayerStrip:
        """Give what a figure needs."""
        pairs = tuple(
            UnitPair(
                image,
                patch,
                f"{tile.title}\n{show_activation(tile.activation)}",
                tile.value,
            )
            for image, patch, tile in zip(
                self.projections, self.patches, self.section.tiles, strict=True
            )
        )
        maps, size = self.section.maps, self.section.map_size
        words = f"{maps} maps, {size[0]} × {size[1]}" if size else f"{maps} units"
        height, width = self.projection.field
        note = f"{words}\nsees {height} × {width} px"
        told = self.section.describe_pictures(self.projection.method)
        shown = name_part(self.part)
        return LayerStrip(self.section.name, note, pairs, told, self.count_pictures(), shown)

    def count_pictures(self) -> str:
        """Write the effective number in short; empty where nothing was compared."""
        number, tile = self.section.effective_number, self.section.strongest
        if number is None or tile.active is None or tile.active < 2:
            return ""
        about = "≈\u00a0" if (tile.compared or 0) < tile.active else ""
        return f"pictures: {about}{number:.1f} of {tile.active}"


@dataclass(frozen=True)
class MeasuredPhoto:
    """A photo's units with the pixels that are drawn.

    Attributes:
        section: What the manifest says.
        name: Short name, for titles.
        title: Title of the net.
        way: Method and weights.
        part: Which part is shown, for titles; empty for the whole.
        shown: Which part is shown, and the scaling.
        pixels: What the net saw, (S, S, 3), 0..1.
        image: File of that image.
        framing: Where the photo lies in that.
        whole: The whole photo with the used part outlined, (H, W, 3), 0..1; None if all is used.
        layers: The layers, in the net's order.
    """

    section: PhotoSection
    name: str
    title: str
    way: str
    part: str
    shown: str
    pixels: Array
    image: str
    framing: Framing
    whole: Array | None
    layers: tuple[MeasuredLayer, ...]

    def write_caption(self, *evidence: str) -> str:
        """Write a figure's caption: method, weights, part, scaling, and what else is known."""
        return " · ".join(filter(None, [self.way, self.shown, *evidence]))


def make_deconv_gallery(
    model: ZooModel,
    photos: Sequence[PhotoFile],
    settings: DeconvSettings,
    folder: Path,
    command: str = "",
    progress: Progress = silent,
    repeat: Callable[[PhotoFile, str, int], Repetition] | None = None,
) -> Manifest[DeconvResults]:
    """Project each photo's strongest units and write pictures, index.html and manifest.json.

    Args:
        model: A net of the zoo.
        photos: Photo files; those that cannot be read are listed, the others go through.
        settings: What to project.
        folder: Where the gallery goes; complete or untouched.
        command: The command that repeats the run.
        progress: Shows how far it is.
        repeat: Says how a unit is repeated: of a photo, a layer by its name, by its number.

    Returns:
        What was written, as in manifest.json.

    Raises:
        VizcnnError: If no photo can be read, or the settings do not fit the net.
    """
    found: list[PhotoSection] = []
    used: list[Photo] = []
    framings: dict[str, Framing] = {}
    failures: list[Failure] = []
    projector = settings.attach(model)
    names = name_distinctly(photos)
    with write_folder(folder) as staging:
        with Errands() as errands:

            def draw_aside(photo: MeasuredPhoto, layer: MeasuredLayer) -> None:
                errands.start(partial(save_files, draw_section(photo, layer), staging))

            def project(path: PhotoFile) -> MeasuredPhoto:
                home = f"photo-{len(found) + 1:03d}"
                return measure(projector, model, path, settings, home, draw_aside, names[path])

            for path, photo in use_photos(photos, project, failures, "project", progress):
                files = draw_photo(photo)
                errands.start(partial(save_files, files, staging))
                framings[photo.name] = photo.framing
                again = repeat and partial(repeat, path)
                found.append(_tell_repetitions(photo.section, again))
                used.append(describe_photo(path, photo.image, photo.name))
        warn_of_cuts(framings)
        results = DeconvResults(
            method=projector.method.name,
            method_source=describe_method(projector.method),
            part=settings.part,
            photos=tuple(found),
        )
        run = describe_run(results, model.title, [model], settings, command, used, failures)
        return write_page(run, (), staging, settings.figure_format)


def _tell_repetitions(
    section: PhotoSection, repeat: Callable[[str, int], Repetition] | None
) -> PhotoSection:
    """Say of each unit how it is repeated, where that is known."""
    if repeat is None:
        return section
    return replace(
        section,
        layers=tuple(
            replace(
                layer,
                tiles=tuple(
                    replace(tile, **asdict(repeat(layer.name, tile.unit))) for tile in layer.tiles
                ),
            )
            for layer in section.layers
        ),
    )


def measure(
    projector: Projector,
    model: ZooModel,
    path: PhotoFile,
    settings: DeconvSettings,
    home: str = "",
    see: Callable[[MeasuredPhoto, MeasuredLayer], None] | None = None,
    name: str = "",
) -> MeasuredPhoto:
    """Project a photo's units.

    Args:
        projector: The method, attached to the net.
        model: The net.
        path: The photo.
        settings: What to project and how to show it.
        home: Folder of the photo's files.
        see: Shown each layer as soon as it is measured, with the photo as far as it is by then.
        name: What the photo is called; as :func:`~vizcnn.photos.samples.name_photo` says if empty.

    Raises:
        ImageError: If the photo cannot be read.
        LayerError: If a layer, unit or position does not exist.
    """
    original = read_photo(path)
    pixels = model.read(original)
    framing = model.preprocessing.frame(original)
    recording = projector.record(pixels, settings.layers)
    photo = MeasuredPhoto(
        section=PhotoSection(
            size=original.size,
            input_size=framing.input_size,
            used=model.preprocessing.describe_use(original),
            share=framing.share,
            whole=f"{home}/whole.png" if framing.is_cut else None,
            predictions=tuple(model.classify(pixels)[0]),
            layers=(),
            figure=f"{home}/summary.{settings.figure_format}",
        ),
        name=name or name_photo(path),
        title=model.title,
        way=f"{projector.method.name} ({describe_method(projector.method)}) · {model.title}, "
        f"{model.provenance.describe()}",
        part="" if settings.part == "whole" else f", {name_part(settings.part)}s",
        shown=f"{describe_part(settings.part)} · {describe_scaling(settings.scaling)}",
        pixels=_to_array(pixels[0]),
        image=f"{home}/photo.png",
        framing=framing,
        whole=show_used_part(original, framing) if framing.is_cut else None,
        layers=(),
    )
    layers: list[MeasuredLayer] = []
    for name in settings.layers:
        layer = _measure_layer(projector, model, recording, photo, name, settings, home)
        layers.append(layer)
        if see is not None:
            see(photo, layer)
    section = replace(photo.section, layers=tuple(layer.section for layer in layers))
    return replace(photo, section=section, layers=tuple(layers))


def _measure_layer(
    projector: Projector,
    model: ZooModel,
    recording: Recording,
    photo: MeasuredPhoto,
    layer: str,
    settings: DeconvSettings,
    home: str,
) -> MeasuredLayer:
    units = tuple(dict.fromkeys(settings.units or ()))  # each once
    try:
        path = projector.find_path(layer)
        maps = recording.find_output(path)
        targets = choose_targets(maps, units or "top", settings.position, settings.top)
        shown = len(targets)
        first = int(targets.activations.argmax())
        other = find_other(maps, targets, first) if settings.compare is not None else None
        # the other unit in the same call: it is compared with the very same units
        asked = join_targets([targets, other]) if other else targets
        projection = projector.project_targets(recording, layer, asked, settings.compare)
    except LayerError as error:
        raise LayerError(f"layer {layer}: {error}") from None
    shape = tuple(maps.shape[1:])
    classes = model.name_units(path, shape[0]) if len(shape) == 1 else ()
    boxes: list[Box] = [(box[0], box[1], box[2], box[3]) for box in projection.boxes.tolist()]
    wholes = _show(model, projection.take_part(settings.part))
    patches = tuple(cut_box(photo.pixels, box) for box in boxes[:shown])
    height, width = projection.field
    folder = f"{home}/{layer.replace('/', '-')}"
    evidence = list_evidence(projection)
    is_silent = float(targets.activations[first]) == 0
    has_no_place = is_silent and len(shape) == 3 and settings.position != "all"
    control = None
    if other:
        tile_patch = f"{folder}/unit-{int(projection.units[first]):04d}-patch.png"
        control = measure_control(
            projection,
            (first, shown),
            lambda part, rows: [cut_box(image, boxes[first]) for image in _show(model, part, rows)],
            classes,
            (tile_patch, patches[first]),
            folder,
            settings.figure_format,
        )
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
                **_name_pictures(f"{folder}/unit-{unit:04d}", patch),
                padding=photo.framing.find_padding(box),
                **told,
            )
            for unit, value, place, box, patch, told in zip(
                projection.units.tolist(),
                projection.activations.tolist(),
                map(tuple, projection.positions.tolist()),
                boxes,
                patches,
                evidence,
                strict=False,  # the control's other unit is no tile
            )
        ),
        scaling=describe_scaling(settings.scaling),
        figure=f"{folder}/strip.{settings.figure_format}",
        places=f"{folder}/places.{settings.figure_format}",
        overlay=f"{folder}/overlay.png",
        arrays=f"{folder}/arrays.npz" if settings.save_arrays else None,
        effective_number=None if has_no_place else _find_effective_number(projection, first),
        control=control.record if control else None,
    )
    section = replace(section, notes=tell_padding(section.tiles))
    return MeasuredLayer(
        section,
        projection,
        wholes[:shown],
        tuple(_scale_cuts(wholes[:shown], boxes, settings.scaling)),
        patches,
        settings.part,
        control,
        _list_arrays(projection, shown) if settings.save_arrays else None,
        describe_evidence(section.tiles),
    )


def _name_pictures(beginning: str, patch: Array) -> dict[str, Any]:
    """Name the pictures of a tile, and give their size."""
    height, width = patch.shape[:2]
    files = {kind: f"{beginning}-{kind}.png" for kind in ("projection", "patch")}
    large = {f"large_{kind}": name_large(file, width, height) for kind, file in files.items()}
    return {**files, **large, "width_px": width, "height_px": height}


def show_part(
    model: ZooModel, projection: Projection, part: Part, scaling: Scaling
) -> tuple[Array, ...]:
    """Show a part of projections in their receptive fields, 0..1."""
    boxes = [(box[0], box[1], box[2], box[3]) for box in projection.boxes.tolist()]
    return tuple(_scale_cuts(_show(model, projection.take_part(part)), boxes, scaling))


def _scale_cuts(images: Sequence[Array], boxes: Sequence[Box], scaling: Scaling) -> list[Array]:
    cut = [cut_box(image, box) for image, box in zip(images, boxes, strict=False)]
    return scale_projections(cut, scaling)


def _show(
    model: ZooModel, projection: Projection, rows: Sequence[int] | None = None
) -> tuple[Array, ...]:
    """Give projections over the whole input as images, signed."""
    pixels = projection.pixels if rows is None else projection.pixels[list(rows)]
    return tuple(map(_to_array, model.preprocessing.to_visible(pixels)))


def _find_effective_number(projection: Projection, row: int) -> float | None:
    if projection.comparison is None:
        return None
    number = float(projection.effective_number[row])
    return None if math.isnan(number) else number


def draw_section(photo: MeasuredPhoto, layer: MeasuredLayer) -> Iterator[OutputFile]:
    """Draw the files of a layer: figures, images, and arrays where they were asked for.

    Args:
        photo: The photo, with or without its layers.
        layer: One of them.
    """
    section = layer.section
    title = f"{photo.title} {section.name}{photo.part}: {photo.name}"
    overlay = lay_over(photo.pixels, layer.whole)
    yield OutputFile(section.overlay, enlarge(overlay, PHOTO_SIDE))
    for tile, image, patch in zip(section.tiles, layer.projections, layer.patches, strict=True):
        yield OutputFile(tile.projection, image, tile.large_projection)
        yield OutputFile(tile.patch, patch, tile.large_patch)
    caption = photo.write_caption(layer.evidence)
    yield OutputFile(section.figure, draw_layer(layer.to_strip(), title, caption))
    boxes = [tile.box for tile in section.tiles]
    labels = [tile.name or str(tile.unit) for tile in section.tiles]
    notes = [f"{tile.title} · {show_activation(tile.activation)}" for tile in section.tiles]
    places = draw_overlay(
        photo.pixels, overlay, boxes, labels, notes, title, caption, name_part(layer.part)
    )
    yield OutputFile(section.places, places)
    if layer.control:
        words = f"two units of one place: {photo.name}"
        yield from layer.control.draw(f"{photo.title} {section.name}, {words}", photo.way)
    if section.arrays and layer.arrays:
        yield OutputFile(section.arrays, layer.arrays)


def draw_photo(photo: MeasuredPhoto) -> Iterator[OutputFile]:
    """Draw what shows all layers of a photo: what the net saw, and the summary."""
    yield OutputFile(photo.image, enlarge(photo.pixels, PHOTO_SIDE))
    if photo.section.whole and photo.whole is not None:
        yield OutputFile(photo.section.whole, photo.whole)
    title, predictions = f"{photo.title}{photo.part}: {photo.name}", photo.section.predictions
    compared = any(layer.evidence for layer in photo.layers)
    evidence = [explain_selectivity(name="s"), EXPLAINED_PICTURES] if compared else []
    caption = photo.write_caption(*evidence)
    strips = [layer.to_strip() for layer in photo.layers]
    figure = draw_summary(photo.pixels, predictions, strips, title, caption)
    yield OutputFile(photo.section.figure, figure)


def _list_arrays(projection: Projection, count: int) -> dict[str, NDArray[Any]]:
    """Give the raw values of the first projections by name: all parts, and their selectivity."""
    names = ["pixels", "units", "activations", "positions", "boxes"]
    values = {name: getattr(projection, name) for name in names}
    if projection.comparison is not None:
        values |= {"own": projection.own.pixels, "common": projection.common.pixels}
        values |= {"selectivity": projection.selectivity}
    return {name: value[:count].cpu().numpy() for name, value in values.items()}


def _to_array(pixels: Tensor) -> Array:
    array: Array = pixels.permute(1, 2, 0).float().cpu().numpy()
    return array
