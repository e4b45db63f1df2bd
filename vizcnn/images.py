"""Photos as users have them: read safely, bring to a net's size, turn back into pixels."""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from vizcnn.errors import ImageError

LARGEST_PHOTO = 120_000_000
"""Pixels in the largest photo that is decoded: a file of a few kB can claim billions."""

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""File names that count as photos when a folder is given."""


def read_photo(path: Path) -> Image.Image:
    """Read a photo in any common format as upright 8-bit RGB.

    EXIF rotation is applied, transparency is laid over white, 16-bit values are scaled to 8 bits,
    palettes, greyscale and CMYK are converted, and of an animation the first frame is taken.

    Args:
        path: An image file.

    Returns:
        A PIL image of mode RGB.

    Raises:
        ImageError: If the file is missing, is a folder, is empty, is not an image, is cut off, or
            holds more than :data:`LARGEST_PHOTO` pixels.

    Example:
        >>> read_photo(Path("missing.jpg"))
        Traceback (most recent call last):
        vizcnn.errors.ImageError: no file 'missing.jpg': check the path
    """
    name = repr(str(path))
    try:
        if path.is_dir():
            raise ImageError(f"{name} is a folder, not a photo")
        if path.stat().st_size == 0:
            raise ImageError(f"{name} is empty (0 bytes): copy the photo again")
        return _decode(path, name)
    except FileNotFoundError:
        raise ImageError(f"no file {name}: check the path") from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} is not an image that can be read; needed: JPEG, PNG, WebP, GIF, BMP or TIFF"
        ) from None
    except PermissionError:
        raise ImageError(f"{name} may not be read: check its permissions") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"{name} is cut off or damaged ({error}): copy it again") from None


def _decode(path: Path, name: str) -> Image.Image:
    with warnings.catch_warnings():
        # the size is checked below with our own limit, before any pixel is decoded
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            opened = Image.open(path)
        except Image.DecompressionBombError:
            raise ImageError(_too_large(name)) from None
        with opened as image:
            if image.width * image.height > LARGEST_PHOTO:
                raise ImageError(_too_large(name, f"{image.width} x {image.height} = "))
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _to_rgb(upright)


def _too_large(name: str, size: str = "") -> str:
    megapixels = LARGEST_PHOTO // 1_000_000
    return f"{name} has {size}more than {megapixels} million pixels: make it smaller first"


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        return _scale_to_8_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, coloured).convert("RGB")
    return image.convert("RGB")


def _scale_to_8_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    # a 16-bit file spans 0..65535; other depths say nothing of their range, so take what is there
    top = 65535.0 if image.mode.startswith("I") else max(float(values.max()), 1e-12)
    grey = np.clip(values / top * 255 + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(grey, mode="L").convert("RGB")


def centre_square(photo: Image.Image, size: int) -> Tensor:
    """Bring the shorter side to a size and cut the middle square out.

    Args:
        photo: An RGB image.
        size: Side of the square in pixels.

    Returns:
        (3, size, size), uint8.

    Example:
        >>> centre_square(Image.new("RGB", (300, 200)), 144).shape
        torch.Size([3, 144, 144])
    """
    return torch.from_numpy(np.array(_fit_square(photo, size))).permute(2, 0, 1).contiguous()


def _fit_square(photo: Image.Image, size: int) -> Image.Image:
    if photo.size == (size, size):
        return photo
    return ImageOps.fit(photo, (size, size), method=Image.Resampling.LANCZOS)
