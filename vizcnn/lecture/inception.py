"""The lecture's inception module: sizes and operations, naive and with 1 x 1 reductions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import nn

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.drawing.table_figure import draw_table
from vizcnn.drawing.tables import Table
from vizcnn.lecture.net_tables import describe_filter, describe_size
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.recording.layer_rows import LayerRow, trace_layers
from vizcnn.zoo.googlenet import Inception, NaiveInception

INPUT = (256, 28, 28)
"""The input of the lecture's example: 28 x 28 x 256."""
MAPS = {"1×1": 128, "3×3": 192, "5×5": 96}
"""Its convolutions."""
REDUCED = 64
"""Its F: maps that the 1 x 1 convolutions leave."""


@dataclass(frozen=True)
class ModuleCost:
    """What a module costs.

    Attributes:
        rows: Its convolutions, poolings and the concatenation.
        outputs: Shape of its output.
        multiply_adds: Of all convolutions.
        weights: Of all convolutions, biases left out.
    """

    rows: tuple[LayerRow, ...]
    outputs: tuple[int, ...]
    multiply_adds: int
    weights: int


def build_naive() -> nn.Module:
    """Build the lecture's naive module."""
    return NaiveInception(INPUT[0], *MAPS.values()).to("meta")


def build_reduced() -> nn.Module:
    """Build the lecture's module with 1 x 1 reductions before 3 x 3 and 5 x 5, after the pool."""
    one, three, five = MAPS.values()
    return Inception(INPUT[0], one, REDUCED, three, REDUCED, five, REDUCED).to("meta")


MODULES: Mapping[str, Callable[[], nn.Module]] = {"naive": build_naive, "reduced": build_reduced}
"""Both forms of the lecture's module."""


def measure_module(module: nn.Module, shape: tuple[int, int, int] = INPUT) -> ModuleCost:
    """Trace a module and add up its costs.

    Example:
        >>> measure_module(build_naive()).multiply_adds
        854196224
    """
    rows = tuple(
        row for row in trace_layers(module, shape) if row.kind in ("conv", "max pool", "concat")
    )
    return ModuleCost(
        rows=rows,
        outputs=rows[-1].outputs,
        multiply_adds=sum(row.multiply_adds for row in rows),
        weights=sum(row.weights for row in rows),
    )


def find_operations(module: nn.Module, size: int, maps: int, reads: int) -> int:
    """Give the multiply-adds of the convolution of a size, with so many maps out and in.

    Example:
        >>> find_operations(build_naive(), 3, 192, 256)
        346816512
    """
    return next(
        row.multiply_adds
        for row in measure_module(module).rows
        if row.filter == (size, size) and (row.outputs[0], row.inputs[0]) == (maps, reads)
    )


def write_product(row: LayerRow) -> str:
    """Write a convolution's operations as the lecture does.

    Example:
        >>> write_product(measure_module(build_naive()).rows[0])
        '28·28·256·1·1·128'
    """
    assert row.filter is not None
    height, width = row.outputs[1:]
    return f"{height}·{width}·{row.inputs[0]}·{row.filter[0]}·{row.filter[1]}·{row.outputs[0]}"


def make_module_table(module: nn.Module, title: str) -> Table:
    """Make a table of a module's parts: filters, padding, sizes, operations."""
    cost = measure_module(module)
    rows = []
    for row in cost.rows:
        is_convolution = row.kind == "conv"
        name = f"{describe_filter(row.filter)} {row.kind}" if row.filter else row.kind
        rows.append(
            (
                f"{name}, {row.outputs[0]}" if is_convolution else name,
                row.padding[0] if row.padding else None,
                describe_size(row.outputs),
                write_product(row) if is_convolution else None,
                row.multiply_adds if is_convolution else None,
                row.weights if is_convolution else None,
            )
        )
    total = ("sum", None, describe_size(cost.outputs), None, cost.multiply_adds, cost.weights)
    return Table(
        title,
        ("part", "padding", "output", "operations", "multiply-adds", "weights"),
        (*rows, total),
        totals=1,
        notes=(f"Input {describe_size(INPUT)}; traced on the built module.",),
    )


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
    cost = measure_module(MODULES[name]())
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


def make_module(studio: Studio, name: str) -> Made:
    """Draw the lecture's inception module with the sizes of its parts."""
    cost = measure_module(MODULES[name]())
    caption = (
        f"{cost.multiply_adds:,} multiply-adds, {cost.weights:,} weights; {cost.outputs[0]} maps "
        "come "
        "out. Traced on the built module."
    )
    return Made(
        caption, partial(draw_module, name, caption), text=f"The {name} module as boxes and arrows"
    )


def make_module_operations(studio: Studio, name: str, title: str) -> Made:
    """Draw the operations of the lecture's inception module."""
    table = make_module_table(MODULES[name](), f"{title}: operations")
    naive, reduced = (measure_module(build()).multiply_adds for build in MODULES.values())
    caption = f"Naive over reduced: {naive:,} / {reduced:,} = {naive / reduced:.2f}."
    return Made(caption, partial(draw_table, table, caption), table)


for _name, _words in (("naive", "naive"), ("reduced", "with 1×1 reductions")):
    _title = f"Inception module, {_words}"
    exhibit(f"inception-{_name}", "googlenet", _title, name=_name)(make_module)
    exhibit(
        f"inception-{_name}-operations",
        "googlenet",
        f"{_title}: operations",
        name=_name,
        title=_title,
    )(make_module_operations)
