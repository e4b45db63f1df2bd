"""Invariance and equivariance: how features change when the photo is moved, scaled or turned.

Zeiler & Fergus 2013 (arXiv 1311.2901), section 4.1 and Figure 5: the Euclidean distance between a
layer's features of a photo and of the same photo transformed, and the probability of its class.
The paper's distances are in units of each layer; divided by the distance of two photos they can be
compared between layers. Equivariance is the other way in which features may follow: the map of the
transformed photo, moved back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vizcnn.attribution.gradients import AT_ONCE
from vizcnn.basics.errors import ImageError
from vizcnn.measures.layer_features import find_score_layer, read_features
from vizcnn.photos.images import read_photo
from vizcnn.photos.stored import PhotoFile
from vizcnn.photos.transforms import (
    STILL,
    Border,
    Kind,
    Matrix,
    Transform,
    see_after,
    shrink_window,
    transform_photo,
    warp_values,
)
from vizcnn.receptive.fields import ReceptiveField, Span, find_centre
from vizcnn.zoo.model import ZooModel, find_true_class

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_REACH = 2
"""Units on either side that bicubic interpolation of a map reads."""


@dataclass(frozen=True)
class Movement:
    """How photos are shown to a net, and what comes in where they move out of its window.

    Attributes:
        border: What comes in.
        window: Share of its usual window that the net is shown, above 0 and up to 1: below 1 there
            is more of the photo around it.
    """

    border: Border = "photo"
    window: float = 1.0

    def show(
        self, model: ZooModel, photo: PhotoFile | Image.Image, transforms: Sequence[Transform]
    ) -> tuple[Tensor, Mask]:
        """Show a net a photo after each of K transforms.

        Returns:
            Pixels (K, 3, S, S), RGB 0..1, and which of them are known, (K, S, S).

        Raises:
            ImageError: If the photo cannot be read, or does not fill the net's input.
        """
        image = read_photo(photo)
        if model.preprocessing.fitting == "none":
            raise ImageError(
                "a photo is transformed in the net's square input, and fit none leaves it its own "
                "size: use fit crop or squash (--fit), and give the side (--size)"
            )
        framing = shrink_window(model.preprocessing.frame(image), self.window)
        colour = model.preprocessing.mean_colour.clamp(0, 1)
        red, green, blue = colour.flatten().tolist()
        moved = transform_photo(image, framing, transforms, self.border, (red, green, blue))
        return torch.from_numpy(moved.pixels), moved.known


@dataclass(frozen=True, eq=False)
class Yardstick:
    """How far apart two photos are for a layer.

    Attributes:
        field: The layer's receptive fields, whose geometry says how far a map moves.
        spread: Mean squared distance of two photos at each place of the map, (h, w), or (1, 1) of
            a layer without places: over all pairs of the photos that were compared.
    """

    field: ReceptiveField
    spread: Floats

    @property
    def distance(self) -> float:
        """Distance of two photos, root mean square over the pairs."""
        return float(np.sqrt(self.spread.sum()))

    @property
    def moves(self) -> bool:
        """Whether its maps can be moved back: more than one place, evenly spaced."""
        return self.spread.size > 1 and find_grid(self.field) is not None


def measure_yardsticks(
    model: ZooModel,
    photos: Sequence[PhotoFile | Image.Image],
    fields: Sequence[ReceptiveField],
    movement: Movement | None = None,
) -> list[Yardstick]:
    """Measure how far apart photos are for layers, over all pairs of them.

    ``sum over pairs of |F_i - F_j|^2 = N sum |F_i|^2 - |sum F_i|^2``, so that no map is kept.

    Args:
        model: A net of the zoo.
        photos: N photos, two at least.
        fields: The layers, from :func:`~vizcnn.receptive.fields.measure_fields`.
        movement: How the net is shown a photo.

    Raises:
        ImageError: If there are less than two, or one cannot be read.
    """
    if len(photos) < 2:
        raise ImageError("two photos at least are needed to say how far apart photos are")
    movement = movement or Movement()
    sums: dict[str, Tensor] = {}
    squares: dict[str, Tensor] = {}
    for photo in photos:
        pixels, _ = movement.show(model, photo, [STILL])
        ((_, read),) = read_features(model, pixels, [field.name for field in fields])
        for layer, maps in read.items():
            sums[layer] = sums.get(layer, 0) + maps[0]
            squares[layer] = squares.get(layer, 0) + maps[0].square()
    count = len(photos)
    pairs = count * (count - 1) / 2
    found = []
    for field in fields:
        over_pairs = (count * squares[field.name] - sums[field.name].square()) / pairs
        # a difference of large numbers may come out a little below zero
        spread = over_pairs.clamp(min=0).sum(dim=0)
        found.append(Yardstick(field, np.atleast_2d(spread.numpy())))
    return found


@dataclass(frozen=True, eq=False)
class LayerChange:
    """What a layer did while one photo went through K transforms of one kind.

    Attributes:
        distances: Euclidean distance of the features from those of the photo itself, (K,).
        returned: Of a layer with places, distance of the map that was moved back from the photo's
            map, (K,): over the places that are in sight both times, divided by the distance of two
            photos at these. NaN where nothing is in sight, or the layer has no places.
        inside: The same over places whose whole receptive field is in sight both times.
    """

    distances: Floats
    returned: Floats
    inside: Floats


@dataclass(frozen=True, eq=False)
class KindChange:
    """What happened to one photo under K transforms of one kind.

    Attributes:
        layers: By layer.
        filled: Share of the pixels that had to be filled, (K,), 0..1.
        probabilities: Of the photo's class, (K,), 0..1; None of a net without class scores.
    """

    layers: tuple[LayerChange, ...]
    filled: Floats
    probabilities: Floats | None


@dataclass(frozen=True, eq=False)
class PhotoChange:
    """What happened to one photo.

    Attributes:
        kinds: By kind of transform.
        class_number: Whose probability was read; None of a net without class scores.
        is_true: Whether it is the class that the photo's folder names, and not the one that the net
            finds most probable in the photo itself.
    """

    kinds: Mapping[Kind, KindChange]
    class_number: int | None
    is_true: bool


def measure_invariance(
    model: ZooModel,
    photo: PhotoFile | Image.Image,
    amounts: Mapping[Kind, Sequence[float]],
    yardsticks: Sequence[Yardstick],
    movement: Movement | None = None,
) -> PhotoChange:
    """Transform a photo under a net, and measure how features and class follow.

    With the border ``mask`` the photo that is compared with is masked at the same pixels as the
    transformed one, so that what is hidden is no part of the distance; for equivariance at those
    that the transform takes out of the window.

    Args:
        model: A net of the zoo; it is not changed.
        photo: A file, or an image.
        amounts: By kind of transform.
        yardsticks: The layers, from :func:`measure_yardsticks`.
        movement: How the net is shown the photo.

    Raises:
        ImageError: If the photo cannot be read.
        LayerError: If a layer was not called, or puts out no feature maps.
        ModelError: If a class score is not finite.

    Example:
        >>> import vizcnn
        >>> from vizcnn.receptive import measure_fields
        >>> from vizcnn.photos.samples import find_sample
        >>> net = vizcnn.load("lenet", weights="bundled")
        >>> photos = [find_sample(name) for name in ("coffee", "chelsea")]
        >>> rulers = measure_yardsticks(net, photos, measure_fields(net, ["conv1"]))
        >>> change = measure_invariance(net, photos[0], {"shift": (0.0, 4.0)}, rulers)
        >>> change.kinds["shift"].layers[0].inside.round(6).tolist()  # conv1 follows exactly
        [0.0, 0.0]
    """
    movement = movement or Movement()
    still, _ = movement.show(model, photo, [STILL])
    reader = _Reader(model, [ruler.field.name for ruler in yardsticks], still)
    class_number, is_true = _choose_class(model, photo, reader.scores)
    kinds: dict[Kind, KindChange] = {}
    for kind, several in amounts.items():
        transforms = [Transform(kind, amount) for amount in several]
        kinds[kind] = _measure_kind(
            model, photo, transforms, yardsticks, movement, reader, class_number
        )
    return PhotoChange(kinds, class_number, is_true)


class _Reader:
    """Reads a net's layers and class scores; keeps those of the photo itself."""

    def __init__(self, model: ZooModel, layers: Sequence[str], still: Tensor) -> None:
        self._model, self._layers, self._still = model, tuple(layers), still
        self._last = find_score_layer(model, still)
        self.maps, self.scores = self.read(still)

    def read(self, pixels: Tensor) -> tuple[dict[str, Floats], Tensor]:
        """Give features by layer of as many pictures as go at once, and class scores, if any."""
        wanted = [*self._layers, *([self._last] if self._last else [])]
        ((_, read),) = read_features(self._model, pixels, list(dict.fromkeys(wanted)))
        scores = read[self._last] if self._last else self._model.logits(pixels).cpu().double()
        return {name: read[name].numpy() for name in self._layers}, scores

    def read_masked(self, masks: Mask) -> dict[str, Floats]:
        """Give the features of the photo itself under masks (n, S, S), which say what is seen."""
        hidden = torch.from_numpy(~masks)[:, None]
        colour = self._model.preprocessing.mean_colour.clamp(0, 1)
        masked = torch.where(hidden, colour, self._still)
        return self.read(masked)[0]


