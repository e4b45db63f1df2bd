"""What counts as a photo: by the end of a file's name, and by its first bytes."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

PHOTO_FORMATS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        "PNG": (".png", ".apng"),
        "WebP": (".webp",),
        "GIF": (".gif",),
        "BMP": (".bmp",),
        "TIFF": (".tif", ".tiff"),
        "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
        "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        "AVIF": (".avif", ".avifs"),
        "HEIF": (".heic", ".heics", ".heif", ".heifs", ".hif"),
    }
)
"""What is read as a photo, by Pillow's names, and how such files end: nothing else is opened,
whatever its bytes say. Pillow knows formats that start other programs (Ghostscript for EPS). HEIF
needs the extra ``vizcnn[heif]``."""

PHOTO_SUFFIXES = tuple(suffix for suffixes in PHOTO_FORMATS.values() for suffix in suffixes)
"""File names that count as photos when a folder is given."""

OTHER_SUFFIXES = frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dcm .dib .dng .erf .exr .fit .fits .iiq .jxl .jxr .kdc .mrw .nef "
    ".nrw .orf .pcx .pef .pfm .psb .psd .qoi .raf .rw2 .rwl .sgi .sr2 .srf .srw .tga .wdp .x3f "
    ".xcf".split()
)
"""How files end that hold pictures of kinds that are not read: cameras' raw files and others."""

SIGNATURE = 16
"""Bytes from which :func:`recognise_photo` knows a photo."""

_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIF"
)
"""Kinds of ISO media files by their major brand."""

_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  ": "JPEG2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
}


def recognise_photo(beginning: bytes) -> str | None:
    """Tell the kind of a photo from the first :data:`SIGNATURE` bytes of its file.

    Returns:
        Its name as in :data:`PHOTO_FORMATS`; None for what is no photo, or is of a kind whose first
        bytes could be those of anything (BMP, PPM).

    Example:
        >>> recognise_photo(b"GIF89a..."), recognise_photo(b"Dear photo,")
        ('GIF', None)
    """
    if beginning[4:8] == b"ftyp":
        return _BRANDS.get(beginning[8:12])
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "WebP"
    return next((kind for start, kind in _BEGINNINGS.items() if beginning.startswith(start)), None)


def join_or(words: Iterable[str]) -> str:
    """Join words for a sentence.

    Example:
        >>> join_or(["JPEG", "PNG", "GIF"])
        'JPEG, PNG or GIF'
    """
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
