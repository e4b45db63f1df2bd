"""What a run of ``vizcnn deconv`` made."""

from dataclasses import dataclass, field
from typing import Any, Literal

from vizcnn.basics.codec import RelativeFile
from vizcnn.gallery.records import Net, Weights


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
        schema: Layout of this file, 1.
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

    schema: int = 1
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

    @property
    def nets(self) -> tuple[Net, ...]:
        """The net, as every manifest tells its nets."""
        return (Net(model=self.model, title=self.title, weights=self.weights),)
