"""``vizcnn filters``: filters of one net or of several, measured, drawn as grids and charts."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from matplotlib.figure import Figure

from vizcnn.basics.codec import RelativeFile, unwritten
from vizcnn.basics.errors import LayerError, ModelError, VizcnnError
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.drawing.filter_charts import ChartedNet, draw_numbers
from vizcnn.drawing.filter_grids import (
    ORDER_WORDS,
    SCALING_WORDS,
    FilterPanel,
    FilterScaling,
    Order,
    draw_filters,
    scale_filters,
    show_channels,
    show_colours,
    sort_filters,
)
from vizcnn.gallery.manifest import Manifest, Results
from vizcnn.measures.filter_layers import FilterLayer, read_filters
from vizcnn.measures.filter_numbers import (
    PART_WORDS,
    FilterNumbers,
    FilterSummary,
    Part,
    number_filters,
    summarise_filters,
    take_part,
)
from vizcnn.pages.page import Drawing, OutputFile, describe_run, name_large, write_page
from vizcnn.photos.pixels import Array
from vizcnn.recording.layers import spell_layer
from vizcnn.zoo.model import ZooModel

DEAD = "†"
"""Behind the number of a dead filter in a figure."""

MOST_BLOCKS = 12
"""Filters of a deeper layer that are shown where none is named: those of largest energy."""


@dataclass(frozen=True)
class FilterSettings:
    """What to show and how.

    Attributes:
        layers: Layer of each net, or one for all; none for the first convolutions.
        units: Numbers of filters; None for all of the first layer, and for those of largest energy
            of a deeper one.
        scaling: Contrast; see :func:`~vizcnn.drawing.filter_grids.scale_filters`.
        part: The whole filter, its luminance or its colour part (first layer only).
        order: What filters are sorted by.
        clip: Radius of feature scale clipping that is shown beside; None for none.
        figure_format: Format of the figures.

    Raises:
        VizcnnError: If the radius is not a positive number.
    """

    layers: tuple[str, ...] = ()
    units: tuple[int, ...] | None = None
    scaling: FilterScaling = "unit"
    part: Part = "all"
    order: Order = "index"
    clip: float | None = None
    figure_format: FigureFormat = "png"

    def __post_init__(self) -> None:
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise VizcnnError(
                f"a clipping radius of {self.clip:g} makes no sense; needed: a root mean square "
                "above 0, for example 0.1"
            )


@dataclass(frozen=True, kw_only=True)
class FilterTile(FilterNumbers):
    """One filter, as it is shown.

    Attributes:
        index: Number of the filter, from 0.
        image: The filter as an image, one pixel per weight; of a deeper layer a grid of the
            kernels of its input channels, three pixels per weight.
        width_px, height_px: Size of the image in pixels.
        large: The image enlarged by whole pixels; None where it is large enough.
        pixels: The image, (h, w, 3), 0..1.
    """

    index: int
    image: RelativeFile
    width_px: int
    height_px: int
    large: RelativeFile | None = None
    pixels: Array = unwritten()


@dataclass(frozen=True, kw_only=True)
class NetFilters:
    """The filters of one layer of a net.

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
        model: The net.
        name: Name for headings and legends.
        settings: What is shown and how.
        read: The layer's weights.
        numbers: Measures of all its filters.
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
    model: ZooModel = unwritten()
    name: str = unwritten("")
    settings: FilterSettings = unwritten()
    read: FilterLayer = unwritten()
    numbers: tuple[FilterNumbers, ...] = unwritten(())

    @property
    def size(self) -> str:
        """Number and size of the filters, in words."""
        (height, width), (down, across) = self.kernel, self.stride
        if self.first:
            of = f"{height} × {width} px"
        else:
            of = f"{height} × {width} on {self.channels} channel{'s' if self.channels > 1 else ''}"
        stride = f"{down}" if down == across else f"{down} × {across}"
        groups = f", in {self.groups} groups" if self.groups > 1 else ""
        return f"{self.summary.filters} filters of {of}, stride {stride}{groups}"

    def make_panel(self, several: bool) -> FilterPanel:
        """Make the panel of the grid; with its own heading where there are several."""
        panel = self._make_panel([tile.pixels for tile in self.filters])
        if not several:
            return panel
        low, mid, high = self.summary.low, self.summary.mid, self.summary.high
        notes = (
            self.model.provenance.describe(),
            f"{self.size} · {self.summary.dead} dead",
            f"energy: low {low:.0%}, mid {mid:.0%}, high {high:.0%}",
        )
        return replace(panel, name=self.name, notes=notes)

    def _make_panel(self, images: Sequence[Array]) -> FilterPanel:
        plain = self.settings.order == "index" and self.settings.units is None
        word = "" if self.first else "filter "
        labels = [f"{word}{tile.index}{DEAD if tile.dead else ''}" for tile in self.filters]
        return FilterPanel(
            tiles=tuple(images),
            labels=() if plain and self.first else tuple(labels),
            blocks=not self.first,
        )

    def make_clipped_panels(self, radius: float) -> tuple[FilterPanel, FilterPanel]:
        """Make two panels in ZF's scaling: without and with feature scale clipping."""
        clipped, exceeds = self.read.clip(radius)
        largest = self.read.stored.double().square().mean(dim=(1, 2, 3)).sqrt().max().item()
        count = int(exceeds.sum())
        over = f"{count} of {self.summary.filters} filters exceed" if count else "no filter exceeds"
        done = f"{count} filters scaled back" if count else "the same: nothing to scale back"
        indices = [tile.index for tile in self.filters]
        without, within = (
            self._make_panel(_render(layer, indices, "zf", self.settings.part))
            for layer in (self.read, clipped)
        )
        note = f"{over} an RMS of {radius:g}; the largest is {largest:.3g}"
        return (
            replace(without, name=f"{self.name} without clipping", notes=(note,)),
            replace(within, name=f"{self.name} with clipping", notes=(done,)),
        )


