"""Photos as users have them: found, read safely, brought to a net's size."""

import stat
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from vizcnn.basics.errors import ImageError
from vizcnn.basics.files import hash_file


def check_images(images: Tensor, colours: bool) -> None:
    """Make sure that images are what a net can be asked about.

    Args:
        images: What was given.
        colours: Whether they have to be RGB pixels of 0..1.

    Raises:
        ImageError: If they are of another type, shape or range, or hold NaN.
    """
    if not isinstance(images, Tensor):
        raise ImageError(
            f"got {type(images).__name__}; needed: images as a float tensor (N, 3, H, W)"
        )
    got = f"{images.dtype} of shape {tuple(images.shape)}"
    if images.ndim != 4 or not images.is_floating_point() or (colours and images.shape[1] != 3):
        raise ImageError(f"got {got}; needed: images as a float tensor (N, 3, H, W)")
    if not images.isfinite().all():
        raise ImageError(f"got {got} with values that are not finite; needed: numbers")
    low, high = images.min().item(), images.max().item()
    if colours and not -1e-6 <= low <= high <= 1 + 1e-6:
        raise ImageError(f"got values {low:.3g}..{high:.3g}; needed: RGB pixels of 0..1")


LARGEST_PHOTO = 120_000_000
"""Pixels in the largest photo that is decoded: a file of a few kB can claim billions."""

PHOTO_FORMATS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        "PNG": (".png",),
        "WebP": (".webp",),
        "GIF": (".gif",),
        "BMP": (".bmp",),
        "TIFF": (".tif", ".tiff"),
        "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
        "JPEG2000": (".jp2", ".j2k"),
        "AVIF": (".avif",),
    }
)
"""What is read as a photo, by Pillow's names, and how such files end: nothing else is opened,
whatever its bytes say. Pillow knows formats that start other programs (Ghostscript for EPS)."""

PHOTO_SUFFIXES = tuple(suffix for suffixes in PHOTO_FORMATS.values() for suffix in suffixes)
"""File names that count as photos when a folder is given."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each value of EXIF's orientation tag; 1 is upright."""


def read_photo(path: Path, largest: int = LARGEST_PHOTO) -> Image.Image:
    """Read a photo in one of :data:`PHOTO_FORMATS` as upright 8-bit RGB.

    EXIF rotation is applied, transparency is laid over white, 16-bit values are scaled to 8 bits,
    palettes, greyscale and CMYK are converted, and of an animation the first frame is taken.

    Args:
        path: An image file.
        largest: Pixels above which it is refused before it is decoded.

    Returns:
        A PIL image of mode RGB.

    Raises:
        ImageError: If the file is missing, is a folder, is empty, is not an image, is cut off, or
            too large; one line, whatever the file's name.

    Example:
        >>> read_photo(Path("missing.jpg"))
        Traceback (most recent call last):
        vizcnn.basics.errors.ImageError: no file 'missing.jpg': check the path
    """
    name = repr(str(path))
    try:
        _require_file(path, name)
        return _decode(path, name, largest)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} is not an image that can be read; needed: {_join_or(PHOTO_FORMATS)}"
        ) from None
    except Exception as error:  # a damaged file makes decoders raise anything
        raise ImageError(
            f"{name} is cut off, damaged or of a rare kind ({_one_line(error)}): "
            "copy it again, or save it anew as PNG"
        ) from error


def _require_file(path: Path, name: str) -> None:
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise ImageError(
                f"{name} is a folder, not a photo; photos end in {_join_or(PHOTO_SUFFIXES)}"
            )
        if not stat.S_ISREG(facts.st_mode):  # a pipe would wait for ever, a device never ends
            raise ImageError(f"{name} is not a plain file: give a photo")
        if facts.st_size == 0:
            raise ImageError(f"{name} is empty (0 bytes): copy the photo again")
        path.open("rb").close()
    except FileNotFoundError:
        raise ImageError(f"no file {name}: check the path") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read: check its permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise ImageError(f"{name} cannot be opened ({_one_line(error)}): check the path") from None


def _one_line(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def _join_or(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"


class _PillowSilence:
    """Keeps Pillow's warnings off standard error: what matters of them is in our own errors.

    Warning filters belong to the whole process and photos are read by several threads, so the
    first reader changes the filters and the last one puts the former ones back.
    """

    def __init__(self) -> None:
        self._lock, self._readers = threading.Lock(), 0
        self._former = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._former = warnings.catch_warnings()
                self._former.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._readers += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._former.__exit__(None, None, None)


_silence = _PillowSilence()


def _decode(path: Path, name: str, largest: int) -> Image.Image:
    complaint = f"more than {largest // 1_000_000} million pixels: make it smaller first"
    try:
        with _silence, _open(path) as image:
            if image.width * image.height > largest:
                raise ImageError(f"{name} has {image.width} x {image.height} = {complaint}")
            image.load()
            return _to_rgb(_turn_upright(image))
    except Image.DecompressionBombError:  # Pillow's own limit, higher than ours
        raise ImageError(f"{name} has {complaint}") from None


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path, formats=list(PHOTO_FORMATS))
    except KeyError:  # an older Pillow lacks AVIF, the last of them: it is none of the others
        raise UnidentifiedImageError from None


def _turn_upright(image: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose also writes the other EXIF tags anew, and fails on odd ones
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # EXIF that cannot be parsed says nothing
        return image
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _scale_to_8_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, coloured).convert("RGB")
    return image.convert("RGB")


def _scale_to_8_bits(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
    # 16-bit values span 0..65535; 32-bit and float files do not say what white is
    white = float(values.max())
    if image.mode.startswith("I"):
        white = max(white, 65535.0)
    grey = np.clip(values / (white or 1.0) * 255 + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


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
    if photo.size != (size, size):
        photo = ImageOps.fit(photo, (size, size), method=Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()


def find_photos(paths: Sequence[Path]) -> list[Path]:
    """List the photos that paths stand for.

    A file stands for itself, whatever its name, and so does a path that does not exist or a
    folder without photos: :func:`read_photo` says what is wrong with it, and the others of a batch
    still go through. Nothing is listed twice.

    Args:
        paths: Files and folders.

    Returns:
        The files in the given order, each folder replaced by :func:`find_in_folder`.

    Example:
        >>> find_photos([Path("cat.jpg"), Path("cat.jpg")])
        [PosixPath('cat.jpg')]
    """
    found: dict[Path, None] = {}
    for path in paths:
        expanded = find_in_folder(path) if path.is_dir() else []
        found.update(dict.fromkeys(expanded or [path]))
    return list(found)


def find_in_folder(folder: Path) -> list[Path]:
    """List the photos in a folder and in the folders in it, sorted by path.

    A file counts by its suffix (:data:`PHOTO_SUFFIXES`, in small or capital letters); hidden
    files and folders do not count.

    Args:
        folder: An existing folder.

    Raises:
        ImageError: If the folder may not be read.
    """
    try:
        files = [path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES]
    except OSError as error:
        reason = _one_line(error)
        raise ImageError(f"the folder {str(folder)!r} cannot be read ({reason})") from None
    return sorted(
        path
        for path in files
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )


def photo_sha256(path: Path) -> str:
    """Give the SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        ImageError: If the file cannot be read.
    """
    _require_file(path, repr(str(path)))
    return hash_file(path)
