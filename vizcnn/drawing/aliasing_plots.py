"""The lab's curves: shares by filter, the sweep, the shift test, the cure, the grid artefact."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.net_colours import find_net_colour
from vizcnn.drawing.sheet import MARGIN, PLOT_SIZE, SLIDE_WIDTH, Sheet, fit_slide, fit_text
from vizcnn.drawing.style import letter_size, plain_style, points, scale_letters, tone
from vizcnn.measures.study import BLURS, NetStudy

LEFT, GAP, BELOW = 0.85, 0.75, 0.65
"""Inches for the first vertical axis, between plots, and for a horizontal axis."""
TALL = 3.6
"""Height of a plot in inches."""
STYLES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P")


@fit_slide
def draw_shares(studies: Sequence[NetStudy], caption: str) -> Figure:
    """Draw the alias share of every filter, largest first: by theory and on the photos."""
    with plain_style():
        title = "Share of each filter's response that the stride folds"
        sheet = Sheet(SLIDE_WIDTH, 0.35 + TALL + BELOW, title, caption)
        width = (SLIDE_WIDTH - LEFT - GAP - MARGIN - 0.3) / 2
        panels = (("natural images by theory (1/f²)", "predicted"), ("the photos", "measured"))
        for column, (words, name) in enumerate(panels):
            left = LEFT + column * (width + GAP)
            axes = sheet.add_plot(left, sheet.top + 0.35, width, TALL, "filters, sorted")
            axes.set_title(words, fontsize=letter_size(13), loc="left", weight="bold")
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            for index, study in enumerate(studies):
                shares = (study.predicted if name == "predicted" else study.measured[None]).shares
                shares = shares.sort(descending=True).values
                place = np.linspace(0, 1, len(shares))
                label = f"{study.title}, stride {study.layer.stride}"
                axes.plot(place, shares, label=label, **_line(study, index))
            axes.set_xlim(0, 1)
            axes.set_ylim(bottom=0)
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.legend(fontsize=letter_size(PLOT_SIZE), frameon=False)
    return sheet.figure


@fit_slide
def draw_sweep(studies: Sequence[NetStudy], caption: str) -> Figure:
    """Draw the sweep of gratings: amplitude, and where they are found; a column per net."""
    count = len(studies)
    width = min((SLIDE_WIDTH - LEFT - MARGIN - (count - 1) * GAP) / count, 5.6)
    height = 2.5
    with plain_style():
        title = "Gratings through the first layer: how strong they come out, and where"
        sheet = Sheet(SLIDE_WIDTH, 0.35 + 2 * height + 1.6 * BELOW, title, caption)
        for index, study in enumerate(studies):
            left = LEFT + index * (width + GAP)
            upper = sheet.add_plot(left, sheet.top + 0.35, width, height)
            upper.set_title(_say_stride(study), fontsize=letter_size(13), loc="left", weight="bold")
            _plot_amplitudes(upper, study)
            below = sheet.top + 0.35 + height + BELOW * 0.7
            words = "frequency of the grating (cycles/px)"
            lower = sheet.add_plot(left, below, width, height, words)
            _plot_places(lower, study)
            if index == 0:
                upper.set_ylabel("amplitude", fontsize=letter_size(PLOT_SIZE))
                lower.set_ylabel("found at (cycles/px)", fontsize=letter_size(PLOT_SIZE))
    return sheet.figure


def _plot_amplitudes(axes: Axes, study: NetStudy) -> None:
    sweep = study.sweep
    frequencies = sweep.frequencies.numpy()
    strided = sweep.strided.square().mean(dim=1).sqrt().numpy()
    ideal = sweep.ideal.square().mean(dim=1).sqrt().numpy()
    axes.plot(frequencies, strided, color=COLOURS[5], label="strided layer", linewidth=points(2.5))
    axes.plot(frequencies, ideal, color=COLOURS[0], label="ideal low-pass", linestyle="--")
    axes.fill_between(frequencies, ideal, strided, color=COLOURS[5], alpha=0.2, linewidth=0)
    _mark_limit(axes, sweep.limit)
    axes.set_xlim(0, 0.5)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=letter_size(PLOT_SIZE - 1), frameon=False)


def _plot_places(axes: Axes, study: NetStudy) -> None:
    sweep = study.sweep
    angles = sweep.orientations.tolist()
    shown = [angles.index(angle) for angle in (0.0, 45.0) if angle in angles] or [0]
    for place, column in enumerate(shown):
        angle, colour = angles[column], COLOURS[(0, 2)[place]]
        predicted, found = sweep.predicted[:, column], sweep.found[:, column]
        axes.plot(sweep.frequencies, predicted, color=colour, label=f"predicted, {angle:.0f}°")
        axes.plot(
            sweep.frequencies,
            found,
            MARKERS[place],
            color=colour,
            markersize=points(5),
            label=f"found, {angle:.0f}°",
        )
    axes.plot([0, 0.5], [0, 0.5], color=tone("#999999"), linewidth=points(1), linestyle=":")
    _mark_limit(axes, sweep.limit)
    axes.set_xlim(0, 0.5)
    axes.set_ylim(0, 0.68)  # room for the legend above the curves
    axes.set_yticks([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    axes.legend(
        fontsize=letter_size(PLOT_SIZE - 2),
        loc="upper left",
        ncols=2,
        framealpha=1,
        edgecolor="none",
    )


def _mark_limit(axes: Axes, limit: float) -> None:
    axes.axvline(limit, color=tone("#444444"), linewidth=points(1), linestyle=(0, (2, 2)))


def _name_panel(axes: Axes, words: str, size: float, room: float) -> None:
    """Write a heading above axes that are so many inches wide."""
    style = {"loc": "left", "weight": "bold"}
    fit_text(axes.set_title(words, fontsize=letter_size(size), **style), room)  # type: ignore[arg-type]


@fit_slide
def draw_shifts(studies: Sequence[NetStudy], caption: str) -> Figure:
    """Draw how far features and scores are off when the photo moves, a panel per layer."""
    stages = list(dict.fromkeys(name for s in studies for name in s.shifts[None].layers))
    columns, width, height = 3, (SLIDE_WIDTH - LEFT - MARGIN - 2 * GAP) / 3, 2.3
    scored = any(study.shifts[None].score_changes is not None for study in studies)
    panels = [*stages, "score"] if scored else stages
    rows = -(-len(panels) // columns)
    with plain_style():
        title = "The photo moves by a few pixels: how far the features fail to follow"
        sheet = Sheet(SLIDE_WIDTH, rows * (height + BELOW + 0.3), title, caption)
        for index, name in enumerate(panels):
            left = LEFT + index % columns * (width + GAP)
            top = sheet.top + 0.3 + index // columns * (height + BELOW + 0.3)
            axes = sheet.add_plot(left, top, width, height, "shift (pixels)")
            words = "change of the class's probability" if name == "score" else name
            _name_panel(axes, words, 13, width)
            for number, study in enumerate(studies):
                _plot_shift(axes, study, name, number)
            axes.set_xticks(_choose_ticks(studies[0].shifts[None].shifts[-1]))
            # room for the legend above the curves
            axes.set_ylim(0, axes.get_ylim()[1] * (1.1 + 0.13 * len(studies) * (index == 0)))
            if index == 0:
                axes.legend(fontsize=letter_size(PLOT_SIZE - 1), frameon=False, loc="upper left")
            if index % columns == 0 and name != "score":
                axes.set_ylabel("relative distance", fontsize=letter_size(PLOT_SIZE))
    return sheet.figure


def _choose_ticks(last: int) -> list[int]:
    return list(range(0, last + 1, max(last // 4, 1)))


def _plot_shift(axes: Axes, study: NetStudy, name: str, number: int) -> None:
    measures = study.shifts[None]
    if name == "score":
        if measures.score_changes is None:
            return
        values = measures.score_changes.mean(dim=0)
    elif name in measures.layers:
        values = measures.mean_distances[measures.layers.index(name)]
    else:
        return
    axes.plot(measures.shifts, values.numpy(), label=study.title, **_line(study, number))


@fit_slide
def draw_cure(studies: Sequence[NetStudy], caption: str) -> Figure:
    """Draw what a binomial blur before every subsampling changes, with the same weights."""
    measures = [
        ("alias share (photos)", [[s.measured[b].layer_share for b in BLURS] for s in studies]),
        *_list_distances(studies),
        ("consistency of the class", [_list_consistency(s) for s in studies]),
    ]
    width = (SLIDE_WIDTH - LEFT - MARGIN - (len(measures) - 1) * GAP) / len(measures)
    with plain_style():
        title = "The cure: blur before every subsampling, same weights"
        sheet = Sheet(SLIDE_WIDTH, 0.35 + TALL + 0.4, title, caption)
        for column, (words, values) in enumerate(measures):
            left = LEFT + column * (width + GAP)
            axes = sheet.add_plot(left, sheet.top + 0.35, width, TALL)
            _name_panel(axes, words, 12, width)
            for index, (study, row) in enumerate(zip(studies, values, strict=True)):
                axes.plot(
                    range(len(BLURS)), row, label=study.title, **_line(study, index, marker=True)
                )
            axes.set_xticks(range(len(BLURS)), ["none", "3 taps", "5 taps"])
            axes.set_xlim(-0.3, len(BLURS) - 0.7)
            axes.set_ylim(0, max(axes.get_ylim()[1] * 1.05, 1e-6))
            if column == 0:
                axes.yaxis.set_major_formatter(PercentFormatter(1))
                axes.legend(fontsize=letter_size(PLOT_SIZE - 1), frameon=False)
    return sheet.figure


def list_common_stages(studies: Sequence[NetStudy]) -> list[str]:
    """List the layers that the shift test looked at in every net; of the first net's if none."""
    first = studies[0].shifts[None].layers
    common = [name for name in first if all(name in s.shifts[None].layers for s in studies)]
    return common or list(first)


