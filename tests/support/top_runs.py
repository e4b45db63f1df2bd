"""Galleries of whole layers of a small net: photos for them, runs of them, and runs that die.

As a program it makes a gallery in a process of its own that kills itself at a given step:
``python -m tests.support.top_runs PHOTOS OUT LABEL COUNT SETTINGS``.
"""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.support.small_zoo import SIZE, make_model
from vizcnn.gallery.manifest import Manifest
from vizcnn.mining.photo_sets import FolderPhotos
from vizcnn.pages.layers.gallery import make_top_gallery
from vizcnn.pages.layers.job import Room, TopSettings
from vizcnn.pages.layers.records import LayerSheets
from vizcnn.pages.layers.site_pages import LayersResults
from vizcnn.zoo.model import ZooModel

MODEL = make_model()
LAYERS = ("conv1", "conv3", "fc6")
SETTINGS = TopSettings(layers=LAYERS, top=4, workers=0, compare=2)
POSTED = replace(SETTINGS, layers=("conv3",), poster=True, poster_units=3)
FEW = replace(SETTINGS, layers=("conv1", "conv3"), units=(0, 1, 2, 3, 5))
ROOM = Room(photos=16)
"""So that forty photos make more than one lot."""
MODULE = "tests.support.top_runs"
ROOT = Path(__file__).parents[2]


def write_noise(path: Path, seed: int, size: int = SIZE) -> Path:
    """Write a photo in which no two places are alike, so that no unit is equally strong twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = torch.rand(size, size, 3, generator=torch.Generator().manual_seed(seed))
    Image.fromarray((values * 255).byte().numpy()).save(path)
    return path


def write_photos(folder: Path, count: int = 40) -> Path:
    """Fill a folder with photos, in folders and under odd names."""
    for number in range(count):
        name = f"{'é #1?%20' if number % 7 == 0 else 'photo'} {number}.png"
        write_noise(folder / f"part {number % 3}" / name, number)
    return folder


def make(
    photos: Path,
    out: Path,
    settings: TopSettings = SETTINGS,
    model: ZooModel = MODEL,
    room: Room = ROOM,
    **options: Any,
) -> Manifest[LayersResults]:
    pictures = FolderPhotos([photos], model.preprocessing)
    return make_top_gallery(
        model,
        pictures,
        settings,
        out,
        command="vizcnn gallery",
        unit_command=lambda layer, unit: f"vizcnn gallery --layer {layer} --unit {unit}",
        room=room,
        **options,
    )


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def cut_tiles(sheet: np.ndarray, layer: LayerSheets) -> list[list[np.ndarray]]:
    """Cut both halves of a large sheet into tiles, by what the manifest says of them."""
    (rows, columns), (gap, middle) = layer.grid, layer.large_gaps
    width = ((layer.large_px[0] - middle) // 2 - gap * (columns - 1)) // columns
    height = (layer.large_px[1] - gap * (rows - 1)) // rows
    assert sheet.shape == (layer.large_px[1], layer.large_px[0], 3)
    return [
        [
            sheet[
                row * (height + gap) : row * (height + gap) + height,
                start + column * (width + gap) : start + column * (width + gap) + width,
            ]
            for row in range(rows)
            for column in range(columns)
        ]
        for start in (0, (layer.large_px[0] + middle) // 2)
    ]


def make_and_die(
    photos: Path, out: Path, label: str, count: int, settings: TopSettings = SETTINGS
) -> None:
    """Start a gallery in another process, in which a kill -9 falls into a step's item."""
    known = {"SETTINGS": SETTINGS, "POSTED": POSTED, "FEW": FEW}
    (name,) = [name for name, value in known.items() if value is settings]
    torch_threads = {"OMP_NUM_THREADS": "1"}  # as in the process that goes on
    result = subprocess.run(
        [sys.executable, "-m", MODULE, str(photos), str(out), label, str(count), name],
        cwd=ROOT,
        env={**os.environ, **torch_threads},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _run(photos: str, out: str, label: str, count: int, settings: TopSettings) -> None:
    real, moves = os.replace, []

    def deadly(items, *, label: str, total=None, unit="it", initial=0):
        for number, item in enumerate(items):
            yield item
            if label == wanted and number + 1 == count:
                _die()

    def move(source, target):
        if ".part" not in str(target):
            moves.append(source)
        if len(moves) == count:
            _die()
        real(source, target)

    wanted = label
    if label == "move":  # of the finished files into their place
        setattr(os, "replace", move)  # noqa: B010 - a type checker would not have it
    torch.set_num_threads(1)
    # processes that read photos outlive a kill -9 for a while
    make(Path(photos), Path(out), replace(settings, workers=2), progress=deadly)


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), globals()[sys.argv[5]])
