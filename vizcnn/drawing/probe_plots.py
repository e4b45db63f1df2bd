"""Accuracy of linear probes: layer by layer, and by photos a class, beside the paper's numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import MARGIN, PLOT_SIZE, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import find_style, letter_size, plain_style, points, scale_letters, tone
from vizcnn.measures.linear_probes import Classifier
from vizcnn.measures.probe_study import ProbeRow
from vizcnn.measures.published import read_published
from vizcnn.photos.pixels import Array

LEFT, BELOW, TALL, LEGEND = 0.85, 0.65, 4.2, 4.0
"""Inches for the vertical axis, the horizontal one, the height of a plot, and its legend."""
NAMES: dict[Classifier, str] = {"svm": "linear SVM", "softmax": "softmax"}
"""Classifiers in words."""
CLASSIFIER_COLOURS: dict[Classifier, str] = {"svm": COLOURS[0], "softmax": COLOURS[5]}
SETS = (("Caltech-101", 2, COLOURS[3]), ("Caltech-256", 4, COLOURS[2]))
"""The paper's sets of photos: the column of their numbers in its Table 7, and their colour."""
TILE, LABEL, MOST_PAIRS = 1.5, 10.0, 8
"""Inches of a photo of a pair, size of its label, and pairs that are drawn at most."""


@dataclass(frozen=True)
class PairOfPhotos:
    """A photo that was removed, and what it is like.

    Attributes:
        removed: (S, S, 3), 0..1 or 8 bits.
        other: The same of the other.
        label: Two lines.
    """

    removed: Array
    other: Array
    label: str


@fit_slide
def draw_layer_accuracies(
    rows: Sequence[ProbeRow],
    layers: Sequence[str],
    chance: float,
    title: str,
    caption: str,
    subtitle: str = "",
) -> Figure:
    """Draw the accuracy of every layer, with the most training photos; ± over the draws.

    Args:
        rows: The numbers.
        layers: The layers, from left to right.
        chance: Accuracy of guessing, 0..1.
        title: Heading.
        caption: What the figure depends on, below.
        subtitle: A line below the title.
    """
    most = max(row.per_class for row in rows)
    with plain_style():
        sheet, axes = _start(title, caption, subtitle, "")
        for classifier in dict.fromkeys(row.classifier for row in rows):
            for untrained in (False, True):
                what = (classifier, untrained, most)
                found = [
                    row for row in rows if (row.classifier, row.untrained, row.per_class) == what
                ]
                if found:
                    who = "untrained net, " if untrained else ""
                    label = f"{who}{NAMES[classifier]}, {most} photos a class"
                    places = [list(layers).index(row.layer) for row in found]
                    _add_line(axes, places, found, label, CLASSIFIER_COLOURS[classifier])
        published = read_published().table("zfnet-layers")
        for name, column, colour in SETS:
            for classifier, marker in (("svm", "D"), ("softmax", "P")):
                marks = [
                    (place, float(row[column] or 0), float(row[column + 1] or 0))
                    for row in published.rows
                    for place, layer in enumerate(layers)
                    if row[1] == classifier and layer in (f"conv{row[0]}", f"fc{row[0]}")
                ]
                count = {"Caltech-101": 30, "Caltech-256": 60}[name]
                label = f"ZF Table 7: {name}, {NAMES[classifier]}, {count} a class"
                _add_marks(axes, marks, label, marker, colour)
        axes.set_xticks(range(len(layers)), list(layers), parse_math=False)
        axes.set_xlim(-0.3, len(layers) - 0.7)
        _finish(axes, chance)
    return sheet.figure


