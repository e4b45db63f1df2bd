"""The inception module of the lecture: sizes and operations, naive and with 1 x 1 reductions."""

from dataclasses import dataclass

from torch import nn

from vizcnn.drawing.tables import Table
from vizcnn.lecture.layer_tables import describe_filter, describe_size
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
