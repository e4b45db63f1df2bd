"""The layer tables of the lecture's nets: whole for files, brought together for slides."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from vizcnn.drawing.tables import Cell, Table
from vizcnn.lecture.nets import build_net, find_net, input_shape, trace_net
from vizcnn.recording.layer_rows import BYTES, LayerRow
from vizcnn.zoo.catalogue import name_layers

COLUMNS = (
    "layer",
    "kind",
    "filter",
    "stride",
    "padding",
    "output",
    "parameters",
    "activations",
    "multiply-adds",
    "memory (kB)",
)
MOST_ROWS = 25
"""Rows that can be read from the last row of a lecture hall."""

_FOLDED = ("relu", "sigmoid", "tanh", "dropout", "batch norm")
"""Kinds that a slide does not give a row of their own; their parameters go to the row before."""

_CHAINS = ("features", "classifier", "stem")
"""Parts of nets that are plain chains, no blocks."""

ONCE = "On this slide each layer counts once: what works in place is not counted again."
EACH = "Every operation counts, also those that may work in place; on the slide each layer once."
NOTES = (
    "Computed by running the net on one image. Parameters with biases; multiply-adds of "
    "convolutions and fully connected layers; memory of the outputs in float32, 1 kB = 1000 bytes.",
)


def make_layer_table(name: str) -> Table:
    """Make the whole layer table of a net of the lecture, an operation a row.

    Args:
        name: A key of :data:`vizcnn.lecture.nets.NETS`.

    Example:
        >>> make_layer_table("lenet").rows[1][:7]
        ('features.conv1', 'conv', '5×5', 1, 0, '28×28×6', 156)
    """
    rows = trace_net(name)
    cells = [_describe_input(name), *(_describe_row(row) for row in rows)]
    return _finish(name, cells, EACH)


def make_slide_table(name: str, most: int = MOST_ROWS) -> Table:
    """Make a layer table that fits a slide.

    Activations, dropout and batch normalisation are told beside the layer that they follow; where
    there are still too many rows, the operations of a block are brought together in one.

    Args:
        name: A key of :data:`vizcnn.lecture.nets.NETS`.
        most: Rows that there may be.
    """
    rows = trace_net(name)
    for depth in (None, 3, 2, 1):
        cells = [_describe_input(name), *_group_rows(rows, depth, name_paths(name))]
        if len(cells) <= most:
            break
    return _round_memory(_finish(name, cells, ONCE))


def _round_memory(table: Table) -> Table:
    """Leave a digit of the last column, kilobytes; of a small net, bytes."""
    digits = 1 if float(str(table.rows[-1][-1])) > 100 else 3
    rows = tuple((*row[:-1], round(float(str(row[-1])), digits)) for row in table.rows)
    return replace(table, rows=rows)


def describe_size(shape: tuple[int, ...]) -> str:
    """Write a shape as the lecture does: rows, columns, maps.

    Example:
        >>> describe_size((96, 55, 55)), describe_size((4096,))
        ('55×55×96', '4096')
    """
    return "×".join(str(size) for size in (*shape[1:], shape[0]))


def describe_filter(pair: tuple[int, int] | None) -> Cell:
    """Write a filter's size."""
    return None if pair is None else f"{pair[0]}×{pair[1]}"


def _describe_step(pair: tuple[int, int] | None) -> Cell:
    if pair is None:
        return None
    return pair[0] if pair[0] == pair[1] else f"{pair[0]}×{pair[1]}"


def _describe_input(name: str) -> tuple[Cell, ...]:
    channels, height, width = input_shape(name)
    count = channels * height * width
    size = describe_size((channels, height, width))
    return ("input", "image", None, None, None, size, 0, count, 0, BYTES * count / 1000)


def _describe_row(row: LayerRow) -> tuple[Cell, ...]:
    kind = f"{row.kind}, {row.groups} groups" if row.groups > 1 else row.kind
    return (
        row.path,
        kind,
        describe_filter(row.filter),
        _describe_step(row.stride),
        _describe_step(row.padding),
        describe_size(row.outputs),
        row.parameters,
        row.activations,
        row.multiply_adds,
        row.memory / 1000,
    )


