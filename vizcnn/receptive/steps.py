"""One step back through a recorded graph: what an operation reads of one of its inputs."""

from collections.abc import Callable

from vizcnn.geometry import POINTWISE
from vizcnn.graph import kind_of
from vizcnn.receptive.extent import Reach, everything
from vizcnn.receptive.mixing import MIXES
from vizcnn.receptive.picking import PICKS
from vizcnn.receptive.reading import Edge, Reading, read_in_place
from vizcnn.receptive.reshaping import RESHAPES, read_reshaped, read_stacked
from vizcnn.receptive.windows import WINDOWS

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
    if reading is None:
        return tuple(map(everything, edge.inputs)), False
    exact = kind not in MIXED or bool(reach[MIXED[kind]].marks.all())
    sources = [everything(1) if source is None else reach[source] for source, _ in reading]
    steps = zip(sources, reading, edge.inputs, strict=True)
    return tuple(extent.read_back(axis, size) for extent, (_, axis), size in steps), exact
