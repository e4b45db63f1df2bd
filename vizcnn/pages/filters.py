"""One net's filters, measured and ready to be looked at: panels of figures and images."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vizcnn.basics.errors import LayerError, ModelError, VizcnnError
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.version import __version__
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
from vizcnn.drawing.saving import save_figure, save_image
from vizcnn.drawing.tiles import to_bytes
from vizcnn.gallery.filter_manifest import FilterManifest, FilterNet, FilterTile
from vizcnn.gallery.records import PageFigure
from vizcnn.gallery.site import write_gallery
from vizcnn.measures.filter_layers import FilterLayer, read_filters
from vizcnn.measures.filter_numbers import (
    PART_WORDS,
    FilterNumbers,
    Part,
    number_filters,
    summarise_filters,
    take_part,
)
from vizcnn.pages.page import describe_weights, list_versions
from vizcnn.photos.pixels import Array
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


class FilterExhibit:
    """Reads and measures a layer's filters and makes their pictures.

    Args:
        model: The net.
        layer: Name of the layer; None for the first convolution.
        name: Name for headings and legends.
        settings: What to show and how.

    Attributes:
        layer: The layer.
        numbers: Measures of all its filters.
        summary: The layer in a few numbers.
        indices: The filters shown, in order.

    Raises:
        ModelError: If the net does not begin with a convolution of colours or grey.
        LayerError: If a layer or unit does not exist, no single convolution makes the layer, or
            it has not the asked part.
    """

    def __init__(
        self, model: ZooModel, layer: str | None, name: str, settings: FilterSettings
    ) -> None:
        self.model, self.name, self.settings = model, name, settings
        self.layer = read_filters(model, layer)
        if settings.part != "all" and (not self.layer.is_first or self.layer.is_grey):
            raise LayerError(
                f"{self.layer.name} of {model.name} has no {settings.part} part; "
                "needed: filters on three colours (--part all shows any)"
            )
        self.numbers = _number(self.layer)
        self.summary = summarise_filters(self.numbers)
        self.indices = self._choose()

    @property
    def unit(self) -> str:
        """Unit of frequencies."""
        return "cycles/px" if self.layer.is_first else "cycles/map px"

    @property
    def size(self) -> str:
        """Number and size of the filters, in words."""
        count, channels, height, width = self.layer.stored.shape
        if self.layer.is_first:
            of = f"{height} × {width} px"
        else:
            of = f"{height} × {width} on {channels} channel{'s' if channels > 1 else ''}"
        down, across = self.layer.stride
        stride = f"{down}" if down == across else f"{down} × {across}"
        groups = f", in {self.layer.groups} groups" if self.layer.groups > 1 else ""
        return f"{count} filters of {of}, stride {stride}{groups}"

    @property
    def shown(self) -> str:
        """Which filters are shown, in words."""
        count, of = len(self.indices), self.summary.filters
        if self.settings.units is not None:
            return f"{count} of {of} filters, as asked for"
        if count == of:
            return f"all {of} filters"
        return f"the {count} of {of} filters with the largest energy"

    def _choose(self) -> list[int]:
        count = self.summary.filters
        ordered = sort_filters(self.numbers, self.settings.order)
        if self.settings.units is not None:
            for unit in self.settings.units:
                if not 0 <= unit < count:
                    raise LayerError(
                        f"filter {unit} does not exist: {self.layer.name} of {self.model.name} has "
                        f"filters 0..{count - 1}"
                    )
            return [index for index in ordered if index in self.settings.units]
        if self.layer.is_first:
            return ordered
        strongest = sort_filters(self.numbers, "energy")[:MOST_BLOCKS]
        return [index for index in ordered if index in strongest]

    @property
    def has_dead(self) -> bool:
        """Whether a filter that is shown is dead."""
        return bool(self.numbers.dead[self.indices].any())

    def render(self, layer: FilterLayer, scaling: FilterScaling) -> list[Array]:
        """Turn the shown filters of this layer, or of a changed copy of it, into images."""
        weight = layer.weight
        if layer.is_grey:  # what it answers to grey pixels: the colours' weights sum to it
            weight = weight.sum(dim=1, keepdim=True)
        scaled = scale_filters(take_part(weight, self.settings.part), scaling)[self.indices]
        if layer.is_first:
            return show_colours(scaled, layer.is_grey)
        return show_channels(scaled)

    def make_panel(self, several: bool) -> FilterPanel:
        """Make the panel of the grid; with its own heading where there are several."""
        panel = self._make_panel(self.layer, self.settings.scaling)
        if not several:
            return panel
        low, mid, high = self.summary.low, self.summary.mid, self.summary.high
        notes = (
            self.model.provenance.describe(),
            f"{self.size} · {self.summary.dead} dead",
            f"energy: low {low:.0%}, mid {mid:.0%}, high {high:.0%}",
        )
        return replace(panel, name=self.name, notes=notes)

    def _make_panel(self, layer: FilterLayer, scaling: FilterScaling) -> FilterPanel:
        plain = self.settings.order == "index" and self.settings.units is None
        labelled = not (plain and layer.is_first)
        word = "" if layer.is_first else "filter "
        labels = [
            f"{word}{index}{DEAD if self.numbers.dead[index] else ''}" for index in self.indices
        ]
        return FilterPanel(
            tiles=tuple(self.render(layer, scaling)),
            labels=tuple(labels) if labelled else (),
            blocks=not layer.is_first,
        )

    def make_clipped_panels(self, radius: float) -> tuple[FilterPanel, FilterPanel]:
        """Make two panels in ZF's scaling: without and with feature scale clipping."""
        clipped, exceeds = self.layer.clip(radius)
        largest = self.layer.stored.double().square().mean(dim=(1, 2, 3)).sqrt().max().item()
        count = int(exceeds.sum())
        over = f"{count} of {self.summary.filters} filters exceed" if count else "no filter exceeds"
        done = f"{count} filters scaled back" if count else "the same: nothing to scale back"
        return (
            replace(
                self._make_panel(self.layer, "zf"),
                name=f"{self.name} without clipping",
                notes=(f"{over} an RMS of {radius:g}; the largest is {largest:.3g}",),
            ),
            replace(
                self._make_panel(clipped, "zf"),
                name=f"{self.name} with clipping",
                notes=(done,),
            ),
        )

    def chart(self) -> ChartedNet:
        """Give what the chart of numbers needs."""
        return ChartedNet(self.name, self.numbers)

    def write(self, home: Path) -> FilterNet:
        """Write an image per shown filter and describe the net for the manifest."""
        settings, layer = self.settings, self.layer
        height, width = layer.stored.shape[2:]
        clipped = None if settings.clip is None else int(layer.clip(settings.clip)[1].sum())
        return FilterNet(
            model=self.model.name,
            title=self.name,
            weights=describe_weights(self.model),
            layer=layer.name,
            path=layer.path,
            first=layer.is_first,
            kernel=(height, width),
            channels=layer.stored.shape[1],
            groups=layer.groups,
            stride=layer.stride,
            unit=self.unit,
            summary=self.summary,
            shown=self.shown,
            filters=tuple(self._write_tiles(home)),
            clipped=clipped,
            options=self.model.options,
        )

    def _write_tiles(self, home: Path) -> Sequence[FilterTile]:
        tiles = []
        images = self.render(self.layer, self.settings.scaling)
        for index, image in zip(self.indices, images, strict=True):
            path = home / f"filter-{index:04d}.png"
            save_image(to_bytes(image), path)
            tiles.append(
                FilterTile(
                    index=index,
                    image=path.relative_to(home.parent).as_posix(),
                    width_px=image.shape[1],
                    height_px=image.shape[0],
                    **_tell(self.numbers, index, self.layer),
                )
            )
        return tiles


