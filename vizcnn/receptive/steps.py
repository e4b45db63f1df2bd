"""One step back through a recorded graph: what an operation reads of one of its inputs."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.receptive.axes import (
    SAME,
    WHOLE,
    Axis,
    Extent,
    Lookup,
    Padded,
    Reach,
    Slide,
    Spread,
    average_adaptively,
    everything,
    from_marks,
    mark_places,
)
from vizcnn.recording.geometry import (
    BATCH_NORMALISATIONS,
    POINTWISE,
    find_slice,
    find_window,
    signed,
)
from vizcnn.recording.graph import Node, kind_of

Shape = tuple[int, ...]

Reading = list[tuple[int | None, Axis]]
"""For each dimension of an input: the dimension of the output that goes with it, and how its places
are read; None where no dimension of the output does."""


@dataclass(frozen=True)
class Edge:
    """An operation and one of its inputs.

    Attributes:
        node: The operation.
        number: Which of its outputs is meant.
        index: Which of its inputs is meant.
        outputs: Shape of that output.
        shapes: Shapes of all its inputs; None of those that need no gradient.
    """

    node: Node
    number: int
    index: int
    outputs: Shape
    shapes: Sequence[Shape | None]

    @property
    def inputs(self) -> Shape:
        """Shape of the input that is meant."""
        return self.shapes[self.index] or ()


def keep(edge: Edge, others: Mapping[int, Axis]) -> Reading:
    """Read all dimensions in place but some, which may be counted from the last."""
    count = len(edge.outputs)
    given = {dim % count: axis for dim, axis in others.items()}
    return [(dim, given.get(dim, SAME)) for dim in range(count)]


def read_in_place(edge: Edge) -> Reading | None:
    """Read each place at its own; one that was spread over many places, as one."""
    lead = len(edge.outputs) - len(edge.inputs)
    pairs = list(zip(edge.inputs, edge.outputs[lead:], strict=True)) if lead >= 0 else []
    if lead < 0 or any(ours not in (1, theirs) for ours, theirs in pairs):
        return None
    return [
        (lead + dim, SAME if ours == theirs else WHOLE) for dim, (ours, theirs) in enumerate(pairs)
    ]


def _read_convolved(edge: Edge) -> Reading | None:
    node = edge.node
    if edge.index > 0 or len(edge.outputs) < 3:
        return None  # the weights depend on the image
    windows = zip(
        node._saved_weight.shape[2:],
        node._saved_stride,
        node._saved_padding,
        node._saved_dilation,
        strict=True,
    )
    slides = [Slide(*map(int, window)) for window in windows]
    axes: Iterable[Axis] = map(Spread, slides) if node._saved_transposed else slides
    of_a_group = _repeat_blocks(edge.outputs[1], edge.inputs[1], int(node._saved_groups))
    return keep(edge, {1: of_a_group, **dict(enumerate(axes, start=2))})


def _repeat_blocks(outputs: int, inputs: int, groups: int) -> Axis:
    if groups == 1:
        return WHOLE
    ours, theirs = torch.arange(outputs), torch.arange(inputs)
    return Lookup(ours[:, None] * groups // outputs == theirs[None, :] * groups // inputs)


def _read_window(edge: Edge) -> Reading | None:
    window = find_window(edge.node)
    if window is None:
        return None
    columns = zip(window.size, window.stride, window.padding, window.dilation, strict=True)
    rows, across = (Slide(*numbers) for numbers in columns)
    return keep(edge, {-2: rows, -1: across})


def _read_pad(edge: Edge) -> Reading:
    left = [signed(side) for side in edge.node._saved_pad[::2]]
    return keep(edge, {-1 - back: Slide(padding=side) for back, side in enumerate(left)})


def _read_mirror(edge: Edge) -> Reading:
    left, _, top, _ = (signed(side) for side in edge.node._saved_padding)
    mirrors = kind_of(edge.node) == "ReflectionPad2D"
    return keep(edge, {-2: Padded(top, mirrors), -1: Padded(left, mirrors)})


def _read_adaptive(edge: Edge) -> Reading:
    return keep(
        edge, {dim: average_adaptively(edge.outputs[dim], edge.inputs[dim]) for dim in (-2, -1)}
    )


def _read_resized(edge: Edge) -> Reading:
    return keep(edge, {dim: Lookup(_resize(edge, dim)) for dim in (-2, -1)})


_RESIZES: dict[str, Callable[..., Tensor]] = {
    "UpsampleNearest2D": torch.ops.aten.upsample_nearest2d,
    "UpsampleNearestExact2D": torch.ops.aten._upsample_nearest_exact2d,
    "UpsampleBilinear2D": torch.ops.aten.upsample_bilinear2d,
    "UpsampleBilinear2DAa": torch.ops.aten._upsample_bilinear2d_aa,
    "UpsampleBicubic2D": torch.ops.aten.upsample_bicubic2d,
    "UpsampleBicubic2DAa": torch.ops.aten._upsample_bicubic2d_aa,
}


def _resize(edge: Edge, dim: int) -> Tensor:
    """Ask torch which places it weighs, with one place of a line lit at a time."""
    node, size = edge.node, edge.inputs[dim]
    corners = (node._saved_align_corners,) if hasattr(node, "_saved_align_corners") else ()
    scale = node._saved_scales_h if dim == -2 else node._saved_scales_w
    lit = torch.eye(size, dtype=torch.float64)[:, None, None, :]
    shown = _RESIZES[kind_of(node)](lit, (1, edge.outputs[dim]), *corners, None, scale)
    return shown[:, 0, 0, :].T != 0


def _read_shuffled(edge: Edge) -> Reading:
    """Read what PixelShuffle laid out: blocks of r x r places show channels of one place."""
    factor = int(edge.node._saved_upscale_factor)
    blocks = {
        dim: Lookup(mark_places(torch.arange(edge.outputs[dim]) // factor, edge.inputs[dim]))
        for dim in (-2, -1)
    }
    return keep(edge, {-3: WHOLE, **blocks})


def _read_unshuffled(edge: Edge) -> Reading:
    factor = int(edge.node._saved_downscale_factor)
    return keep(edge, {-3: WHOLE, -2: Slide(factor, factor), -1: Slide(factor, factor)})


def _read_unfolded(edge: Edge) -> Reading:
    """Read what ``Tensor.unfold`` laid out; the places inside a window are a last dimension."""
    node, count = edge.node, len(edge.inputs)
    window = Slide(int(node._saved_size), int(node._saved_step))
    return keep(edge, {signed(node._saved_dimension) % count: window})[:count]


WINDOWS: dict[str, Callable[[Edge], Reading | None]] = {
    "Convolution": _read_convolved,
    "MaxPool": _read_window,
    "MaxPool2DWithIndices": _read_window,
    "AvgPool2D": _read_window,
    "ConstantPadNd": _read_pad,
    "ReflectionPad2D": _read_mirror,
    "ReplicationPad2D": _read_mirror,
    "AdaptiveAvgPool2D": _read_adaptive,
    "AdaptiveMaxPool2D": _read_adaptive,
    "PixelShuffle": _read_shuffled,
    "PixelUnshuffle": _read_unshuffled,
    "Unfold": _read_unfolded,
    **dict.fromkeys(_RESIZES, _read_resized),
}
"""By kind of node; None where the geometry is not known."""


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


def _read_normalised(edge: Edge) -> Reading | None:
    if not edge.node._saved_training:
        return keep(edge, {}) if edge.index == 0 else None
    return keep(edge, {dim: WHOLE for dim in range(len(edge.outputs)) if dim != 1})


def _read_reduced(edge: Edge) -> Reading:
    saved = getattr(edge.node, "_saved_dim", None)
    count = len(edge.inputs)
    dims = (saved,) if isinstance(saved, int) else saved or range(count)
    reduced = {signed(dim) % count for dim in dims}
    keeps = len(edge.outputs) == count
    kept = iter(range(len(edge.outputs)))
    reading: Reading = []
    for dim in range(count):
        source = next(kept) if keeps or dim not in reduced else None
        reading.append((source, WHOLE if dim in reduced else SAME))
    return reading


def _read_along(edge: Edge) -> Reading:
    """Read all places of one dimension: softmax."""
    return keep(edge, {signed(edge.node._saved_dim): WHOLE})


def _read_layer(edge: Edge) -> Reading | None:
    if edge.index > 0:
        return None
    count = len(edge.node._saved_normalized_shape)
    return keep(edge, {-1 - back: WHOLE for back in range(count)})


def _read_group(edge: Edge) -> Reading | None:
    return keep(edge, dict.fromkeys(range(1, len(edge.outputs)), WHOLE))


def _read_channels(edge: Edge) -> Reading:
    """Read other channels of the same place: contrast normalisation, channel shuffle."""
    return keep(edge, {1: WHOLE})


def _read_linear(edge: Edge) -> Reading | None:
    if edge.index > 0:
        return None
    return [*keep(edge, {})[:-1], (None, WHOLE)]


def _read_factor(edge: Edge) -> Reading | None:
    """Read a factor of a product of matrices (B, n, k) x (B, k, m), or what is added to one."""
    first = 1 if kind_of(edge.node) in ("Addmm", "Baddbmm", "Addmv") else 0
    if edge.index < first:
        return read_in_place(edge)
    if len(edge.inputs) < 2:
        return [(None, WHOLE)]
    batch: Reading = [(dim, SAME) for dim in range(len(edge.inputs) - 2)]
    if edge.index == first:
        return [*batch, (len(batch), SAME), (None, WHOLE)]
    return [*batch, (None, WHOLE), (len(edge.outputs) - 1, SAME)]


def _read_gated_factor(edge: Edge) -> Reading | None:
    """Read a factor of a product of matrices one of which is a gate; three make attention."""
    maps = edge.node.factor
    if maps < 0 or len(edge.inputs) != len(edge.outputs) or edge.inputs[:-2] != edge.outputs[:-2]:
        return None
    batch: Reading = [(dim, SAME) for dim in range(len(edge.inputs) - 2)]
    if (edge.index == 0) == (maps == 0):
        return [*batch, (len(batch), SAME), (None, WHOLE)]
    return [*batch, (None, WHOLE), (len(edge.outputs) - 1, SAME)]


MIXES: dict[str, Callable[[Edge], Reading | None]] = {
    **dict.fromkeys(BATCH_NORMALISATIONS, _read_normalised),
    **dict.fromkeys(
        "Mean Sum Amax Amin Max Min Prod Std Var Logsumexp LinalgVectorNorm".split(), _read_reduced
    ),
    "Softmax": _read_along,
    "LogSoftmax": _read_along,
    "NativeLayerNorm": _read_layer,
    "NativeGroupNorm": _read_group,
    **dict.fromkeys("Normalise ChannelShuffle NativeChannelShuffle".split(), _read_channels),
    "Linear": _read_linear,
    **dict.fromkeys("Mm Addmm Bmm Baddbmm Mv Addmv".split(), _read_factor),
    "GateMatrix": _read_gated_factor,
}
"""By kind of node; None where the geometry is not known."""


RESHAPES = frozenset(
    "View UnsafeView ReshapeAlias Squeeze Unsqueeze UnsqueezeCopy ViewCopy".split()
)
"""Operations that keep the order of the values and change the shape."""

Group = tuple[tuple[int, ...], tuple[int, ...]]


def read_reshaped(reach: Reach, inputs: Shape) -> tuple[Reach, bool]:
    """Give what is reached of a view's input, and whether it is exact.

    Args:
        reach: What is reached of the view, dimension by dimension.
        inputs: Shape of the input.

    Returns:
        Where dimensions were joined, the places along each of them that are reached with any of
        the others; it is exact if what is reached is all of their combinations.
    """
    outputs = tuple(extent.size for extent in reach)
    extents: dict[int, Extent] = {}
    exact = True
    for ours, theirs in pair_dimensions(inputs, outputs):
        if len(ours) == len(theirs) == 1:
            extents[ours[0]] = reach[theirs[0]]
            continue
        flat = _flatten([reach[dim].marks for dim in theirs])
        marks = _unflatten(flat, [inputs[dim] for dim in ours])
        exact = exact and _is_product(flat, marks)
        extents |= {dim: from_marks(mark) for dim, mark in zip(ours, marks, strict=True)}
    return tuple(extents[dim] for dim in range(len(inputs))), exact


def read_stacked(reach: Reach, edge: Edge) -> Reach:
    """Give what is reached of one of the tensors of a stack: only what its own number reaches."""
    new = signed(edge.node._saved_dim) % len(reach)
    reached = reach[new].marks[:, edge.index, None]
    others = [extent for dim, extent in enumerate(reach) if dim != new]
    return tuple(Extent(one.marks & reached, one.first, one.last) for one in others)


def pair_dimensions(inputs: Shape, outputs: Shape) -> list[Group]:
    """Pair the dimensions of two shapes of equal volume, as few as possible at a time.

    Example:
        >>> pair_dimensions((2, 3, 4, 5), (6, 4, 5))
        [((0, 1), (0,)), ((2,), (1,)), ((3,), (2,))]
        >>> pair_dimensions((2, 3, 1, 1), (2, 3))
        [((0,), (0,)), ((1,), (1,)), ((2,), ()), ((3,), ())]
    """
    groups: list[Group] = []
    i = j = 0
    while i < len(inputs) or j < len(outputs):
        ours, theirs = inputs[i : i + 1], outputs[j : j + 1]
        while math.prod(ours) != math.prod(theirs):
            if math.prod(ours) < math.prod(theirs):
                ours = inputs[i : i + len(ours) + 1]
            else:
                theirs = outputs[j : j + len(theirs) + 1]
        groups.append(
            (tuple(range(i, i + len(ours))), tuple(range(j, j + len(theirs)))),
        )
        i, j = i + len(ours), j + len(theirs)
    return groups


def _flatten(marks: list[Tensor]) -> Tensor:
    """Mark the combinations of marked places (K, n) of several dimensions: (K, n * m * ...)."""
    flat = torch.ones(1, 1, dtype=torch.bool)
    for mark in marks:
        flat = (flat[:, :, None] & mark[:, None, :]).flatten(1)
    return flat


def _unflatten(flat: Tensor, sizes: list[int]) -> list[Tensor]:
    """Mark the places along each of several dimensions that any marked combination holds."""
    shaped = flat.view(len(flat), *sizes)
    return [
        shaped.movedim(dim + 1, 1).reshape(len(flat), size, -1).any(dim=2)
        for dim, size in enumerate(sizes)
    ]


def _is_product(flat: Tensor, marks: list[Tensor]) -> bool:
    return torch.equal(_flatten(marks), flat)


READINGS: dict[str, Callable[[Edge], Reading | None]] = {
    **dict.fromkeys(POINTWISE, read_in_place),
    **WINDOWS,
    **PICKS,
    **MIXES,
}
"""How operations read their inputs, by kind of node; None where the geometry is not known."""

MIXED = {
    "ChannelShuffle": 1,
    "NativeChannelShuffle": 1,
    "PixelShuffle": -3,
    "PixelUnshuffle": -3,
    "Unfold": -1,
}
"""Operations that mix places with this dimension: unless all of it is reached, what they read may
be less than what is found."""


def step_back(edge: Edge, reach: Reach) -> tuple[Reach, bool]:
    """Give what is reached of an input, from what is reached of an operation's output.

    Args:
        edge: The operation and its input.
        reach: What units depend on of its output.

    Returns:
        The same of the input, and whether it is exact; where the geometry is unknown it is all.
    """
    kind = kind_of(edge.node)
    if kind in RESHAPES:
        return read_reshaped(reach, edge.inputs)
    if kind == "Stack":
        return read_stacked(reach, edge), True
    reading = READINGS[kind](edge) if kind in READINGS else None
    # a weight or bias that depends on the image has other dimensions than the maps
    if reading is None or len(reading) != len(edge.inputs):
        return tuple(map(everything, edge.inputs)), False
    exact = kind not in MIXED or bool(reach[MIXED[kind]].marks.all())
    sources = [everything(1) if source is None else reach[source] for source, _ in reading]
    steps = zip(sources, reading, edge.inputs, strict=True)
    return tuple(extent.read_back(axis, size) for extent, (_, axis), size in steps), exact
