"""Helpers of the photo tests: reading that must not warn, and files that Pillow does not write."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vizcnn.basics.errors import ImageError
from vizcnn.photos.images import read_photo

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def read(path: Path) -> np.ndarray:
    """The photo as an array; Pillow must not warn on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo = read_photo(path)
    assert photo.mode == "RGB"
    return np.asarray(photo).astype(int)


def fail(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_photo(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def paint(width: int = 24, height: int = 12) -> Image.Image:
    """A ramp in all three colours."""
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3)
    return Image.fromarray(ramp.astype(np.uint8))


def write_png(path: Path, width: int, height: int, depth: int, colour: int, rows: bytes) -> Path:
    """A PNG chunk by chunk, for what Pillow does not write itself."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path
