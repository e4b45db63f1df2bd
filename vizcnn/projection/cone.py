"""Units of a layer projected within the cones of their receptive fields."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from vizcnn.basics.devices import find_free_device_memory, send
from vizcnn.projection.chunks import make_room, run_in_chunks
from vizcnn.projection.cone_steps import (
    BACK,
    MOVING,
    Batch,
    encode_switches,
    has_way_back,
    keeps_map,
)
from vizcnn.projection.full_image import Finish, unchanged
from vizcnn.projection.targets import Targets
from vizcnn.projection.windows import Move, Windows, move, plan_move, plan_windows, step_down
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.backward import Way
from vizcnn.recording.geometry import find_window, shape_of
from vizcnn.recording.graph import Node, kind_of
from vizcnn.recording.unpool import Window

PROCESSOR_BUDGET = 32 * 2**20
"""Bytes that the windows of a step may take on a processor; more is no faster there."""

SHARE_OF_GPU = 0.4
"""Share of a GPU's free memory that the windows of a step may take."""


def find_budget(device: torch.device) -> int:
    """Give the bytes that the windows of a step may take on a device."""
    free = find_free_device_memory(device)
    return PROCESSOR_BUDGET if free is None else int(free * SHARE_OF_GPU)


COPIES = 2
"""Windows below a step that exist at a time: as they come, and moved into place."""


@dataclass(frozen=True)
class _Plan:
    """Where the windows of some targets lie, worked out before anything is computed.

    Attributes:
        windows: Of every node, on the CPU.
        cuts: The same, with their corners where the maps are.
        moves: What happens to the signal on each edge, by its node and number.
        fits: How many targets may go through each node together, and through those after it down
            to the next filters.
    """

    windows: Mapping[Node, Windows]
    cuts: Mapping[Node, Windows]
    moves: Mapping[tuple[Node, int], Move]
    fits: Sequence[int]


@dataclass(frozen=True)
class _Trip:
    """Targets on their way down, in the order of their places.

    Attributes:
        positions: Their places, (R, 2), on the CPU; -1 for the whole map.
        images: Index of the image of each, (R,).
        units: The map of each beside which its signal is zero, (R,); None where there may be
            several.
        codes: The switches of each max pooling, as places in its windows.
        budget: Bytes that windows may take.
    """

    positions: Tensor
    images: Tensor
    units: Tensor | None
    codes: Mapping[Node, Tensor]
    budget: int


Deliver = Callable[[slice, Tensor, Windows], None]
"""Takes some rows' pixels, and the windows that these are in."""