@dataclass(frozen=True, kw_only=True)
class FilterResults(Results):
    """The filters of one net or of several.

    Attributes:
        scaling: How weights became colours, in words.
        notes: Part and order of what is shown, in words.
        nets: The filters of each net of the run, in its order.
    """

    kind: ClassVar[str] = "filters"
    scaling: str
    notes: tuple[str, ...] = ()
    nets: tuple[NetFilters, ...]


def make_filter_gallery(
    models: ZooModel | Sequence[ZooModel],
    folder: Path,
    settings: FilterSettings | None = None,
    command: str = "",
) -> Manifest[FilterResults]:
    """Draw filters and write pictures, index.html and manifest.json.

    Args:
        models: One net of the zoo, or several to be set side by side.
        folder: Where the gallery goes; complete or untouched.
        settings: What to show and how.
        command: The command that repeats the run.

    Returns:
        What was written, as in manifest.json.

    Raises:
        ModelError: If there is no net, or one does not begin with a convolution of colours or grey.
        LayerError: If a layer or unit does not exist, no single convolution makes the layer, or
            it has not the asked part.
        VizcnnError: If there are neither one layer nor as many as nets.
    """
    settings = settings or FilterSettings()
    models = (models,) if isinstance(models, ZooModel) else tuple(models)
    results = measure(models, settings)
    titled = [replace(net.model, title=net.name) for net in results.nets]
    run = describe_run(results, name_run(results.nets), titled, settings, command)
    with write_folder(folder) as staging:
        return write_page(run, draw(run), staging, settings.figure_format)


def measure(models: Sequence[ZooModel], settings: FilterSettings) -> FilterResults:
    """Read and measure the filters of a layer of each net; see :func:`make_filter_gallery`."""
    if not models:
        raise ModelError("no net is named; needed: at least one, for example zfnet")
    layers: tuple[str | None, ...] = settings.layers or (None,)
    if len(layers) not in (1, len(models)):
        raise VizcnnError(
            f"{len(layers)} layers for {len(models)} net(s); needed: one for all, or one for each"
        )
    asked = layers * len(models) if len(layers) == 1 else layers
    wanted = [
        None if layer is None else spell_layer(model, layer)
        for model, layer in zip(models, asked, strict=True)
    ]
    names = _name_apart(models, wanted)
    return FilterResults(
        scaling=SCALING_WORDS[settings.scaling],
        notes=_list_notes(settings),
        nets=tuple(
            measure_net(model, layer, name, settings, f"net-{number}/")
            for number, (model, layer, name) in enumerate(
                zip(models, wanted, names, strict=True), start=1
            )
        ),
    )