def _number(layer: FilterLayer) -> FilterNumbers:
    numbers = number_filters(layer.weight)
    if layer.is_first and not layer.is_grey:
        return numbers
    return replace(numbers, colour=torch.full_like(numbers.colour, math.nan))


def _tell(numbers: FilterNumbers, index: int, layer: FilterLayer) -> dict[str, Any]:
    """Give a filter's measures as plain values, None for what it has not."""
    values: dict[str, Any] = {}
    for field in fields(numbers):
        measure: Tensor = getattr(numbers, field.name)
        value = measure[index].item()
        values[field.name] = None if math.isnan(value) else value
    place = values.pop("strongest")
    return {**values, "strongest_channel": layer.find_channel(index, place)}


ZF_FOUND = (
    "Zeiler & Fergus (section 4.1) found in AlexNet’s first layer “a mix of extremely high and low "
    "frequency information, with little coverage of the mid frequencies”"
)

MOST_NAMED = 4
"""Nets that a heading names; more are counted."""


def make_filter_gallery(
    models: ZooModel | Sequence[ZooModel],
    folder: Path,
    settings: FilterSettings | None = None,
    command: str = "",
) -> FilterManifest:
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
    exhibits = _read(models, settings)
    with write_folder(folder) as staging:
        manifest = FilterManifest(
            vizcnn=__version__,
            command=command,
            title=name_run(exhibits),
            scaling=SCALING_WORDS[settings.scaling],
            notes=tuple(_list_notes(settings)),
            figures=tuple(_draw_figures(exhibits, settings, staging)),
            nets=tuple(
                exhibit.write(staging / f"net-{number}")
                for number, exhibit in enumerate(exhibits, start=1)
            ),
            settings=asdict(settings),
            versions=list_versions(),
        )
        write_gallery(manifest, staging)
    return manifest


def _read(
    models: ZooModel | Sequence[ZooModel], settings: FilterSettings
) -> tuple[FilterExhibit, ...]:
    nets = (models,) if isinstance(models, ZooModel) else tuple(models)
    if not nets:
        raise ModelError("no net is named; needed: at least one, for example zfnet")
    layers: tuple[str | None, ...] = settings.layers or (None,)
    if len(layers) not in (1, len(nets)):
        raise VizcnnError(
            f"{len(layers)} layers for {len(nets)} net(s); needed: one for all, or one for each"
        )
    wanted = layers * len(nets) if len(layers) == 1 else layers
    names = _name_apart(nets, wanted)
    return tuple(
        FilterExhibit(net, layer, name, settings)
        for net, layer, name in zip(nets, wanted, names, strict=True)
    )


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