def shorten_path(path: str) -> str:
    """Leave out what says nothing in a slide.

    Example:
        >>> shorten_path("features.conv1"), shorten_path("classifier.6")
        ('conv1', 'classifier.6')
    """
    last = path.removeprefix("features.").removeprefix("classifier.").removeprefix("stem.")
    return path if last.isdigit() else last


def fold_rows(rows: Sequence[LayerRow]) -> list[list[LayerRow]]:
    """Bring activations and the like together with the layer that they follow."""
    folded: list[list[LayerRow]] = []
    for row in rows:
        follows = row.kind in _FOLDED or (
            row.kind == "add" and bool(folded) and row.path == folded[-1][0].path
        )
        if folded and follows:
            folded[-1].append(row)
        else:
            folded.append([row])
    return folded


def name_paths(name: str) -> dict[str, str]:
    """Give the zoo's layer names by module path, such as conv1_1 of the first ReLU of VGG."""
    names: dict[str, str] = {}
    for layer, path in name_layers(build_net(name)).items():
        # conv1 is another name of VGG's conv1_2: the longer one says more
        names[path] = max(names.get(path, ""), layer, key=len)
    return names


def _group_rows(
    rows: Sequence[LayerRow], depth: int | None, names: dict[str, str]
) -> list[tuple[Cell, ...]]:
    if depth is None:
        return [_describe_layer(parts, names) for parts in fold_rows(rows)]
    groups = groupby(fold_rows(rows), lambda parts: block_of(parts[0].path, depth))
    return [_describe_block(block, list(parts), names) for block, parts in groups]


def block_of(path: str, depth: int) -> str:
    """Give the block that an operation belongs to: the first parts of its path.

    Example:
        >>> block_of("layer1.0.conv1", 2), block_of("stem.conv1", 1)
        ('layer1.0', 'stem.conv1')
    """
    parts = path.split(".")
    return ".".join(parts[: depth + (parts[0] in _CHAINS)])


def name_layer(parts: Sequence[LayerRow], names: dict[str, str]) -> str:
    """Name a layer with what follows it: by the zoo's name, else by its path."""
    named = [names[part.path] for part in parts if part.path in names]
    return named[-1] if named else shorten_path(parts[0].path)


def _describe_layer(parts: Sequence[LayerRow], names: dict[str, str]) -> tuple[Cell, ...]:
    first = parts[0]
    cells = _describe_row(first)
    then = dict.fromkeys(part.kind for part in parts[1:])
    kind = ", ".join([str(cells[1]), *then])
    parameters = sum(part.parameters for part in parts)
    name = name_layer(parts, names)
    return (name, kind, *cells[2:6], parameters, *cells[7:])


def _describe_block(
    block: str, layers: Sequence[Sequence[LayerRow]], names: dict[str, str]
) -> tuple[Cell, ...]:
    if len(layers) == 1:
        return _describe_layer(layers[0], names)
    firsts = [parts[0] for parts in layers]
    kinds = {
        kind: sum(row.kind == kind for row in firsts) for kind in ("conv", "max pool", "fc", "add")
    }
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    activations = sum(row.activations for row in firsts)
    return (
        names.get(block, shorten_path(block)),
        told,
        None,
        None,
        None,
        describe_size(firsts[-1].outputs),
        sum(part.parameters for parts in layers for part in parts),
        activations,
        sum(row.multiply_adds for row in firsts),
        BYTES * activations / 1000,
    )


def _finish(name: str, cells: Sequence[tuple[Cell, ...]], counted: str) -> Table:
    counts = [sum(int(str(row[place])) for row in cells) for place in (6, 7, 8)]
    total: tuple[Cell, ...] = ("total", *[None] * 5, *counts, BYTES * counts[1] / 1000)
    return Table(
        f"{find_net(name).title}: layers",
        COLUMNS,
        (*cells, total),
        totals=1,
        notes=(*NOTES, counted),
    )
