"""How a net's layers come to what they are, as curves over the epochs of a training."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import MARGIN, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import find_style, letter_size, plain_style, points, scale_letters, tone
from vizcnn.measures.evolution import CONVERGED, LayerCourse

LEFT, BETWEEN, BELOW = 0.75, 0.95, 0.55
"""Inches for the first vertical axis, between panels, and for the horizontal axis."""
HEIGHT, SLIDE_HEIGHT, LEGEND = 3.0, 4.3, 0.35
"""Inches of a panel, of one on a slide, and of the names of the layers above."""
MOST_TICKS = 12
"""Epochs that are named on an axis, at most."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "h")
"""So that layers are told apart without colours too."""


@fit_slide
def draw_courses(
    layers: Sequence[str],
    courses: Sequence[LayerCourse],
    epochs: Sequence[int],
    title: str,
    caption: str,
) -> Figure:
    """Draw cosines with the last pictures, settled photos, and activations, a curve for each layer.

    Args:
        layers: Names of the layers.
        courses: How they went.
        epochs: The epochs, rising.
        title: Heading.
        caption: What the figure depends on, below.
    """
    words = (
        "cosine and activation: medians over the units that are shown; the first two end at 1 by "
        "construction"
    )
    left, between = LEFT * scale_letters(1.0), BETWEEN * scale_letters(1.0)
    below = BELOW * scale_letters(1.0)
    width = (SLIDE_WIDTH - MARGIN - left - 2 * between) / 3
    height = SLIDE_HEIGHT if find_style().wide else HEIGHT
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, LEGEND + height + below, title, caption, words)
        ups = (
            "cosine with the last picture",
            "share that shows its last photo",
            "activation (logarithmic)",
        )
        panels = [
            sheet.add_plot(
                left + number * (width + between),
                sheet.top + LEGEND,
                width,
                height,
                "epoch",
                up,
            )
            for number, up in enumerate(ups)
        ]
        for number, course in enumerate(courses):
            curves = (course.cosines, course.settled, course.activations)
            for axes, values in zip(panels, curves, strict=True):
                if values is not None:
                    _add_curve(axes, number, epochs, values)
        panels[0].axhline(
            CONVERGED, color=tone("#444444"), linewidth=points(0.8), linestyle=(0, (4, 3))
        )
        panels[0].set_ylim(min(panels[0].get_ylim()[0], 0.0), 1.03)
        panels[1].set_ylim(0, 1.03)
        if any(value > 0 for course in courses for value in course.activations):
            panels[2].set_yscale("log")
            panels[2].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            # of less than a decade, where there is hardly a power of ten
            panels[2].yaxis.set_minor_formatter(LogFormatter())
        for axes in panels:
            _name_epochs(axes, epochs)
        _write_legend(sheet, layers, left)
    return sheet.figure


def _add_curve(axes: Axes, number: int, epochs: Sequence[int], values: Sequence[float]) -> None:
    axes.plot(
        range(len(epochs)),
        values,
        color=_colour(number),
        marker=MARKERS[number % len(MARKERS)],
        markersize=points(5),
        linewidth=points(1.8),
    )


def _colour(number: int) -> str:
    palette = [*COLOURS[:6], COLOURS[7]]
    return palette[number % len(palette)]


def _name_epochs(axes: Axes, epochs: Sequence[int]) -> None:
    """Set kept epochs apart evenly, as the columns of the blocks; most are early ones."""
    every = -(-len(epochs) // MOST_TICKS)
    axes.set_xticks(range(0, len(epochs), every), [str(epoch) for epoch in epochs[::every]])
    axes.set_xlim(-0.3, len(epochs) - 0.7)


def _write_legend(sheet: Sheet, layers: Sequence[str], left: float) -> None:
    size = letter_size(11)
    axes = sheet.add_axes(left, sheet.top, SLIDE_WIDTH - MARGIN - left, LEGEND - 0.08)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for number, layer in enumerate(layers):
        axes.plot(
            [], [], color=_colour(number), marker=MARKERS[number % len(MARKERS)], label=layer,
            markersize=points(5), linewidth=points(1.8),
        )  # fmt: skip
    axes.legend(
        loc="center left", ncols=len(layers), frameon=False, fontsize=size, borderpad=0,
        borderaxespad=0, columnspacing=1.5, bbox_to_anchor=(0, 0.5),
    )  # fmt: skip
