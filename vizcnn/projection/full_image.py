"""Projections by backward passes over the whole image: right for every net that has a rule."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vizcnn.basics.errors import LayerError
from vizcnn.projection.chunks import make_room, run_in_chunks
from vizcnn.projection.targets import Targets
from vizcnn.recording.arithmetic import exact_arithmetic
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
    if len(output) != len(input):
        raise LayerError(f"the layer puts out maps of {len(output)} images for {len(input)}")
    pixels = make_room(input, (len(targets), *input.shape[1:]))
    by_image = [(targets.images == image).nonzero()[:, 0] for image in range(len(output))]
    nobody = targets.images.new_zeros(0)
    groups = [by_image]
    if _couples_images(nodes, len(input)):
        groups = [
            [numbers if i == k else nobody for i, numbers in enumerate(by_image)]
            for k in range(len(by_image))
        ]
    for group in groups:

        def send_back(slots: Tensor, group: list[Tensor] = group) -> None:
            first, last = int(slots[0]), int(slots[-1]) + 1
            rows = [numbers[first:last] for numbers in group]
            signal = _backward(output, input, _make_seeds(output.detach(), targets, rows))
            for image, numbers in enumerate(rows):
                pixels[numbers] = signal[: len(numbers), image]

        slots = torch.arange(max(map(len, group), default=0))
        run_in_chunks(slots, fit_budget(nodes, input.element_size()), send_back)
    return pixels


def _couples_images(nodes: Sequence[Node], count: int) -> bool:
    """Tell whether an image's units may depend on other images of the batch."""
    return any(
        (kind_of(node) in BATCH_NORMALISATIONS and node._saved_training)
        or (shape_of(node)[:1] != (count,))
        for node in nodes
    )


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


def _backward(output: Tensor, input: Tensor, seeds: Tensor) -> Tensor:
    """Give (K, N, 3, H, W) for seeds (K, N, C, h, w)."""
    batched = len(seeds) > 1
    with exact_arithmetic():
        (signal,) = torch.autograd.grad(
            output,
            input,
            seeds if batched else seeds[0],
            retain_graph=True,
            is_grads_batched=batched,
        )
    return signal.detach() if batched else signal.detach()[None]
