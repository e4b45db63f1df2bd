"""Projections by backward passes over the whole image: right for every net that has a rule."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vizcnn.targets import Targets

Finish = Callable[[Tensor], Tensor]
"""What becomes of projections (R, C, h, w) in the end; a map of the channels at each place."""


def unchanged(pixels: Tensor) -> Tensor:
    """Leave projections as they are."""
    return pixels


SEEDS_AT_ONCE = 16
"""Units whose backward passes run as one batch."""


def project_full_image(output: Tensor, input: Tensor, targets: Targets) -> Tensor:
    """Send targets back through the graph of a recording, several of every image as one batch.

    Args:
        output: The layer's output with its graph, (N, C, h, w) or (N, C).
        input: The recording's input, (N, 3, H, W).
        targets: What to project, R rows.

    Returns:
        (R, 3, H, W).
    """
    pixels = input.new_zeros((len(targets), *input.shape[1:]))
    by_image = [(targets.images == image).nonzero()[:, 0] for image in range(len(output))]
    for first in range(0, max(map(len, by_image), default=0), SEEDS_AT_ONCE):
        rows = [numbers[first : first + SEEDS_AT_ONCE] for numbers in by_image]
        signal = _backward(output, input, _make_seeds(output.detach(), targets, rows))
        for image, numbers in enumerate(rows):
            pixels[numbers] = signal[: len(numbers), image]
    return pixels


def _make_seeds(maps: Tensor, targets: Targets, rows: list[Tensor]) -> Tensor:
    """Make (K, N, C, h, w): the maps with all but one unit and place set to zero."""
    seeds = maps.new_zeros((max(map(len, rows)), *maps.shape))
    for image, numbers in enumerate(rows):
        for k, number in enumerate(numbers.tolist()):
            unit = int(targets.units[number])
            y, x = targets.positions[number].tolist()
            place = (unit,) if maps.ndim == 2 or y < 0 else (unit, y, x)
            seeds[(k, image, *place)] = maps[(image, *place)]
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


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Make convolutions repeatable to the bit and full float32 on a GPU, inside the context."""
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield
