"""Photos as users have them: read safely, brought to a net's size."""

import hashlib
import stat
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from vizcnn.basics.errors import ImageError, PhotoWarning, is_of_the_process, quote
from vizcnn.basics.files import hash_file
from vizcnn.basics.memory import find_shortage
from vizcnn.basics.remote import RemotePath, StoreError, is_url, read_place
from vizcnn.basics.sharing import ProcessContext
from vizcnn.photos.folders import survey_folder
from vizcnn.photos.formats import (
    PHOTO_FORMATS,
    PHOTO_SUFFIXES,
    SIGNATURE,
    join_or,
    recognise_photo,
)
from vizcnn.photos.grey import scale_to_8_bits
from vizcnn.photos.remote_photos import RemotePhoto, locate_object
from vizcnn.photos.stored import PhotoFile, StoredPhoto


def check_images(
    images: Tensor, colours: bool, dimensions: Collection[int] = (4,), channels: int | None = None
) -> None:
    """Make sure that images are what a net can be asked about.

    Args:
        images: What was given.
        colours: Whether they have to be RGB pixels of 0..1.
        dimensions: How many dimensions they may have: 3 for signals, 4, or 5 for volumes.
        channels: How many channels they need; 3 of colours, else any number when None.

    Raises:
        ImageError: If they are of another type, shape or range, or hold NaN.
    """
    if not isinstance(images, Tensor):
        raise ImageError(
            f"got {type(images).__name__} ({quote(images)}); needed: images as a float tensor "
            "(N, 3, H, W)"
        )
    got = f"{images.dtype} of shape {tuple(images.shape)}"
    if (
        images.ndim not in dimensions
        or images.layout != torch.strided
        or not images.is_floating_point()
        or images.shape[1] != ((3 if colours else channels) or images.shape[1])
    ):
        raise ImageError(f"got {got}; needed: images as a float tensor (N, 3, H, W)")
    if images.is_meta:
        raise ImageError(f"got {got} on the meta device, without values; needed: values")
    if not images.numel():
        raise ImageError(f"got {got}: there is nothing in it; needed: at least one image")
    if not images.isfinite().all():
        raise ImageError(f"got {got} with values that are not finite; needed: numbers")
    low, high = images.min().item(), images.max().item()
    if colours and not -1e-6 <= low <= high <= 1 + 1e-6:
        raise ImageError(f"got values {low:.3g}..{high:.3g}; needed: RGB pixels of 0..1")


LARGEST_PHOTO = 120_000_000
"""Pixels in the largest photo that is decoded: a file of a few kB can claim billions."""

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

_SIDEWAYS = [_UPRIGHT[tag] for tag in (5, 6, 7, 8)]


def read_photo(photo: PhotoFile | str | Image.Image, largest: int = LARGEST_PHOTO) -> Image.Image:
    """Read a photo in one of :data:`~vizcnn.photos.formats.PHOTO_FORMATS` as upright 8-bit RGB.

    EXIF rotation is applied, transparency is laid over white, palettes, greyscale and CMYK are
    converted, and of an animation the first frame is taken. Grey values of 16 or 32 bits and
    floating-point ones are scaled to 8 bits (:func:`~vizcnn.photos.grey.find_range`); where the
    values do not fill their type, a :class:`PhotoWarning` says what was taken as black and white.

    Args:
        photo: An image file, a photo in an archive or table, or a PIL image of any mode: it becomes
            what its file becomes.
        largest: Pixels above which it is refused before it is decoded.

    Returns:
        A new PIL image of mode RGB, which no longer says that it is turned or transparent.

    Raises:
        ImageError: If the file is missing, is a folder, is empty, is not an image, is cut off, or
            too large; one line, whatever the file's name.

    Example:
        >>> read_photo(Path("missing.jpg"))
        Traceback (most recent call last):
        vizcnn.basics.errors.ImageError: no file 'missing.jpg': check the path
    """
    image, word = decode_photo(photo, largest)
    if word:
        warnings.warn(word, PhotoWarning, stacklevel=2)
    return image


