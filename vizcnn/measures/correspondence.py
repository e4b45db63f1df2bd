"""Correspondence: whether hiding the same part of different photos changes features alike.

Zeiler & Fergus 2013 (arXiv 1311.2901), section 4.3, Figure 8 and Table 1. For photo i and one part,
``e_i = x_i - x~_i`` is the change of a layer's features when the part is hidden. The score is the
Hamming distance of ``sign(e_i)`` and ``sign(e_j)``, over all pairs of photos: it is low where
hiding the part changes the same features in the same direction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.attribution.question import Fill, find_fill
from vizcnn.basics.codec import Share
from vizcnn.basics.errors import DataError, ImageError, quote
from vizcnn.measures.layer_features import read_features
from vizcnn.photos.part_boxes import MarkedPhoto
from vizcnn.photos.pixels import Box
from vizcnn.zoo.model import ZooModel

ROUNDING = 1e-6
"""Share of a layer's largest magnitude below which a change is nothing but rounding."""

Signs = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class HiddenParts:
    """A photo and what is hidden of it, one at a time.

    Attributes:
        pixels: The photo as the net sees it, (1, 3, S, S), RGB 0..1.
        parts: Boxes of its P parts, by name, in pixels of the input.
        squares: For each part the boxes of R random squares of its area.
    """

    pixels: Tensor
    parts: Mapping[str, Box]
    squares: Mapping[str, tuple[Box, ...]]

    def hide(self, colour: Tensor) -> Tensor:
        """Hide each part, and then each of its squares: (P (1 + R), 3, S, S)."""
        hidden = []
        for name, box in self.parts.items():
            for top, left, bottom, right in (box, *self.squares[name]):
                image = self.pixels[0].clone()
                image[:, top:bottom, left:right] = colour
                hidden.append(image)
        return torch.stack(hidden)


def place_parts(
    model: ZooModel, photo: MarkedPhoto, draws: int, generator: np.random.Generator
) -> HiddenParts:
    """Find parts in a net's input, and draw random squares of the same areas.

    The squares lie anywhere on the object that the file names, or else on what the net sees of the
    photo; they may lie on parts, as the paper's may.

    Args:
        model: A net of the zoo.
        photo: A photo with boxes.
        draws: R squares for each part.
        generator: What draws them.

    Raises:
        ImageError: If the photo cannot be read.
        DataError: If a box is outside the photo, or of what the net sees of it; or a square is
            larger than the object.
    """
    if model.preprocessing.fitting == "none":
        raise ImageError(
            "boxes are found in the net's square input, and fit none leaves photos their own size: "
            "use fit crop, pad or squash (--fit), and give the side (--size)"
        )
    image = photo.read()
    framing = model.preprocessing.frame(image)
    parts = {name: photo.find_part(name, framing) for name in photo.parts}
    ground = photo.find_object(framing)
    squares = {}
    for name, (top, left, bottom, right) in parts.items():
        side = max(round(((bottom - top) * (right - left)) ** 0.5), 1)
        rows, columns = ground[2] - ground[0] - side + 1, ground[3] - ground[1] - side + 1
        if min(rows, columns) < 1:
            raise DataError(
                f"the part {quote(name)} of {quote(photo.path.name)} covers more than a square on "
                "the object can: give a larger object, or smaller parts"
            )
        corners = zip(
            (ground[0] + generator.integers(rows, size=draws)).tolist(),
            (ground[1] + generator.integers(columns, size=draws)).tolist(),
            strict=True,
        )
        squares[name] = tuple((row, column, row + side, column + side) for row, column in corners)
    return HiddenParts(model.read(image), parts, squares)


def measure_signs(
    model: ZooModel, hidden: HiddenParts, layers: Sequence[str], fill: Fill = "mean"
) -> dict[str, Signs]:
    """Measure in which direction features change when parts are hidden.

    Args:
        model: A net of the zoo; it is not changed.
        hidden: A photo and what is hidden of it.
        layers: Canonical names or module paths.
        fill: What it is filled with.

    Returns:
        By layer (P, 1 + R, D): for each part, and each of its squares, the signs -1, 0 and 1 of
        ``x - x~`` of the layer's D features. Changes below a millionth of the layer's largest
        magnitude are rounding, and have sign 0.

    Raises:
        LayerError: If a layer does not exist, was not called, or puts out no feature maps.
    """
    ((_, whole),) = read_features(model, hidden.pixels, layers)
    signs: dict[str, list[Signs]] = {layer: [] for layer in layers}
    for _, read in read_features(model, hidden.hide(find_fill(model, fill)), layers):
        for layer in layers:
            changes = (whole[layer] - read[layer]).flatten(1)
            least = ROUNDING * float(whole[layer].abs().max())
            found = torch.where(changes.abs() > least, changes.sign(), 0.0)
            signs[layer].append(found.to(torch.int8).numpy())
    count = len(hidden.parts)
    return {
        layer: np.concatenate(found).reshape(count, -1, found[0].shape[1])
        for layer, found in signs.items()
    }