def _choose_class(
    model: ZooModel, photo: PhotoFile | Image.Image, scores: Tensor
) -> tuple[int | None, bool]:
    """Give the class of a photo, and whether its folder says so."""
    if scores.ndim != 2:
        return None, False
    told = None if isinstance(photo, Image.Image) else find_true_class(model, photo)
    if told is not None:
        return told, True
    return int(scores[0].argmax()), False


def _measure_kind(
    model: ZooModel,
    photo: PhotoFile | Image.Image,
    transforms: Sequence[Transform],
    yardsticks: Sequence[Yardstick],
    movement: Movement,
    reader: _Reader,
    class_number: int | None,
) -> KindChange:
    """Measure what a photo's transforms of one kind change, as many at once as the net takes."""
    numbers = np.full((3, len(yardsticks), len(transforms)), np.nan)
    filled: list[float] = []
    probabilities: list[float] = []
    for first in range(0, len(transforms), AT_ONCE):
        some = transforms[first : first + AT_ONCE]
        moved, known = movement.show(model, photo, some)
        size = moved.shape[-1]
        features, scores = reader.read(moved)
        before = back = {
            name: np.broadcast_to(maps, (len(some), *maps.shape[1:]))
            for name, maps in reader.maps.items()
        }
        if movement.border == "mask":
            before = reader.read_masked(known)
            back = reader.read_masked(np.stack([see_after(one, size) for one in some]))
        filled += (1 - known.reshape(len(known), -1).mean(axis=1)).tolist()
        if class_number is not None:
            probabilities += scores.softmax(dim=1)[:, class_number].tolist()
        for layer, ruler in enumerate(yardsticks):
            name = ruler.field.name
            for number, transform in enumerate(some):
                step, maps = first + number, features[name][number]
                numbers[0, layer, step] = np.linalg.norm(maps - before[name][number])
                if ruler.moves:
                    numbers[1:, layer, step] = compare_returned(
                        maps, back[name][number], transform, ruler, size, movement.border == "wrap"
                    )
    return KindChange(
        tuple(LayerChange(*numbers[:, layer]) for layer in range(len(yardsticks))),
        np.array(filled),
        np.array(probabilities) if class_number is not None else None,
    )


