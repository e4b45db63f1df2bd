"""Windows of feature maps: where they lie, cut out, moved, and planned down a graph."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vizcnn.basics.devices import send
from vizcnn.recording.geometry import UNIT_WINDOW, shape_of
from vizcnn.recording.graph import Node, inputs_of
from vizcnn.recording.unpool import Window

_Places = NDArray[np.int64]

WORTH_A_ROW = 4096
"""Windows of so many values or more are copied one by one on a CPU."""


@dataclass(frozen=True)
class Windows:
    """Windows of one size in one feature map, one per target; each lies in the map.

    Attributes:
        corners: Their tops and lefts, (R, 2), int64, on the CPU; where the maps are, for those that
            are only cut.
        size: Their height and width.
    """

    corners: Tensor
    size: tuple[int, int]


@dataclass
class _Span:
    """What consumers ask of a feature map: from first to last place, the last exclusive."""

    first: _Places
    last: _Places

    def join(self, other: "_Span") -> "_Span":
        return _Span(np.minimum(self.first, other.first), np.maximum(self.last, other.last))

    def fit(self, extent: tuple[int, ...]) -> Windows:
        """Cut the spans at the map's edge and give them one size, shifted to lie in the map."""
        limit = np.array(extent)
        first = np.minimum(self.first.clip(min=0), limit - 1)
        last = np.maximum(np.minimum(self.last, limit), first + 1)
        size = (last - first).max(axis=0)
        height, width = size.tolist()
        return Windows(torch.from_numpy(np.minimum(first, limit - size)), (height, width))


def plan_windows(
    nodes: list[Node], reaches: Mapping[Node, Window], start: Windows
) -> dict[Node, Windows]:
    """Find the windows that the cones of targets need in every feature map below them.

    A map's window holds, for every target, all places that any path leads to; windows of one map
    have one size and lie in the map, so that nothing is computed that does not exist. All of it
    happens on the host, with numpy: it is short lists of numbers, and torch takes three times as
    long to start on one.

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
            plan[node] = asked[node].fit(shape_of(node)[-2:])
        for parent in parents[node]:
            if reaches[node] is UNIT_WINDOW and consumers[parent] == 1:
                plan[parent] = plan[node]
            else:
                span = _reach(reaches[node], plan[node])
                asked[parent] = span.join(asked[parent]) if parent in asked else span
    return plan


def _reach(window: Window, here: Windows) -> _Span:
    """Give the places of an operation's input that windows in its output depend on."""
    first = _step_down(here.corners.numpy(), window)
    return _Span(first, first + np.array(window.measure(here.size)))


def _step_down(corners: _Places, window: Window) -> _Places:
    if window is UNIT_WINDOW:
        return corners
    below: _Places = corners * np.array(window.stride) - np.array(window.padding)
    return below


def step_down(corners: Tensor, window: Window) -> Tensor:
    """Give the corners below an operation: output i begins at input i * stride - padding."""
    return torch.from_numpy(_step_down(corners.numpy(), window))


def cut(maps: Tensor, images: Tensor, windows: Windows) -> Tensor:
    """Cut windows out of feature maps; a view where one does.

    Args:
        maps: (N, C, H, W).
        images: Which map each window is of, (R,).
        windows: R windows that lie in the maps.

    Returns:
        (R, C, h, w); not to be written into.

    Example:
        >>> maps = torch.arange(9.0).view(1, 1, 3, 3)
        >>> cut(maps, torch.tensor([0]), Windows(torch.tensor([[1, 1]]), (2, 2)))
        tensor([[[[4., 5.],
                  [7., 8.]]]])
    """
    return _cut(maps, send(images, maps.device), windows.corners, windows.size)


def _cut(maps: Tensor, images: Tensor | None, corners: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut windows at corners that are on any device; every window of a map of its own if None."""
    height, width = size
    if (height, width) == tuple(maps.shape[-2:]):
        if images is None:
            return maps
        one = len(maps) == 1
        return maps.expand(len(images), -1, -1, -1) if one else maps.index_select(0, images)
    if maps.device.type == "cpu" and maps.shape[1] * height * width >= WORTH_A_ROW:
        return _cut_rows(maps, images, corners, size)
    tops, lefts = send(corners, maps.device).unbind(1)
    rows = torch.arange(len(corners), device=maps.device) if images is None else images
    sliding = maps.unfold(-2, height, 1).unfold(-2, width, 1)
    return sliding[rows, :, tops, lefts]


def _cut_rows(
    maps: Tensor, images: Tensor | None, corners: Tensor, size: tuple[int, int]
) -> Tensor:
    """Copy window by window: on a CPU twice as fast as one indexing for all of them."""
    height, width = size
    out = maps.new_empty((len(corners), maps.shape[1], height, width))
    numbers = range(len(corners)) if images is None else images.tolist()
    for row, image, (top, left) in zip(out.unbind(0), numbers, corners.tolist(), strict=True):
        row.copy_(maps[image, :, top : top + height, left : left + width])
    return out


@dataclass(frozen=True)
class Move:
    """How signals get from windows at some corners into other windows of the same map.

    Attributes:
        pad: Zeros to put around them, left, right, top, bottom; negative where they are cut.
        shifts: Where each window begins in what comes of that, (R, 2); None where all of it is
            the window.
        size: Height and width of the windows.
    """

    pad: tuple[int, int, int, int]
    shifts: Tensor | None
    size: tuple[int, int]

    def run(self, signal: Tensor) -> Tensor:
        """Move a signal (R, C, h, w); what does not move is handed on as it is."""
        if any(self.pad):
            signal = F.pad(signal, self.pad)
        return signal if self.shifts is None else _cut(signal, None, self.shifts, self.size)


def plan_move(corners: Tensor, size: tuple[int, int], there: Windows) -> Move:
    """Find out how a signal gets from windows of a size at some corners into other windows.

    Args:
        corners: Where it lies, (R, 2), on the CPU; it may reach beyond the map.
        size: Its height and width.
        there: The windows to fill; where the signal does not reach, they are zero.
    """
    (height, width), (new_height, new_width) = size, there.size
    # a signal that misses its window altogether does so in any distance
    shifts = (there.corners.numpy() - corners.numpy()).clip(
        np.array([-new_height, -new_width]), np.array([height, width])
    )
    (top, left), (bottom, right) = shifts.min(axis=0).tolist(), shifts.max(axis=0).tolist()
    if (top, left) == (bottom, right):
        below, beside = top + new_height - height, left + new_width - width
        return Move((-left, beside, -top, below), None, there.size)
    before = max(-top, 0), max(-left, 0)
    after = max(bottom + new_height - height, 0), max(right + new_width - width, 0)
    pad = before[1], after[1], before[0], after[0]
    return Move(pad, torch.from_numpy(shifts + np.array(before)), there.size)


def move(signal: Tensor, corners: Tensor, there: Windows) -> Tensor:
    """Bring a signal from windows at some corners into other windows of the same map.

    Args:
        signal: (R, C, h, w).
        corners: Where it lies, (R, 2), on the CPU; it may reach beyond the map.
        there: The windows to fill; where the signal does not reach, they are zero.

    Returns:
        (R, C, *there.size); the signal itself where nothing changes.

    Example:
        >>> there = Windows(torch.tensor([[0, 0]]), (1, 2))
        >>> move(torch.ones(1, 1, 1, 2), torch.tensor([[0, -1]]), there)
        tensor([[[[1., 0.]]]])
    """
    height, width = signal.shape[-2:]
    return plan_move(corners, (height, width), there).run(signal)
