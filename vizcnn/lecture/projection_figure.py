"""Projections for a slide: a row a layer, what came back on the left, the photo on the right."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from vizcnn.drawing.figures import LayerStrip
from vizcnn.drawing.sheet import MARGIN, QUIET, SMALL, Slide
from vizcnn.drawing.style import plain_style, tone

TILE, GAP = 0.87, 0.04
"""Side of a tile and space between tiles, in inches."""
LABEL = 0.2
"""Height of a label above a tile in inches."""
HEAD = 0.4
"""Height of the heads of the two halves in inches."""
NAMES = 1.65
"""Width of the layers' names in inches."""
HALVES = ("projected back to pixels", "the photo in the same places")


def draw_projections(strips: Sequence[LayerStrip], title: str, caption: str) -> Figure:
    """Draw the strongest units of layers, in the arrangement of Zeiler & Fergus 2013, Figure 2.

    Args:
        strips: One per layer, lowest first, of six units at most.
        title: Heading.
        caption: Small print below.
    """
    row = LABEL + TILE + GAP
    with plain_style():
        slide = Slide(HEAD + row * len(strips), title, caption)
        half = (slide.width - 2 * MARGIN - NAMES) / 2
        lefts = [MARGIN + NAMES + half * number for number in range(2)]
        for left, words in zip(lefts, HALVES, strict=True):
            slide.say(words, left, slide.top, weight="bold")
        for number, strip in enumerate(strips):
            _draw_strip(slide, strip, HEAD + row * number, lefts)
    return slide.figure


def _draw_strip(slide: Slide, strip: LayerStrip, top: float, lefts: Sequence[float]) -> None:
    below = slide.top + top + LABEL
    slide.say(strip.name, MARGIN, below + 0.1, weight="bold")
    slide.write(strip.note, MARGIN, below + 0.42, SMALL - 2, room=NAMES, color=tone(QUIET))
    for number, pair in enumerate(strip.pairs):
        across = (TILE + GAP) * number
        tiles = zip(lefts, (pair.projection, pair.patch), pair.label.split("\n"), strict=True)
        for left, tile, words in tiles:
            # tiles are often drawn smaller than they are, where "nearest" would drop pixels
            slide.picture(tile, left + across, top + LABEL, TILE, interpolation="auto")
            style = {"ha": "center", "va": "bottom"}
            middle = left + across + TILE / 2
            slide.write(words, middle, below - 0.02, SMALL - 2, room=TILE, **style)
