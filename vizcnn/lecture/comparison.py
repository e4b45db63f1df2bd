"""Two nets beside each other: where they differ, found by comparing their layer tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from vizcnn.drawing.table_figure import draw_table
from vizcnn.drawing.tables import Cell, Table
from vizcnn.lecture.nets import (
    count_parameters,
    find_net,
    input_shape,
    trace_net,
)
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.lecture.tables import (
    describe_filter,
    describe_size,
    fold_rows,
    name_layer,
    name_paths,
)
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
    found = _compare_inputs(first, second)
    for name in dict.fromkeys([*one, *other]):
        if name in one and name in other:
            found += _compare_layers(name, one[name], other[name])
        else:
            found.append(Difference(name, "layer", _tell_kind(one, name), _tell_kind(other, name)))
    return (*found, *_compare_order(list(one), list(other)))


def _compare_inputs(first: str, second: str) -> list[Difference]:
    sizes = [describe_size(input_shape(name)) for name in (first, second)]
    return [] if sizes[0] == sizes[1] else [Difference("input", "size", sizes[0], sizes[1])]


def _tell_kind(net: Mapping[str, LayerRow], name: str) -> Cell:
    return net[name].kind if name in net else None


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
    pairs = [
        (what, first, second)
        for what, first, second in zip(
            _PROPERTIES, _list_properties(one), _list_properties(other), strict=True
        )
        if first != second
    ]
    return [
        Difference(name, what, first, second, _is_chosen(what, one))
        for what, first, second in pairs
    ]


def _is_chosen(what: str, row: LayerRow) -> bool:
    return what != "output" and (what != "maps" or row.parameters > 0)


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
    left_out = "" if shown == found else " Sizes and maps that follow from this are in the files."
    return Table(
        f"{other} against {one}",
        ("layer", "what", one, other),
        tuple((d.layer, d.property, *_tell(d)) for d in shown),
        notes=(f"{_HOW}{left_out}",),
    )


def _tell(difference: Difference) -> tuple[Cell, Cell]:
    values: Sequence[Cell] = (difference.first, difference.second)
    shown = ["–" if value is None else str(value) for value in values]
    return shown[0], shown[1]


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
    caption = (
        f"Parameters: {find_net(first).title} {count_parameters(first):,}, "
        f"{find_net(second).title} {count_parameters(second):,}."
    )
    shown = make_difference_table(first, second, only_chosen=True)
    return Made(caption, partial(draw_table, shown, caption), table)