def compare_returned(
    moved: Floats,
    here: Floats,
    transform: Transform,
    yardstick: Yardstick,
    size: int,
    wrap: bool = False,
) -> tuple[float, float]:
    """Move the map of a transformed photo back, and compare it with the photo's own.

    The unit at place p of the photo's map looks for its value where the transform takes p, by
    bicubic interpolation.

    Args:
        moved: The transformed photo's maps, (C, h, w).
        here: The photo's own, (C, h, w).
        transform: What was done to it.
        yardstick: Of the layer.
        size: Side of the input in pixels.
        wrap: Whether what leaves the window comes in on the other side; of a shift all places are
            in sight then.

    Returns:
        Distance over the places that are in sight both times, divided by the distance of two photos
        there; and the same over places whose whole field is. NaN where there are no such places.
    """
    _, height, width = here.shape
    matrix = transform.make_matrix(size)
    # what a turn or a closer look takes out of the window does not come in where it would be next
    around = wrap and transform.kind == "shift"
    grid = find_grid(yardstick.field)
    assert grid is not None, "maps of a yardstick that moves"
    read = np.linalg.inv(grid) @ matrix @ grid
    returned = warp_values(moved.transpose(1, 2, 0), read, (height, width), around)
    errors = np.square(returned - here.transpose(1, 2, 0)).sum(axis=2)
    if around:
        seen = np.ones((height, width), dtype=bool)
        return (_divide(errors, yardstick.spread, seen),) * 2
    seen, inside = _find_sight(yardstick.field, matrix, grid, size)
    return _divide(errors, yardstick.spread, seen), _divide(errors, yardstick.spread, inside)


