"""A run as a notebook's cell shows it: what it is, and some of its pictures, in the cell itself."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from vizcnn.gallery.manifest import Manifest
from vizcnn.gallery.site import make_environment

MOST_PICTURES = 3
"""Pictures in a cell; the page has all."""
WIDEST = 1000
"""Pixels that a picture may be wide: what a cell has room for."""
READ = (".png", ".webp")
"""Pictures that can be put into a cell; PDF and SVG are on the page."""


def write_cell(manifest: Manifest[Any]) -> str:
    """Write a run as HTML for a notebook: everything escaped, pictures as data.

    Args:
        manifest: Of a run, with its folder or without.
    """
    names = [figure.file for figure in manifest.figures] or manifest.results.shown
    pictures: list[tuple[str, str]] = []
    for name in names:
        if manifest.folder is None or len(pictures) == MOST_PICTURES:
            break
        if name.endswith(READ) and (manifest.folder / name).is_file():
            pictures.append((name, _encode(manifest.folder / name)))
    index = None if manifest.folder is None else manifest.folder / "index.html"
    template = make_environment().get_template("cell.html")
    return template.render(manifest=manifest, pictures=pictures, index=index)


def _encode(path: Path) -> str:
    """Give a picture, small enough for a cell, as the address that holds it."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((WIDEST, 4 * WIDEST), Image.Resampling.LANCZOS)
    file = BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