def measure_net(
    model: ZooModel, layer: str | None, name: str, settings: FilterSettings, home: str = ""
) -> NetFilters:
    """Read and measure a layer's filters.

    Args:
        model: The net.
        layer: Name of the layer; None for the first convolution.
        name: Name for headings and legends.
        settings: What to show and how.
        home: What the names of the images begin with.

    Raises:
        ModelError: If the net does not begin with a convolution of colours or grey.
        LayerError: If a layer or unit does not exist, no single convolution makes the layer, or
            it has not the asked part.
    """
    read = read_filters(model, layer)
    coloured = read.is_first and not read.is_grey
    if settings.part != "all" and not coloured:
        raise LayerError(
            f"{read.name} of {model.name} has no {settings.part} part; "
            "needed: filters on three colours (--part all shows any)"
        )
    numbers = number_filters(read.weight, read.groups, coloured)
    indices, shown = _choose(read, numbers, model, settings)
    channels, height, width = read.stored.shape[1:]
    return NetFilters(
        layer=read.name,
        path=read.path,
        first=read.is_first,
        kernel=(height, width),
        channels=channels,
        groups=read.groups,
        stride=read.stride,
        unit="cycles/px" if read.is_first else "cycles/map px",
        summary=summarise_filters(numbers),
        shown=shown,
        filters=tuple(
            FilterTile(
                **asdict(numbers[index]),
                index=index,
                image=(image := f"{home}filter-{index:04d}.png"),
                width_px=pixels.shape[1],
                height_px=pixels.shape[0],
                large=name_large(image, pixels.shape[1], pixels.shape[0]),
                pixels=pixels,
            )
            for index, pixels in zip(
                indices, _render(read, indices, settings.scaling, settings.part), strict=True
            )
        ),
        clipped=None if settings.clip is None else int(read.clip(settings.clip)[1].sum()),
        model=model,
        name=name,
        settings=settings,
        read=read,
        numbers=numbers,
    )


def _choose(
    layer: FilterLayer, numbers: Sequence[FilterNumbers], model: ZooModel, settings: FilterSettings
) -> tuple[list[int], str]:
    """Choose which filters are shown, in order, and say which they are."""
    count, ordered = len(numbers), sort_filters(numbers, settings.order)
    if settings.units is not None:
        for unit in settings.units:
            if not 0 <= unit < count:
                raise LayerError(
                    f"filter {unit} does not exist: {layer.name} of {model.name} has "
                    f"filters 0..{count - 1}"
                )
        chosen = [index for index in ordered if index in settings.units]
        return chosen, f"{len(chosen)} of {count} filters, as asked for"
    if layer.is_first or count <= MOST_BLOCKS:
        return ordered, f"all {count} filters"
    strongest = sort_filters(numbers, "energy")[:MOST_BLOCKS]
    chosen = [index for index in ordered if index in strongest]
    return chosen, f"the {MOST_BLOCKS} of {count} filters with the largest energy"


def _render(
    layer: FilterLayer, indices: Sequence[int], scaling: FilterScaling, part: Part
) -> list[Array]:
    """Turn some filters of a layer into images."""
    weight = layer.weight
    if layer.is_grey:  # what it answers to grey pixels: the colours' weights sum to it
        weight = weight.sum(dim=1, keepdim=True)
    scaled = scale_filters(take_part(weight, part), scaling)[list(indices)]
    return show_colours(scaled, layer.is_grey) if layer.is_first else show_channels(scaled)


MOST_NAMED = 4
"""Nets that a heading names; more are counted."""


def _name_apart(nets: Sequence[ZooModel], layers: Sequence[str | None]) -> list[str]:
    """Name nets by title and layer; where one comes twice, by weights too, or else by number."""
    named = [
        f"{net.title} {layer}" if layer else net.title
        for net, layer in zip(nets, layers, strict=True)
    ]
    sources = [f"{name}, {net.provenance.source}" for name, net in zip(named, nets, strict=True)]
    numbers = [f"{name}, {number}" for number, name in enumerate(named, start=1)]
    for names in (named, sources):
        if len(set(names)) == len(names):
            return names
    return numbers


def name_run(nets: Sequence[NetFilters]) -> str:
    """Give the heading of a run: its nets and layers."""
    titles = list(dict.fromkeys(net.model.title for net in nets))
    who = join_words(titles) if len(titles) <= MOST_NAMED else f"{len(titles)} nets"
    layers = dict.fromkeys(net.layer for net in nets)
    return f"{who}: filters of {join_words(layers)}"


