"""The lecture's table of memory and parameters, and the shares of kinds of layers."""

import math
from collections.abc import Callable

from vizcnn.drawing.tables import Table
from vizcnn.lecture.layer_tables import fold_rows, name_layer, name_paths
from vizcnn.lecture.nets import find_net, input_shape, trace_net
from vizcnn.recording.layer_rows import BYTES, LayerRow

WORDS = {"conv": "CONV", "max pool": "POOL", "fc": "FC"}
KINDS = {"conv": "convolutions", "max pool": "poolings", "fc": "fully connected"}


def make_memory_table(name: str) -> Table:
    """Make a table of every layer's memory and parameters, written as products.

    Args:
        name: A key of :data:`vizcnn.lecture.nets.NETS`; a plain chain of layers.

    Example:
        >>> make_memory_table("vgg-d").rows[1]
        ('conv1_1', 'CONV (64)', '224·224·64', 3211264, '(3·3·3)·64', 1728)
    """
    names = name_paths(name)
    channels, height, width = input_shape(name)
    count = channels * height * width
    rows: list[tuple[str | int | None, ...]] = [
        ("input", "INPUT", f"{height}·{width}·{channels}", count, None, 0)
    ]
    for parts in fold_rows(trace_net(name)):
        row = parts[0]
        rows.append(
            (
                name_layer(parts, names),
                f"{WORDS[row.kind]} ({row.outputs[0]})" if row.weights else WORDS[row.kind],
                _write_outputs(row),
                row.activations,
                _write_weights(row),
                row.weights,
            )
        )
    sums = [sum(int(str(row[place])) for row in rows) for place in (3, 5)]
    rows.append(("total", None, None, sums[0], None, sums[1]))
    rows.append(
        ("in MB", None, None, f"{BYTES * sums[0] / 1e6:.1f}", None, f"{BYTES * sums[1] / 1e6:.1f}")
    )
    columns = ("layer", "kind", "memory", "numbers", "weights", "parameters")
    title = f"{find_net(name).title}: memory and parameters"
    notes = ("Parameters without biases, as in the lecture.",)
    return Table(title, columns, tuple(rows), totals=2, notes=notes)


def _write_outputs(row: LayerRow) -> str:
    return "·".join(str(size) for size in (*row.outputs[1:], row.outputs[0]))


def _write_weights(row: LayerRow) -> str | None:
    if row.kind == "conv" and row.filter:
        return f"({row.filter[0]}·{row.filter[1]}·{row.inputs[0]})·{row.outputs[0]}"
    return f"{math.prod(row.inputs)}·{row.outputs[0]}" if row.kind == "fc" else None


def measure_shares(name: str) -> dict[str, dict[str, float]]:
    """Give the shares of kinds of layers in a net's parameters, memory and operations.

    Returns:
        For each of the three the share of each kind, 0..1.

    Example:
        >>> round(measure_shares("vgg-d")["parameters"]["fully connected"], 3)
        0.894
    """
    values: dict[str, Callable[[LayerRow], int]] = {
        "parameters": lambda row: row.weights,
        "memory": lambda row: row.activations,
        "operations": lambda row: row.multiply_adds,
    }
    rows = [row for row in trace_net(name) if row.kind in KINDS]
    shares = {}
    for what, value in values.items():
        total = sum(value(row) for row in rows)
        shares[what] = {
            words: sum(value(row) for row in rows if row.kind == kind) / total
            for kind, words in KINDS.items()
        }
    return shares
