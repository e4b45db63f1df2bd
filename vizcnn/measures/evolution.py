"""How a unit's picture changes while a net is trained, and when it has become what it stays.

All that is known is known at the kept epochs only: what happened between two of them is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np
from numpy.typing import NDArray

CONVERGED = 0.9
"""Median cosine to the pictures of the last epoch from which on a layer counts as converged."""


def lay_on_field(
    window: NDArray[np.float32], corner: Sequence[int], field: Sequence[int]
) -> NDArray[np.float32]:
    """Lay a picture on its unit's receptive field, so that those of other places lie on it alike.

    Args:
        window: The picture (h, w, 3).
        corner: Top and left of the window in pixels of the input.
        field: The receptive field before the photo's edges cut it: top, left, bottom, right.

    Returns:
        (field height, field width, 3); zero where the window has nothing.

    Example:
        >>> picture = np.ones((2, 2, 3), dtype=np.float32)
        >>> lay_on_field(picture, (0, 0), (-1, 0, 2, 2))[:, 0, 0].tolist()
        [0.0, 1.0, 1.0]
    """
    top, left, bottom, right = field
    laid = np.zeros((bottom - top, right - left, 3), dtype=np.float32)
    height, width = window.shape[:2]
    first_row, first_column = max(corner[0], top), max(corner[1], left)
    last_row, last_column = min(corner[0] + height, bottom), min(corner[1] + width, right)
    if first_row < last_row and first_column < last_column:
        laid[first_row - top : last_row - top, first_column - left : last_column - left] = window[
            first_row - corner[0] : last_row - corner[0],
            first_column - corner[1] : last_column - corner[1],
        ]
    return laid


def find_cosine(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> float | None:
    """Give the cosine of two pictures, -1..1; None where one is none, or all zero.

    Example:
        >>> picture = np.ones((2, 2, 3), dtype=np.float32)
        >>> find_cosine(picture, -2 * picture), find_cosine(picture, None)
        (-1.0, None)
    """
    if one is None or other is None:
        return None
    first, second = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    lengths = float(np.sqrt((first @ first) * (second @ second)))
    if lengths == 0:
        return None
    return float(np.clip(first @ second / lengths, -1, 1))


def find_last_change(photos: Sequence[str], epochs: Sequence[int]) -> int | None:
    """Find the kept epoch at which the strongest photo was another for the last time.

    It changed after the kept epoch before that one.

    Args:
        photos: Name of the strongest photo at each epoch; empty where the unit is silent.
        epochs: The epochs, rising.

    Returns:
        The epoch; None if it never changed.

    Example:
        >>> find_last_change(["a", "b", "b", "b"], [0, 1, 2, 5]), find_last_change("aa", [0, 1])
        (1, None)
    """
    changes = [at for at in range(1, len(photos)) if photos[at] != photos[at - 1]]
    return epochs[changes[-1]] if changes else None


def find_first_from_which(values: Sequence[float], least: float, epochs: Sequence[int]) -> int:
    """Find the first kept epoch from which on values stay at or above a bound.

    Args:
        values: One at each epoch; the last is at or above the bound.
        least: The bound.
        epochs: The epochs, rising.

    Example:
        >>> find_first_from_which([0.1, 0.95, 0.5, 0.92, 1.0], 0.9, [0, 1, 2, 5, 10])
        5
    """
    below = [at for at, value in enumerate(values) if value < least]
    return epochs[below[-1] + 1] if below else epochs[0]


def find_half_life(cosines: Sequence[float | None], epochs: Sequence[int]) -> int | None:
    """Find by which kept epoch half of the way to the last epoch's picture is gone, for good.

    The way is 1 - cosine; a silent unit's cosine counts as 0. The half-life lies between the kept
    epoch before and the one that is given.

    Args:
        cosines: With the last epoch's picture, at each epoch; None where the unit is silent.
        epochs: The epochs, rising.

    Returns:
        Epochs since the first one; None if the unit is silent at the last, or its picture is the
        same from the first on.

    Example:
        >>> find_half_life([0.2, 0.5, 0.7, 1.0], [0, 1, 2, 5])
        2
    """
    values = [0.0 if cosine is None else cosine for cosine in cosines]
    if cosines[-1] is None or 1 - values[0] < SAME:
        return None
    return find_first_from_which(values, 1 - (1 - values[0]) / 2, epochs) - epochs[0]


SAME = 1e-6
"""1 - cosine below which two pictures are one, up to rounding."""


@dataclass(frozen=True, kw_only=True)
class LayerCourse:
    """How a layer's units came to what they are; medians over those that are not silent at last.

    Attributes:
        cosines: Median cosine with the last epoch's pictures, at each epoch; a silent unit's is 0.
            None where all units are silent at the last epoch.
        settled: Share of the units (0..1) that show the photo of the last epoch from then on.
        activations: Median of the strongest activations, at each epoch.
        converged: First kept epoch from which on the median cosine stays at
            :data:`CONVERGED` or above; None where there is none.
        last_change: Median epoch of the last change of the strongest photo; units whose photo
            never changed count as the first epoch.
        half_life: Median half-life in epochs, of the units that have one; None where none has.
        between_units: Median cosine of the last pictures of two different units: what a cosine
            is worth. None of a single unit.
        units: How many units are not silent at the last epoch.
    """

    cosines: tuple[float, ...] | None
    settled: tuple[float, ...] | None
    activations: tuple[float, ...]
    converged: int | None
    last_change: float | None
    half_life: float | None
    between_units: float | None
    units: int


def sum_up(
    photos: Sequence[Sequence[str]],
    activations: Sequence[Sequence[float]],
    cosines: Sequence[Sequence[float | None]],
    last: Sequence[NDArray[np.float32] | None],
    epochs: Sequence[int],
) -> LayerCourse:
    """Sum up a layer's units.

    Args:
        photos: Name of the strongest photo of each unit at each epoch; empty where silent.
        activations: Its activation.
        cosines: Of its picture with that of the last epoch.
        last: Each unit's last picture, on its receptive field; None where silent.
        epochs: The epochs, rising.
    """
    columns = range(len(epochs))
    alive = [unit for unit, picture in enumerate(last) if picture is not None]
    strength = tuple(median([row[at] for row in activations]) for at in columns)
    if not alive:
        return LayerCourse(
            cosines=None,
            settled=None,
            activations=strength,
            converged=None,
            last_change=None,
            half_life=None,
            between_units=None,
            units=0,
        )
    curve = tuple(median([cosines[unit][at] or 0.0 for unit in alive]) for at in columns)
    changes = [find_last_change(photos[unit], epochs) for unit in alive]
    ends = [epochs[0] if change is None else change for change in changes]
    halves = [half for unit in alive if (half := find_half_life(cosines[unit], epochs)) is not None]
    pairs = [find_cosine(last[one], last[other]) for one, other in combinations(alive, 2)]
    known = [pair for pair in pairs if pair is not None]
    return LayerCourse(
        cosines=curve,
        settled=tuple(sum(end <= epoch for end in ends) / len(ends) for epoch in epochs),
        activations=strength,
        converged=find_first_from_which(curve, CONVERGED, epochs),
        last_change=median(ends),
        half_life=median(halves) if halves else None,
        between_units=median(known) if known else None,
        units=len(alive),
    )