@dataclass(frozen=True)
class Cone:
    """The way from a layer's units down to the pixels, on windows.

    A unit's projection is zero outside its receptive field, and so is the signal in every map on
    the way: only the windows that the field's cone passes are computed, those of all units as one
    batch. The sums are those of the full image, without their zeros.

    Deep maps are small and their filters large, maps near the image the other way round. So the
    targets set out together, and part on the way as often as the memory of a step asks for it.

    Attributes:
        input: The recording's input, (N, 3, H, W).
        nodes: The nodes between it and the layer, which is the first, from
            :func:`vizcnn.recording.graph.trace_nodes`.
        way: What rectifiers and contrast normalisation do.
        budget: Bytes that the windows of a step may take; by the device when None.
    """

    input: Tensor
    nodes: list[Node]
    way: Way
    budget: int | None = None

    def exists(self) -> bool:
        """Tell whether every operation on the way can be followed on windows."""
        if not len(shape_of(self.nodes[0])) == self.input.ndim == 4:
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
        positions = targets.positions.cpu()
        order = self._sort(positions)
        there = send(order, targets.units.device)
        seeds, units = targets.seeds[there], targets.units[there]

        def begin(rows: slice) -> Tensor:
            return self._seed(units[rows], seeds[rows])

        trip = self._plan_trip(positions[order], targets.images[there], units)
        return self._project(trip, order, begin, uncut, finish)

    def project_signals(
        self,
        images: Tensor,
        begin: Callable[[slice], Tensor],
        uncut: Tensor,
        finish: Finish = unchanged,
    ) -> Tensor:
        """Project signals in all of the first node's maps.

        Args:
            images: Index of the image of each, (R,).
            begin: Makes the signals of some rows, (rows, C, h, w).
            uncut: The windows that they are wanted in, (R, 4).
            finish: As of :meth:`project`.

        Returns:
            The projections in these windows, as far as they lie in the image, (R, 3, h, w).
        """
        everywhere = torch.full((len(images), 2), -1)
        trip = self._plan_trip(everywhere, images, None)
        return self._project(trip, torch.arange(len(images)), begin, uncut, finish)[0]

    def _plan_trip(self, positions: Tensor, images: Tensor, units: Tensor | None) -> _Trip:
        with _plain_arithmetic(self.input.device):
            codes = {
                node: encode_switches(node.saved_tensors[0], node.window, node.input_size[1])
                for node in self.nodes
                if kind_of(node) == "MaxPool"
            }
        budget = find_budget(self.input.device) if self.budget is None else self.budget
        return _Trip(positions, images, units, codes, budget)

    def _project(
        self,
        trip: _Trip,
        order: Tensor,
        begin: Callable[[slice], Tensor],
        uncut: Tensor,
        finish: Finish,
    ) -> tuple[Tensor, Tensor]:
        """Send signals down; those of the trip are the targets in this order."""
        with _plain_arithmetic(self.input.device):
            goal = self._place_fields(uncut)
            channels = finish(self.input[:1, :, :1, :1].detach()).shape[1]
            projected = make_room(self.input, (len(order), channels, *goal.size))
            rows_there = send(order, self.input.device)

            def deliver(rows: slice, pixels: Tensor, windows: Windows) -> None:
                there = Windows(goal.corners[order[rows]], goal.size)
                projected[rows_there[rows]] = finish(move(pixels, windows.corners, there))

            def set_out(rows: Tensor) -> None:
                some = _as_slice(rows)
                start = {self.nodes[0]: self._start(trip.positions[some])}
                self._send_back(trip, deliver, some, 0, {self.nodes[0]: begin(some)}, start)

            height, width = self._start(trip.positions).size
            each = shape_of(self.nodes[0])[1] * height * width * self.input.element_size()
            at_once = max(trip.budget // each, 1)
            run_in_chunks(torch.arange(len(order)), at_once, set_out)
        return projected, goal.corners

    def count_multiply_adds(self, targets: Targets) -> int:
        """Count the multiplications with filters that the targets' cones hold, each by itself."""
        places, counts = targets.positions.cpu().unique(dim=0, return_counts=True)
        total = 0
        for place, count in zip(places.split(1), counts.tolist(), strict=True):
            plan = plan_windows(self.nodes, self._reaches, self._start(place))
            total += count * sum(
                plan[node].size[0] * plan[node].size[1] * node._saved_weight.numel()
                for node in self.nodes[:-1]
                if kind_of(node) == "Convolution"
            )
        return total

    @cached_property
    def _reaches(self) -> dict[Node, Window]:
        """The sliding window of every node on the way."""
        on_path = set(self.nodes)
        windows = {node: find_window(node, on_path) for node in self.nodes[:-1]}
        return {node: window for node, window in windows.items() if window is not None}

    @cached_property
    def _edges(self) -> dict[Node, list[tuple[int, Node]]]:
        """The nodes that a node's signal goes on to, each with the number of its edge."""
        on_path = set(self.nodes)
        return {
            node: [
                (number, parent)
                for number, (parent, _) in enumerate(node.next_functions)
                if parent in on_path
            ]
            for node in self.nodes[:-1]
        }

    @cached_property
    def _seeded_maps(self) -> set[Node]:
        """The nodes that the signal comes to before it has left the map that it began in."""
        seeded = set(self.nodes)
        for node in self.nodes[:-1]:
            kept = node in seeded and keeps_map(node, self.way)
            if not kept:
                seeded.difference_update(parent for _, parent in self._edges[node])
        return seeded

    def _place_fields(self, uncut: Tensor) -> Windows:
        limit = torch.tensor(self.input.shape[-2:])
        size = (uncut[:, 2:] - uncut[:, :2]).amax(dim=0).minimum(limit)
        height, width = size.tolist()
        return Windows(uncut[:, :2].clamp(min=0).minimum(limit - size), (height, width))

    def _sort(self, positions: Tensor) -> Tensor:
        # the windows of neighbours leave the image at the same edge, where there is less to do
        return (positions[:, 0] * shape_of(self.nodes[0])[-1] + positions[:, 1]).argsort(
            stable=True
        )

    def _start(self, positions: Tensor) -> Windows:
        """Give the windows in the layer itself: a place each, or the whole map."""
        if bool((positions < 0).any()):
            height, width = shape_of(self.nodes[0])[-2:]
            return Windows(torch.zeros_like(positions), (height, width))
        return Windows(positions, (1, 1))

    def _seed(self, units: Tensor, seeds: Tensor) -> Tensor:
        """Make the signals to begin with: a unit's seed, and zero in all other maps."""
        size = seeds.shape[1:] or (1, 1)
        signal = self.input.new_zeros((len(units), shape_of(self.nodes[0])[1], *size))
        numbers = torch.arange(len(units), device=signal.device)
        signal[numbers, units] = seeds.view(len(units), *size)
        return signal

    def _plan(self, trip: _Trip, rows: slice, first: int) -> _Plan:
        """Plan the way of some targets; signals move from the first node on, a number."""
        windows = plan_windows(self.nodes, self._reaches, self._start(trip.positions[rows]))
        moves = {}
        for node in self.nodes[first:-1]:
            here, reach = windows[node], self._reaches[node]
            corners = step_down(here.corners, reach)
            size = reach.measure(here.size)
            for number, parent in self._edges[node]:
                there = windows[parent]
                if there is not here:
                    moves[node, number] = plan_move(corners, size, there)
        cuts: Mapping[Node, Windows] = windows
        if self.input.device.type != "cpu":
            cuts, moves = _bring(windows, moves, self.input.device)
        return _Plan(windows, cuts, moves, self._fit(windows, trip.budget))

    def _fit(self, windows: Mapping[Node, Windows], budget: int) -> list[int]:
        """Find how many targets may take each step together."""
        values = {
            node: shape_of(node)[1] * here.size[0] * here.size[1] for node, here in windows.items()
        }
        fits: list[int] = []
        for node in reversed(self.nodes[:-1]):
            below = sum(values[parent] for _, parent in self._edges[node])
            each = (values[node] + COPIES * below) * self.input.element_size()
            fit = max(budget // each, 1)
            # who parts does so once: ahead of the unpooling that the filters follow
            fits.append(min(fit, fits[-1]) if fits and kind_of(node) != "Convolution" else fit)
        return fits[::-1]

    def _send_back(
        self,
        trip: _Trip,
        deliver: Deliver,
        rows: slice,
        first: int,
        signals: dict[Node, Tensor],
        above: Mapping[Node, Windows],
    ) -> None:
        """Send some targets on from a node; what they come to is delivered.

        Args:
            trip: All of them.
            deliver: Takes what they come to.
            rows: These.
            first: The node's number.
            signals: Those at the nodes that they have reached.
            above: The windows that these are in.
        """
        plan = self._plan(trip, rows, first)
        signals = {
            node: move(signal, above[node].corners, plan.windows[node])
            for node, signal in signals.items()
        }
        count = rows.stop - rows.start
        for index, node in enumerate(self.nodes[:-1]):
            if index < first or node not in signals:
                continue
            if count > plan.fits[index]:
                self._part(trip, deliver, rows, index, signals, plan)
                return
            batch = Batch(
                node,
                self.way,
                plan.cuts[node],
                trip.images[rows],
                trip.codes.get(node),
                None if trip.units is None or node not in self._seeded_maps else trip.units[rows],
                plan.moves.get((node, 0)),
            )
            moves_itself = kind_of(node) in MOVING
            below = BACK[kind_of(node)](batch, signals.pop(node))
            for number, parent in self._edges[node]:
                signal = below[number] if number < len(below) else None
                if signal is not None:
                    step = None if moves_itself else plan.moves.get((node, number))
                    moved = step.run(signal) if step else signal
                    signals[parent] = signals[parent] + moved if parent in signals else moved
        last = self.nodes[-1]
        windows = plan.windows[last]
        if last not in signals:  # all that led there was written over
            signals[last] = self.input.new_zeros((count, self.input.shape[1], *windows.size))
        deliver(rows, signals[last], windows)

    def _part(
        self,
        trip: _Trip,
        deliver: Deliver,
        rows: slice,
        index: int,
        signals: dict[Node, Tensor],
        plan: _Plan,
    ) -> None:
        """Send targets on in parts of equal size, whose windows are as small as theirs may be."""
        count = rows.stop - rows.start
        parts = -(-count // plan.fits[index])

        def go_on(numbers: Tensor) -> None:
            part = _as_slice(numbers)
            here = slice(rows.start + part.start, rows.start + part.stop)
            some = {node: signal[part] for node, signal in signals.items()}
            above = {
                node: Windows(plan.windows[node].corners[part], plan.windows[node].size)
                for node in signals
            }
            self._send_back(trip, deliver, here, index, some, above)

        run_in_chunks(torch.arange(count), -(-count // parts), go_on, is_last=count == 1)


def _as_slice(rows: Tensor) -> slice:
    return slice(int(rows[0]), int(rows[-1]) + 1)


def _bring(
    windows: Mapping[Node, Windows], moves: dict[tuple[Node, int], Move], device: torch.device
) -> tuple[dict[Node, Windows], dict[tuple[Node, int], Move]]:
    """Bring all corners and shifts of a plan to a device, in one transfer."""
    distinct = {id(here): here for here in windows.values()}
    shifts = {key: step.shifts for key, step in moves.items() if step.shifts is not None}
    listed = [here.corners for here in distinct.values()] + list(shifts.values())
    there = iter(send(torch.stack(listed), device))
    brought = {key: Windows(next(there), here.size) for key, here in distinct.items()}
    moved = {key: replace(moves[key], shifts=next(there)) for key in shifts}
    return {node: brought[id(here)] for node, here in windows.items()}, moves | moved


@contextmanager
def _plain_arithmetic(device: torch.device) -> Iterator[None]:
    """Compute as chosen, in the tensors' own type and without a graph, whatever the caller set."""
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast(device.type, enabled=False),
        chosen_arithmetic(),
    ):
        yield
