"""Tiny nets whose pictures are known in closed form, for the checks."""

import torch
from torch import nn

from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance

SIDE = 12
PREPROCESSING = Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), 1.0, False, SIDE, SIDE)


def wrap(net: nn.Module, layers: dict[str, str], classes: int) -> ZooModel:
    """Make a net of the zoo of a module with seeded weights."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return ZooModel(
        name="tiny",
        title="Tiny",
        module=net.eval(),
        preprocessing=PREPROCESSING,
        layers=layers,
        classes=tuple(f"class {number}" for number in range(classes)),
        provenance=Provenance("random", data="none", licence="none", note="seed 5"),
        options={},
    )


def make_linear() -> ZooModel:
    """Two fully connected layers, without a rectifier: pictures are rows of their product."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 9), nn.Linear(9, 4))
    return wrap(net, {"fc1": "1", "fc2": "2"}, 4)


def make_convolution() -> ZooModel:
    """A convolution without a rectifier, and classes from its maps."""
    net = nn.Sequential(nn.Conv2d(3, 8, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return wrap(net, {"conv1": "0", "fc": "3"}, 3)


def draw_pixels(count: int, side: int = SIDE, seed: int = 0) -> torch.Tensor:
    """Photos of noise, (N, 3, S, S), 0..1."""
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
