"""The inception module drawn: its branches with the sizes that they put out."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.lecture.inception_module import INPUT, build_naive, build_reduced, measure_module
from vizcnn.lecture.layer_tables import describe_filter, describe_size
from vizcnn.recording.layer_rows import LayerRow

WIDE, TALL = 2.75, 0.95
"""Size of a box in inches."""
FIRST = 1.9
"""Width of the input's box in inches."""
ARROW = "#777777"


def draw_module(name: str, caption: str) -> Figure:
    """Draw a module from its input, on the left, to the maps side by side, on the right.

    Args:
        name: ``"naive"`` or ``"reduced"``.
        caption: Small print below.
    """
    cost = measure_module({"naive": build_naive, "reduced": build_reduced}[name]())
    branches = list_branches(cost.rows)
    words = "naive" if name == "naive" else "with 1×1 reductions (F = 64)"
    with plain_style():
        slide = Slide(5.3, f"Inception module, {words}", caption)
        axes = slide.canvas(MARGIN, slide.top, slide.room, 5.3)
        lines = [0.65 + 1.32 * number for number in range(len(branches))]
        middle = sum(lines) / len(lines)
        columns = [2.4, 5.55] if any(len(branch) > 1 for branch in branches) else [3.6]
        end = slide.room - 2.2
        _draw_box(axes, 0.0, middle, FIRST, "input", describe_size(INPUT), "#999999")
        _draw_box(axes, end, middle, 2.2, "concatenated", describe_size(cost.outputs), COLOURS[2])
        for line, branch in zip(lines, branches, strict=True):
            _draw_branch(axes, branch, line, columns, (FIRST, middle), (end, middle))
    return slide.figure


def list_branches(rows: Sequence[LayerRow]) -> list[list[LayerRow]]:
    """Split a module's operations into its branches: each begins on the module's input.

    Example:
        >>> [len(branch) for branch in list_branches(measure_module(build_reduced()).rows)]
        [1, 2, 2, 2]
    """
    branches: list[list[LayerRow]] = []
    for row in rows[:-1]:
        starts = row.inputs[0] == INPUT[0] and not (
            branches and branches[-1][-1].kind == "max pool"
        )
        if starts:
            branches.append([])
        branches[-1].append(row)
    return branches


def _draw_branch(
    axes: Axes,
    branch: Sequence[LayerRow],
    line: float,
    columns: Sequence[float],
    start: tuple[float, float],
    end: tuple[float, float],
) -> None:
    places = columns[-len(branch) :]
    # a branch of one box has its place on the right: its arrow goes around what is on the left
    before = (columns[0], line) if len(branch) < len(columns) else start
    if before != start:
        axes.plot(*zip(start, before, strict=True), color=tone(ARROW), lw=points(1.5))
    for row, left in zip(branch, places, strict=True):
        name = f"{describe_filter(row.filter)} {'pool' if row.kind == 'max pool' else 'conv'}"
        padding = f", pad {row.padding[0]}" if row.padding and row.padding[0] else ""
        colour = COLOURS[1] if row.kind == "max pool" else COLOURS[0 if row.filter != (1, 1) else 4]
        _draw_box(
            axes,
            left,
            line,
            WIDE,
            f"{name}, {row.outputs[0]}{padding}",
            describe_size(row.outputs),
            colour,
        )
        _draw_arrow(axes, before, (left, line))
        before = (left + WIDE, line)
    _draw_arrow(axes, before, end)


def _draw_box(
    axes: Axes, left: float, middle: float, width: float, words: str, size: str, colour: str
) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (left + 0.06, middle - TALL / 2),
            width - 0.12,
            TALL,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=tone("white"),
            edgecolor=tone(colour),
            linewidth=points(3),
        )
    )
    style: dict[str, Any] = {"ha": "center", "va": "center", "parse_math": False}
    middles, sizes = (middle - 0.19, middle + 0.21), (letter_size(SMALL), letter_size(BODY))
    axes.text(left + width / 2, middles[0], words, fontsize=sizes[0], **style)
    axes.text(left + width / 2, middles[1], size, fontsize=sizes[1], weight="bold", **style)


def _draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=points(14),
            color=tone(ARROW),
            lw=points(1.5),
            shrinkA=0,
            shrinkB=0,
        )
    )