def join_words(words: Iterable[str]) -> str:
    """Join words as one says them.

    Example:
        >>> join_words(["AlexNet", "ZFNet", "VGG-16"])
        'AlexNet, ZFNet and VGG-16'
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _list_notes(settings: FilterSettings) -> tuple[str, ...]:
    return tuple(filter(None, (PART_WORDS[settings.part], ORDER_WORDS[settings.order])))


ZF_FOUND = (
    "Zeiler & Fergus (section 4.1) found in AlexNet’s first layer “a mix of extremely high and low "
    "frequency information, with little coverage of the mid frequencies”"
)


def draw(run: Manifest[FilterResults]) -> Iterator[Drawing | OutputFile]:
    """Draw the grid, what clipping changes where it was asked for, the chart, and each filter."""
    nets = run.results.nets
    settings = nets[0].settings
    yield Drawing(
        "filters",
        "Side by side" if len(nets) > 1 else "The filters",
        f"Grid of filters. {run.title}",
        draw_grid(nets, settings, run.title),
    )
    if settings.clip is not None:
        yield Drawing(
            "clipping",
            "Feature scale clipping",
            "The filters without and with feature scale clipping, side by side",
            _draw_clipping(nets, settings.clip),
            "As Figure 6 (a) and (c) of Zeiler & Fergus, whose (c) was trained with clipping: here "
            "the same weights are clipped once. RMS of the weights as the net holds them.",
        )
    yield Drawing(
        "numbers",
        "In numbers",
        "Mean shares of low, mid and high frequency, and every filter by orientation and frequency",
        draw_measures(nets, run.title),
    )
    for net in nets:
        yield from (OutputFile(tile.image, tile.pixels, tile.large) for tile in net.filters)


def draw_grid(nets: Sequence[NetFilters], settings: FilterSettings, title: str) -> Figure:
    """Draw the filters of nets side by side, with the scaling and the weights in the caption."""
    several, first = len(nets) > 1, nets[0]
    words = [SCALING_WORDS[settings.scaling], *_list_notes(settings)]
    if not several:
        words = [first.model.provenance.describe(), first.size, *words]
    if any(not net.first for net in nets):
        words.append(
            "each block: one filter's kernels, one per input channel (of its group), in rows; "
            "of 1 × 1 one cell each"
        )
    if any(len(net.filters) < net.summary.filters for net in nets):
        words.append(", ".join(dict.fromkeys(net.shown for net in nets)))
    panels = [net.make_panel(several) for net in nets]
    if any(DEAD in label for panel in panels for label in panel.labels):
        words.append(f"{DEAD} dead")
    return draw_filters(panels, title, " · ".join(words))


def _draw_clipping(nets: Sequence[NetFilters], radius: float) -> Figure:
    panels = [panel for net in nets for panel in net.make_clipped_panels(radius)]
    words = [
        *_list_weights(nets),
        f"clipping: filters above an RMS of {radius:g} are scaled back to it (Zeiler & Fergus "
        "2013, arXiv 1311.2901, section 3.1); here once, after training",
        f"{SCALING_WORDS['zf']}, each panel by itself",
    ]
    return draw_filters(panels, "Feature scale clipping", " · ".join(words), in_row=2)


def draw_measures(nets: Sequence[NetFilters], title: str) -> Figure:
    """Draw the measures of nets' filters, with their definitions in the caption."""
    words = [
        *_list_weights(nets),
        "energy: squared magnitude of the Fourier transform, summed over channels; peak: where it "
        "is largest (0: low-pass); none: as much energy in all directions; width: between the "
        "points of half amplitude; peak and width are medians; the borders of the bands are ours",
    ]
    if all(net.first for net in nets):
        words.append(ZF_FOUND)
    units = " or ".join(dict.fromkeys(net.unit for net in nets))
    charted = [ChartedNet(net.name, net.numbers, net.model.name) for net in nets]
    return draw_numbers(charted, units, f"{title} in numbers", " · ".join(words))


def _list_weights(nets: Sequence[NetFilters]) -> list[str]:
    return list(
        dict.fromkeys(f"{net.model.title}: {net.model.provenance.describe()}" for net in nets)
    )
