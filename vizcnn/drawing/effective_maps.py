"""Effective receptive fields: maps with the exact box around, and curves of how they fall off."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from vizcnn.basics.texts import write_percent
from vizcnn.drawing.net_colours import find_net_colour
from vizcnn.drawing.panels import show_panel
from vizcnn.drawing.receptive_fields import HATCH, PADDING
from vizcnn.drawing.sheet import MARGIN, PLOT_SIZE, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import find_style, letter_size, plain_style, points, scale_letters, tone
from vizcnn.measures.effective_field import SHARES, EffectiveField, Values, hold_by_side

DECADES = 4
"""Powers of ten below a map's peak that are shown."""
COLOUR_MAP = "magma"
BOX, HOLDS = "#56b4e9", "#ffffff"
"""Colours of the exact field's frame and of the squares that hold 95 and 50 %."""
AROUND = 0.12
"""Share of a field's side that is shown around it."""
LARGEST_TILE = 2.3
"""Largest side of a map in inches."""
NAMES, NAMES_OF_LAYERS, GAP, HEADING, NOTE = 1.35, 0.75, 0.09, 0.34, 0.24
"""Inches for nets' and layers' names at the left, between maps, for names above, for numbers."""
LEAST_WIDTH = 10.0
"""Inches that a figure of maps is wide at least: for its scale."""
MOST_ROWS = 4
"""Nets that stand below each other; more are set side by side, as epochs are read."""
SCALE = 0.62
"""Inches for the scale of colours below the maps."""
SLIDE_BODY = 5.6
"""Inches that the maps of a slide take at most."""
MOST_COLUMNS = 6
"""Layers that stand side by side; a page's table has all."""


@dataclass(frozen=True)
class NetFields:
    """The effective fields of a net.

    Attributes:
        name: The net's name, which decides on its colour.
        title: What it is called in figures.
        untrained: Whether it is another's untrained twin.
        fields: Of its layers.
    """

    name: str
    title: str
    untrained: bool
    fields: tuple[EffectiveField, ...]

    def find(self, layer: str) -> EffectiveField | None:
        """Give the field of a layer; None if it was not measured."""
        return next((field for field in self.fields if field.name == layer), None)


def list_columns(nets: Sequence[NetFields], most: int = MOST_COLUMNS) -> list[str]:
    """List the layers that are drawn: those of all nets by name, of many some, evenly spread."""
    names = list(dict.fromkeys(field.name for net in nets for field in net.fields))
    picks = np.linspace(0, len(names) - 1, min(len(names), most)).round().astype(int)
    return [names[pick] for pick in picks]


def scale_map(values: Values) -> Values:
    """Scale a map for the eye: 1 at its peak, 0 at 10^-DECADES of it and below.

    Example:
        >>> scale_map(np.array([[1.0, 0.01, 0.0]])).tolist()
        [[1.0, 0.5, 0.0]]
    """
    peak = values.max()
    if peak <= 0:
        return np.zeros_like(values)
    floor = 10.0**-DECADES
    scaled: Values = np.log10(np.maximum(values / peak, floor)) / DECADES + 1
    return scaled


@fit_slide
def draw_effective_maps(nets: Sequence[NetFields], title: str, caption: str) -> Figure:
    """Draw maps: a row for each net, a column for each layer; of many nets the other way round.

    Args:
        nets: The nets.
        title: Heading.
        caption: What the figure depends on, below.
    """
    layers = list_columns(nets)
    turned = len(nets) > max(MOST_ROWS, len(layers))
    down, across = (len(layers), len(nets)) if turned else (len(nets), len(layers))
    names = scale_letters(NAMES_OF_LAYERS if turned else NAMES)
    note, heading = scale_letters(NOTE), scale_letters(2 * HEADING if turned else HEADING)
    room = SLIDE_WIDTH - 2 * MARGIN - names
    tile = min(room / across - GAP, LARGEST_TILE)
    if find_style().wide:
        tile = min(tile, SLIDE_BODY / down - note)
    row_height = tile + note + 0.06
    words = (
        "blue: the exact theoretical field; dashed and dotted: the squares around its middle that "
        f"hold 95 and 50 % of the map; below: side of the former, {NUMBERS}"
    )
    with plain_style():
        width = max(2 * MARGIN + names + across * (tile + GAP), LEAST_WIDTH)
        body = heading + row_height * down + scale_letters(SCALE)
        sheet = Sheet(width, body, title, caption, words)
        lefts = [MARGIN + names + number * (tile + GAP) for number in range(across)]
        tops = [sheet.top + heading + number * row_height for number in range(down)]
        for place, layer in enumerate(layers):
            for number, net in enumerate(nets):
                row, column = (place, number) if turned else (number, place)
                field = net.find(layer)
                if field is not None:
                    side = _find_side(nets, layer, field)
                    _add_map(sheet, field, side, lefts[column], tops[row], tile)
        heads, sides = ([net.title for net in nets], layers)[:: 1 if turned else -1]
        for left, words in zip(lefts, heads, strict=True):
            _write_head(sheet, words, left + tile / 2, sheet.top + heading - 0.06, tile)
        for top, words in zip(tops, sides, strict=True):
            _write_name(sheet, words, names, top + tile / 2)
        _add_scale(sheet, MARGIN + names, sheet.top + heading + row_height * down)
    return sheet.figure


