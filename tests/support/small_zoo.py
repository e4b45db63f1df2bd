"""A net of the zoo that is small enough to make many galleries with, and photos for it."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from tests.support.models import prepare
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance

SIZE = 32
CONVOLUTIONS = {"conv1": "1", "conv2": "4", "conv3": "6", "conv4": "8", "conv5": "10"}
LAYERS = {**CONVOLUTIONS, "fc6": "13", "fc7": "14"}


def make_model() -> ZooModel:
    """Five convolutions and a fully connected layer, 32 x 32 input, seeded weights."""
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 10, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(10, 10, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(10, 10, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(10, 10, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(10 * 16 * 16, 11),
        nn.ReLU(),
        nn.Linear(11, 4),
    )
    return ZooModel(
        name="tiny",
        title="Tiny $net",
        module=prepare(net, SIZE),
        preprocessing=Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), 1.0, False, SIZE, SIZE),
        layers=LAYERS,
        classes=("cat <&>", "dog", "$x$ and $y$", "a class with a name that is far too long"),
        provenance=Provenance("random", data="none", licence="none", note="seed 0"),
        options={"width": 10},
    )


def paint_photo(path: Path, seed: int = 0, size: tuple[int, int] = (48, 40)) -> Path:
    """Write a photo of coloured blocks; the format follows the name."""
    colours = torch.rand(5, 6, 3, generator=torch.Generator().manual_seed(seed)).numpy()
    image = Image.fromarray((colours * 255).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def draw_noise(width: int, height: int) -> Image.Image:
    """Draw a photo in which every pixel has a colour of its own, the same every time."""
    values = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(0))
    return Image.fromarray((values * 255).byte().numpy())


def list_files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, by name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
