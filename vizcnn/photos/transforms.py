"""Photos moved, scaled and turned under a net's window, and what comes in at its borders."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vizcnn.basics.errors import ImageError, quote
from vizcnn.photos.framing import Framing

Kind = Literal["shift", "scale", "rotate"]
"""How a photo is transformed: down by pixels of the input, larger by a factor, anticlockwise by
degrees; the latter two about the middle."""

KINDS: tuple[Kind, ...] = get_args(Kind)

Border = Literal["photo", "reflect", "mask", "black", "wrap"]
"""What comes into the window where a photo has moved out of it.

``photo``: what lies there in the photo, which is larger than the window; where the photo itself
ends, its mirror image. ``reflect``: the mirror image of the window. ``mask``: the net's mean
colour, which is zero at its input; the photo that it is compared with is masked at the same pixels.
``black``: black, a colour like any other to the net. ``wrap``: what has left on the other side.
"""

BORDERS: tuple[Border, ...] = get_args(Border)

SMALLEST, LARGEST = 0.1, 10.0
"""Factors that a photo can be scaled by."""
MOST_DEGREES = 3600.0
MOST_AMOUNTS = 1000
"""Amounts in a range."""
_DIGITS = 9
"""Decimals that coordinates are rounded to: a quarter turn has to meet the pixels' middles."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Transform:
    """A movement of a photo.

    Attributes:
        kind: What is done.
        amount: Pixels of the input (down above 0), a factor, or degrees (anticlockwise above 0).
    """

    kind: Kind
    amount: float

    @property
    def factor(self) -> float:
        """By how much the photo becomes larger."""
        return self.amount if self.kind == "scale" else 1.0

    @property
    def rigid(self) -> "Transform":
        """What is left of it once the photo has its size."""
        return Transform("shift", 0.0) if self.kind == "scale" else self

    def make_matrix(self, size: int) -> Matrix:
        """Make the matrix (3, 3) that takes a place (x, y, 1) in the input to where it goes.

        Args:
            size: Side of the input in pixels, whose middles have whole coordinates.

        Example:
            >>> (Transform("rotate", 90).make_matrix(5) @ [4, 2, 1]).tolist()  # from the right
            [2.0, 0.0, 1.0]
            >>> (Transform("shift", 3).make_matrix(5) @ [1, 1, 1]).tolist()
            [1.0, 4.0, 1.0]
        """
        if self.kind == "shift":
            return np.array([[1, 0, 0], [0, 1, self.amount], [0, 0, 1.0]])
        middle, angle = (size - 1) / 2, math.radians(self.amount)
        a, b = (
            (self.amount, 0.0)
            if self.kind == "scale"
            else (round(math.cos(angle), 12), round(math.sin(angle), 12))
        )
        return np.array(
            [[a, b, middle * (1 - a - b)], [-b, a, middle * (1 - a + b)], [0.0, 0.0, 1.0]]
        )


STILL = Transform("shift", 0.0)


@dataclass(frozen=True, eq=False)
class TransformedPhoto:
    """A photo under a net's window after K transforms.

    Attributes:
        pixels: (K, 3, S, S), float32, RGB 0..1.
        known: (K, S, S), whether a pixel shows what the photo has there; elsewhere it is filled.
    """

    pixels: NDArray[np.float32]
    known: NDArray[np.bool_]


