"""What files of figures hold of pictures: stored pixels and drawn places, read off SVG and PDF."""

import base64
import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

Matrix = tuple[float, float, float, float, float, float]
NO_CHANGE: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True)
class StoredPanel:
    """A picture in a figure: its pixels, upright, and where it is drawn, in points from above.

    The figure is ``tall`` points high.
    """

    pixels: np.ndarray
    left: float
    top: float
    width: float
    height: float
    tall: float

    @property
    def scale(self) -> tuple[float, float]:
        """Points that a pixel takes across and down."""
        rows, columns = self.pixels.shape[:2]
        return self.width / columns, self.height / rows


def read_panels(path: Path) -> list[StoredPanel]:
    """Read all pictures of a figure, in the order in which they are drawn."""
    return list(_read_svg(path) if path.suffix == ".svg" else _read_pdf(path))


def _read_svg(path: Path) -> Iterator[StoredPanel]:
    root = ElementTree.parse(path).getroot()
    tall = float(root.get("height", "").removesuffix("pt"))
    for image in root.iter("{http://www.w3.org/2000/svg}image"):
        data = image.get("{http://www.w3.org/1999/xlink}href", "").partition("base64,")[2]
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        words = re.findall(r"matrix\((.*?)\)", image.get("transform", ""))
        assert len(words) == 1, "a picture that matplotlib has resampled"
        a, b, c, d, e, f = (float(word) for word in re.split(r"[ ,]+", words[0].strip()))
        assert b == c == 0 and a > 0
        rows, columns = pixels.shape[:2]
        if d < 0:
            pixels, f, d = pixels[::-1], f + d * rows, -d
        yield StoredPanel(pixels, e, f, a * columns, d * rows, tall)


def _read_pdf(path: Path) -> Iterator[StoredPanel]:
    pypdf = pytest.importorskip("pypdf", reason="PDFs are read with pypdf")
    from pypdf.generic import ContentStream

    reader = pypdf.PdfReader(path)
    (page,) = reader.pages
    tall = float(page.mediabox.height)
    objects = page["/Resources"]["/XObject"]
    matrix, kept = NO_CHANGE, []
    for operands, operator in ContentStream(page.get_contents(), reader).operations:
        if operator == b"q":
            kept.append(matrix)
        elif operator == b"Q":
            matrix = kept.pop()
        elif operator == b"cm":
            matrix = _join(tuple(map(float, operands)), matrix)  # type: ignore[arg-type]
        elif operator == b"Do" and objects[operands[0]]["/Subtype"] == "/Image":
            pixels = _decode(objects[operands[0]])
            a, b, c, d, e, f = matrix  # of a square of 1 x 1, its picture's first row on top
            assert b == c == 0 and a > 0
            if d < 0:
                pixels, f, d = pixels[::-1], f + d, -d
            yield StoredPanel(pixels, e, tall - f - d, a, d, tall)


def _decode(image: Any) -> np.ndarray:
    """Decode a picture of a PDF: its stream is that of a PNG, which Pillow reads."""
    colours = image["/ColorSpace"]
    palette = b"" if colours == "/DeviceRGB" else _to_bytes(colours[3])
    assert image["/DecodeParms"]["/Predictor"] == 10 and "/SMask" not in image
    bits = int(image["/BitsPerComponent"])
    size = struct.pack(">IIBB", image["/Width"], image["/Height"], bits, 3 if palette else 2)
    chunks = {b"IHDR": size + bytes(3), b"PLTE": palette, b"IDAT": image._data, b"IEND": b""}
    png = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks.items():
        if data or name != b"PLTE":
            check = struct.pack(">I", zlib.crc32(name + data))
            png += struct.pack(">I", len(data)) + name + data + check
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _to_bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else text.original_bytes


def _join(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return (
        *(a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j),
        *(e * g + f * i + k, e * h + f * j + m),
    )


def cut_panel(picture: np.ndarray, panel: StoredPanel, dpi: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut a panel's inside out of a PNG of the figure, and say what exact nearest pixels were.

    Args:
        picture: The PNG, (H, W, 3).
        panel: From the SVG of the same figure.
        dpi: Pixels per inch of the PNG.

    Returns:
        The pixels there, but for those at the very edge, and the source's at the same places.
    """
    inch = dpi / 72
    # a PNG has whole pixels, counted from the lower left corner
    left, top = panel.left * inch, picture.shape[0] - (panel.tall - panel.top) * inch
    right, bottom = left + panel.width * inch, top + panel.height * inch
    across = np.arange(int(left) + 2, int(right) - 1)
    down = np.arange(int(top) + 2, int(bottom) - 1)
    rows, columns = panel.pixels.shape[:2]
    x = (across + 0.5 - left) / (right - left) * columns
    y = (down + 0.5 - top) / (bottom - top) * rows
    source = panel.pixels[y.astype(int)[:, None], x.astype(int)]
    # where a pixel's middle lies on the border of two, either is right
    clear = (np.abs(y - y.round()) > 0.02)[:, None] & (np.abs(x - x.round()) > 0.02)
    shown = picture[down[:, None], across]
    return np.where(clear[..., None], shown, 0), np.where(clear[..., None], source, 0)