def _find_side(nets: Sequence[NetFields], layer: str, field: EffectiveField) -> int:
    """Give the side of the square that is shown: one for all nets of one input size."""
    shown = [other for net in nets if (other := net.find(layer))]
    return max(max(other.size) for other in shown if other.map.shape == field.map.shape)


def _write_head(sheet: Sheet, title: str, middle: float, bottom: float, room: float) -> None:
    """Write the name of a column, a net's in two lines."""
    first, _, rest = title.partition(", ")
    style: dict[str, Any] = {"room": room, "ha": "center", "va": "bottom"}
    above = bottom - scale_letters(0.21) if rest else bottom
    sheet.write(first, middle, above, 12, weight="bold", **style)
    if rest:
        sheet.write(rest, middle, bottom, 11, **style)


def _write_name(sheet: Sheet, title: str, room: float, middle: float) -> None:
    first, _, rest = title.partition(", ")
    for words, above, weight in ((first, 0.02, "bold"), (rest, -0.2, "normal")):
        if words:
            sheet.write(
                words,
                MARGIN,
                middle - scale_letters(above),
                11,
                room=room - 0.1,
                va="bottom",
                weight=weight,
            )


def _add_map(
    sheet: Sheet, field: EffectiveField, side: int, left: float, top: float, tile: float
) -> None:
    """Add a map with its boxes, and its numbers below."""
    axes = sheet.add_axes(left, top, tile, tile)
    margin = max(AROUND * side, 1.0)
    half = side / 2 + margin
    row, column = field.centre
    axes.set_xlim(column - half, column + half)
    axes.set_ylim(row + half, row - half)
    axes.autoscale(False)
    axes.add_patch(
        Rectangle(
            (column - half, row - half),
            2 * half,
            2 * half,
            facecolor=tone(PADDING),
            edgecolor=tone(HATCH),
            hatch="///",
            linewidth=0,
        )
    )
    height, width = field.map.shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    show_panel(
        axes,
        scale_map(field.map),
        cmap=COLOUR_MAP,
        vmin=0,
        vmax=1,
        extent=extent,
        zorder=1,
        aspect="auto",
    )
    _add_frame(axes, field.centre, (field.size[0], field.size[1]), BOX, 1.6, "-")
    for share, dashes in ((0.95, (0, (4, 2))), (0.5, (0, (1, 1.5)))):
        held = field.find_share(share)
        if held is not None:
            _add_frame(axes, field.centre, (held.side, held.side), HOLDS, 1.2, dashes)
    words = describe_field(field)
    sheet.write(words, left + tile / 2, top + tile + 0.03, 9.5, room=tile, ha="center")


NUMBERS = "of that of the field, in pixels"
"""What stands below a map, for a subtitle."""


def describe_field(field: EffectiveField) -> str:
    """Say the side of the square that holds 95 % of a map, of that of the theoretical field."""
    size = field.size
    shown = f"{size[0]}" if size[0] == size[1] else f"{size[0]}×{size[1]}"
    held = field.find_share(SHARES[-1])
    return f"{'silent' if held is None else held.side} of {shown}"


def _add_frame(
    axes: Axes,
    centre: tuple[float, float],
    size: tuple[int, int],
    colour: str,
    width: float,
    dashes: str | tuple[float, tuple[float, ...]],
) -> None:
    axes.add_patch(
        Rectangle(
            (centre[1] - size[1] / 2, centre[0] - size[0] / 2),
            size[1],
            size[0],
            fill=False,
            edgecolor=colour,
            linewidth=points(width),
            linestyle=dashes,
            zorder=3,
        )
    )