def name_run(exhibits: Sequence[FilterExhibit]) -> str:
    """Give the heading of a run: its nets and layers."""
    nets = list(dict.fromkeys(exhibit.model.title for exhibit in exhibits))
    layers = list(dict.fromkeys(exhibit.layer.name for exhibit in exhibits))
    who = join_words(nets) if len(nets) <= MOST_NAMED else f"{len(nets)} nets"
    return f"{who}: filters of {join_words(layers)}"


def join_words(words: Iterable[str]) -> str:
    """Join words as one says them.

    Example:
        >>> join_words(["AlexNet", "ZFNet", "VGG-16"])
        'AlexNet, ZFNet and VGG-16'
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _list_notes(settings: FilterSettings) -> Iterable[str]:
    yield from filter(None, (PART_WORDS[settings.part], ORDER_WORDS[settings.order]))


def _draw_figures(
    exhibits: Sequence[FilterExhibit], settings: FilterSettings, staging: Path
) -> Iterable[PageFigure]:
    title = name_run(exhibits)
    save = _Saver(staging, settings.figure_format)
    yield save(
        draw_grid(exhibits, settings, title),
        "filters",
        "Side by side" if len(exhibits) > 1 else "The filters",
        f"Grid of filters. {title}",
    )
    if settings.clip is not None:
        yield save(
            _draw_clipping(exhibits, settings.clip),
            "clipping",
            "Feature scale clipping",
            "The filters without and with feature scale clipping, side by side",
            "As Figure 6 (a) and (c) of Zeiler & Fergus, whose (c) was trained with clipping: here "
            "the same weights are clipped once. RMS of the weights as the net holds them.",
        )
    yield save(
        draw_measures(exhibits, title),
        "numbers",
        "In numbers",
        "Mean shares of low, mid and high frequency, and every filter by orientation and frequency",
    )


class _Saver:
    def __init__(self, staging: Path, kind: str) -> None:
        self.staging, self.kind = staging, kind

    def __call__(
        self, figure: Figure, name: str, title: str, text: str, note: str = ""
    ) -> PageFigure:
        file = f"{name}.{self.kind}"
        save_figure(figure, self.staging / file)
        return PageFigure(title=title, file=file, text=text, note=note)


def draw_grid(exhibits: Sequence[FilterExhibit], settings: FilterSettings, title: str) -> Figure:
    """Draw the filters of nets side by side, with the scaling and the weights in the caption."""
    several = len(exhibits) > 1
    words = [SCALING_WORDS[settings.scaling], *_list_notes(settings)]
    first = exhibits[0]
    if not several:
        words = [first.model.provenance.describe(), first.size, *words]
    if any(not exhibit.layer.is_first for exhibit in exhibits):
        words.append(
            "each block: one filter's kernels, one per input channel (of its group), in rows; "
            "of 1 × 1 one cell each"
        )
    if any(len(exhibit.indices) < exhibit.summary.filters for exhibit in exhibits):
        words.append(", ".join(dict.fromkeys(exhibit.shown for exhibit in exhibits)))
    panels = [exhibit.make_panel(several) for exhibit in exhibits]
    if any(
        exhibit.has_dead and panel.labels for exhibit, panel in zip(exhibits, panels, strict=True)
    ):
        words.append(f"{DEAD} dead")
    return draw_filters(panels, title, " · ".join(words))


def _draw_clipping(exhibits: Sequence[FilterExhibit], radius: float) -> Figure:
    panels = [panel for exhibit in exhibits for panel in exhibit.make_clipped_panels(radius)]
    nets = dict.fromkeys(
        f"{exhibit.model.title}: {exhibit.model.provenance.describe()}" for exhibit in exhibits
    )
    caption = " · ".join(
        [
            *nets,
            f"clipping: filters above an RMS of {radius:g} are scaled back to it (Zeiler & Fergus "
            "2013, arXiv 1311.2901, section 3.1); here once, after training",
            f"{SCALING_WORDS['zf']}, each panel by itself",
        ]
    )
    return draw_filters(panels, "Feature scale clipping", caption, in_row=2)


def draw_measures(exhibits: Sequence[FilterExhibit], title: str) -> Figure:
    """Draw the measures of nets' filters, with their definitions in the caption."""
    units = list(dict.fromkeys(exhibit.unit for exhibit in exhibits))
    nets = dict.fromkeys(
        f"{exhibit.model.title}: {exhibit.model.provenance.describe()}" for exhibit in exhibits
    )
    words = [
        *nets,
        "energy: squared magnitude of the Fourier transform, summed over channels; peak: where it "
        "is largest (0: low-pass); none: as much energy in all directions; width: between the "
        "points of half amplitude; peak and width are medians; the borders of the bands are ours",
    ]
    if all(exhibit.layer.is_first for exhibit in exhibits):
        words.append(ZF_FOUND)
    charted = [exhibit.chart() for exhibit in exhibits]
    return draw_numbers(charted, " or ".join(units), f"{title} in numbers", " · ".join(words))
