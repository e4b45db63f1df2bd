"""What the tests of attributions share: nets of every spelling, and a formula's way to a layer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.models import prepare
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance

SIZE = 24


class Plain(nn.Module):
    """Two convolutions and classes; what rectifies is a module, a function, or in place."""

    def __init__(self, way: str, pooled: bool = True) -> None:
        super().__init__()
        self.way = way
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.relu1, self.relu2 = (nn.ReLU(inplace=way == "in place") for _ in range(2))
        self.pool = nn.MaxPool2d(2) if pooled else nn.Identity()
        self.head = nn.Linear(8 * (6 if pooled else 24) ** 2, 5)

    def rectify(self, x: Tensor, module: nn.Module) -> Tensor:
        return F.relu(x) if self.way == "function" else module(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.rectify(self.conv1(x), self.relu1))
        x = self.pool(self.rectify(self.conv2(x), self.relu2))
        return self.head(x.flatten(1))


class Shared(nn.Module):
    """One rectifier in place serves both convolutions, and a shortcut sees its output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x)) + x
        return self.head(torch.tanh(x).mean((2, 3)))


def wrap(net: nn.Module, layers: dict[str, str], size: int = SIZE, seed: int = 0) -> ZooModel:
    """Make a net of the zoo, its preprocessing far from the identity."""
    return ZooModel(
        name="net",
        title="Net",
        module=prepare(net, size, seed),
        preprocessing=Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), 1.0, True, size, size),
        layers=layers,
        classes=("a", "b", "c", "d", "e"),
        provenance=Provenance("random", data="none", licence="none", note="seed 0"),
        options={},
    )


def make_plain(way: str = "module") -> ZooModel:
    """Rectified maps have names where rectifiers are modules; a function's have none."""
    layers = {"conv1": "relu1", "conv2": "relu2", "fc": "head"}
    if way == "function":
        layers = {"conv1": "conv1", "conv2": "conv2", "fc": "head"}
    return wrap(Plain(way), layers)


def make_photo(size: int = SIZE, seed: int = 1) -> Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed))


def run_plainly(model: ZooModel, pixels: Tensor) -> dict[str, Tensor]:
    """The net of :class:`Plain` written out, without its modules' ways: a tensor for each step."""
    net: Any = model.module
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    inputs = (pixels.flip(1) - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    first = F.conv2d(inputs, net.conv1.weight, net.conv1.bias, padding=1)
    relu1 = first.clamp(min=0)
    second = F.conv2d(F.max_pool2d(relu1, 2), net.conv2.weight, net.conv2.bias, padding=1)
    relu2 = second.clamp(min=0)
    head = F.max_pool2d(relu2, 2).flatten(1) @ net.head.weight.T + net.head.bias
    return {
        "inputs": inputs,
        "conv1": first,
        "relu1": relu1,
        "conv2": second,
        "relu2": relu2,
        "head": head,
    }