def _add_scale(sheet: Sheet, left: float, top: float) -> None:
    """Add the scale of colours, with the shares of a map's peak that they stand for."""
    width, height = 3.6, 0.14
    axes = sheet.add_axes(left, top + scale_letters(0.12), width, height)
    ramp = np.linspace(0, 1, 256)[None, :]
    show_panel(axes, ramp, cmap=COLOUR_MAP, vmin=0, vmax=1, aspect="auto", extent=(0, 1, 1, 0))
    below = top + scale_letters(0.12) + height + 0.02
    for power in range(DECADES + 1):
        words = "1" if power == 0 else f"10$^{{−{power}}}$"
        at = left + width * (1 - power / DECADES)
        sheet.write(words, at, below, 9.5, ha="center", parse_math=True)
    words = "share of the map’s largest value, log scale; less, down to zero, is black"
    sheet.write(words, left + width + 0.35, top + scale_letters(0.12), 9.5)


PANEL, BETWEEN, BELOW, LEFT, LEGEND = 2.2, 0.18, 0.62, 0.95, 0.28
"""Inches: height of a plot, between plots, for a horizontal axis, for a vertical one, a legend."""


@fit_slide
def draw_effective_curves(nets: Sequence[NetFields], title: str, caption: str) -> Figure:
    """Draw how fields fall off from their middle, and what squares around it hold.

    Args:
        nets: The nets.
        title: Heading.
        caption: What the figure depends on, below.
    """
    layers = list_columns(nets)
    left, below = scale_letters(LEFT), scale_letters(BELOW)
    legend = scale_letters(LEGEND) * (_arrange_legend(nets)[-1][0] + 1)
    width = (SLIDE_WIDTH - left - MARGIN - BETWEEN * (len(layers) - 1)) / len(layers)
    colours, lowest = choose_colours(nets), _find_lowest(nets, layers)
    words = (
        "above: the map along the row through its middle, dashed the fitted Gaussian; below: the "
        "share of the map in squares around the middle; grey: the theoretical field’s side"
    )
    with plain_style():
        body = legend + scale_letters(HEADING) + 2 * (PANEL + below)
        sheet = Sheet(SLIDE_WIDTH, body, title, caption, words)
        _write_legend(sheet, nets, colours)
        for column, layer in enumerate(layers):
            at = left + column * (width + BETWEEN)
            top = sheet.top + legend + scale_letters(HEADING)
            sheet.write(
                layer,
                at + width / 2,
                top - 0.06,
                12,
                room=width,
                ha="center",
                va="bottom",
                weight="bold",
            )
            shown = [
                (net, colour, field)
                for net, colour in zip(nets, colours, strict=True)
                if (field := net.find(layer))
            ]
            _plot_profiles(sheet, at, top, width, shown, column == 0, lowest)
            _plot_shares(sheet, at, top + PANEL + below, width, shown, column == 0)
    return sheet.figure


Colour = tuple[str, float]
LIGHTEST = 0.9
"""How far along its colours a row of nets goes: what is brighter is not seen on white."""


def choose_colours(nets: Sequence[NetFields]) -> list[Colour]:
    """Choose a colour and its strength for each net.

    Nets of different names have their own colours; several of one name, as after more and more
    epochs, go from dark to bright. An untrained twin has its net's, paler, or is grey.
    """
    trained = [net for net in nets if not net.untrained]
    own = len({net.name for net in trained}) == len(trained)
    ramp = iter(colormaps["viridis"](np.linspace(0, LIGHTEST, max(len(trained), 2))))
    colours: list[Colour] = []
    for net in nets:
        if own:
            colours.append((find_net_colour(net.name), 0.45 if net.untrained else 1.0))
        else:
            colours.append(("#888888" if net.untrained else to_hex(next(ramp)), 1.0))
    return colours


def _arrange_legend(nets: Sequence[NetFields]) -> list[tuple[int, float]]:
    """Give row and left edge of each net's mark in the legend, by the letters of its title."""
    first = left = scale_letters(LEFT)
    row, places = 0, []
    for net in nets:
        wide = 0.65 + scale_letters(0.1) * len(net.title)
        if left + wide > SLIDE_WIDTH - MARGIN and left > first:
            row, left = row + 1, first
        places.append((row, left))
        left += wide
    return places


