"""Receptive fields: which input pixels a unit can depend on, exact from the recorded graph."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.receptive.axes import Extent, Reach, ends_of, everything, from_positions, join_reaches
from vizcnn.receptive.steps import Edge, step_back
from vizcnn.recording.geometry import shape_of
from vizcnn.recording.graph import Node, trace_nodes


@dataclass(frozen=True, eq=False)
class Reached:
    """What units depend on in the image.

    Attributes:
        rows: The image's rows.
        columns: Its columns.
        exact: Whether the geometry of all operations on the way is known; else both may be too
            large, never too small.
    """

    rows: Extent
    columns: Extent
    exact: bool

    def boxes(self, count: int, clip: bool) -> Tensor:
        """Give (count, 4) int64: top, left, bottom, right, the last two exclusive."""
        spans = [
            _cut(extent) if clip else (extent.first, extent.last + 1)
            for extent in (self.rows, self.columns)
        ]
        (top, bottom), (left, right) = spans
        boxes = torch.stack([edge.expand(count) for edge in (top, left, bottom, right)], dim=1)
        seen = self.rows.marks.any(dim=1) & self.columns.marks.any(dim=1)
        return boxes * seen.expand(count)[:, None] if clip else boxes


def _cut(extent: Extent) -> tuple[Tensor, Tensor]:
    first, last = ends_of(extent.marks)
    return first, last + 1


def find_boxes(output: Tensor, input: Tensor, positions: Tensor, clip: bool = True) -> Tensor:
    """Find the receptive field of units at given places of a layer.

    Args:
        output: The layer's output from a recording, (N, C, h, w) or (N, C).
        input: The recording's input, (N, 3, H, W).
        positions: Rows and columns in the feature map, (K, 2); -1 stands for all.
        clip: Give what lies inside the image and is really read; else padding counts as if the
            image went on there, and boxes may be negative.

    Returns:
        (K, 4) int64: top, left, bottom, right in input pixels, bottom and right exclusive.
        Branches are joined. Where the graph holds an operation of unknown geometry, units depend
        on all of its input. A unit that sees padding only has an empty box, 0 everywhere.

    Example:
        >>> from vizcnn.recording.recording import record
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=2))
        >>> with record(net) as recording:
        ...     _ = net(torch.zeros(1, 3, 9, 9))
        >>> find_boxes(recording.find_output("0"), recording.input, torch.tensor([[1, 2]]))
        tensor([[2, 4, 5, 7]])
    """
    places = positions.to("cpu", torch.int64).view(-1, 2)
    distinct, numbers = torch.unique(places, dim=0, return_inverse=True)
    return trace_back(output, input, distinct).boxes(len(distinct), clip)[numbers]


@dataclass(frozen=True, eq=False)
class Fields:
    """Receptive fields of units at some places of a layer.

    Attributes:
        boxes: What is read of the image, (K, 4): top, left, bottom, right, the last two exclusive.
        uncut: The same with padding counted as if the image went on there; may be negative.
        size: Height and width in pixels of the middle unit's field, uncut.
    """

    boxes: Tensor
    uncut: Tensor
    size: tuple[int, ...]


def find_fields(output: Tensor, input: Tensor, positions: Tensor) -> Fields:
    """Find boxes, cut and uncut, and the size of the field, in one walk; arguments as above."""
    if input.ndim != 4:  # geometry is known of images only: a signal's unit may see all of it
        whole = torch.tensor([*[0] * (input.ndim - 2), *input.shape[2:]])
        every = whole.expand(len(positions), -1)
        return Fields(every, every, tuple(input.shape[2:]))
    middle = [[output.shape[-2] // 2, output.shape[-1] // 2]] if output.ndim == 4 else [[0, 0]]
    places = torch.cat([positions.to("cpu", torch.int64).view(-1, 2), torch.tensor(middle)])
    distinct, numbers = torch.unique(places, dim=0, return_inverse=True)
    reached = trace_back(output, input, distinct)
    uncut = reached.boxes(len(distinct), clip=False)[numbers]
    top, left, bottom, right = uncut[-1].tolist()
    boxes = reached.boxes(len(distinct), clip=True)[numbers]
    return Fields(boxes[:-1], uncut[:-1], (bottom - top, right - left))


def find_field(output: Tensor, input: Tensor) -> tuple[int, ...]:
    """Give height and width in pixels of the receptive field of a layer's middle unit, uncut."""
    return find_fields(output, input, torch.empty(0, 2)).size


def trace_back(output: Tensor, input: Tensor, positions: Tensor) -> Reached:
    """Walk back from units of a layer to the image.

    Args:
        output: The layer's output from a recording, (N, C, h, w) or (N, C).
        input: The recording's input, (N, 3, H, W).
        positions: Rows and columns in the feature map, (K, 2) int64; -1 stands for all.

    Returns:
        What each of the K units depends on, over all paths.

    Raises:
        LayerError: If no path leads to the input.
    """
    nodes = trace_nodes(output, input)
    on_path, exact = set(nodes), True
    # an operation may put out several tensors: what is reached is kept for each by its number
    reached: dict[Node, dict[int, Reach]] = {node: {} for node in nodes}
    reached[output.grad_fn][output.output_nr] = _start(output, positions)
    for node in nodes[:-1]:
        edges = node.next_functions
        shapes = [parent and shape_of(parent, their) for parent, their in edges]
        for number, reach in reached.pop(node).items():
            outputs = shape_of(node, number)
            for index, (parent, their) in enumerate(edges):
                if parent in on_path:
                    further, known = step_back(Edge(node, number, index, outputs, shapes), reach)
                    exact = exact and known
                    before = reached[parent].get(their)
                    reached[parent][their] = join_reaches(before, further) if before else further
    ((_, _, rows, columns),) = reached[nodes[-1]].values()
    return Reached(rows, columns, exact)


def _start(output: Tensor, positions: Tensor) -> Reach:
    batch_and_maps = tuple(map(everything, output.shape[:2]))
    places = zip(positions.unbind(dim=1), output.shape[2:], strict=False)
    return batch_and_maps + tuple(from_positions(along, size) for along, size in places)
