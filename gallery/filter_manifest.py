"""What a run of ``vizcnn filters`` made."""

from dataclasses import dataclass, field
from typing import Any, Literal

from vizcnn.basics.codec import RelativeFile
from vizcnn.gallery.records import Net, PageFigure
from vizcnn.measures.filter_numbers import FilterSummary


@dataclass(frozen=True, kw_only=True)
class FilterTile:
    """One filter.

    Attributes:
        index: Number of the filter, from 0.
        image: The filter as an image, one pixel per weight; of a deeper layer a grid of the
            kernels of its input channels, three pixels per weight.
        width_px, height_px: Size of the image in pixels.
        energy: Sum of squares of its weights.
        rms: Root mean square of its weights.
        dead: Whether the RMS is at most 5 % of the layer's median.
        low, mid, high: Shares 0..1 of its energy by frequency.
        peak: Frequency of the spectrum's maximum, in the net's ``unit``; 0 for low-pass filters.
        orientation: Of the bars, degrees 0..180 anticlockwise from the horizontal, if any.
        selectivity: Of orientations, 0..1.
        bandwidth: Full width at half amplitude in octaves, if the band is closed.
        colour: Share 0..1 of its energy in the colour part; None where there are no colours.
        strongest_channel: Number of the input channel that holds most of its energy.
        strongest_share: That channel's share 0..1.
        channels_used: Effective number of input channels.
    """

    index: int
    image: RelativeFile
    width_px: int
    height_px: int
    energy: float
    rms: float
    dead: bool
    low: float
    mid: float
    high: float
    peak: float
    orientation: float | None
    selectivity: float
    bandwidth: float | None
    colour: float | None
    strongest_channel: int
    strongest_share: float
    channels_used: float


@dataclass(frozen=True, kw_only=True)
class FilterNet(Net):
    """A net and the filters of one of its layers.

    ``title`` tells nets of the same name apart by their weights.

    Attributes:
        layer: Name of the layer as asked for, or ``the first layer``.
        path: Module path of the convolution.
        first: Whether the filters look at pixels; else at the maps of the layer below.
        kernel: Height and width of a filter.
        channels: Input channels of a filter, of its own group.
        groups: Groups of the convolution.
        stride: Step in rows and columns.
        unit: Unit of frequencies.
        summary: The layer in a few numbers.
        shown: Which filters are shown, in words.
        filters: The filters shown, in the order of the figure.
        clipped: How many filters clipping changed; None where it was not asked for.
        options: What the net was built with.
    """

    layer: str
    path: str
    first: bool
    kernel: tuple[int, int]
    channels: int
    groups: int
    stride: tuple[int, int]
    unit: str
    summary: FilterSummary
    shown: str
    filters: tuple[FilterTile, ...]
    clipped: int | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FilterManifest:
    """A run of ``vizcnn filters``: the filters of one net or of several.

    Attributes:
        schema: Layout of this file, 2 (1 held the first layer of one net).
        kind: Which command made it.
        vizcnn: Version of vizcnn.
        command: Shell-quoted command that repeats the run.
        title: Heading.
        scaling: How weights became colours, in words.
        notes: Part and order of what is shown, in words.
        figures: The figures, in the page's order.
        nets: The nets, in the order asked for.
        settings: Every setting of the run.
        versions: Versions of the libraries, by name.
    """

    schema: int = 2
    kind: Literal["filters"] = "filters"
    vizcnn: str
    command: str
    title: str
    scaling: str
    notes: tuple[str, ...] = ()
    figures: tuple[PageFigure, ...]
    nets: tuple[FilterNet, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
