"""Figures of correspondence: photos with hidden parts, and how alike the changes are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import MARGIN, PLOT_SIZE, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import letter_size, plain_style, points, scale_letters, tone
from vizcnn.measures.correspondence import PartScore
from vizcnn.photos.pixels import Array

LARGEST, GAP, HEADING, NAME = 1.75, 0.08, 0.34, 1.9
"""Inches: side of a picture at most, between pictures, for a heading, for a photo's name."""
LEFT, BELOW, TALL, BETWEEN = 1.0, 0.95, 3.2, 0.75
"""Inches: for the vertical axis, for names and p, height of a panel, between panels."""
MOST_SHOWN = 6
"""Photos that are shown with their parts hidden."""


@fit_slide
def draw_hidden(
    pictures: Sequence[Sequence[Array]],
    photos: Sequence[str],
    columns: Sequence[str],
    title: str,
    caption: str,
) -> Figure:
    """Draw Zeiler & Fergus' Figure 8: a row for each photo, a column for what is hidden.

    Args:
        pictures: For each photo (S, S, 3) of 0..1, a picture for each column.
        photos: Names of the photos.
        columns: What is hidden in each column.
        title: Heading.
        caption: What the figure depends on, below.
    """
    room = SLIDE_WIDTH - 2 * MARGIN - NAME
    side = min(LARGEST, room / len(columns) - GAP)
    first = MARGIN + (room - len(columns) * (side + GAP)) / 2  # few columns stand in the middle
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, HEADING + len(photos) * (side + GAP), title, caption)
        for column, words in enumerate(columns):
            left = first + NAME + column * (side + GAP)
            sheet.write(words, left, sheet.top + HEADING - 0.06, 12, room=side, va="bottom")
        for row, (several, name) in enumerate(zip(pictures, photos, strict=True)):
            top = sheet.top + HEADING + row * (side + GAP)
            sheet.write(name, first, top + side / 2, 12, room=NAME - 0.1, va="center")
            for column, image in enumerate(several):
                sheet.add_image(image, first + NAME + column * (side + GAP), top, side, side)
    return sheet.figure


@fit_slide
def draw_scores(
    scores: Sequence[PartScore],
    layers: Sequence[str],
    parts: Sequence[str],
    title: str,
    caption: str,
    subtitle: str,
) -> Figure:
    """Draw Zeiler & Fergus' Table 1: a panel for each layer, a place for each part.

    Args:
        scores: The scores.
        layers: Names of the layers.
        parts: Names of the parts.
        title: Heading.
        caption: What the figure depends on, below.
        subtitle: What is to be seen.
    """
    table = {(score.layer, score.part): score for score in scores}
    per_row = min(len(layers), 3)
    rows = -(-len(layers) // per_row)
    with plain_style():
        body = rows * (HEADING + TALL + BELOW)
        sheet = Sheet(SLIDE_WIDTH, body, title, caption, subtitle)
        left = scale_letters(LEFT)
        width = (SLIDE_WIDTH - left - MARGIN - BETWEEN * (per_row - 1)) / per_row
        for number, layer in enumerate(layers):
            row, column = divmod(number, per_row)
            top = sheet.top + row * (HEADING + TALL + BELOW) + HEADING
            across = left + column * (width + BETWEEN)
            look: dict[str, Any] = {"va": "bottom", "weight": "bold"}
            sheet.write(layer, across, top - 0.08, 13, room=width, **look)
            axes = sheet.add_plot(across, top, width, TALL)
            axes.grid(axis="x", visible=False)
            highest = 0.0
            for place, part in enumerate(parts):
                score = table[layer, part]
                colour = COLOURS[place % (len(COLOURS) - 2)]
                spread = np.linspace(-0.1, 0.1, len(score.draws)) + 0.18
                axes.plot(
                    place + spread,
                    score.draws,
                    "o",
                    color=tone("#999999"),
                    markersize=points(3.5),
                    linewidth=0,
                )
                for shift, mean, deviation, ink in (
                    (-0.14, score.mean, score.deviation, colour),
                    (0.34, score.squares, score.squares_deviation, tone("#444444")),
                ):
                    axes.errorbar(
                        place + shift,
                        mean,
                        deviation,
                        fmt="o",
                        color=ink,
                        markersize=points(8 if ink == colour else 5),
                        linewidth=points(1.8),
                        capsize=points(3),
                    )
                    highest = max(highest, mean + deviation, *score.draws)
            names = [f"{part}\np = {write_p(table[layer, part].p)}" for part in parts]
            axes.set_xticks(range(len(parts)), names, parse_math=False)
            axes.tick_params(axis="x", labelsize=letter_size(PLOT_SIZE), length=0)
            axes.set_xlim(-0.6, len(parts) - 0.3)
            axes.set_ylim(0, highest * 1.08 or 1)
            if column == 0:
                turned: dict[str, Any] = {"rotation": 90, "ha": "left", "va": "center"}
                words = "share of signs that differ"
                sheet.write(words, MARGIN / 2, top + TALL / 2, PLOT_SIZE, **turned)
    return sheet.figure


def write_p(p: float) -> str:
    """Write a p of a permutation test, which is never 0.

    Example:
        >>> write_p(0.0001), write_p(0.25)
        ('0.0001', '0.25')
    """
    return f"{p:.2g}"
