"""Filters in numbers as a figure: shares of low, mid and high frequency, orientations, peaks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vizcnn.drawing.net_colours import find_net_colour
from vizcnn.drawing.sheet import MARGIN, SLIDE_WIDTH, Sheet, fit_slide, fit_text, show_plainly
from vizcnn.drawing.style import letter_size, plain_style, points, scale_letters, tone
from vizcnn.measures.filter_numbers import (
    LOW_FREQUENCY,
    WHITE_SHARES,
    FilterNumbers,
    FilterSummary,
    summarise_filters,
)
from vizcnn.measures.filters import HIGH_FREQUENCY

BAND_COLOURS = ("#cfe0f3", "#7fb0dc", "#1f5a94")
BAND_INK = ("#000000", "#000000", "#ffffff")
"""Bands from pale to dark, in a colour's own lightness: readable in print and to every eye."""
LINES = ("-", "--", ":", "-.")
MARKERS = "osD^vPX*<"

BODY = 4.3
"""Height of the charts in inches."""
BAR, BAR_STEP = 0.36, 0.95
"""Height of a bar, and from bar to bar, in inches."""
SHARES_WIDTH, SCATTER_WIDTH, HISTOGRAM_WIDTH = 5.0, 4.1, 2.6
HISTOGRAM_STEP = 0.025
"""Width of the histogram's classes in cycles per pixel."""
STRIPE = 0.07
"""Width of the stripe in a net's colour before its bar, in inches."""
HEADROOM = 0.075
"""Share of the chart's height that a net takes in the legend."""
LEAST_WRITTEN = 0.06
"""Share from which a part of a bar is wide enough for its number."""
BESIDE = (194.0, 226.0)
"""Where filters without an orientation are drawn, on an axis of 0..180 degrees."""
GOLDEN = 0.6180339887
"""Multiples of it, without their whole part, fill a line evenly: no point hides another."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ChartedNet:
    """A net's filters to be drawn.

    Attributes:
        name: The net, for the legend.
        numbers: Its filters' measures.
        model: The net's own name, which decides on its colour.
    """

    name: str
    numbers: Sequence[FilterNumbers]
    model: str

    @property
    def colour(self) -> str:
        """Its colour in every figure."""
        return find_net_colour(self.model)

    @property
    def layer(self) -> FilterSummary:
        """The layer in a few numbers."""
        return summarise_filters(self.numbers)

    @property
    def alive(self) -> list[FilterNumbers]:
        """The filters that are not dead."""
        return [filter for filter in self.numbers if not filter.dead]


@fit_slide
def draw_numbers(nets: Sequence[ChartedNet], unit: str, title: str, caption: str) -> Figure:
    """Draw where nets have the energy of their filters, and what each filter answers to.

    On the left the mean shares of low, mid and high frequency beside those of white noise; in the
    middle every live filter by orientation and peak frequency; on the right how many there are.

    Args:
        nets: One or several.
        unit: Unit of frequency, for the axis.
        title: Heading.
        caption: What is drawn, below.

    Returns:
        A figure of a slide's width.
    """
    body = max(BODY, 0.5 + BAR_STEP * (len(nets) + 1) - 0.3)
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, body + 0.45, title, caption)
        _draw_shares(sheet, nets, unit, sheet.top)
        left = beside = MARGIN + SHARES_WIDTH + scale_letters(0.85)
        scatter = sheet.add_axes(left, sheet.top + 0.3, SCATTER_WIDTH, body - 0.3)
        left += SCATTER_WIDTH + 0.25
        histogram = sheet.add_axes(left, sheet.top + 0.3, HISTOGRAM_WIDTH, body - 0.3)
        highest = _find_top(nets)
        for axes in (scatter, histogram):
            _prepare(axes, highest)
        _draw_scatter(scatter, nets, unit)
        _draw_histogram(histogram, nets)
        heading = "live filters by orientation and peak frequency"
        sheet.write(heading, beside, sheet.top, 11, room=SCATTER_WIDTH)
        sheet.write("how many", left, sheet.top, 11)
    return sheet.figure


def _find_top(nets: Sequence[ChartedNet]) -> float:
    highest = max(filter.peak for net in nets for filter in net.numbers)
    legend = 1 + HEADROOM * len(nets) if len(nets) > 1 else 1.0
    return max(0.3, highest + 0.01) * legend


def _draw_shares(sheet: Sheet, nets: Sequence[ChartedNet], unit: str, top: float) -> None:
    """Draw a bar per net, and one of white noise."""
    names = 1.5
    left, width = MARGIN + names + 0.1, SHARES_WIDTH - names - 0.1
    sheet.write("mean share of a filter's energy", left, top, 11)
    _name_bands(sheet, left, top + 0.3, width)
    layers = [net.layer for net in nets]
    shares = [(layer.low, layer.mid, layer.high) for layer in layers] + [WHITE_SHARES]
    titles = [net.name for net in nets] + ["white noise"]
    notes = ["\n".join(describe_layer(layer, unit)) for layer in layers]
    notes.append("the same energy at every frequency")
    for index, (title, note) in enumerate(zip(titles, notes, strict=True)):
        above = top + 0.62 + index * BAR_STEP
        style = {"ha": "right", "va": "center"}
        sheet.write(title, left - 0.16, above + BAR / 2, 11, room=names - 0.1, **style)
        sheet.write(note, left, above + BAR + 0.04, 9, room=width + 0.3, color=tone("#444444"))
        _draw_bar(sheet.add_axes(left, above, width, BAR), shares[index])
        if index < len(nets) > 1:
            _fill(sheet.add_axes(left - STRIPE - 0.03, above, STRIPE, BAR), nets[index].colour)


def describe_layer(layer: FilterSummary, unit: str) -> tuple[str, ...]:
    """Say the key numbers of a layer in a line or two.

    Example:
        >>> from vizcnn.measures.filter_numbers import number_filters
        >>> import torch
        >>> describe_layer(summarise_filters(number_filters(torch.ones(4, 3, 7, 7))), "cycles/px")
        ('4 filters: 0 dead, 0 oriented, 4 low-pass',)
    """
    count = f"{layer.filters} filters: {layer.dead} dead, {layer.oriented} oriented, "
    count += f"{layer.lowpass} low-pass"
    if layer.peak is None:
        return (count,)
    wide = "" if layer.bandwidth is None else f", {layer.bandwidth:.1f} octaves wide"
    whose = "others: peak" if layer.lowpass else "peak"
    return count, f"{whose} {layer.peak:.2g} {unit}{wide}"


def _fill(axes: Axes, colour: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.barh(0.5, 1, height=1, color=colour, linewidth=0)


def _draw_bar(axes: Axes, shares: Sequence[float]) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    start = 0.0
    for share, colour, ink in zip(shares, BAND_COLOURS, BAND_INK, strict=True):
        axes.barh(0.5, share, height=1.0, left=start, color=colour, linewidth=0)
        if share >= LEAST_WRITTEN:
            number = axes.text(
                start + share / 2, 0.47, f"{share:.0%}", color=ink, fontsize=letter_size(10)
            )
            number.set(ha="center", va="center")
        start += share


def _name_bands(sheet: Sheet, left: float, top: float, width: float) -> None:
    limits = (
        f"low < {LOW_FREQUENCY:g}",
        f"mid {LOW_FREQUENCY:g} to {HIGH_FREQUENCY:g}",
        f"high > {HIGH_FREQUENCY:g}",
    )
    places = (0.0, 0.29, 0.7)
    for limit, colour, place, end in zip(
        limits, BAND_COLOURS, places, (0.29, 0.7, 1.1), strict=True
    ):
        here, room = left + place * width, (end - place) * width - 0.25
        _fill(sheet.add_axes(here, top + 0.03, 0.14, 0.14), colour)
        sheet.write(limit, here + 0.2, top, 9.5, room=room)


def _prepare(axes: Axes, highest: float) -> None:
    """Shade the bands across a chart whose height is the frequency."""
    axes.set_axis_on()
    axes.set_ylim(-0.012, highest)
    step = 0.05 if highest < 0.45 else 0.1
    axes.set_yticks([step * number for number in range(int(highest / step) + 1)])
    edges = (-0.012, LOW_FREQUENCY, HIGH_FREQUENCY, highest)
    for low, high, colour in zip(edges, edges[1:], BAND_COLOURS, strict=False):
        axes.axhspan(low, high, color=colour, alpha=0.28, linewidth=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=letter_size(9.5))


def _draw_scatter(axes: Axes, nets: Sequence[ChartedNet], unit: str) -> None:
    for index, net in enumerate(nets):
        angle = np.array([filter.orientation for filter in net.alive], dtype=np.float64)
        without = np.isnan(angle)
        angle[without] = _spread(int(without.sum()), index, len(nets))
        axes.scatter(
            angle,
            [filter.peak for filter in net.alive],
            color=net.colour,
            marker=MARKERS[index % len(MARKERS)],
            clip_on=False,
            s=points(points(30)),  # an area
            alpha=0.75,
            linewidth=points(0.5),
            edgecolor=tone("white"),
        )
    first, last = BESIDE
    axes.set_xlim(-6, last + 4)
    middle = (first + last) / 2
    axes.set_xticks([0, 45, 90, 135, 180, middle], ["0°", "45°", "90°", "135°", "180°", "none"])
    axes.axvline(first - 6, color=tone("#777777"), linewidth=points(0.8))
    axes.set_xlabel(
        "orientation of the bars (0°: horizontal, 90°: vertical)", fontsize=letter_size(9.5)
    )
    axes.set_ylabel(f"peak frequency ({unit})", fontsize=letter_size(9.5))
    if len(nets) > 1:
        shapes, names = axes.collections, [net.name for net in nets]
        style = {"fontsize": letter_size(9), "framealpha": 0.85, "borderpad": 0.4}
        legend = axes.legend(list(shapes), names, loc="upper left", **style)
        for text in legend.get_texts():
            text.set_text(show_plainly(text.get_text()))
            text.set_parse_math(False)
            fit_text(text, SCATTER_WIDTH - 0.8)


def _spread(count: int, index: int, nets: int) -> Values:
    """Give filters without an orientation places beside each other, each net its own part."""
    first, last = BESIDE
    part = (last - first) / nets
    within: Values = np.arange(count, dtype=np.float64) * GOLDEN % 1
    return first + part * (index + 0.1 + 0.8 * within)


def _draw_histogram(axes: Axes, nets: Sequence[ChartedNet]) -> None:
    classes = np.arange(0, 0.75, HISTOGRAM_STEP)
    most = 0.0
    for index, net in enumerate(nets):
        peaks = [filter.peak for filter in net.alive]
        counts, _, _ = axes.hist(
            peaks,
            bins=classes.tolist(),
            orientation="horizontal",
            histtype="stepfilled" if len(nets) == 1 else "step",
            color=net.colour,
            linestyle=LINES[index % len(LINES)],
            linewidth=points(1.8),
            alpha=0.9,
        )
        most = max(most, float(np.max(counts)))
    axes.set_xlim(0, max(1.05 * most, 1.0))
    ticks = MaxNLocator(5, integer=True).tick_values(0, most)
    axes.set_xticks([tick for tick in ticks if 0 <= tick <= axes.get_xlim()[1]])
    axes.tick_params(labelleft=False)
    axes.set_xlabel("filters", fontsize=letter_size(9.5))
