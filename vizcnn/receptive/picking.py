"""Operations that pick, join and move places: slices, concatenations, flips, permutations."""

from collections.abc import Callable, Sequence

import torch

from vizcnn.geometry import find_slice, signed
from vizcnn.graph import kind_of
from vizcnn.receptive.axes import SAME, Lookup, Slide, mark_places
from vizcnn.receptive.reading import Edge, Reading, Shape, keep


def _read_joined(edge: Edge) -> Reading | None:
    """Read a part of a concatenation; what lies before it moves its places."""
    dim = signed(edge.node._saved_dim) % len(edge.outputs)
    before = _sum_sizes(edge.shapes[: edge.index], dim)
    after = _sum_sizes(edge.shapes[edge.index :], dim)
    if before is None and after is not None:
        before = edge.outputs[dim] - after
    return None if before is None else keep(edge, {dim: Slide(padding=before)})


def _sum_sizes(shapes: Sequence[Shape | None], dim: int) -> int | None:
    """Sum sizes along a dimension; None if one is of a constant, which no graph records."""
    sizes = [shape[dim] for shape in shapes if shape is not None]
    return sum(sizes) if len(sizes) == len(shapes) else None


def _read_part(edge: Edge) -> Reading:
    """Read one of several parts that a tensor was split into."""
    node = edge.node
    if kind_of(node) == "Split":
        offset = int(node._saved_split_size) * edge.number
    else:
        offset = sum(int(size) for size in node._saved_split_sizes[: edge.number])
    return keep(edge, {signed(node._saved_dim): Slide(padding=-offset)})


def _read_selected(edge: Edge) -> Reading:
    node, count = edge.node, len(edge.inputs)
    dim = signed(node._saved_dim) % count
    index = edge.number if kind_of(node) == "Unbind" else signed(node._saved_index)
    chosen = (None, Slide(padding=-(index % edge.inputs[dim])))
    return [(other, SAME) for other in range(dim)] + [
        chosen,
        *((other - 1, SAME) for other in range(dim + 1, count)),
    ]


def _read_slice(edge: Edge) -> Reading:
    dim, first, step = find_slice(edge.node)
    return keep(edge, {dim: Slide(stride=step, padding=-first)})


def _read_flipped(edge: Edge) -> Reading:
    dims = [signed(dim) for dim in edge.node._saved_dims]
    return keep(edge, {dim: Slide(stride=-1, padding=1 - edge.inputs[dim]) for dim in dims})


def _read_rolled(edge: Edge) -> Reading | None:
    dims, shifts = edge.node._saved_dims, edge.node._saved_shifts
    if not dims:
        return None  # the map was rolled as one line
    tables = {}
    for dim, shift in zip(map(signed, dims), map(signed, shifts), strict=True):
        size = edge.inputs[dim]
        tables[dim] = Lookup(mark_places((torch.arange(size) - shift) % size, size))
    return keep(edge, tables)


def _read_repeated(edge: Edge) -> Reading:
    lead = len(edge.outputs) - len(edge.inputs)
    return [
        (lead + dim, Lookup(mark_places(torch.arange(edge.outputs[lead + dim]) % size, size)))
        for dim, size in enumerate(edge.inputs)
    ]


def _read_indexed(edge: Edge) -> Reading | None:
    """Read places picked by a list of numbers along one dimension."""
    indices = list(edge.node._saved_indices)
    picked = [dim for dim, index in enumerate(indices) if index is not None]
    if len(picked) != 1 or indices[picked[0]].ndim != 1:
        return None
    (dim,) = picked
    return keep(edge, {dim: _look_up(indices[dim], edge.inputs[dim])})


def _read_index_selected(edge: Edge) -> Reading:
    dim = signed(edge.node._saved_dim)
    return keep(edge, {dim: _look_up(edge.node._saved_index.flatten(), edge.inputs[dim])})


def _look_up(index: torch.Tensor, size: int) -> Lookup:
    return Lookup(mark_places(index.to("cpu", torch.int64) % size, size))


def _read_permuted(edge: Edge) -> Reading:
    order = [signed(dim) % len(edge.inputs) for dim in edge.node._saved_dims]
    return [(order.index(dim), SAME) for dim in range(len(order))]


def _read_transposed(edge: Edge) -> Reading:
    count = len(edge.inputs)
    order = list(range(count))
    one, other = 0, count - 1  # T turns a matrix
    if kind_of(edge.node) == "Transpose":
        one, other = signed(edge.node._saved_dim0), signed(edge.node._saved_dim1)
    order[one], order[other] = order[other], order[one]
    return [(dim, SAME) for dim in order]


PICKS: dict[str, Callable[[Edge], Reading | None]] = {
    "Cat": _read_joined,
    "Split": _read_part,
    "SplitWithSizes": _read_part,
    "Select": _read_selected,
    "Unbind": _read_selected,
    "Slice": _read_slice,
    "Flip": _read_flipped,
    "Roll": _read_rolled,
    "Repeat": _read_repeated,
    "Index": _read_indexed,
    "IndexSelect": _read_index_selected,
    "Permute": _read_permuted,
    "Transpose": _read_transposed,
    "T": _read_transposed,
}
"""By kind of node; None where the geometry is not known."""
