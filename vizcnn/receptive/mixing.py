"""Operations that read whole dimensions: sums, normalisations, products of matrices."""

from collections.abc import Callable

from vizcnn.geometry import BATCH_NORMALISATIONS, signed
from vizcnn.graph import kind_of
from vizcnn.receptive.axes import SAME, WHOLE
from vizcnn.receptive.reading import Edge, Reading, keep, read_in_place


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
}
"""By kind of node; None where the geometry is not known."""
