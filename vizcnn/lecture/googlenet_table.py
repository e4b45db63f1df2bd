"""GoogLeNet's table (Szegedy et al. 2014, Table 1), computed from the net."""

from collections.abc import Sequence
from dataclasses import dataclass

from vizcnn.drawing.tables import Cell, Table
from vizcnn.lecture.layer_tables import describe_size
from vizcnn.lecture.nets import trace_net
from vizcnn.recording.layer_rows import LayerRow

COLUMNS = (
    "type",
    "patch size/stride",
    "output",
    "depth",
    "#1×1",
    "#3×3 reduce",
    "#3×3",
    "#5×5 reduce",
    "#5×5",
    "pool proj",
    "params",
    "ops",
)


@dataclass(frozen=True)
class StageCost:
    """A row of the table in numbers.

    Attributes:
        name: Name of the stage, such as ``"3a"`` or ``"conv2"``.
        depth: Layers with weights that it adds to the longest way.
        weights: Its weights, biases left out.
        multiply_adds: Its operations.
        outputs: Shape of its output.
    """

    name: str
    depth: int
    weights: int
    multiply_adds: int
    outputs: tuple[int, ...]


def group_stages() -> dict[str, list[LayerRow]]:
    """Bring the net's operations together as the table does."""
    stages: dict[str, list[LayerRow]] = {}
    for row in trace_net("googlenet"):
        if row.kind not in ("relu", "norm"):
            stages.setdefault(_name_stage(row), []).append(row)
    return stages


def _name_stage(row: LayerRow) -> str:
    path = row.path.removeprefix("stem.").split(".")[0]
    return "conv2" if path == "reduce2" else path


def measure_stages() -> dict[str, StageCost]:
    """Measure every row of the table.

    Example:
        >>> measure_stages()["inception3a"].weights
        163328
    """
    costs, before = {}, 0
    for name, rows in group_stages().items():
        depth = max(row.depth for row in rows)
        costs[name] = StageCost(
            name=name,
            depth=depth - before,
            weights=sum(row.weights for row in rows),
            multiply_adds=sum(row.multiply_adds for row in rows),
            outputs=rows[-1].outputs,
        )
        before = depth
    return costs


def make_googlenet_table() -> Table:
    """Make the paper's Table 1 from the net, its numbers in full."""
    costs = measure_stages()
    rows = [_describe(name, stage, costs[name]) for name, stage in group_stages().items()]
    weights = sum(cost.weights for cost in costs.values())
    operations = sum(cost.multiply_adds for cost in costs.values())
    depth = sum(cost.depth for cost in costs.values())
    total: tuple[Cell, ...] = ("total", None, None, depth, *[None] * 6, weights, operations)
    return Table(
        "GoogLeNet, computed",
        COLUMNS,
        (*rows, total),
        totals=1,
        notes=(
            "Params without biases, ops as multiply-adds, as in the paper’s Table 1, but in full.",
        ),
    )


def _describe(name: str, rows: Sequence[LayerRow], cost: StageCost) -> tuple[Cell, ...]:
    first = rows[-1] if name == "conv2" else rows[0]
    is_module = name.startswith("inception")
    counts = _count_maps(rows) if is_module or name == "conv2" else (None,) * 6
    patch: Cell = None
    if not is_module and first.filter and first.stride:
        patch = f"{first.filter[0]}×{first.filter[1]}/{first.stride[0]}"
    words = f"inception ({name.removeprefix('inception')})" if is_module else _call(rows)
    return (
        words,
        patch,
        describe_size(cost.outputs),
        cost.depth,
        *counts,
        cost.weights or None,
        cost.multiply_adds or None,
    )


def _call(rows: Sequence[LayerRow]) -> str:
    return {"conv": "convolution", "fc": "linear", "average pool": "avg pool"}.get(
        rows[-1].kind, rows[-1].kind
    )


def _count_maps(rows: Sequence[LayerRow]) -> tuple[Cell, ...]:
    """Give the maps of a module's convolutions in the table's order; None of those it lacks."""
    maps = {row.path.split(".")[-1]: row.outputs[0] for row in rows if row.kind == "conv"}
    names = ("conv1x1", "reduce3x3", "conv3x3", "reduce5x5", "conv5x5", "project")
    stem = {"reduce3x3": "reduce2", "conv3x3": "conv2"}
    return tuple(maps.get(name, maps.get(stem.get(name, ""))) for name in names)
