"""Windows of feature maps: where they lie, cut out, moved, and planned down a graph."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vizcnn.recording.geometry import UNIT_WINDOW, shape_of
from vizcnn.recording.graph import Node, inputs_of
from vizcnn.recording.unpool import Window


@dataclass(frozen=True)
class Windows:
    """Windows of one size in one feature map, one per target; each lies in the map.

    Attributes:
        corners: Their tops and lefts, (R, 2), int64, on the CPU.
        size: Their height and width.
    """

    corners: Tensor
    size: tuple[int, int]


@dataclass
class _Span:
    """What consumers ask of a feature map: from first to last place, the last exclusive."""

    first: Tensor
    last: Tensor

    def join(self, other: "_Span") -> "_Span":
        return _Span(torch.minimum(self.first, other.first), torch.maximum(self.last, other.last))

    def fit(self, extent: tuple[int, int]) -> Windows:
        """Cut the spans at the map's edge and give them one size, shifted to lie in the map."""
        limit = torch.tensor(extent)
        first = self.first.clamp(min=0).minimum(limit - 1)
        last = self.last.minimum(limit).maximum(first + 1)
        size = (last - first).amax(dim=0)
        height, width = size.tolist()
        return Windows(first.minimum(limit - size), (height, width))


def plan_windows(
    nodes: list[Node], reaches: Mapping[Node, Window], start: Windows
) -> dict[Node, Windows]:
    """Find the windows that the cones of targets need in every feature map below them.

    A map's window holds, for every target, all places that any path leads to; windows of one map
    have one size and lie in the map, so that nothing is computed that does not exist.

    Args:
        nodes: From :func:`~vizcnn.recording.graph.trace_nodes`: every node before those it feeds.
        reaches: The sliding window of every node but the last.
        start: The targets' windows in the first node's output.

    Returns:
        The windows in the output of each node.
    """
    on_path = set(nodes)
    parents = {node: [p for p in inputs_of(node) if p in on_path] for node in nodes}
    consumers = Counter(parent for node in nodes for parent in parents[node])
    asked: dict[Node, _Span] = {}
    plan = {nodes[0]: start}
    for node in nodes:
        if node not in plan:
            height, width = shape_of(node)[-2:]
            plan[node] = asked[node].fit((height, width))
        for parent in parents[node]:
            if reaches[node] is UNIT_WINDOW and consumers[parent] == 1:
                plan[parent] = plan[node]
            else:
                span = _reach(reaches[node], plan[node])
                asked[parent] = span.join(asked[parent]) if parent in asked else span
    return plan


def _reach(window: Window, here: Windows) -> _Span:
    """Give the places of an operation's input that windows in its output depend on."""
    first = step_down(here.corners, window)
    if window is UNIT_WINDOW:
        return _Span(first, first + torch.tensor(here.size))
    reach = [
        (here.size[axis] - 1) * window.stride[axis]
        + window.dilation[axis] * (window.size[axis] - 1)
        + 1
        for axis in (0, 1)
    ]
    return _Span(first, first + torch.tensor(reach))


def step_down(corners: Tensor, window: Window) -> Tensor:
    """Give the corners below an operation: output i begins at input i * stride - padding."""
    if window is UNIT_WINDOW:
        return corners
    return corners * torch.tensor(window.stride) - torch.tensor(window.padding)


def cut(maps: Tensor, images: Tensor, windows: Windows) -> Tensor:
    """Cut windows out of feature maps.

    Args:
        maps: (N, C, H, W).
        images: Which map each window is of, (R,).
        windows: R windows that lie in the maps.

    Returns:
        (R, C, h, w).

    Example:
        >>> maps = torch.arange(9.0).view(1, 1, 3, 3)
        >>> cut(maps, torch.tensor([0]), Windows(torch.tensor([[1, 1]]), (2, 2)))
        tensor([[[[4., 5.],
                  [7., 8.]]]])
    """
    height, width = windows.size
    tops, lefts = windows.corners.to(maps.device).unbind(1)
    sliding = maps.unfold(-2, height, 1).unfold(-2, width, 1)
    return sliding[images.to(maps.device), :, tops, lefts]


def move(signal: Tensor, corners: Tensor, there: Windows) -> Tensor:
    """Bring a signal from windows at some corners into other windows of the same map.

    Args:
        signal: (R, C, h, w).
        corners: Where it lies, (R, 2); it may reach beyond the map.
        there: The windows to fill; where the signal does not reach, they are zero.

    Returns:
        (R, C, *there.size).

    Example:
        >>> there = Windows(torch.tensor([[0, 0]]), (1, 2))
        >>> move(torch.ones(1, 1, 1, 2), torch.tensor([[0, -1]]), there)
        tensor([[[[1., 0.]]]])
    """
    (height, width), (new_height, new_width) = signal.shape[-2:], there.size
    # a signal that misses its window altogether does so in any distance
    nearest, farthest = torch.tensor([-new_height, -new_width]), torch.tensor([height, width])
    shifts = (there.corners - corners).maximum(nearest).minimum(farthest)
    low, high = shifts.amin(dim=0).tolist(), shifts.amax(dim=0).tolist()
    if low == high == [0, 0] and (height, width) == there.size:
        return signal
    if low == high:
        down, right = low
        return F.pad(signal, (-right, right + new_width - width, -down, down + new_height - height))
    before = [max(-low[0], 0), max(-low[1], 0)]
    after = [max(high[0] + new_height - height, 0), max(high[1] + new_width - width, 0)]
    if any(before + after):
        signal = F.pad(signal, (before[1], after[1], before[0], after[0]))
    places = Windows(shifts + torch.tensor(before), there.size)
    return cut(signal, torch.arange(len(signal)), places)
