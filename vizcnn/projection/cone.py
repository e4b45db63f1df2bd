"""Units of a layer projected within the cones of their receptive fields."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vizcnn.projection.chunks import make_room, run_in_chunks
from vizcnn.projection.cone_steps import BACK, Batch, encode_switches, has_way_back
from vizcnn.projection.full_image import Finish, unchanged
from vizcnn.projection.targets import Targets
from vizcnn.projection.windows import Windows, move, plan_windows, step_down
from vizcnn.recording.arithmetic import exact_arithmetic
from vizcnn.recording.backward import Way
from vizcnn.recording.geometry import find_window, shape_of
from vizcnn.recording.graph import Node, kind_of
from vizcnn.recording.unpool import Window

PROCESSOR_BUDGET = 32 * 2**20
"""Bytes that the windows of one chunk may take on a processor; more is no faster there."""

SHARE_OF_GPU = 0.4
"""Share of a GPU's free memory that the windows of one chunk may take."""


def find_budget(device: torch.device) -> int:
    """Give the bytes that the windows of one chunk may take on a device."""
    if device.type != "cuda":
        return PROCESSOR_BUDGET
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * SHARE_OF_GPU)


COPIES = 3
"""Windows of the largest map that exist at a time: above a step, below it, moved into place."""


@dataclass(frozen=True)
class Cone:
    """The way from a layer's units down to the pixels, on windows.

    A unit's projection is zero outside its receptive field, and so is the signal in every map on
    the way: only the windows that the field's cone passes are computed, those of all units as one
    batch. The sums are those of the full image, without their zeros.

    Attributes:
        output: The layer's output with its graph, (N, C, h, w).
        input: The recording's input, (N, 3, H, W).
        nodes: The nodes between, from :func:`vizcnn.recording.graph.trace_nodes`.
        way: What rectifiers and contrast normalisation do.
        budget: Bytes that the windows of one chunk may take; by the device when None.
    """

    output: Tensor
    input: Tensor
    nodes: list[Node]
    way: Way
    budget: int | None = None

    def exists(self) -> bool:
        """Tell whether every operation on the way can be followed on windows."""
        if not self.output.ndim == self.input.ndim == 4:
            return False
        on_path = set(self.nodes)
        known = len(self._reaches) == len(self.nodes) - 1
        return known and all(has_way_back(node, on_path) for node in self.nodes[:-1])

    def project(
        self, targets: Targets, uncut: Tensor, finish: Finish = unchanged
    ) -> tuple[Tensor, Tensor]:
        """Project targets, as many at a time as memory allows.

        Args:
            targets: R of them, at least one.
            uncut: Their receptive fields, (R, 4), from :func:`vizcnn.receptive.boxes.find_fields`.
            finish: What becomes of the pixels in the end, place by place.

        Returns:
            The projections in windows as large as the receptive field or as the image, whichever
            is smaller, (R, 3, h, w), and the windows' corners in the input, (R, 2).
        """
        with _plain_arithmetic(self.input.device):
            goal = self._place_fields(uncut)
            codes = {
                node: encode_switches(node.saved_tensors[0], node.window, node.input_size[1])
                for node in self.nodes
                if kind_of(node) == "MaxPool"
            }
            channels = finish(self.input[:1, :, :1, :1].detach()).shape[1]
            projected = make_room(self.input, (len(targets), channels, *goal.size))

            def project_rows(rows: Tensor) -> None:
                signal, windows = self._send_back(targets.take(rows), codes)
                there = Windows(goal.corners[rows], goal.size)
                moved = finish(move(signal, windows.corners, there))
                projected[rows.to(projected.device)] = moved

            run_in_chunks(self._sort(targets), self._fit_budget(targets), project_rows)
        return projected, goal.corners

    def count_multiply_adds(self, targets: Targets) -> int:
        """Count the multiplications with filters that projecting takes."""
        counts: list[int] = []

        def count(rows: Tensor) -> None:
            plan = plan_windows(self.nodes, self._reaches, self._start(targets.take(rows)))
            counts.extend(
                len(rows) * plan[node].size[0] * plan[node].size[1] * node._saved_weight.numel()
                for node in self.nodes[:-1]
                if kind_of(node) == "Convolution"
            )

        run_in_chunks(self._sort(targets), self._fit_budget(targets), count)
        return sum(counts)

    @cached_property
    def _reaches(self) -> dict[Node, Window]:
        """The sliding window of every node on the way."""
        on_path = set(self.nodes)
        windows = {node: find_window(node, on_path) for node in self.nodes[:-1]}
        return {node: window for node, window in windows.items() if window is not None}

    def _place_fields(self, uncut: Tensor) -> Windows:
        limit = torch.tensor(self.input.shape[-2:])
        size = (uncut[:, 2:] - uncut[:, :2]).amax(dim=0).minimum(limit)
        height, width = size.tolist()
        return Windows(uncut[:, :2].clamp(min=0).minimum(limit - size), (height, width))

    def _sort(self, targets: Targets) -> Tensor:
        # the windows of neighbours leave the image at the same edge, where there is less to do
        positions = targets.positions.cpu()
        return (positions[:, 0] * self.output.shape[-1] + positions[:, 1]).argsort(stable=True)

    def _fit_budget(self, targets: Targets) -> int:
        plan = plan_windows(self.nodes, self._reaches, self._start(targets))
        values = max(
            shape_of(node)[1] * windows.size[0] * windows.size[1] for node, windows in plan.items()
        )
        each = COPIES * values * self.input.element_size()
        budget = find_budget(self.input.device) if self.budget is None else self.budget
        return max(budget // each, 1)

    def _start(self, targets: Targets) -> Windows:
        """Give the windows in the layer itself: a place each, or the whole map."""
        positions = targets.positions.cpu()
        if bool((positions < 0).any()):
            height, width = self.output.shape[-2:]
            return Windows(torch.zeros_like(positions), (height, width))
        return Windows(positions, (1, 1))

    def _seed(self, targets: Targets, start: Windows) -> Tensor:
        """Make the signals to begin with: a unit's seed, and zero in all other maps."""
        signal = self.output.new_zeros((len(targets), self.output.shape[1], *start.size))
        rows = torch.arange(len(targets), device=signal.device)
        signal[rows, targets.units] = targets.seeds.view(len(targets), *start.size)
        return signal

    def _send_back(self, targets: Targets, codes: dict[Node, Tensor]) -> tuple[Tensor, Windows]:
        """Give the signals at the input, and their windows there."""
        start = self._start(targets)
        plan = plan_windows(self.nodes, self._reaches, start)
        signals = {self.nodes[0]: self._seed(targets, start)}
        for node in self.nodes[:-1]:
            if node in signals:
                batch = Batch(node, self.way, plan[node], targets.images, codes.get(node))
                below = BACK[kind_of(node)](batch, signals.pop(node))
                corners = step_down(plan[node].corners, self._reaches[node])
                _hand_down(node, below, corners, plan, signals)
        reached = plan[self.nodes[-1]]
        if self.nodes[-1] in signals:
            return signals[self.nodes[-1]], reached
        shape = (len(targets), self.input.shape[1], *reached.size)
        return self.input.new_zeros(shape), reached  # all that led there was written over


def _hand_down(
    node: Node,
    below: Sequence[Tensor | None],
    corners: Tensor,
    plan: Mapping[Node, Windows],
    signals: dict[Node, Tensor],
) -> None:
    """Add what came out below a node to the signals of the nodes before it."""
    for (parent, _), signal in zip(node.next_functions, below, strict=False):
        if parent in plan and signal is not None:
            there = plan[parent]
            moved = signal if there is plan[node] else move(signal, corners, there)
            signals[parent] = signals[parent] + moved if parent in signals else moved


@contextmanager
def _plain_arithmetic(device: torch.device) -> Iterator[None]:
    """Compute exactly, in the tensors' own type and without a graph, whatever the caller set."""
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast(device.type, enabled=False),
        exact_arithmetic(),
    ):
        yield
