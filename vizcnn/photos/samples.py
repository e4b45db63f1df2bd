"""Sample photos that scikit-image ships; none is downloaded."""

import difflib
import importlib.resources
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vizcnn.basics.errors import ImageError, nearest_names
from vizcnn.photos.stored import PhotoFile, StoredPhoto

SAMPLES = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "hubble": "hubble_deep_field.jpg",
    "motorcycle": "motorcycle_left.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}
"""Colour photos by name (licences: see scikit-image's data/README.txt)."""


def find_sample(name: str) -> Path | None:
    """Find the file of a sample photo.

    Args:
        name: A key of :data:`SAMPLES`, in any case.

    Returns:
        Its path, or None if the name is not a sample's, or a file of that name exists here.

    Raises:
        ImageError: If the name is nearly a sample's, or scikit-image is not installed, or without
            its photos.

    Example:
        >>> find_sample("coffee").name
        'coffee.png'
        >>> find_sample("my-photo.jpg") is None
        True
    """
    if os.path.exists(name):  # noqa: PTH110  # no error of a name that no file can have
        return None
    given, name = name, name.lower()
    if name not in SAMPLES:
        if difflib.get_close_matches(name, SAMPLES):
            raise ImageError(f"no photo or sample {given!r}: {nearest_names(name, SAMPLES)}")
        return None
    try:
        path = Path(str(importlib.resources.files("skimage.data") / SAMPLES[name]))
    except ModuleNotFoundError:
        path = None
    if path and path.is_file():
        return path
    raise ImageError(f"sample {name!r} is not here: pip install scikit-image, or give a photo")


def find_file(photo: Any) -> Any:
    """Give the file of a sample that is named; anything else is given back as it is.

    Raises:
        ImageError: As for :func:`find_sample`.

    Example:
        >>> find_file("coffee").name, find_file("my-photo.jpg")
        ('coffee.png', 'my-photo.jpg')
    """
    return (isinstance(photo, str) and find_sample(photo)) or photo


def name_distinctly(paths: Sequence[PhotoFile]) -> dict[PhotoFile, str]:
    """Name the photos of one page, each in its own way.

    Args:
        paths: Photo files.

    Returns:
        By path what :func:`name_photo` says, or, where several are named alike, as much of the path
        before it as tells them apart.

    Example:
        >>> list(name_distinctly([Path("a/1.jpg"), Path("b/1.jpg"), Path("b/2.jpg")]).values())
        ['a/1.jpg', 'b/1.jpg', '2.jpg']
    """
    names = {path: name_photo(path) for path in paths}
    longest = max((len(Path(str(path)).parts) for path in paths), default=0)
    for length in range(2, longest + 1):
        count = Counter(names.values())
        for path, name in names.items():
            if count[name] > 1:
                names[path] = str(Path(*Path(str(path)).parts[-length:]))
    return names


def name_photo(path: PhotoFile) -> str:
    """Name a photo for titles: a sample by its name, another by its file's.

    Example:
        >>> name_photo(find_sample("coffee")), name_photo(Path("holiday/beach.jpg"))
        ('coffee', 'beach.jpg')
    """
    return find_sample_name(path) or path.name


def name_source(path: PhotoFile) -> str:
    """Name a photo's source for a manifest; a sample by its name, the same on every machine.

    Args:
        path: Where the photo lies.

    Returns:
        ``"sample coffee"``, or the path as given; of a photo in an archive both names.

    Example:
        >>> name_source(find_sample("coffee")), name_source(Path("my photo.jpg"))
        ('sample coffee', 'my photo.jpg')
    """
    sample = find_sample_name(path)
    return f"sample {sample}" if sample else str(path)


def find_sample_name(path: PhotoFile) -> str | None:
    """Give the name of the sample photo that a file is; None of any other file.

    Example:
        >>> find_sample_name(find_sample("coffee"))
        'coffee'
    """
    if isinstance(path, StoredPhoto) or path.parts[-3:-1] != ("skimage", "data"):
        return None
    return next((name for name, file in SAMPLES.items() if file == path.name), None)
