"""Near-duplicates among photos, by normalised correlation, as Zeiler & Fergus looked for them.

Photos on which a net was trained, or that stand among the training and the test photos of a
classifier, make its accuracy look better than it is. Zeiler & Fergus 2013 (section 5.2) found 44 of
Caltech-101's 9,144 photos in ImageNet by normalised correlation; they state neither the size at
which photos were compared nor the correlation from which on two count as one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

SIDE = 32
"""Side in pixels of the small copies that are compared, in colour."""
THRESHOLD = 0.95
"""Correlation from which on two photos count as one, unless another is asked for."""
AT_ONCE = 512
"""Photos that are compared with all others at a time."""


@dataclass(frozen=True)
class Overlap:
    """A photo that is nearly another.

    Attributes:
        photo: Number of the photo that is removed.
        other: Number of the one that it is like.
        correlation: Their normalised correlation, -1..1.
    """

    photo: int
    other: int
    correlation: float


def make_thumbnails(pixels: Tensor) -> NDArray[np.float32]:
    """Make what photos are compared by: small copies less their mean, of length 1.

    The scalar product of two is their normalised correlation. A photo of one colour has no
    structure to correlate, and becomes zeros.

    Args:
        pixels: (N, 3, S, S), uint8 or 0..1.

    Returns:
        (N, 3 * SIDE²).

    Example:
        >>> dark = torch.randint(0, 100, (1, 3, 64, 64), dtype=torch.uint8)
        >>> small = make_thumbnails(torch.cat([dark, 2 * dark + 5]))
        >>> round(float(small[0] @ small[1]), 4)
        1.0
    """
    small = F.adaptive_avg_pool2d(pixels.to(torch.float32), SIDE).flatten(1)
    small = small - small.mean(dim=1, keepdim=True)
    length = small.norm(dim=1, keepdim=True)
    found: NDArray[np.float32] = torch.where(length > 1e-3, small / length, 0.0).numpy()
    return found


def find_twins(thumbnails: NDArray[np.float32], threshold: float = THRESHOLD) -> list[Overlap]:
    """Find photos that are nearly one that comes before them and stays.

    Args:
        thumbnails: (N, D), of :func:`make_thumbnails`.
        threshold: Correlation from which on two photos count as one.

    Returns:
        What to remove, in order, so that of no two photos that stay the correlation reaches the
        threshold; each with the photo that stays which it is most like.
    """
    removed: dict[int, Overlap] = {}
    for first in range(0, len(thumbnails), AT_ONCE):
        block = thumbnails[first : first + AT_ONCE]
        near = block @ thumbnails[: first + len(block)].T
        for row, column in np.argwhere(near >= threshold).tolist():
            photo, correlation = first + row, float(near[row, column])
            if column >= photo or column in removed:
                continue
            if photo not in removed or correlation > removed[photo].correlation:
                removed[photo] = Overlap(photo, column, min(correlation, 1.0))
    return [removed[photo] for photo in sorted(removed)]


def find_overlaps(
    thumbnails: NDArray[np.float32],
    others: NDArray[np.float32],
    threshold: float = THRESHOLD,
    first: int = 0,
) -> list[Overlap]:
    """Find photos that are nearly one of another set, or of a part of it.

    Args:
        thumbnails: (N, D), of :func:`make_thumbnails`.
        others: (M, D), the same of the other set.
        threshold: Correlation from which on two photos count as one.
        first: Number of the first of the others.

    Returns:
        Those photos, in order, each with the first of the others that it is most like.
    """
    if not len(thumbnails) or not len(others):
        return []
    near = thumbnails @ others.T
    place = near.argmax(axis=1)
    best = near[np.arange(len(near)), place]
    return [
        Overlap(photo, first + int(place[photo]), min(float(best[photo]), 1.0))
        for photo in np.flatnonzero(best >= threshold).tolist()
    ]


def keep_nearest(overlaps: Iterable[Overlap]) -> list[Overlap]:
    """Keep of each photo the other that it is most like; the first of several."""
    best: dict[int, Overlap] = {}
    for found in overlaps:
        if found.photo not in best or found.correlation > best[found.photo].correlation:
            best[found.photo] = found
    return [best[photo] for photo in sorted(best)]