def _list_distances(studies: Sequence[NetStudy]) -> list[tuple[str, list[list[float]]]]:
    stages = list_common_stages(studies)
    return [
        (
            f"distance in {name}",
            [[_or_nan(study.measure_distance(b, name)) for b in BLURS] for study in studies],
        )
        for name in dict.fromkeys((stages[0], stages[-1]))
    ]


def _list_consistency(study: NetStudy) -> list[float]:
    return [_or_nan(study.shifts[blur].consistency) for blur in BLURS]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


@fit_slide
def draw_grids(studies: Sequence[NetStudy], caption: str) -> Figure:
    """Draw the distribution of the grid artefact over units."""
    with plain_style():
        title = "The grid in the projections: how many units have how much"
        sheet = Sheet(SLIDE_WIDTH * 0.75, 0.1 + TALL + BELOW, title, caption)
        left = scale_letters(LEFT)
        width = sheet.width - left - MARGIN - 0.3
        words = "energy at the grid's frequencies over their surroundings (about 1: no grid)"
        axes = sheet.add_plot(left, sheet.top + 0.1, width, TALL, words, "share of units above")
        for index, study in enumerate(studies):
            if study.grids:
                axes.ecdf(study.grids, complementary=True, label=study.title, **_line(study, index))
        axes.axvline(1, color=tone("#444444"), linewidth=points(1), linestyle=(0, (2, 2)))
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylim(0, 1)
        if axes.lines[1:]:
            axes.legend(fontsize=letter_size(PLOT_SIZE), frameon=False)
    return sheet.figure


def _say_stride(study: NetStudy) -> str:
    return f"{study.title}, stride {study.layer.stride}"


def _line(study: NetStudy, index: int, marker: bool = False) -> dict[str, Any]:
    """Give the look of a net's line; dashes tell nets apart in print, and two of one name."""
    style: dict[str, Any] = {
        "color": find_net_colour(study.model.name),
        "linestyle": STYLES[index % len(STYLES)],
        "linewidth": points(2.2),
    }
    return style | ({"marker": MARKERS[index % len(MARKERS)]} if marker else {})