def _write_legend(sheet: Sheet, nets: Sequence[NetFields], colours: Sequence[Colour]) -> None:
    places = _arrange_legend(nets)
    for net, (colour, alpha), (row, left) in zip(nets, colours, places, strict=True):
        top = sheet.top + row * scale_letters(LEGEND)
        axes = sheet.add_axes(left, top + 0.05, 0.22, 0.14)
        axes.plot([0, 1], [0.5, 0.5], color=colour, alpha=alpha, linewidth=points(3))
        axes.set_ylim(0, 1)
        sheet.write(net.title, left + 0.28, top + 0.02, 11)


def _plot_profiles(
    sheet: Sheet,
    left: float,
    top: float,
    width: float,
    shown: Sequence[tuple[NetFields, Colour, EffectiveField]],
    first: bool,
    lowest: float,
) -> None:
    up = "share of the peak" if first else ""
    axes = sheet.add_plot(left, top, width, PANEL, "pixels from the middle", up)
    reach = max(field.size[1] for _, _, field in shown) / 2
    for _, (colour, alpha), field in shown:
        if not field.peak:
            continue
        places = np.arange(field.map.shape[1])
        rows = _find_middle_rows(field)
        profile = _find_profile(field)
        seen = profile > 0
        style: dict[str, Any] = {"color": colour, "alpha": alpha}
        across = places[seen] - field.centre[1]
        axes.plot(across, profile[seen], linewidth=points(1.8), **style)
        if field.gaussian is not None:
            fine = np.linspace(-reach, reach, 201)
            fitted = field.gaussian.evaluate(
                np.array(rows, dtype=float), fine + field.centre[1]
            ).mean(axis=0)
            axes.plot(fine, fitted / field.peak, "--", linewidth=points(1.0), **style)
    _mark_sides(axes, [field.size[1] / 2 for _, _, field in shown], both=True)
    axes.set_yscale("log")
    axes.set_ylim(lowest, 2)
    axes.set_xlim(-reach * 1.05, reach * 1.05)
    _finish(axes, first)


def _find_profile(field: EffectiveField) -> Values:
    """Give a map along the row through its middle, as shares of its peak."""
    profile: Values = field.map[_find_middle_rows(field)].mean(axis=0) / field.peak
    return profile


def _find_lowest(nets: Sequence[NetFields], layers: Sequence[str]) -> float:
    """Give the power of ten below all profiles, but not below what maps show."""
    fields = [field for net in nets for layer in layers if (field := net.find(layer))]
    profiles = [_find_profile(field) for field in fields if field.peak]
    least = min((float(p[p > 0].min()) for p in profiles if (p > 0).any()), default=0.1)
    return float(10.0 ** max(np.floor(np.log10(least)), -DECADES))


def _find_middle_rows(field: EffectiveField) -> list[int]:
    """Give the row through a field's middle, or the two beside it."""
    row = min(max(field.centre[0], 0), field.map.shape[0] - 1)
    return sorted({int(np.floor(row)), int(np.ceil(row))})


def _plot_shares(
    sheet: Sheet,
    left: float,
    top: float,
    width: float,
    shown: Sequence[tuple[NetFields, Colour, EffectiveField]],
    first: bool,
) -> None:
    up = "share in the square" if first else ""
    axes = sheet.add_plot(left, top, width, PANEL, "side of the square (px)", up)
    reach = max(max(field.size) for _, _, field in shown)
    for share in SHARES:
        axes.axhline(share, color=tone("#999999"), linewidth=points(0.7), linestyle=":")
    for _, (colour, alpha), field in shown:
        if field.peak:
            sides, shares = zip(*hold_by_side(field.map, field.centre), strict=True)
            style: dict[str, Any] = {"color": colour, "alpha": alpha}
            axes.plot([0, *sides], [0, *shares], linewidth=points(1.8), **style)
    _mark_sides(axes, [max(field.size) for _, _, field in shown], both=False)
    axes.set_ylim(0, 1.03)
    axes.set_yticks(SHARES, [write_percent(share, 0) for share in SHARES])
    for share, label in zip(SHARES, axes.get_yticklabels(), strict=True):
        # 90 and 95 % are nearer to each other than their letters are high
        label.set_verticalalignment("bottom" if share > 0.9 else "top" if share > 0.5 else "center")
    axes.set_xlim(0, reach * 1.05)
    _finish(axes, first)


def _mark_sides(axes: Axes, ends: Sequence[float], both: bool) -> None:
    for end in sorted(set(ends)):
        for place in (end, -end) if both else (end,):
            axes.axvline(place, color=tone("#999999"), linewidth=points(1.2))


def _finish(axes: Axes, first: bool) -> None:
    axes.tick_params(labelsize=letter_size(PLOT_SIZE) - points(2), labelleft=first)
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