@dataclass(frozen=True, kw_only=True)
class PartScore:
    """How alike the change is that hiding one part makes in different photos.

    Attributes:
        layer: The layer.
        part: The part.
        mean: Hamming distance of two photos' signs, share of the features, mean over all pairs.
        deviation: Standard deviation over the pairs.
        squares: The same of random squares of the part's area, mean over draws and pairs.
        squares_deviation: Standard deviation over draws and pairs.
        draws: Mean over the pairs, for each draw.
        p: Of a permutation test: how often a score is as low if for each photo the part and its
            squares change places by chance.
        zeros: Share of features that hiding the part does not change, mean over the photos.
        chance: What the distance would be if features changed independently, each photo with its
            own shares of -1, 0 and 1.
    """

    layer: str
    part: str
    mean: Share
    deviation: float
    squares: Share
    squares_deviation: float
    draws: tuple[Share, ...]
    p: Share
    zeros: Share
    chance: Share


def measure_hamming(one: Signs, other: Signs) -> NDArray[np.float64]:
    """Give the share of features in which signs differ: (n, m) of (n, D) and (m, D).

    Example:
        >>> one, other = np.array([[1, 0, -1, 0]], np.int8), np.array([[1, 0, 1, -1]], np.int8)
        >>> measure_hamming(one, other).tolist()
        [[0.5]]
    """
    agreeing = np.zeros((len(one), len(other)))
    for sign in (-1, 0, 1):
        # whole numbers, which float32 has exactly as far as a net's layers are large
        agreeing += (one == sign).astype(np.float32) @ (other == sign).astype(np.float32).T
    differing: NDArray[np.float64] = 1 - agreeing / one.shape[1]
    return differing


def score_part(
    signs: Sequence[Signs],
    layer: str,
    part: str,
    permutations: int,
    generator: np.random.Generator,
) -> PartScore:
    """Score one part in one layer.

    Args:
        signs: Of each of N photos (1 + R, D): the part's first, then those of its squares.
        layer: The layer's name.
        part: The part's name.
        permutations: How often labels are drawn for p; the part's own labels count as one more.
        generator: What draws them.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> alike = [draw.integers(-1, 2, (9, 500)).astype(np.int8) for _ in range(5)]
        >>> for of_photo in alike:
        ...     of_photo[0] = alike[0][0]
        >>> score = score_part(alike, "conv5", "nose", 999, draw)
        >>> score.mean, score.p, round(score.squares, 2), round(score.chance, 2)
        (0.0, 0.001, 0.67, 0.66)
    """
    count, members = len(signs), len(signs[0])
    pairs = [(i, j) for i in range(count) for j in range(i)]
    tables = np.stack([measure_hamming(signs[i], signs[j]) for i, j in pairs])
    own = tables[:, 0, 0]
    drawn = np.stack([tables[:, draw, draw] for draw in range(1, members)])
    picks = generator.integers(members, size=(permutations, count))
    shuffled = np.zeros(permutations)
    for table, (i, j) in zip(tables, pairs, strict=True):
        shuffled += table[picks[:, i], picks[:, j]]
    as_low = shuffled / len(pairs) <= own.mean() + 1e-12
    shares = np.stack([[(one[0] == sign).mean() for sign in (-1, 0, 1)] for one in signs])
    chance = np.mean([1 - shares[i] @ shares[j] for i, j in pairs])
    return PartScore(
        layer=layer,
        part=part,
        mean=float(own.mean()),
        deviation=float(own.std()),
        squares=float(drawn.mean()),
        squares_deviation=float(drawn.std()),
        draws=tuple(drawn.mean(axis=1).tolist()),
        p=float((1 + as_low.sum()) / (1 + permutations)),
        zeros=float(shares[:, 1].mean()),
        chance=float(min(max(chance, 0), 1)),
    )
