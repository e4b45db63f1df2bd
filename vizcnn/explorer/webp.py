"""Pictures in answers: WebP, each encoded alone, so that its bytes are the same in any company."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PICTURE: dict[str, Any] = {"quality": 70, "method": 2}
"""How pictures of units are encoded: some 0.5 to 1.5 kB each."""

PHOTO: dict[str, Any] = {"lossless": True, "method": 4}
"""How photos are encoded: every pixel as the net sees it."""


def encode_webp(pixels: NDArray[np.uint8], options: dict[str, Any]) -> bytes:
    """Encode a picture.

    Args:
        pixels: (h, w, 3).
        options: :data:`PICTURE` or :data:`PHOTO`.

    Returns:
        A file's bytes; none for a picture without pixels.

    Example:
        >>> encode_webp(np.zeros((2, 2, 3), np.uint8), PHOTO)[8:12]
        b'WEBP'
    """
    if not pixels.size:
        return b""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", **options)
    return file.getvalue()
