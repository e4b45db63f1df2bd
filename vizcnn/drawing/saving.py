"""Saving of figures, images and arrays: whole files or none, the same bytes on every run."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from vizcnn.basics.errors import VizcnnError, nearest_names
from vizcnn.basics.files import replacing
from vizcnn.basics.output import FIGURE_FORMATS, FigureFormat
from vizcnn.drawing.style import DPI, find_dpi, plain_style

METADATA: dict[str, dict[str, Any]] = {
    # dates would make the bytes of every run different
    "png": {"Software": "vizcnn"},
    "svg": {"Date": None, "Creator": "vizcnn"},
    "pdf": {"CreationDate": None, "Creator": "vizcnn", "Producer": None},
}
"""What figures say of themselves, by format."""


_FURTHER: ContextVar[tuple[FigureFormat, ...]] = ContextVar("further", default=())


@contextmanager
def saving_further(kinds: Sequence[FigureFormat]) -> Iterator[None]:
    """Write every figure in further formats too inside the block, beside the one that it names.

    Example:
        >>> with saving_further(["pdf"]):
        ...     list_further()
        ('pdf',)
    """
    token = _FURTHER.set(tuple(kinds))
    try:
        yield
    finally:
        _FURTHER.reset(token)


def list_further() -> tuple[FigureFormat, ...]:
    """Give the further formats that figures are written in at the moment."""
    return _FURTHER.get()


def save_figure(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of its name, and in the further formats.

    Args:
        figure: A matplotlib figure.
        path: Where to; ends in .png, .svg or .pdf.
        dpi: Pixels per inch of a PNG where the style leaves them open.

    Raises:
        VizcnnError: If the name has another ending.
    """
    kind = path.suffix.lstrip(".").lower()
    if kind not in FIGURE_FORMATS:
        raise VizcnnError(f"no figure format {kind!r}: {nearest_names(kind, FIGURE_FORMATS)}")
    with plain_style():
        for form in dict.fromkeys((kind, *list_further())):
            options: Any = {"format": form, "metadata": METADATA[form]}
            save = partial(figure.savefig, dpi=find_dpi(dpi), **options)
            _write_whole(path.with_suffix(f".{form}"), save)


def save_image(
    pixels: NDArray[np.uint8], path: Path, exact: bool = True, flush: bool = True
) -> str:
    """Write an image as PNG, or as WebP if its name ends so.

    Args:
        pixels: (H, W, 3), uint8.
        path: Where to.
        exact: Keep every pixel as it is; False makes a WebP of photos a fifth as large, with
            losses that are hardly seen.
        flush: As in :func:`vizcnn.basics.files.replacing`.

    Returns:
        The SHA-256 of the file.
    """
    # PNG: level 4 takes a third of the time of the best compression; files grow by a few per cent.
    # WebP: method 2 takes half the time of the usual 4; files grow by two per cent.
    options: dict[str, Any] = {"format": "PNG", "compress_level": 4}
    if path.suffix.lower() == ".webp":
        options = {"format": "WEBP", "method": 2, "quality": 85}
        if exact:
            options = {"format": "WEBP", "method": 0, "quality": 50, "lossless": True}
    encoded = BytesIO()
    Image.fromarray(pixels).save(encoded, **options)
    content = encoded.getvalue()
    with replacing(path, flush=flush) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def save_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write named arrays of numbers as .npz, readable with ``numpy.load``.

    Raises:
        VizcnnError: If an array holds Python objects, which only pickle could write.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise VizcnnError(f"array {name!r} holds Python objects; needed: numbers")
    # not allow_pickle=False: NumPy before 2.1 would write that down as an array of this name
    save: Callable[..., None] = np.savez_compressed
    _write_whole(path, lambda file: save(file, **arrays))


def _write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        write(file)
