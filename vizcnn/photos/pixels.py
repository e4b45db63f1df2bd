"""Arrays of pixels: their types and the weights of luminance."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels; bottom and right exclusive."""


LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of R, G, B in luminance (ITU-R BT.601)."""
