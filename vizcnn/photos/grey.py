"""Grey values that are not of 8 bits: what of them is black and what is white."""

import numpy as np
from PIL import Image

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras and scanners give to a grey value."""

_OVERSHOOT = 0.1
"""How far resampling may bring floating-point values of 0..1 beyond it."""


def scale_to_8_bits(image: Image.Image) -> tuple[Image.Image, str]:
    """Scale grey values of 16 or 32 bits, or floating-point ones, to 8 bits.

    Args:
        image: Of mode ``I``, ``F`` or one of ``I;16``.

    Returns:
        The image, RGB, and what was taken as black and white, as the end of a sentence about the
        image; empty if nothing had to be guessed. NaN becomes black; a PNG's transparent value,
        white.

    Example:
        >>> twelve_bits = Image.fromarray(np.array([[0, 4000]], np.uint16))
        >>> scaled, word = scale_to_8_bits(twelve_bits)
        >>> [scaled.getpixel((x, 0))[0] for x in (0, 1)]
        [0, 249]
        >>> word
        'has grey values 0..4000 in 16 bits: 0 is taken as black, 4095 as white'
    """
    values = np.asarray(image, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    floating = image.mode.startswith("F")
    whole = not floating or (high > 1 and bool((finite == np.round(finite)).all()))
    black, white = find_range(low, high, whole)
    stated = _stated_white(image)
    if stated is not None:
        black, white = 0.0, stated
    known = stated is not None or (floating and white == 1.0 and black == 0.0)
    span = (white - black) or 1.0
    filled = np.nan_to_num(values, nan=black, posinf=white, neginf=black)
    scaled = np.clip((filled - black) / span * 255 + 0.5, 0, 255).astype(np.uint8)
    if isinstance(invisible := image.info.get("transparency"), int):
        scaled[values == invisible] = 255  # laid over white, as in the other modes
    if known or low == high == 0 or (_is_16_bit(image) and (black, white) == (0.0, 65535.0)):
        word = ""
    else:
        kind = "floating point" if floating else f"{16 if _is_16_bit(image) else 32} bits"
        word = (
            f"has grey values {low:.6g}..{high:.6g} in {kind}: {black:.6g} is taken as black, "
            f"{white:.6g} as white"
        )
    return Image.fromarray(scaled).convert("RGB"), word


def find_range(low: float, high: float, whole: bool) -> tuple[float, float]:
    """Decide what is black and what is white from the values of a photo.

    Whole numbers from 0 have the white of the fewest bits (8, 10, 12, 14 or 16) that hold them.
    Other values are of 0..1 or, if they go below that, of -1..1; what fits neither spans its own
    range, from 0 unless it goes below.

    Args:
        low: The lowest value.
        high: The highest value.
        whole: Whether all are whole numbers.

    Returns:
        Black and white.

    Example:
        >>> find_range(3, 900, whole=True), find_range(-0.8, 0.9, whole=False)
        ((0.0, 1023.0), (-1.0, 1.0))
    """
    if whole:
        whites = [2.0**bits - 1 for bits in _DEPTHS if low >= 0 and high < 2**bits]
        return (0.0, whites[0]) if whites else (min(low, 0.0), high)
    for black in (0.0, -1.0):
        if black - _OVERSHOOT <= low and high <= 1 + _OVERSHOOT:
            return black, 1.0
    return min(low, 0.0), high


def _is_16_bit(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.format in ("PNG", "PPM")  # older Pillow: mode I


_BITS_PER_SAMPLE = 258


def _stated_white(image: Image.Image) -> float | None:
    """Give the white that the file itself states: PPM its largest value, some TIFFs 12 bits."""
    if image.format == "PPM" and image.mode == "I":
        return 65535.0  # to which Pillow scales it
    if image.format == "TIFF" and dict(getattr(image, "tag_v2", {})).get(_BITS_PER_SAMPLE) == (12,):
        return 4095.0
    return None
