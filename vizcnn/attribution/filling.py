"""What is seen in the place of a hidden part of a photo."""

import re

import torch
from skimage.filters import gaussian
from torch import Tensor

from vizcnn.attribution.question import find_fill
from vizcnn.basics.errors import ImageError, quote
from vizcnn.zoo.model import ZooModel

FILLINGS = {
    "mean": "the colour that the net's preprocessing maps to zero",
    "grey": "mid grey (127.5)",
    "blur": "the photo, blurred",
    "black": "black",
    "white": "white",
}
"""Words that :func:`fill_photo` knows beside pixel values, and what they mean."""

LARGEST = 255
"""Pixel values of files are 0 to this."""


def check_filling(text: str) -> str:
    """Spell what hidden parts are filled with: a word, a pixel value or one for each colour.

    Args:
        text: One of :data:`FILLINGS` (``gray`` is ``grey``), a number 0..255, or three (R,G,B):
            values of pixels as in a file, before the net's preprocessing.

    Raises:
        ImageError: If it is none of these.

    Example:
        >>> check_filling("gray"), check_filling("128"), check_filling("255, 0,0.5")
        ('grey', '128', '255,0,0.5')
    """
    word = text.strip().lower()
    word = {"gray": "grey"}.get(word, word)
    if word in FILLINGS:
        return word
    values = [value.strip() for value in word.split(",")]
    known = all(re.fullmatch(r"\d{1,3}(\.\d{1,9})?", value) for value in values)
    if not known or len(values) not in (1, 3) or max(map(float, values)) > LARGEST:
        raise ImageError(
            f"fill {quote(text)} is not known; needed: {', '.join(FILLINGS)}, a pixel value 0 to "
            f"{LARGEST}, or three of them (R,G,B)"
        )
    return ",".join(values)


def describe_filling(filling: str, side: int) -> str:
    """Say what squares are filled with.

    Example:
        >>> describe_filling("blur", 16), describe_filling("128", 16)
        ('the photo, blurred (Gaussian, sigma 8 px)', 'pixel value 128')
    """
    if filling == "blur":
        return f"{FILLINGS[filling]} (Gaussian, sigma {find_blur(side):g} px)"
    if filling in FILLINGS:
        return FILLINGS[filling]
    return f"pixel value {filling}" if "," not in filling else f"the colour {filling}"


def find_blur(side: int) -> float:
    """Give the sigma, in pixels, of the blur that fills squares: half their side."""
    return side / 2


def fill_photo(model: ZooModel, pixels: Tensor, filling: str, side: int) -> Tensor:
    """Make the image that is seen through hidden squares.

    Args:
        model: The net, whose preprocessing knows the mean colour.
        pixels: The photo, (1, 3, H, W), RGB 0..1.
        filling: As of :func:`check_filling`.
        side: Side of the squares, which the blur goes by.

    Returns:
        (1, 3, H, W), RGB 0..1.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights=None)
        >>> fill_photo(net, torch.zeros(1, 3, 32, 32), "51", 4).unique().tolist()
        [0.20000000298023224]
    """
    filling = check_filling(filling)
    if filling == "blur":
        photo = pixels[0].double().cpu().numpy()
        blurred = gaussian(photo, sigma=find_blur(side), mode="reflect", channel_axis=0)
        return torch.from_numpy(blurred)[None].to(pixels)
    if filling in FILLINGS:
        colour = find_fill(model, filling)  # type: ignore[arg-type]  # the other words are its own
        return colour[None].to(pixels).expand_as(pixels)
    values = [float(value) / LARGEST for value in filling.split(",")]
    colour = torch.tensor(values, dtype=torch.float64).to(pixels).view(-1, 1, 1)
    return colour[None].expand_as(pixels)
