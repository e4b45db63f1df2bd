"""Two units of one place side by side: their whole pictures, and their own parts below."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from vizcnn.drawing.sheet import LINE, MARGIN, Sheet
from vizcnn.drawing.style import plain_style
from vizcnn.photos.pixels import Array

TILE = 2.2
"""Side of a tile in inches."""
BETWEEN = 1.0
"""Inches between the two units, where their cosine stands."""
NAMES = 0.45
"""Inches between the photo and the units, for the rows' names."""
GAP = 0.06
"""Inches between the rows."""
SIZE = 11.0
"""Size of labels in points."""


@dataclass(frozen=True)
class UnitPictures:
    """What is shown of a unit, as square tiles.

    Attributes:
        label: Three lines, written above.
        whole: Its picture, (side, side, 3), 0..1.
        own: Its own part, of the same size.
    """

    label: str
    whole: Array
    own: Array


def draw_control(
    patch: Array,
    units: Sequence[UnitPictures],
    cosines: Sequence[str],
    title: str,
    caption: str,
) -> Figure:
    """Draw two units of one place: whole pictures above, own parts below, cosines between.

    Args:
        patch: The photo there, (side, side, 3), 0..1.
        units: Two of them.
        cosines: Between the whole pictures, and between the own parts.
        title: Heading.
        caption: Method, weights, scaling, and how the second unit was chosen.
    """
    head = 3 * LINE * SIZE + 0.05
    lefts = [MARGIN + TILE + NAMES + (TILE + BETWEEN) * number for number in range(2)]
    with plain_style():
        sheet = Sheet(lefts[1] + TILE + MARGIN, head + 2 * TILE + GAP, title, caption)
        tops = [sheet.top + head + (TILE + GAP) * row for row in range(2)]
        above: dict[str, Any] = {"ha": "center", "va": "bottom"}
        sheet.write("the photo there", MARGIN + TILE / 2, tops[0] - 0.05, SIZE, **above)
        sheet.add_image(patch, MARGIN, tops[0], TILE, TILE)
        for left, unit in zip(lefts, units, strict=True):
            sheet.write(unit.label, left + TILE / 2, tops[0] - 0.05, SIZE, room=TILE, **above)
            for top, picture in zip(tops, (unit.whole, unit.own), strict=True):
                sheet.add_image(picture, left, top, TILE, TILE)
        middle: dict[str, Any] = {"ha": "center", "va": "center"}
        for top, name, cosine in zip(tops, ("whole picture", "own part"), cosines, strict=True):
            half = top + TILE / 2
            sheet.write(name, lefts[0] - 0.15, half, SIZE, rotation=90, **middle)
            sheet.write(
                f"cosine\n{cosine}", lefts[0] + TILE + BETWEEN / 2, half, SIZE + 1, **middle
            )
    return sheet.figure