class PhotoReader:
    """Reads the photos of a set as :func:`read_photo` does, but warns of the first only.

    Thousands of photos of one camera would otherwise give thousands of equal warnings.
    """

    def __init__(self) -> None:
        self._told = False

    def read(self, path: PhotoFile, name: str = "") -> Image.Image:
        """Read a photo.

        Args:
            path: Where it lies.
            name: What to call it in errors; by default its path.

        Raises:
            ImageError: If it cannot be read.
        """
        image, word = decode_photo(path, name=name)
        if word and not self._told:
            self._told = True
            warnings.warn(f"{word}; others of the set likewise, untold", PhotoWarning, stacklevel=2)
        return image


def decode_photo(
    photo: PhotoFile | str | Image.Image, largest: int = LARGEST_PHOTO, name: str = ""
) -> tuple[Image.Image, str]:
    """Do what :func:`read_photo` does, and give its warning instead of raising it.

    Args:
        photo: As there.
        largest: As there.
        name: What to call it in errors; by default its path.

    Returns:
        The photo, and what was taken as black and white, empty if nothing had to be guessed.

    Raises:
        ImageError: As there.
    """
    if isinstance(photo, Image.Image):
        called = repr(str(getattr(photo, "filename", ""))) if _has_file(photo) else "the image"
    elif isinstance(photo, Path | StoredPhoto) or (isinstance(photo, str) and photo):
        if isinstance(photo, str) and is_url(photo):
            place = read_place(photo)
            photo = locate_object(place) if isinstance(place, RemotePath) else place
        called = _quote_place(photo)
    else:
        raise ImageError(
            f"got {type(photo).__name__} ({quote(photo)}); needed: the path of a photo, or a PIL "
            "image (PIL.Image.fromarray makes one of an array)"
        )
    name = repr(name) if name else called
    try:
        if isinstance(photo, Image.Image):
            with _silence:
                return _convert(photo, name, largest)
        if isinstance(photo, StoredPhoto):
            source: Path | BytesIO = _take_out(photo, name)
        else:
            source = Path(photo)
            _require_file(source, name)
        with _silence, _open(source, name) as image:
            return _convert(image, name, largest)
    except (ImageError, StoreError):
        raise
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} is not an image that can be read; needed: {join_or(PHOTO_FORMATS)}"
        ) from None
    except Image.DecompressionBombError:  # Pillow's own limit, higher than ours
        raise ImageError(f"{name} has {_complain_of_size(largest)}") from None
    except Exception as error:  # a damaged file makes decoders raise anything
        if find_shortage(error) or is_of_the_process(error):
            raise
        raise ImageError(
            f"{name} is cut off, damaged or of a rare kind ({_one_line(error)}): "
            "copy it again, or save it anew as PNG"
        ) from error


def _quote_place(photo: PhotoFile | str) -> str:
    return quote(str(photo), 200) if isinstance(photo, RemotePhoto) else quote(Path(str(photo)))


def _has_file(image: Image.Image) -> bool:
    return bool(getattr(image, "filename", ""))


def _take_out(photo: StoredPhoto, name: str) -> BytesIO:
    content = photo.read()
    if not content:
        raise ImageError(_say_empty(name))
    return BytesIO(content)


def _say_empty(name: str) -> str:
    return f"{name} is empty (0 bytes): copy the photo again"


def _require_file(path: Path, name: str) -> None:
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            held = survey_folder(path)
            kind = ", not a photo" if held.photos else f" without photos, {held.explain_none()}"
            raise ImageError(f"{name} is a folder{kind}; photos end in {join_or(PHOTO_SUFFIXES)}")
        if not stat.S_ISREG(facts.st_mode):  # a pipe would wait for ever, a device never ends
            raise ImageError(f"{name} is not a plain file: give a photo")
        if facts.st_size == 0:
            raise ImageError(_say_empty(name))
        path.open("rb").close()
    except FileNotFoundError:
        if path.is_symlink():
            raise ImageError(f"{name} is a link that leads nowhere: check what it names") from None
        raise ImageError(f"no file {name}: check the path") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read: check its permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        if is_of_the_process(error):  # no fault of the photo
            raise
        raise ImageError(f"{name} cannot be opened ({_one_line(error)}): check the path") from None


