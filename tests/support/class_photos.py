"""Folders of classes of small photos: a class is a colour and the way of its stripes."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"walrus": (200, 60, 60), "kettle": (60, 190, 70), "anvil": (60, 80, 210)}


def paint_classes(folder: Path, count: int = 9, names=tuple(COLOURS), seed: int = 0) -> Path:
    """Write photos of classes, no two alike; of two seeds neither."""
    for number, name in enumerate(names):
        generator = np.random.default_rng(100 * seed + number)
        (folder / name).mkdir(parents=True)
        colour = np.array(list(COLOURS.values())[number % len(COLOURS)])
        for photo in range(count):
            coarse = generator.random((8, 8, 3)).repeat(5, axis=0).repeat(5, axis=1)
            pixels = np.clip(0.55 * colour + 130 * coarse, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{photo:02d}.png")
    return folder
