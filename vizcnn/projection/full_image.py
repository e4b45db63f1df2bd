"""Projections by backward passes over the whole image: right for every net that has a rule."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from vizcnn.basics.errors import LayerError
from vizcnn.projection.chunks import make_room, run_in_chunks
from vizcnn.projection.targets import Targets
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.geometry import BATCH_NORMALISATIONS, shape_of
from vizcnn.recording.graph import Node, kind_of

Finish = Callable[[Tensor], Tensor]
"""What becomes of projections (R, C, h, w) in the end; a map of the channels at each place."""


def unchanged(pixels: Tensor) -> Tensor:
    """Leave projections as they are."""
    return pixels


SEEDS_AT_ONCE = 16
"""Units whose backward passes run as one batch, at most."""

BUDGET = 256 * 2**20
"""Bytes that the largest map may take in all of them together; they exist some times over."""

HEAD_BUDGET = 64 * 2**20
"""Bytes that all maps above a net's last feature maps may take together; there is no other bound
on the units that go through them at a time."""


def fit_budget(nodes: Sequence[Node], element: int, budget: int = BUDGET) -> int:
    """Give how many units' backward passes may run as one batch.

    Args:
        nodes: The nodes between the layer and the input.
        element: Bytes of a number.
        budget: Bytes that the largest map may take.
    """
    largest = max((math.prod(shape_of(node)) for node in nodes), default=1)
    return max(1, min(SEEDS_AT_ONCE, budget // max(largest * element, 1)))


def project_full_image(
    output: Tensor, input: Tensor, targets: Targets, nodes: Sequence[Node]
) -> Tensor:
    """Send targets back through the graph of a recording, several of every image as one batch.

    Where images of a batch see each other (batch statistics), they are sent back one by one.

    Args:
        output: The layer's output with its graph, (N, C, h, w) or (N, C).
        input: The recording's input, (N, 3, H, W).
        targets: What to project, R rows.
        nodes: The nodes between, from :func:`vizcnn.recording.graph.trace_nodes`.

    Returns:
        (R, 3, H, W).

    Raises:
        LayerError: If the layer puts out another number of maps than there are images.
    """
    _check_batch(output, input)
    pixels = make_room(input, (len(targets), *input.shape[1:]))
    back = partial(_backward, output, input)
    at_once = fit_budget(nodes, input.element_size())
    _send_all(output, targets, pixels, back, at_once, _couples_images(nodes, len(input)))
    return pixels


def project_head(
    output: Tensor, input: Tensor, targets: Targets, nodes: Sequence[Node], end: Node
) -> Tensor:
    """Send targets back as far as the maps that all of them come through, by autograd.

    Args:
        output: The layer's output with its graph, (N, C, h, w) or (N, C).
        input: The recording's input, (N, 3, H, W).
        targets: What to project, R rows.
        nodes: The nodes above the end.
        end: The node that put out the maps.

    Returns:
        The signals in the maps, (R, C, h, w).

    Raises:
        LayerError: If the layer puts out another number of maps than there are images.
    """
    _check_batch(output, input)
    signals = input.new_zeros((len(targets), *shape_of(end)[1:]))
    back = partial(_backward, output, GradientEdge(end, 0))
    at_once = max(1, HEAD_BUDGET // (input.element_size() * sum(map(_count, (*nodes, end)))))
    _send_all(output, targets, signals, back, at_once, apart=False)
    return signals


def find_body(nodes: Sequence[Node], count: int) -> int | None:
    """Find the first maps that all signals of a layer come through on their way to the image.

    What is above them, such as fully connected layers, is the net's head.

    Args:
        nodes: From :func:`vizcnn.recording.graph.trace_nodes`.
        count: Images in the batch.

    Returns:
        Their node's number, not 0; None where there are none, or where images see each other above.
    """
    on_path, waiting = set(nodes), {nodes[0]}
    for number, node in enumerate(nodes):
        if waiting == {node} and number and len(shape_of(node)) == 4:
            return None if _couples_images(nodes[: number + 1], count) else number
        waiting.discard(node)
        for parent, output in node.next_functions:
            if parent in on_path:
                if output:  # a part of what an operation put out
                    return None
                waiting.add(parent)
    return None


def _check_batch(output: Tensor, input: Tensor) -> None:
    if len(output) != len(input):
        raise LayerError(f"the layer puts out maps of {len(output)} images for {len(input)}")


def _send_all(
    output: Tensor,
    targets: Targets,
    results: Tensor,
    back: Callable[[Tensor], Tensor],
    at_once: int,
    apart: bool,
) -> None:
    """Fill results (R, ...) by backward passes of so many targets of every image, or of one."""
    by_image = [(targets.images == image).nonzero()[:, 0] for image in range(len(output))]
    nobody = targets.images.new_zeros(0)
    groups = [by_image]
    if apart:
        groups = [
            [numbers if i == k else nobody for i, numbers in enumerate(by_image)]
            for k in range(len(by_image))
        ]
    for group in groups:

        def send_back(slots: Tensor, group: list[Tensor] = group) -> None:
            first, last = int(slots[0]), int(slots[-1]) + 1
            rows = [numbers[first:last] for numbers in group]
            signal = back(_make_seeds(output.detach(), targets, rows))
            for image, numbers in enumerate(rows):
                results[numbers] = signal[: len(numbers), image]

        run_in_chunks(torch.arange(max(map(len, group), default=0)), at_once, send_back)


def _couples_images(nodes: Sequence[Node], count: int) -> bool:
    """Tell whether an image's units may depend on other images of the batch."""
    return any(
        (kind_of(node) in BATCH_NORMALISATIONS and node._saved_training)
        or (shape_of(node)[:1] != (count,))
        for node in nodes
    )


def _count(node: Node) -> int:
    return math.prod(shape_of(node))


def _make_seeds(maps: Tensor, targets: Targets, rows: list[Tensor]) -> Tensor:
    """Make (K, N, C, h, w): the seed of one unit and place, and zero elsewhere."""
    seeds = maps.new_zeros((max(map(len, rows)), *maps.shape))
    numbers = torch.cat(rows)
    slots = torch.cat([torch.arange(len(some), device=maps.device) for some in rows])
    index = [slots, targets.images[numbers], targets.units[numbers]]
    if targets.seeds.ndim == 1 and maps.ndim > 2:  # a place each, and no whole map
        index += targets.positions[numbers].unbind(1)
    seeds[tuple(index)] = targets.seeds[numbers]
    return seeds


def _backward(output: Tensor, end: Tensor | GradientEdge, seeds: Tensor) -> Tensor:
    """Give (K, N, C, h, w) at the input, or at maps on the way, for seeds at the output."""
    batched = len(seeds) > 1
    with chosen_arithmetic():
        (signal,) = torch.autograd.grad(
            output,
            end,
            seeds if batched else seeds[0],
            retain_graph=True,
            is_grads_batched=batched,
        )
    return signal.detach() if batched else signal.detach()[None]
