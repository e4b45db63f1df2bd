"""Photos for the lab: a folder's, or patches of the photos that scikit-image ships."""

from pathlib import Path

from PIL import Image

from vizcnn.basics.errors import ImageError
from vizcnn.photos.images import read_photo
from vizcnn.photos.samples import SAMPLES, find_sample

ZOOM = 2
"""A photo is cut into patches when its shorter side is so many inputs long."""


def read_samples() -> list[Image.Image]:
    """Cut the sample photos into overlapping square patches.

    Each photo's shorter side holds :data:`ZOOM` patches; patches overlap by half. They stay in
    the photo's own resolution, so that one set serves nets of every input size.

    Returns:
        About a hundred patches, RGB, in the order of the samples.

    Raises:
        ImageError: If scikit-image is not installed.
    """
    return [patch for path in find_samples() for patch in cut_patches(read_photo(path))]


def find_samples() -> list[Path]:
    """Find the files of all sample photos.

    Raises:
        ImageError: If scikit-image is not installed, or a file here has a sample's name.
    """
    paths = []
    for name in SAMPLES:
        path = find_sample(name)
        if path is None:
            raise ImageError(f"a file named {name!r} hides the sample photo: run elsewhere")
        paths.append(path)
    return paths


def cut_patches(photo: Image.Image, zoom: int = ZOOM) -> list[Image.Image]:
    """Cut a photo into square patches that overlap by half, rows first.

    Example:
        >>> patches = cut_patches(Image.new("RGB", (40, 20)))
        >>> len(patches), patches[0].size
        (21, (10, 10))
    """
    return [photo.crop(box) for box in list_squares(photo.width, photo.height, zoom)]


def list_squares(width: int, height: int, zoom: int = ZOOM) -> list[tuple[int, int, int, int]]:
    """Give the squares that :func:`cut_patches` cuts: left, top, right, bottom in pixels.

    Example:
        >>> list_squares(30, 20)[:3]
        [(0, 0, 10, 10), (5, 0, 15, 10), (10, 0, 20, 10)]
    """
    side = min(width, height) // zoom
    step = max(side // 2, 1)
    return [
        (left, top, left + side, top + side)
        for top in range(0, height - side + 1, step)
        for left in range(0, width - side + 1, step)
    ]


def spread(count: int, most: int) -> list[int]:
    """Choose at most so many of a row, evenly spread, the first always among them.

    Example:
        >>> spread(10, 4), spread(3, 4)
        ([0, 2, 5, 7], [0, 1, 2])
    """
    if count <= most:
        return list(range(count))
    return [index * count // most for index in range(most)]
