"""Two nets beside each other: where they differ, found by comparing their layer tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from vizcnn.drawing.table_figure import draw_table
from vizcnn.drawing.tables import Cell, Table
from vizcnn.lecture.net_tables import (
    describe_filter,
    describe_size,
    fold_rows,
    name_layer,
    name_paths,
)
from vizcnn.lecture.nets import (
    count_parameters,
    find_net,
    input_shape,
    trace_net,
)
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.recording.layer_rows import LayerRow


@dataclass(frozen=True)
class Difference:
    """A property in which a layer differs between two nets.

    Attributes:
        layer: Name of the layer in the first net, or in the second if the first lacks it.
        property: What differs: ``"filter"``, ``"stride"``, ``"maps"``, ...
        first: Its value in the first net; None where the layer is missing.
        second: The same in the second net.
        chosen: Whether it was chosen; else it follows from others: the size of an output, the maps
            that a layer without filters passes on.
    """

    layer: str
    property: str
    first: Cell
    second: Cell
    chosen: bool = True


def compare_nets(first: str, second: str) -> tuple[Difference, ...]:
    """Find the differences of two nets of the lecture.

    Layers are matched by name; of matched ones kind, filter, stride, padding, groups, number of
    maps or units, and the size of the output are compared, and which layer they follow.

    Args:
        first: A key of :data:`vizcnn.lecture.nets.NETS`.
        second: Another.

    Example:
        >>> found = compare_nets("alexnet", "zfnet")
        >>> [(d.first, d.second) for d in found if (d.layer, d.property) == ("conv1", "filter")]
        [('11×11', '7×7')]
    """
    one, other = _list_layers(first), _list_layers(second)
    size, other_size = (describe_size(input_shape(name)) for name in (first, second))
    found = [] if size == other_size else [Difference("input", "size", size, other_size)]
    for name in dict.fromkeys([*one, *other]):
        if name in one and name in other:
            found += _compare_layers(name, one[name], other[name])
        else:
            kind, other_kind = (net[name].kind if name in net else None for net in (one, other))
            found.append(Difference(name, "layer", kind, other_kind))
    return (*found, *_compare_order(list(one), list(other)))


def _compare_order(one: Sequence[str], other: Sequence[str]) -> list[Difference]:
    """Find layers that both nets have, but after another one."""
    common = [[name for name in net if name in one and name in other] for net in (one, other)]
    before = [dict(zip(names[1:], names, strict=False)) for names in common]
    return [
        Difference(name, "follows", before[0].get(name), before[1].get(name))
        for name in common[0]
        if before[0].get(name) != before[1].get(name)
    ]


def _list_layers(name: str) -> dict[str, LayerRow]:
    names = name_paths(name)
    return {name_layer(parts, names): parts[0] for parts in fold_rows(trace_net(name))}


def _compare_layers(name: str, one: LayerRow, other: LayerRow) -> list[Difference]:
    follow = ("output",) if one.parameters else ("output", "maps")
    values = zip(_PROPERTIES, _list_properties(one), _list_properties(other), strict=True)
    return [
        Difference(name, what, first, second, what not in follow)
        for what, first, second in values
        if first != second
    ]


_PROPERTIES = ("kind", "filter", "stride", "padding", "groups", "maps", "output")


def _list_properties(row: LayerRow) -> tuple[Cell, ...]:
    stride, padding = row.stride, row.padding
    return (
        row.kind,
        describe_filter(row.filter),
        stride[0] if stride else None,
        padding[0] if padding else None,
        row.groups,
        row.outputs[0],
        describe_size(row.outputs),
    )


_HOW = "Found by comparing the two nets layer by layer; what is not listed is equal."


def make_difference_table(first: str, second: str, only_chosen: bool = False) -> Table:
    """Make a table of what differs, a property a row.

    Args:
        first: A key of :data:`vizcnn.lecture.nets.NETS`.
        second: Another.
        only_chosen: Leave out what follows from the rest, for a slide.
    """
    one, other = find_net(first).title, find_net(second).title
    found = compare_nets(first, second)
    shown = tuple(d for d in found if d.chosen or not only_chosen)

    def tell(value: Cell) -> str:
        return "–" if value is None else str(value)

    left_out = "" if shown == found else " Sizes and maps that follow from this are in the files."
    return Table(
        f"{other} against {one}",
        ("layer", "what", one, other),
        tuple((d.layer, d.property, *map(tell, (d.first, d.second))) for d in shown),
        notes=(f"{_HOW}{left_out}",),
    )


@exhibit(
    "alexnet-towers-differences",
    "alexnet",
    "Two towers against one",
    first="alexnet",
    second="alexnet-towers",
)
@exhibit("zfnet-differences", "zfnet", "ZFNet against AlexNet", first="alexnet", second="zfnet")
@exhibit("vgg-c-differences", "vgg", "VGG C against D", first="vgg-d", second="vgg-c")
def make_differences(studio: Studio, first: str, second: str) -> Made:
    """Draw a table of the differences between two nets."""
    table = make_difference_table(first, second)
    notes = " ".join(find_net(name).note for name in (first, second))
    caption = (
        f"Parameters: {find_net(first).title} {count_parameters(first):,}, "
        f"{find_net(second).title} {count_parameters(second):,}. {notes}"
    ).strip()
    shown = make_difference_table(first, second, only_chosen=True)
    return Made(caption, partial(draw_table, shown, caption), table)
