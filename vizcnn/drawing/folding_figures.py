"""What every subsampling of a net folds: spectra with the new limit, and what the cures leave."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import PercentFormatter

from vizcnn.drawing.aliasing_pictures import DECIBELS
from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.panels import show_panel
from vizcnn.drawing.sheet import MARGIN, PLOT_SIZE, SLIDE_WIDTH, Sheet, fit_slide, fit_text
from vizcnn.drawing.style import letter_size, plain_style, points, scale_letters, tone
from vizcnn.drawing.words import percent
from vizcnn.measures.folding import BLURS
from vizcnn.measures.layer_folding import LayerFolding, NetFolding

IN_A_ROW = 8
"""Layers beside each other, at most."""
LEFT, GAP = 0.85, 0.12
"""Inches for the vertical axes, and between layers."""
WIDEST, LARGEST = 4.2, 1.9
"""Inches that a layer may take, and its spectrum."""
BARS, NAMES = 1.45, 0.8
"""Inches for bars, and for the names below them."""
HEADS = 0.3
"""Inches for a key, or a heading."""
BLUR_COLOURS = (COLOURS[5], COLOURS[4], COLOURS[0])
"""Of a step as it is, and after each blur."""
FLC_COLOUR = COLOURS[2]
LIMIT_COLOUR = "#e69f00"
MARKERS = {"convolution": "o", "max pooling": "s", "average pooling": "^", "slice": "D"}


@fit_slide
def draw_net_folding(net: NetFolding, title: str, caption: str) -> Figure:
    """Draw every subsampling of a net: its spectrum, and what folds before and after the cures.

    Args:
        net: What was measured.
        title: Heading.
        caption: Small print.
    """
    count = math.ceil(len(net.layers) / IN_A_ROW)
    longest = math.ceil(len(net.layers) / count)
    rows = [net.layers[first : first + longest] for first in range(0, len(net.layers), longest)]
    columns = max(longest, 3)
    letters = scale_letters(1.0)
    left = LEFT * letters
    room = SLIDE_WIDTH - left - MARGIN
    step = min(room / columns, WIDEST)
    side = min(step - GAP, LARGEST)
    asked = any(layer.apart is not None for layer in net.layers)
    names = (NAMES if asked else NAMES - 0.18) * letters
    height = side + 0.15 + 2 * (BARS + 0.2) + names
    with plain_style():
        words = (
            f"spectra ({DECIBELS:g} dB) before places are left out, without the mean; the square "
            "is what the stride can keep"
        )
        sheet = Sheet(SLIDE_WIDTH, HEADS * letters + len(rows) * height, title, caption, words)
        _draw_key(sheet, left, sheet.top)
        limits = _find_limits(net.layers)
        for number, row in enumerate(rows):
            top = sheet.top + HEADS * letters + number * height
            _draw_row(sheet, row, (left, top, step, side), limits)
    return sheet.figure


def _find_limits(layers: Sequence[LayerFolding]) -> tuple[float, float]:
    """Give the ends of the vertical axes: of shares, and of distances."""
    shares = [value for layer in layers for value in layer.heard_shares]
    distances = [value for layer in layers for value in layer.distances if value is not None]
    return max([0.02, *shares]) * 1.18, max([0.1, *distances]) * 1.1


def _draw_key(sheet: Sheet, left: float, top: float) -> None:
    axes = sheet.add_axes(left, top, SLIDE_WIDTH - left - MARGIN, HEADS)
    named = [
        Patch(color=colour, label="as it is" if taps is None else f"BlurPool of {taps} taps")
        for taps, colour in zip(BLURS, BLUR_COLOURS, strict=True)
    ]
    flc = Line2D([], [], color=FLC_COLOUR, linewidth=points(2.5), label="FLC, the ideal: 0")
    limit = Line2D([], [], color=LIMIT_COLOUR, linewidth=points(1.5), label="new Nyquist limit")
    photos = Line2D(
        [], [], color=tone("#000000"), linewidth=points(1), label="photos, least to most"
    )
    axes.legend(
        handles=[*named, flc, limit, photos],
        loc="upper left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0,
        borderpad=0,
        ncols=6,
        frameon=False,
        fontsize=letter_size(PLOT_SIZE - 1),
        columnspacing=1.4,
        handlelength=1.2,
    )


def _draw_row(
    sheet: Sheet,
    layers: Sequence[LayerFolding],
    place: tuple[float, float, float, float],
    limits: tuple[float, float],
) -> None:
    left, top, step, side = place
    for column, layer in enumerate(layers):
        across = left + column * step
        _draw_spectrum(sheet.add_axes(across + (step - side) / 2, top, side, side), layer)
    width, below = len(layers) * step, top + side + 0.15
    shares = sheet.add_plot(left, below, width, BARS, "", "energy folded")
    shares.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _plot_bars(shares, [layer.shares for layer in layers], limits[0])
    for number, layer in enumerate(layers):
        _mark_photos(shares, number, layer)
    distances = sheet.add_plot(left, below + BARS + 0.2, width, BARS, "", "distance")
    _plot_bars(distances, [layer.distances for layer in layers], limits[1])
    for column, layer in enumerate(layers):
        middle = left + (column + 0.5) * step
        _name(sheet, layer, middle, below + 2 * BARS + 0.26, step - 0.06)


def _draw_spectrum(axes: Axes, layer: LayerFolding) -> None:
    power = np.fft.fftshift(layer.power)
    decibels = 10 * np.log10(np.maximum(power / max(power.max(), 1e-300), 1e-30))
    # each frequency in the middle of its pixel: of an even number, the lowest has no counterpart
    (up, low), (first, last) = (
        ((-(size // 2) - 0.5) / size, ((size - 1) // 2 + 0.5) / size) for size in power.shape
    )
    extent = (first, last, low, up)
    show_panel(axes, decibels, cmap="viridis", vmin=-DECIBELS, vmax=0, extent=extent, aspect="auto")
    down, across = (0.5 / step for step in layer.step.stride)
    corner, size = (-across, -down), (2 * across, 2 * down)
    axes.add_patch(Rectangle(corner, *size, fill=False, color=LIMIT_COLOUR, lw=points(1.5)))


def _plot_bars(axes: Axes, values: Sequence[Sequence[float | None]], top: float) -> None:
    width = 0.8 / (len(BLURS) + 1)
    for number, colour in enumerate(BLUR_COLOURS):
        places = [index - 0.4 + (number + 0.5) * width for index in range(len(values))]
        heights = [row[number] or 0.0 for row in values]
        axes.bar(places, heights, width * 0.92, color=colour)
    for index in range(len(values)):
        last = index - 0.4 + len(BLURS) * width
        axes.plot(
            [last, last + width * 0.92], [0, 0], color=FLC_COLOUR, lw=points(2.5), clip_on=False
        )
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set_ylim(0, top)
    axes.set_xticks([])
    axes.grid(visible=False, axis="x")


def _mark_photos(axes: Axes, number: int, layer: LayerFolding) -> None:
    """Draw the range over photos, and write the share above it."""
    share = layer.shares[0]
    if share is None:
        axes.text(
            number, 0, "silent", ha="center", va="bottom", fontsize=letter_size(PLOT_SIZE - 2)
        )
        return
    place = number - 0.4 + 0.5 * 0.8 / (len(BLURS) + 1)
    heard = [value for value in layer.photo_shares if value is not None]
    if len(heard) > 1:
        # the sum over photos weighs those of much energy more: it may lie anywhere between
        axes.plot([place, place], [min(heard), max(heard)], color=tone("#000000"), lw=points(1))
    high = max([share, *heard])
    words = percent(share)
    axes.annotate(
        words,
        (place, min(high, axes.get_ylim()[1] * 0.86)),
        xytext=(0, points(2)),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=letter_size(PLOT_SIZE - 1),
        weight="bold",
    )


def _name(sheet: Sheet, layer: LayerFolding, middle: float, top: float, room: float) -> None:
    step = layer.step
    lines = [
        (step.name, 10.5, "bold"),
        (describe_step(layer), 9.5, "normal"),
        (f"{show_size(step.dense)} → {show_size(step.kept)}", 9.5, "normal"),
    ]
    if layer.apart is not None:
        lines.append((f"aliases {layer.apart:.2f} apart", 9.5, "normal"))
    for number, (words, size, weight) in enumerate(lines):
        line = number * scale_letters(0.18)
        text = sheet.write(words, middle, top + line, size, ha="center", weight=weight)
        fit_text(text, room)


def show_size(size: tuple[int, int]) -> str:
    """Write rows and columns, or one number where they are equal.

    Example:
        >>> show_size((7, 7)), show_size((1, 7))
        ('7²', '1 × 7')
    """
    return f"{size[0]}²" if size[0] == size[1] else f"{size[0]} × {size[1]}"


def describe_step(layer: LayerFolding) -> str:
    """Say what a layer does, briefly: ``"max 3², stride 2"``."""
    step = layer.step
    kinds = {"convolution": "conv", "max pooling": "max", "average pooling": "mean"}
    kind = "depthwise" if step.depthwise else kinds.get(step.kind, step.kind)
    window = "" if step.kind == "slice" else f" {show_size(step.window)}"
    down, across = step.stride
    return f"{kind}{window}, stride {down if down == across else f'{down}, {across}'}"


@fit_slide
def draw_comparison(nets: Sequence[NetFolding], colours: Sequence[str], caption: str) -> Figure:
    """Draw what folds in several nets, by how much smaller the map is afterwards.

    Args:
        nets: What was measured.
        colours: A colour for each.
        caption: Small print.
    """
    letters = scale_letters(1.0)
    left, gap, key = LEFT * letters, 0.55, 2.6 * letters
    height = 4.2
    width = (SLIDE_WIDTH - left - gap - MARGIN - key - 0.2) / 2
    panels = ("as it is", *(f"BlurPool of {taps} taps" for taps in BLURS[1:2]))
    values = [share or 0.0 for net in nets for layer in net.layers for share in layer.shares]
    with plain_style():
        title = "Energy that folds, from layer to layer"
        sheet = Sheet(SLIDE_WIDTH, 0.3 + height + 0.6 * letters, title, caption)
        for number, words in enumerate(panels):
            across = "input's side over the map's, after the step"
            place = left + number * (width + gap), sheet.top + 0.3
            axes = sheet.add_plot(*place, width, height, across)
            axes.set_title(words, fontsize=letter_size(13), loc="left", weight="bold")
            for net, colour in zip(nets, colours, strict=True):
                _plot_net(axes, net, number, colour)
            _lay_axis(axes, nets)
            axes.set_ylim(0, max([0.02, *values]) * 1.05)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            if number == 0:
                axes.set_ylabel("energy above the new limit", fontsize=letter_size(PLOT_SIZE))
        _draw_names(sheet, nets, colours, SLIDE_WIDTH - MARGIN - key, key)
    return sheet.figure


def _plot_net(axes: Axes, net: NetFolding, number: int, colour: str) -> None:
    means: dict[float, list[float]] = {}
    for layer in net.layers:
        share, place = layer.shares[number], net.side / layer.step.kept[0]
        if share is not None:
            means.setdefault(round(place, 3), []).append(share)
            marker = MARKERS[layer.step.kind]
            axes.plot(place, share, marker, color=colour, markersize=points(6), alpha=0.9)
    ordered = sorted(means)
    heights = [float(np.mean(means[place])) for place in ordered]
    axes.plot(ordered, heights, color=colour, linewidth=points(1.4), alpha=0.7)


def _lay_axis(axes: Axes, nets: Sequence[NetFolding]) -> None:
    places = [net.side / layer.step.kept[0] for net in nets for layer in net.layers]
    axes.set_xscale("log", base=2)
    if places:
        axes.set_xlim(min(places) / 1.3, max(places) * 1.3)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _draw_names(
    sheet: Sheet, nets: Sequence[NetFolding], colours: Sequence[str], left: float, room: float
) -> None:
    line, top = scale_letters(0.24), sheet.top + 0.3
    for number, (net, colour) in enumerate(zip(nets, colours, strict=True)):
        words = f"{net.title} (random weights)" if net.random else net.title
        sheet.write(words, left, top + number * line, 11, room=room, color=colour, weight="bold")
    marked = [
        Line2D([], [], marker=marker, color=tone("#444444"), linestyle="", label=kind)
        for kind, marker in MARKERS.items()
        if any(layer.step.kind == kind for net in nets for layer in net.layers)
    ]
    axes = sheet.add_axes(left, top + len(nets) * line + 0.1, room, 1.2)
    axes.legend(
        handles=marked, loc="upper left", frameon=False, fontsize=letter_size(PLOT_SIZE - 1),
        borderaxespad=0, borderpad=0,
    )  # fmt: skip
