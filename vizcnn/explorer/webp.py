"""Pictures in answers: WebP, each encoded alone, so that its bytes are the same in any company."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SMALL = 16
"""Side in pixels up to which a picture is encoded without loss: half of its colours are a lot."""

PICTURE: dict[str, Any] = {"quality": 40, "method": 4}
"""How larger pictures of units are encoded. What they lose is not seen in noise such as theirs, and
a page of twelve photos by three methods has 86,000 of them."""

PATCHES: dict[str, Any] = {"quality": 75, "method": 4}
"""How sheets of patches of photos are encoded, whose edges are seen."""

LOSSLESS: dict[str, Any] = {"lossless": True, "method": 4}
"""How photos are encoded: every pixel as the net sees it."""


def encode_photo(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a photo (h, w, 3) without loss.

    Example:
        >>> encode_photo(np.zeros((2, 2, 3), np.uint8))[8:12]
        b'WEBP'
    """
    return _encode(pixels, LOSSLESS)


def encode_picture(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a picture of a unit (h, w, 3); one without pixels has no bytes.

    Example:
        >>> encode_picture(np.zeros((0, 2, 3), np.uint8))
        b''
    """
    if not pixels.size:
        return b""
    return _encode(pixels, LOSSLESS if max(pixels.shape) <= SMALL else PICTURE)


def encode_patches(pixels: NDArray[np.uint8], side: int) -> bytes:
    """Encode a sheet (h, w, 3) of patches that have so many pixels a side."""
    return _encode(pixels, LOSSLESS if side <= SMALL else PATCHES)


def _encode(pixels: NDArray[np.uint8], options: dict[str, Any]) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", **options)
    return file.getvalue()