@fit_slide
def draw_count_accuracies(
    rows: Sequence[ProbeRow],
    layers: Sequence[str],
    chance: float,
    title: str,
    caption: str,
    subtitle: str = "",
) -> Figure:
    """Draw the accuracy by training photos a class; arguments as of :func:`draw_layer_accuracies`.

    A line is a layer, by the last classifier of the rows.
    """
    classifier = rows[-1].classifier
    shades = matplotlib.colormaps["viridis"](np.linspace(0.85, 0.1, len(layers)))
    if find_style().dark:
        shades = shades[::-1]
    with plain_style():
        sheet, axes = _start(title, caption, subtitle, "training photos a class")
        for untrained in (False, True):
            for number, layer in enumerate(layers):
                what = (classifier, untrained, layer)
                found = [row for row in rows if (row.classifier, row.untrained, row.layer) == what]
                if not found or (untrained and layer != layers[-1]):
                    continue
                label = f"{layer}, {NAMES[classifier]}" + (", untrained net" * untrained)
                colour = matplotlib.colors.to_hex(shades[number])
                _add_line(axes, [row.per_class for row in found], found, label, colour)
        for name, key, colour in (
            ("Table 4: Caltech-101", "zfnet-caltech101", SETS[0][2]),
            ("Table 5: Caltech-256", "zfnet-caltech256", SETS[1][2]),
        ):
            table = read_published().table(key)
            for column, marker, words in (
                (1, "P", "trained on ImageNet"),
                (3, "X", "trained from scratch"),
            ):
                marks = [
                    (float(row[0] or 0), float(row[column] or 0), float(row[column + 1] or 0))
                    for row in table.rows
                ]
                _add_marks(axes, marks, f"ZF {name}, fc7, {words}", marker, colour)
        counts = {row.per_class for row in rows} | {15, 30, 45, 60}  # ours and the paper's
        axes.set_xticks(sorted(counts))
        axes.set_xlim(left=0)
        _finish(axes, chance)
    return sheet.figure


@fit_slide
def draw_pairs(pairs: Sequence[PairOfPhotos], title: str, caption: str) -> Figure:
    """Draw photos that were removed above what they are like; of many the first ones."""
    shown = pairs[:MOST_PAIRS]
    head = 2.6 * scale_letters(LABEL) / 72 + 0.1
    with plain_style():
        body = head + 2 * TILE + 0.1
        width = max(2 * MARGIN + len(shown) * (TILE + 0.12), 7.0)
        sheet = Sheet(width, body, title, caption)
        for number, pair in enumerate(shown):
            left = MARGIN + number * (TILE + 0.12)
            sheet.write(pair.label, left, sheet.top + head - 0.05, LABEL, room=TILE, va="bottom")
            sheet.add_tile(pair.removed, left, sheet.top + head, TILE)
            sheet.add_tile(pair.other, left, sheet.top + head + TILE + 0.05, TILE)
    return sheet.figure


def _start(title: str, caption: str, subtitle: str, across: str) -> tuple[Sheet, Axes]:
    sheet = Sheet(SLIDE_WIDTH, TALL + BELOW, title, caption, subtitle)
    left = scale_letters(LEFT)
    width = SLIDE_WIDTH - left - MARGIN - scale_letters(LEGEND)
    top, height = sheet.top - sheet.spare / 2 + 0.1, TALL + sheet.spare  # all of a slide
    axes = sheet.add_plot(left, top, width, height, across, "accuracy, mean of classes")
    return sheet, axes


def _add_line(
    axes: Axes, places: Sequence[float], rows: Sequence[ProbeRow], label: str, colour: str
) -> None:
    pale = rows[0].untrained
    axes.errorbar(
        places,
        [row.accuracy for row in rows],
        yerr=[row.deviation or 0.0 for row in rows],
        label=label,
        color=colour,
        alpha=0.6 if pale else 1.0,
        linestyle="--" if pale else "-",
        linewidth=points(1.4 if pale else 2.0),
        marker="o",
        markersize=points(3.5 if pale else 5),
        capsize=points(3),
    )


def _add_marks(
    axes: Axes,
    marks: Sequence[tuple[float, float, float]],
    label: str,
    marker: str,
    colour: str,
) -> None:
    if not marks:
        return
    places, values, deviations = zip(*marks, strict=True)
    axes.errorbar(
        places,
        [value / 100 for value in values],
        yerr=[deviation / 100 for deviation in deviations],
        label=label,
        color=colour,
        linestyle="none",
        marker=marker,
        markersize=points(8),
        markerfacecolor=tone("white"),
        markeredgewidth=points(1.4),
        zorder=1,
    )


def _finish(axes: Axes, chance: float) -> None:
    axes.axhline(
        chance,
        color=tone("#444444"),
        linewidth=points(1),
        linestyle=":",
        label="chance, our classes",
    )
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(
        fontsize=letter_size(PLOT_SIZE - 1.5),
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
    )