def _divide(errors: Floats, spread: Floats, where: Mask) -> float:
    distance = spread[where].sum()
    return float(np.sqrt(errors[where].sum() / distance)) if distance > 0 else np.nan


def find_grid(field: ReceptiveField) -> Matrix | None:
    """Give the matrix (3, 3) from a unit's column and row to the middle of its field in pixels.

    Above an operation of unknown geometry, such as circular padding, units are taken to be evenly
    spread over the input.

    Returns:
        The matrix; None where most units are not evenly spaced, or there is one row or column only.

    Example:
        >>> from vizcnn.receptive import measure_fields
        >>> (field,) = measure_fields(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5, 2)), ["0"], 16)
        >>> find_grid(field).tolist()
        [[2.0, 0.0, 2.0], [0.0, 2.0, 2.0], [0.0, 0.0, 1.0]]
    """
    height, width = field.input_size
    down = _find_axis(field.rows, height, field.exact)
    across = _find_axis(field.columns, width, field.exact)
    if down is None or across is None:
        return None
    return np.array([[across[0], 0, across[1]], [0, down[0], down[1]], [0, 0, 1.0]])


def _find_axis(spans: Sequence[Span], size: int, exact: bool) -> tuple[float, float] | None:
    """Give the distance of neighbouring units, and the place of the first, in pixels."""
    if len(spans) < 2:
        return None
    centres = np.array([find_centre(span) for span in spans])
    steps = np.diff(centres)
    step, middle = float(np.median(steps)), len(centres) // 2
    if step > 0 and (steps == step).mean() > 0.5:
        return step, float(centres[middle] - middle * step)
    step = size / len(spans)
    return None if exact else (step, (step - 1) / 2)


def _find_sight(
    field: ReceptiveField, matrix: Matrix, grid: Matrix, size: int
) -> tuple[Mask, Mask]:
    """Tell which units of a map have a counterpart after a transform, (h, w) each.

    Returns:
        Those that come to lie in the map; and those of them whose field lies in the window, before
        and after, with all of what the interpolation reads.
    """
    height, width = len(field.rows), len(field.columns)
    rows, columns = np.indices((height, width))
    units = np.stack([columns.ravel(), rows.ravel(), np.ones(height * width)])
    places = grid @ units
    after = np.round(matrix @ places, 6)
    there = np.round(np.linalg.inv(grid) @ after, 6)[:2]
    last = np.array([[width - 1], [height - 1]])
    seen = ((there >= 0) & (there <= last)).all(axis=0)
    half = (np.array([[field.size[1]], [field.size[0]]]) - 1) / 2
    steps = grid.diagonal()[:2, None]
    wider = half + np.where(there == np.round(there), 0, _REACH * steps)
    back = np.linalg.inv(matrix)
    inside = seen.copy()
    for right in (-1, 1):
        for down in (-1, 1):
            sides = np.array([[right], [down]])
            before = places[:2] + sides * half
            later = after[:2] + sides * wider
            whence = (back @ np.vstack([later, np.ones(later.shape[1])]))[:2]
            for corner in (before, later, np.round(whence, 6)):
                inside &= ((corner >= 0) & (corner <= size - 1)).all(axis=0)
    return seen.reshape(height, width), inside.reshape(height, width)
