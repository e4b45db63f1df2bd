"""Whether layers tell two oscillations apart that their strides fold onto each other.

Source of the question: Ribeiro & Schön 2021, How Convolutional Neural Networks Deal with Aliasing
(ICASSP, arXiv 2102.07757): a frequency that folds is not lost as long as the many maps of a layer
answer to it in another way than to the frequency that it falls on.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vizcnn.basics.errors import LayerError
from vizcnn.measures.shift import find_jumps
from vizcnn.measures.subsampling import Subsampling, see_kept
from vizcnn.zoo.model import ZooModel

PHASES = 4
"""Places, over one period, that an oscillation begins at."""
PLACES = (1 / 3, 2 / 3)
"""Frequencies that are asked for, as shares of the limit 1/(2 * jump)."""


def make_oscillations(jump: int, side: int) -> Tensor:
    """Make gratings across the columns, in pairs that fold onto each other at a jump.

    Args:
        jump: Distance of neighbouring units in pixels.
        side: Of the picture.

    Returns:
        (F, 2, P, side), 0..1: rows of a picture, for each frequency of :data:`PLACES` below the
        limit f and its alias 1/jump - f, both at :data:`PHASES` phases. Every jump-th pixel of the
        one is that of the other, at phases of opposite sign.

    Example:
        >>> low, high = make_oscillations(4, 32)[0, :, 0]
        >>> torch.allclose(low[::4], high[::4]), torch.allclose(low, high)
        (True, False)
    """
    phases = torch.arange(PHASES, dtype=torch.float64) / PHASES
    columns = torch.arange(side, dtype=torch.float64)
    pairs = []
    for place in PLACES:
        frequency = place / (2 * jump)
        turns = [frequency * columns, (1 / jump - frequency) * columns]
        pairs.append(torch.stack([phases[:, None] + turn for turn in turns]))
    return 0.5 + 0.5 * torch.cos(2 * math.pi * torch.stack(pairs))


def find_all_jumps(model: ZooModel, steps: Sequence[Subsampling]) -> tuple[int | None, ...]:
    """Find how far apart neighbouring units lie after each step, in pixels of the input.

    Returns:
        None where it is not known, or there is no place, or all pixels are units.
    """
    return tuple(_find_jump(model, step.name) for step in steps)


def _find_jump(model: ZooModel, name: str) -> int | None:
    try:
        (jump,) = find_jumps(model, [name])
    except LayerError:  # a slice is no layer, and of some operations the geometry is not known
        return None
    return jump if jump > 1 else None


def tell_apart(
    model: ZooModel, steps: Sequence[Subsampling], jump: int
) -> tuple[float | None, ...]:
    """Measure how differently steps answer to two oscillations that fold onto each other.

    What a step gives for a grey picture is taken off. Of an oscillation f below the limit and its
    alias f', answers are compared in the middle half of the map, over all maps, at those phases
    where they are nearest to each other: ``|F(f) - F(f')| / sqrt(|F(f)|^2 + |F(f')|^2)``, averaged
    over frequencies (:func:`make_oscillations`).

    Args:
        model: A net of the zoo; it is left as it is.
        steps: Subsamplings of it, in the order in which they run.
        jump: Distance of neighbouring units after them, in pixels of the input.

    Returns:
        Per step 0 where it answers alike to both, as a single map that keeps every s-th pixel does;
        1 where the answers have nothing in common, or one of the two is not answered at all. None
        where neither is answered.
    """
    grey = _answer(model, steps, torch.full((1, model.input_size), 0.5))
    distances: list[list[float]] = [[] for _ in steps]
    for pair in make_oscillations(jump, model.input_size):
        low, high = (_answer(model, steps, lines) for lines in pair)
        for found, plain, one, other in zip(distances, grey, low, high, strict=True):
            distance = _find_nearest(one - plain, other - plain)
            if distance is not None:
                found.append(distance)
    return tuple(sum(found) / len(found) if found else None for found in distances)


def _answer(model: ZooModel, steps: Sequence[Subsampling], rows: Tensor) -> list[Tensor]:
    """Give what steps keep of pictures of equal rows, each as one line (P, n)."""
    like = next(model.module.parameters())
    side = rows.shape[-1]
    pixels = rows.to(like.device, like.dtype)[:, None, None, :].expand(-1, 3, side, -1)
    answers: dict[int, Tensor] = {}

    def see(number: int, kept: Tensor) -> None:
        rest = [size // 4 for size in kept.shape[-2:]]
        middle = kept[..., rest[0] : kept.shape[-2] - rest[0], rest[1] : kept.shape[-1] - rest[1]]
        answers[number] = middle.flatten(1).cpu().double()

    see_kept(model.module, model.preprocessing.normalise(pixels), steps, see)
    return [answers[number] for number in range(len(steps))]


def _find_nearest(one: Tensor, other: Tensor) -> float | None:
    energies = one.square().sum(1)[:, None] + other.square().sum(1)[None, :]
    # not by a product, whose rounding would be the answer where both are alike
    differences = torch.stack([(line - other).square().sum(1) for line in one])
    heard = energies > 1e-12 * max(energies.max().item(), 1e-12)
    if not heard.any():
        return None
    return float((differences[heard] / energies[heard]).min().sqrt())
