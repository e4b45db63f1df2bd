"""The tables of the lecture's nets: layers, memory and parameters, GoogLeNet's table."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from matplotlib.figure import Figure

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.drawing.table_figure import draw_table
from vizcnn.drawing.tables import Cell, Table
from vizcnn.lecture.citations import cite_table
from vizcnn.lecture.nets import (
    NETS,
    build_net,
    count_layers,
    count_parameters,
    find_net,
    input_shape,
    trace_net,
)
from vizcnn.lecture.studio import Made, Studio, exhibit
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
    table = _finish(name, cells, ONCE)
    digits = 1 if float(str(table.rows[-1][-1])) > 100 else 3  # of a small net, bytes
    rounded = tuple((*row[:-1], round(float(str(row[-1])), digits)) for row in table.rows)
    return replace(table, rows=rounded)


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
                "·".join(str(size) for size in (*row.outputs[1:], row.outputs[0])),
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


GOOGLENET_COLUMNS = (
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
            path = row.path.removeprefix("stem.").split(".")[0]
            stages.setdefault("conv2" if path == "reduce2" else path, []).append(row)
    return stages


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
        GOOGLENET_COLUMNS,
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
    kind = rows[-1].kind
    kinds = {"conv": "convolution", "fc": "linear", "average pool": "avg pool"}
    words = f"inception ({name.removeprefix('inception')})" if is_module else kinds.get(kind, kind)
    return (
        words,
        patch,
        describe_size(cost.outputs),
        cost.depth,
        *counts,
        cost.weights or None,
        cost.multiply_adds or None,
    )


def _count_maps(rows: Sequence[LayerRow]) -> tuple[Cell, ...]:
    """Give the maps of a module's convolutions in the table's order; None of those it lacks."""
    maps = {row.path.split(".")[-1]: row.outputs[0] for row in rows if row.kind == "conv"}
    names = ("conv1x1", "reduce3x3", "conv3x3", "reduce5x5", "conv5x5", "project")
    stem = {"reduce3x3": "reduce2", "conv3x3": "conv2"}
    return tuple(maps.get(name, maps.get(stem.get(name, ""))) for name in names)


def find_row(net: str, layer: str) -> LayerRow:
    """Give a layer's row by the zoo's name of it.

    Example:
        >>> find_row("alexnet", "conv1").filter
        (11, 11)
    """
    names = name_paths(net)
    named = {name_layer(parts, names): parts[0] for parts in fold_rows(trace_net(net))}
    return named[layer]


def count_layer_parameters(net: str, layer: str) -> int:
    """Count a layer's parameters, biases included."""
    return find_row(net, layer).parameters


def count_all_outputs(net: str) -> int:
    """Add up the image and all that convolutions, poolings and fully connected layers put out.

    Activations work in place, and so are not counted again.

    Example:
        >>> count_all_outputs("vgg-d")
        15237608
    """
    kinds = ("conv", "fc", "max pool", "average pool", "norm", "concat")
    rows = [row for row in trace_net(net) if row.kind in kinds]
    return math.prod(input_shape(net)) + sum(row.activations for row in rows)


def count_megabytes(net: str) -> float:
    """Give the memory of all outputs in float32, in MB of 10^6 bytes."""
    return BYTES * count_all_outputs(net) / 1e6


def make_layers(studio: Studio, name: str) -> Made:
    """Draw a net's layer table; the files hold every operation."""
    shown = make_slide_table(name)
    operations = len(trace_net(name))
    caption = f"The files list all {operations} operations. {find_net(name).note}".strip()
    return Made(caption, partial(draw_table, shown, caption), make_layer_table(name), shown.title)


@exhibit("nets", "overview", "All nets in numbers")
def make_net_table(studio: Studio) -> Made:
    """Draw all nets in numbers."""
    rows = tuple(
        (
            net.title,
            count_layers(name),
            count_parameters(name),
            sum(row.multiply_adds for row in trace_net(name)),
            make_slide_table(name).rows[-1][7],
        )
        for name, net in NETS.items()
    )
    columns = ("net", "layers", "parameters", "multiply-adds", "activations")
    table = Table("The lecture’s nets", columns, rows)
    caption = (
        "Layers: convolutions and fully connected layers on the longest way. Parameters with "
        "biases. Activations: of the image and every layer, what works in place not counted again."
    )
    return Made(caption, partial(draw_table, table, caption), table)


@exhibit("vgg-memory", "vgg", "VGG-16: memory and parameters")
def make_memory(studio: Studio) -> Made:
    """Draw the lecture's table of VGG's memory and parameters."""
    table = make_memory_table("vgg-d")
    caption = (
        f"{count_all_outputs('vgg-d'):,} numbers, {count_megabytes('vgg-d'):.1f} MB in float32 "
        "for one image going forward."
    )
    return Made(caption, partial(draw_table, table, caption), table)


@exhibit("vgg-shares", "vgg", "Where VGG-16’s parameters and memory are")
def make_shares(studio: Studio) -> Made:
    """Draw where VGG-16's parameters, memory and operations are."""
    shares = measure_shares("vgg-d")
    caption = (
        "VGG-16 (D), without biases. Fully connected layers: "
        + ", ".join(
            f"{parts['fully connected']:.1%} of the {what}" for what, parts in shares.items()
        )
        + " (the image’s not counted)."
    )
    columns = ("what", *next(iter(shares.values())))
    rows: list[tuple[Cell, ...]] = [
        (what, *(round(share, 4) for share in parts.values())) for what, parts in shares.items()
    ]
    table = Table("Shares of VGG-16’s layers", columns, tuple(rows))
    return Made(caption, partial(_draw_shares, shares, caption), table, "Stacked bars of shares")


def _draw_shares(shares: dict[str, dict[str, float]], caption: str) -> Figure:
    with plain_style():
        slide = Slide(3.9, "VGG-16: where parameters, memory and operations are", caption)
        axes = slide.plot(2.0, slide.top + 0.6, slide.width - 2.2 - MARGIN, 2.5, "share (%)")
        names = list(next(iter(shares.values())))
        for row, parts in enumerate(shares.values()):
            left = 0.0
            for number, share in enumerate(parts.values()):
                axes.barh(row, 100 * share, left=left, color=COLOURS[number], height=0.62)
                if share > 0.04:
                    axes.text(
                        left + 50 * share,
                        row,
                        f"{share:.0%}",
                        fontsize=letter_size(SMALL),
                        ha="center",
                        va="center",
                        bbox={"facecolor": tone("white"), "edgecolor": "none", "pad": points(1.5)},
                    )
                left += 100 * share
        axes.set_yticks(range(len(shares)), list(shares), fontsize=letter_size(BODY))
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        for number, name in enumerate(names):
            slide.say(f"■ {name}", MARGIN + 2.0 + 2.3 * number, slide.top, color=COLOURS[number])
    return slide.figure


@exhibit("googlenet-table", "googlenet", "GoogLeNet’s table, computed")
def make_googlenet(studio: Studio) -> Made:
    """Draw GoogLeNet's table from the net."""
    table = make_googlenet_table()
    caption = f"With biases the net has {count_parameters('googlenet'):,} parameters."
    return Made(caption, partial(draw_table, table, caption), table)


@exhibit("googlenet-table-paper", "googlenet", "GoogLeNet’s table, as printed")
def make_googlenet_paper(studio: Studio) -> Made:
    """Draw GoogLeNet's table as the paper prints it."""
    table = cite_table("googlenet", "GoogLeNet, as the paper prints it")
    caption = "Where its params and ops differ from the computed table is told among the claims."
    return Made(caption, partial(draw_table, table, caption), table)
