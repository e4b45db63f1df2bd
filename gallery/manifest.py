"""What a run made, as frozen dataclasses: enough to draw its pages and to repeat it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vizcnn.errors import VizcnnError
from vizcnn.gallery.codec import ManifestError, RelativeFile, decode, encode, parse
from vizcnn.gallery.files import write_text

SCHEMA = 1
"""Version of the manifest's layout; raised when an older reader would misread a newer file."""

FILE_NAME = "manifest.json"
"""The manifest's name in the output folder."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where a net's weights come from.

    Attributes:
        describe: The provenance in one line, for the page's header.
        source: Where the file comes from (a URL, a package, a file name).
        data: What the net was trained on.
        licence: Licence of the weights.
        top1: Top-1 accuracy in 0..1.
        top5: Top-5 accuracy in 0..1.
        note: Anything that a reader should know.
        sha256: Of the file of weights, in hexadecimal.
    """

    describe: str
    source: str = ""
    data: str = ""
    licence: str = ""
    top1: float | None = None
    top5: float | None = None
    note: str = ""
    sha256: str | None = None


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
    figure: RelativeFile | None = None
    places: RelativeFile | None = None
    overlay: RelativeFile | None = None
    arrays: RelativeFile | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PhotoSection:
    """One photo and what each layer sees in it.

    Attributes:
        name: Short name, for titles.
        source: Path as it was given.
        sha256: Of the photo's file, in hexadecimal.
        size: Width and height of the original in pixels.
        input_size: Width and height of what the net saw, in pixels.
        image: Image of what the net saw, enlarged by whole pixels.
        predictions: Class names and probabilities in 0..1, best first.
        layers: One section per layer, in the net's order.
        figure: The whole photo as one figure (PNG, SVG or PDF).
    """

    name: str
    source: str
    sha256: str
    size: tuple[int, int]
    input_size: tuple[int, int]
    image: RelativeFile
    predictions: tuple[tuple[str, float], ...]
    layers: tuple[LayerSection, ...]
    figure: RelativeFile | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A photo that could not be used, and why."""

    source: str
    error: str


@dataclass(frozen=True, kw_only=True)
class DeconvManifest:
    """A run of ``vizcnn deconv``.

    Attributes:
        schema: Layout of this file, :data:`SCHEMA`.
        kind: Which command made it.
        vizcnn: Version of vizcnn.
        command: Shell-quoted command that repeats the run.
        model: Name of the net.
        title: Title of the net, for the page.
        method: Name of the method (``deconvnet``).
        method_source: The paper, for the page.
        weights: Where the weights come from.
        settings: Every setting of the run.
        versions: Versions of the libraries, by name.
        photos: The photos that went through.
        failures: The photos that did not.
    """

    schema: int = SCHEMA
    kind: Literal["deconv"] = "deconv"
    vizcnn: str
    command: str
    model: str
    title: str
    method: str
    method_source: str
    weights: Weights
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    photos: tuple[PhotoSection, ...]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FilterTile:
    """One filter of the first layer.

    Attributes:
        index: Number of the filter, from 0.
        rms: Root mean square of its weights.
        rough: Share of its energy above 0.25 cycles per pixel, 0..1.
        image: The filter as an image, one pixel per weight or enlarged.
        width_px, height_px: Size of the image in pixels.
    """

    index: int
    rms: float
    rough: float
    image: RelativeFile
    width_px: int
    height_px: int


@dataclass(frozen=True, kw_only=True)
class FilterManifest:
    """A run of ``vizcnn filters``: the first layer's filters.

    Attributes:
        schema: Layout of this file, :data:`SCHEMA`.
        kind: Which command made it.
        vizcnn: Version of vizcnn.
        command: Shell-quoted command that repeats the run.
        model: Name of the net.
        title: Title of the net, for the page.
        layer: Name of the layer.
        path: Module path of the layer.
        weights: Where the weights come from.
        scaling: How weights became colours, in words.
        figures: The grid as a figure (PNG, SVG, PDF); the first that a browser can show is shown.
        filters: The filters.
        settings: Every setting of the run.
        versions: Versions of the libraries, by name.
    """

    schema: int = SCHEMA
    kind: Literal["filters"] = "filters"
    vizcnn: str
    command: str
    model: str
    title: str
    layer: str
    path: str
    weights: Weights
    scaling: str
    figures: tuple[RelativeFile, ...]
    filters: tuple[FilterTile, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


Manifest = DeconvManifest | FilterManifest
"""What a command of vizcnn writes."""

KINDS: dict[str, type[DeconvManifest] | type[FilterManifest]] = {
    "deconv": DeconvManifest,
    "filters": FilterManifest,
}
"""Manifests by their ``kind``."""


def to_json(manifest: Manifest) -> str:
    """Write a manifest as JSON; the same run always gives the same text.

    Raises:
        ManifestError: If a value is not of its field's type, or a number is not finite.
    """
    text = encode(manifest)
    from_json(text)  # what cannot be read back is never written
    return text


def from_json(text: str) -> Manifest:
    """Read a manifest of either kind and check every value.

    Raises:
        ManifestError: If the text is not a manifest, or one of a newer vizcnn.

    Example:
        >>> from_json('{"kind": "recipe"}')
        Traceback (most recent call last):
        vizcnn.gallery.codec.ManifestError: manifest of kind 'recipe': ...
    """
    raw = parse(text)
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ManifestError(f"manifest of kind {kind!r}: needed is one of {', '.join(KINDS)}")
    if raw.get("schema") != SCHEMA:
        raise ManifestError(
            f"manifest of schema {raw.get('schema')!r}: this vizcnn reads {SCHEMA}; "
            "write the gallery again, or install the vizcnn that wrote it"
        )
    return decode(KINDS[kind], text)


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write ``manifest.json`` into a folder, moved into place when it is whole.

    Raises:
        ManifestError: If the manifest cannot be written as JSON; then no file changes.
    """
    return write_text(folder / FILE_NAME, to_json(manifest))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file, or the ``manifest.json`` of a folder.

    Raises:
        ManifestError: If there is none, or it is damaged.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        return from_json(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ManifestError(f"{str(file)!r} is not text: needed is a manifest of vizcnn") from None
    except OSError as error:
        raise ManifestError(
            f"{str(file)!r} cannot be read ({error.strerror}): check the path"
        ) from None
    except VizcnnError as error:
        raise ManifestError(f"{str(file)!r}: {error}") from None
