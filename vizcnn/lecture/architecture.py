"""What an architecture drawing shows of a net: a box per layer, or per block of a deep net."""

from collections.abc import Sequence
from dataclasses import dataclass

from vizcnn.lecture.layer_tables import block_of, fold_rows, name_layer, name_paths
from vizcnn.lecture.nets import input_shape, trace_net
from vizcnn.recording.layer_rows import LayerRow

MOST_BOXES = 24
"""Boxes that stand apart on a slide; of nets with more, those of a block are one."""


@dataclass(frozen=True)
class Box:
    """A stack of feature maps, or a vector of units.

    Attributes:
        name: The layer's name.
        kind: A key of :data:`vizcnn.lecture.architecture_figure.KIND_COLOURS`.
        shape: (maps, rows, columns) or (units,).
        groups: Groups of the convolution that made it.
        shortcuts: Additions in a block of layers, each the end of a shortcut around some of them.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    groups: int = 1
    shortcuts: int = 0

    @property
    def side(self) -> int:
        """Rows of a map; 1 of a vector."""
        return self.shape[1] if len(self.shape) == 3 else 1

    @property
    def is_aside(self) -> bool:
        """Whether it is an auxiliary head: nothing after it reads it."""
        return self.name.startswith("aux")

    @property
    def is_vector(self) -> bool:
        """Whether it is a vector of units."""
        return len(self.shape) == 1


def list_boxes(name: str, most: int = MOST_BOXES) -> list[Box]:
    """List what is drawn of a net: the image, then every layer, or every block of a deep net.

    Args:
        name: A key of :data:`vizcnn.lecture.nets.NETS`.
        most: How many boxes there may be.

    Example:
        >>> [box.shape for box in list_boxes("alexnet")][:4]
        [(3, 227, 227), (96, 55, 55), (96, 55, 55), (96, 27, 27)]
    """
    names, layers = name_paths(name), fold_rows(trace_net(name))
    image = Box("input", "image", input_shape(name))
    boxes = [
        Box(name_layer(parts, names), parts[0].kind, parts[0].outputs, parts[0].groups)
        for parts in layers
    ]
    for depth in (2, 1):
        if len(boxes) < most:
            break
        boxes = _join_blocks(layers, depth, names)
    return [image, *boxes]


def _join_blocks(
    layers: Sequence[Sequence[LayerRow]], depth: int, names: dict[str, str]
) -> list[Box]:
    blocks: dict[str, list[Sequence[LayerRow]]] = {}
    for parts in layers:
        blocks.setdefault(block_of(parts[0].path, depth), []).append(parts)
    return [
        Box(
            names.get(path, path) if len(block) > 1 else name_layer(block[0], names),
            "block" if len(block) > 1 else block[0][0].kind,
            block[-1][0].outputs,
            shortcuts=sum(row.kind == "add" for parts in block for row in parts),
        )
        for path, block in blocks.items()
    ]