def _one_line(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


@contextmanager
def _hush_pillow() -> Iterator[None]:
    """Keep Pillow's warnings off standard error: what matters of them is in our own errors."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


_silence = ProcessContext(_hush_pillow)


def _convert(image: Image.Image, name: str, largest: int) -> tuple[Image.Image, str]:
    if image.width * image.height > largest:
        raise ImageError(
            f"{name} has {image.width} x {image.height} = {_complain_of_size(largest)}"
        )
    if not image.width or not image.height:
        raise ImageError(
            f"{name} has {image.width} x {image.height} pixels: there is nothing in it"
        )
    image.load()
    rgb, word = _to_rgb(image)
    upright = _turn_upright(rgb, image)
    upright.info.clear()  # what is said there (rotation, transparency) has been done
    return upright, f"{name} {word}" if word else ""


def _complain_of_size(largest: int) -> str:
    return f"more than {largest // 1_000_000} million pixels: make it smaller first"


def _open(source: Path | BytesIO, name: str) -> Image.Image:
    if isinstance(source, BytesIO):
        beginning = source.getvalue()[:SIGNATURE]
    else:
        with source.open("rb") as file:
            beginning = file.read(SIGNATURE)
    kind = recognise_photo(beginning)
    if kind == "HEIF":
        try:
            from pillow_heif import HeifImageFile
        except ImportError:
            raise ImageError(
                f"{name} is HEIF, as phones write it: pip install 'vizcnn[heif]'"
            ) from None
        opened: Image.Image = HeifImageFile(source)  # turns it upright itself
        return opened
    try:
        return Image.open(source, formats=[known for known in PHOTO_FORMATS if known != "HEIF"])
    except KeyError:  # an older Pillow lacks AVIF, the last of them: it is none of the others
        raise UnidentifiedImageError from None


def _turn_upright(image: Image.Image, stored: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose also writes the other EXIF tags anew, and fails on odd ones
    method = _find_turn(stored)
    return image if method is None else image.transpose(method)


def _find_turn(stored: Image.Image) -> Image.Transpose | None:
    try:
        orientation = stored.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # EXIF that cannot be parsed says nothing
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _to_rgb(image: Image.Image) -> tuple[Image.Image, str]:
    if image.mode.startswith(("I", "F")):
        return scale_to_8_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        # Pillow has no way from La but to LA
        coloured = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        white = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, coloured).convert("RGB"), ""
    return image.convert("RGB"), ""


def measure_photo(photo: PhotoFile) -> tuple[int, int]:
    """Give the width and height of a photo as :func:`read_photo` gives it, without decoding it.

    Raises:
        ImageError: If it cannot be read.
    """
    name = _quote_place(photo)
    try:
        source = _take_out(photo, name) if isinstance(photo, StoredPhoto) else photo
        with _silence, _open(source, name) as image:
            turned = _find_turn(image) in _SIDEWAYS
            return image.size[::-1] if turned else image.size
    except (ImageError, StoreError):
        raise
    except Exception as error:  # as of decoders
        if find_shortage(error) or is_of_the_process(error):
            raise
        raise ImageError(f"{name} cannot be read ({_one_line(error)}): copy it again") from error


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


def photo_sha256(path: PhotoFile) -> str:
    """Give the SHA-256 of a photo's bytes, as 64 hexadecimal digits.

    Raises:
        ImageError: If the file cannot be read.
    """
    if isinstance(path, StoredPhoto):
        return hashlib.sha256(path.read()).hexdigest()
    _require_file(path, repr(str(path)))
    return hash_file(path, "photo", ImageError)
