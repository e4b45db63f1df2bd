"""The handwritten digits that scikit-learn ships, as photos to train LeNet-5 on."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vizcnn.basics.errors import DataError
from vizcnn.basics.output import write_folder
from vizcnn.training.card import DataSource

SIDE = 32
"""Side of an enlarged digit in pixels, LeNet-5's input."""

FRAME = 2
"""Width of the black frame around it in pixels: what random crops move it about in."""

DIGITS = "digits"
"""What stands for them where a folder of photos is asked for."""

EVERY = 5
"""Of each class the fifth, tenth, ... digit validates, the others train."""

_DEEPEST = 16
"""Largest value in scikit-learn's images: all 16 pixels of a block of the scan."""

DIGITS_SOURCE = DataSource(
    name="scikit-learn digits",
    licence="CC BY 4.0 (UCI optdigits, Alpaydin & Kaynak 1998); scikit-learn: BSD-3-Clause",
    note="1,797 digits of 8 x 8 pixels, white on black, enlarged to 32 x 32 (bicubic); every fifth "
    "of a class validates. They are the test set of UCI's optdigits, by 13 writers whom "
    "scikit-learn does not tell apart: both parts share writers, and new hands were not tried",
)
"""What the model card says of them."""


def read_digits() -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Read the digits that scikit-learn ships.

    Returns:
        Images (N, 8, 8) of 0..16, labels (N,), and which of them are held out for validation, (N,):
        every fifth of a class.

    Raises:
        DataError: If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(
            "the digits come with scikit-learn, which is not here: pip install 'vizcnn[digits]'"
        ) from None
    digits = load_digits()
    held_out = np.zeros(len(digits.target), dtype=np.bool_)
    for digit in range(10):
        held_out[np.flatnonzero(digits.target == digit)[EVERY - 1 :: EVERY]] = True
    return digits.images, digits.target, held_out


def write_digits(folder: Path) -> None:
    """Write the digits as ``train/<digit>/<number>.png`` and ``val/<digit>/<number>.png``.

    The digits are 8-bit grey, white on black, enlarged from 8 x 8 to 32 x 32 by Pillow's bicubic
    filter, in a black frame of 2 pixels: a centre crop of 32 is the digit, a random one moves it
    by up to 2 pixels. The number is the place in scikit-learn's order, in which every fifth digit
    of each class goes to ``val``: 1,442 train, 355 validate, the same on every machine.

    Args:
        folder: A new folder, or one that this wrote before; complete or untouched.

    Raises:
        DataError: If scikit-learn is not installed.
        VizcnnError: If the folder holds other files, or cannot be written.
    """
    images, labels, validates = read_digits()
    with write_folder(folder) as staging:
        rows = zip(images, labels.tolist(), validates.tolist(), strict=True)
        for number, (image, digit, held_out) in enumerate(rows):
            part = "val" if held_out else "train"
            home = staging / part / str(digit)
            home.mkdir(parents=True, exist_ok=True)
            draw_digit(image).save(home / f"{number:04d}.png")


def draw_digit(image: NDArray[Any]) -> Image.Image:
    """Enlarge one of scikit-learn's images, and frame it.

    Args:
        image: (8, 8), 0..16.

    Returns:
        8-bit grey, white on black, a side of :data:`SIDE` and twice :data:`FRAME`.

    Example:
        >>> draw_digit(np.zeros((8, 8))).size
        (36, 36)
    """
    values = np.rint(image * (255 / _DEEPEST)).astype(np.uint8)
    enlarged = Image.fromarray(values).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return ImageOps.expand(enlarged, FRAME)


def find_photos(data: Path, out: Path) -> tuple[Path, DataSource]:
    """Find the photos to train on, and what is known of them; the digits are written if meant.

    Args:
        data: A folder with ``train`` and ``val``; or ``digits``, unless there is a folder of that
            name.
        out: Folder of the results, in which the digits are written.

    Raises:
        DataError: If scikit-learn is not installed, which has the digits.
        VizcnnError: If they cannot be written.

    Example:
        >>> find_photos(Path("flowers"), Path("runs"))[1].name
        'flowers'
    """
    if data != Path(DIGITS) or data.exists():
        # not Path.resolve, which raises where links lead in a circle
        return data, DataSource(Path(os.path.realpath(data)).name)
    folder = out / DIGITS
    if not folder.exists():
        write_digits(folder)
    return folder, DIGITS_SOURCE