def transform_photo(
    photo: Image.Image,
    framing: Framing,
    transforms: Sequence[Transform],
    border: Border = "photo",
    fill: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> TransformedPhoto:
    """Transform a photo under a net's window.

    It is resized from its own pixels for every scale, with Pillow's Lanczos filter as
    :meth:`~vizcnn.zoo.preprocessing.Preprocessing.fit` does, so that a closer look has finer
    detail; scikit-image's bicubic interpolation moves and turns it. A movement by whole pixels and
    a quarter turn interpolate nothing.

    Args:
        photo: An RGB image.
        framing: Where it lies in the square input.
        transforms: K transforms.
        border: What comes in at the borders.
        fill: The net's mean colour, RGB 0..1, for ``mask``.

    Raises:
        ImageError: If the photo lies in a part of the input only, or a scale leaves nothing of it.

    Example:
        >>> from vizcnn.photos.framing import frame_photo
        >>> photo = Image.linear_gradient("L").convert("RGB")  # from black, above, to white
        >>> framing = frame_photo("crop", photo.size, 128, 256)
        >>> moved = transform_photo(photo, framing, [STILL, Transform("shift", 32)])
        >>> bool(np.array_equal(moved.pixels[0, :, :96], moved.pixels[1, :, 32:]))
        True
        >>> moved.known.all()  # the photo is larger than the window
        np.True_
    """
    size = framing.input_size[0]
    if framing.inside != (0, 0, size, size):
        raise ImageError(
            "a photo is transformed in a window that it fills: use fit crop or squash (--fit)"
        )
    made = [_transform(photo, framing, one, border, fill) for one in transforms]
    pixels = np.stack([pixels for pixels, _ in made]).transpose(0, 3, 1, 2)
    return TransformedPhoto(np.ascontiguousarray(pixels), np.stack([known for _, known in made]))


def shrink_window(framing: Framing, share: float) -> Framing:
    """Give a smaller window in the middle of that one, with more of the photo around it.

    Args:
        framing: Where a photo lies in the input.
        share: Of the window's side, above 0 and up to 1.

    Example:
        >>> from vizcnn.photos.framing import frame_photo
        >>> shrink_window(frame_photo("squash", (100, 80), 64, 64), 0.5).used
        (25.0, 20.0, 75.0, 60.0)
    """
    left, top, right, bottom = framing.used
    across, down = (right - left) * (1 - share) / 2, (bottom - top) * (1 - share) / 2
    return replace(framing, used=(left + across, top + down, right - across, bottom - down))


def see_after(transform: Transform, size: int) -> NDArray[np.bool_]:
    """Tell which pixels of a window are still in it after a transform: (size, size).

    Example:
        >>> see_after(Transform("shift", 1), 3).tolist()
        [[True, True, True], [True, True, True], [False, False, False]]
    """
    rows, columns = np.indices((size, size))
    places = np.stack([columns.ravel(), rows.ravel(), np.ones(size * size)])
    x, y, _ = np.round(transform.make_matrix(size) @ places, _DIGITS)
    inside: NDArray[np.bool_] = (np.minimum(x, y) >= -0.5) & (np.maximum(x, y) <= size - 0.5)
    return inside.reshape(size, size)


def warp_values(
    values: NDArray[Any], matrix: Matrix, shape: tuple[int, int], wrap: bool = False
) -> NDArray[np.float64]:
    """Read values at other places, by bicubic interpolation.

    Args:
        values: (h, w) or (h, w, C).
        matrix: (3, 3), takes a place (x, y, 1) of the result to the place where it is read.
        shape: Height and width of the result.
        wrap: Whether the values repeat beyond their edges; else the edge goes on.
    """
    from skimage.transform import warp  # takes a part of the time that --help may take

    read: NDArray[np.float64] = warp(
        np.asarray(values, dtype=np.float64),
        np.round(matrix, _DIGITS),
        output_shape=shape,
        order=3,
        mode="wrap" if wrap else "edge",
        clip=False,
        preserve_range=True,
    )
    return read


def _transform(
    photo: Image.Image,
    framing: Framing,
    transform: Transform,
    border: Border,
    fill: tuple[float, float, float],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Give pixels (S, S, 3) and what is known of them (S, S)."""
    size = framing.input_size[0]
    back = np.linalg.inv(transform.rigid.make_matrix(size))
    corners = back @ np.array([[0, 0, size - 1, size - 1], [0, size - 1, 0, size - 1], [1] * 4])
    # bicubic interpolation reads two pixels on either side
    first = np.floor(corners[:2].min(axis=1) - 2).astype(int).tolist()
    last = np.ceil(corners[:2].max(axis=1) + 3).astype(int).tolist()
    canvas, begin = _resize(photo, framing, transform.factor, border, (first, last))
    end = [begin[0] + canvas.shape[1], begin[1] + canvas.shape[0]]
    wide = [(max(begin[a] - first[a], 0), max(last[a] - end[a], 0)) for a in (1, 0)]
    mode: Any = "wrap" if border == "wrap" else "symmetric"
    padded = np.pad(canvas, [*wide, (0, 0)], mode=mode)
    known = np.pad(np.ones(canvas.shape[:2]), wide, constant_values=float(border == "wrap"))
    origin = [min(begin[a], first[a]) for a in (0, 1)]
    read = np.array([[1, 0, -origin[0]], [0, 1, -origin[1]], [0, 0, 1]]) @ back
    pixels = np.clip(warp_values(padded, read, (size, size)) / 255, 0, 1).astype(np.float32)
    seen: NDArray[np.bool_] = warp_values(known, read, (size, size)) > 0.5
    if border in ("mask", "black"):
        pixels[~seen] = fill if border == "mask" else 0.0
    return pixels, seen


def _resize(
    photo: Image.Image,
    framing: Framing,
    factor: float,
    border: Border,
    needed: tuple[list[int], list[int]],
) -> tuple[NDArray[np.uint8], list[int]]:
    """Bring a photo, or its part in the window, to its size in the input.

    Returns:
        Whole pixels of the input's grid (h, w, 3), and the column and row where they begin there.
    """
    size = framing.input_size[0]
    box: list[tuple[float, float]] = []
    begin, count = [], []
    for axis in (0, 1):
        low, high = framing.used[axis], framing.used[axis + 2]
        middle, step = (low + high) / 2, (high - low) / size / factor  # photo's pixels for one
        if border == "photo":
            low, high = 0.0, float(photo.size[axis])
        one = math.ceil(size / 2 - (middle - low) / step - 1e-6)
        other = math.floor(size / 2 + (high - middle) / step + 1e-6)
        if border == "photo":  # of a panorama no more than is looked at
            one, other = max(one, needed[0][axis]), min(other, needed[1][axis])
        if other - one < 1:
            raise ImageError(
                f"scaled by {factor:g} nothing is left of a photo: give a larger scale"
            )
        begin.append(one)
        count.append(other - one)
        ends = (middle + (edge - size / 2) * step for edge in (one, other))
        # Pillow refuses a box that is outside by a rounding error
        box.append((max(next(ends), 0.0), min(next(ends), float(photo.size[axis]))))
    (left, right), (top, bottom) = box
    resized = photo.resize(
        (count[0], count[1]), Image.Resampling.LANCZOS, box=(left, top, right, bottom)
    )
    return np.array(resized), begin


_NUMBER = r"(-?[0-9]{1,6}(?:\.[0-9]{1,6})?)"
_RANGE = re.compile(rf" *{_NUMBER} *\.\. *{_NUMBER} *: *{_NUMBER} *")


def parse_amounts(text: str, kind: Kind) -> tuple[float, ...]:
    """Read amounts of a transform: ``FIRST..LAST:STEP``, a list, or ``none``.

    Args:
        text: As a user writes it.
        kind: Of which transform; what it cannot do is refused.

    Returns:
        The amounts, rising, each once.

    Raises:
        ImageError: If they cannot be read, are too many, or out of bounds.

    Example:
        >>> parse_amounts("1..1.8:0.2", "scale"), parse_amounts("90,0", "rotate")
        ((1.0, 1.2, 1.4, 1.6, 1.8), (0.0, 90.0))
        >>> parse_amounts("0..350", "rotate")
        Traceback (most recent call last):
        vizcnn.basics.errors.ImageError: '0..350' as amounts to rotate; needed: FIRST..LAST:STEP ...
    """
    if text.strip().lower() == "none":
        return ()
    needed = "FIRST..LAST:STEP such as -32..32:4, a list such as 0,90,180, or none"
    found = _RANGE.fullmatch(text)
    if found:
        first, last, step = map(float, found.groups())
        if step <= 0 or last < first or (last - first) / step >= MOST_AMOUNTS:
            raise ImageError(
                f"{quote(text)} as amounts to {kind}; needed: the lower first, a step above 0, and "
                f"at most {MOST_AMOUNTS} amounts"
            )
        count = math.floor((last - first) / step + 1e-9) + 1
        amounts = [round(first + number * step, 6) for number in range(count)]
    else:
        parts = [part.strip() for part in text.split(",")]
        if len(text) > 10_000 or not all(re.fullmatch(_NUMBER, part) for part in parts):
            raise ImageError(f"{quote(text)} as amounts to {kind}; needed: {needed}")
        amounts = [float(part) for part in parts]
    return check_amounts(amounts, kind)


def check_amounts(amounts: Sequence[float], kind: Kind) -> tuple[float, ...]:
    """Sort amounts of a transform, each once, and make sure that it can be done.

    Raises:
        ImageError: If there are too many, or one is out of bounds.
    """
    least, most = {
        "shift": (-16384.0, 16384.0),
        "scale": (SMALLEST, LARGEST),
        "rotate": (-MOST_DEGREES, MOST_DEGREES),
    }[kind]
    for amount in amounts:
        if not least <= amount <= most:
            raise ImageError(f"{amount:g} as an amount to {kind}; needed: {least:g} to {most:g}")
    if len(amounts) > MOST_AMOUNTS:
        raise ImageError(f"{len(amounts)} amounts to {kind}; needed: at most {MOST_AMOUNTS}")
    return tuple(sorted({float(amount) + 0.0 for amount in amounts}))
