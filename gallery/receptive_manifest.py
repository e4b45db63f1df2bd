"""What a run of ``vizcnn receptive`` made."""

from dataclasses import dataclass, field
from typing import Any, Literal

from vizcnn.gallery.records import Net, PageFigure


@dataclass(frozen=True, kw_only=True)
class DrawnUnit:
    """A unit whose receptive field is drawn on the photo.

    Attributes:
        position: Row and column in the feature map; None in a layer without places.
        box: Its receptive field in pixels of the input, uncut: top, left, bottom, right, the last
            two exclusive; negative where it lies in the padding.
        seen: The part of it that lies in the image and is really read.
    """

    position: tuple[int, int] | None
    box: tuple[int, int, int, int]
    seen: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class ReceptiveLayer:
    """A layer and the receptive field of its units; sizes are (height, width) in pixels.

    Attributes:
        name: Name of the layer.
        path: Module path.
        maps: Number of feature maps, or of units of a fully connected layer.
        map_size: Of a feature map, in units; None for a vector of units.
        size: Of the middle unit's receptive field, before the image's edge cuts it.
        stride: From a unit's field to its neighbour's; None where it is not the same everywhere.
        offset: Top and left of the field of unit (0, 0).
        centre: Row and column of the middle of that field; pixels have theirs at whole numbers.
        share: Share 0..1 of the image that the middle unit sees.
        sees_all: Whether every unit sees the whole image.
        exact: Whether all geometry below the layer is known; else fields may be too large.
        middle: The unit drawn nearest to the chosen place; None if the layer is not drawn.
        corner: The unit (0, 0); None if the layer is not drawn.
    """

    name: str
    path: str
    maps: int
    map_size: tuple[int, int] | None
    size: tuple[int, int]
    stride: tuple[int, int] | None
    offset: tuple[int, int]
    centre: tuple[float, float]
    share: float
    sees_all: bool
    exact: bool
    middle: DrawnUnit | None
    corner: DrawnUnit | None


@dataclass(frozen=True, kw_only=True)
class ReceptiveManifest:
    """A run of ``vizcnn receptive``: what the units of a net's layers see.

    Attributes:
        schema: Layout of this file, 1.
        kind: Which command made it.
        vizcnn: Version of vizcnn.
        command: Shell-quoted command that repeats the run.
        title: Heading.
        net: The net.
        input_size: Width and height of the net's input in pixels.
        photo: The photo's source.
        sha256: Of the photo's file, in hexadecimal.
        place: Which units are drawn, in words.
        figures: The figures, in the page's order.
        layers: The layers, by the size of their receptive fields.
        settings: Every setting of the run.
        versions: Versions of the libraries, by name.
    """

    schema: int = 1
    kind: Literal["receptive"] = "receptive"
    vizcnn: str
    command: str
    title: str
    net: Net
    input_size: tuple[int, int]
    photo: str
    sha256: str
    place: str
    figures: tuple[PageFigure, ...]
    layers: tuple[ReceptiveLayer, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def nets(self) -> tuple[Net, ...]:
        """The net, as every manifest tells its nets."""
        return (self.net,)
