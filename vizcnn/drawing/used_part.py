"""What of a photo a net was shown: the rest dimmed, the edge outlined."""

import numpy as np
from PIL import Image

from vizcnn.photos.framing import Framing
from vizcnn.photos.pixels import Array

SIDE = 640
"""Longer side in pixels that a photo is brought to, at most."""

DIMMED = 0.35
"""Share of its brightness that is left of what is not used."""

LINE = 2
"""Width of the outline in pixels, of its white and of the black around that."""


def show_used_part(photo: Image.Image, framing: Framing, side: int = SIDE) -> Array:
    """Show a whole photo with the part that was used: the rest is darker, the edge outlined.

    Args:
        photo: The photo as it was read, RGB.
        framing: Where it lies in the net's input.
        side: Its longer side in the picture, at most, in pixels.

    Returns:
        (H, W, 3), 0..1, in the photo's proportions.

    Example:
        >>> from vizcnn.photos.framing import frame_photo
        >>> photo = Image.new("RGB", (1280, 320), "white")
        >>> shown = show_used_part(photo, frame_photo("crop", photo.size, 64, 64))
        >>> shown.shape, float(shown[80, 320, 0]), round(float(shown[80, 0, 0]), 2)
        ((160, 640, 3), 1.0, 0.35)
    """
    small = photo.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    whole: Array = np.asarray(small, dtype=np.float32) / np.float32(255)
    left, top, right, bottom = framing.used
    across, down = small.width / photo.width, small.height / photo.height
    box = (round(top * down), round(left * across), round(bottom * down), round(right * across))
    shown: Array = whole * np.float32(DIMMED)
    for width, colour in ((2 * LINE, 0.0), (LINE, 1.0)):
        shown[_grow(box, width)] = colour
    used = _grow(box, 0)
    shown[used] = whole[used]
    return shown


def _grow(box: tuple[int, int, int, int], width: int) -> tuple[slice, slice]:
    top, left, bottom, right = box
    return slice(max(top - width, 0), bottom + width), slice(max(left - width, 0), right + width)
