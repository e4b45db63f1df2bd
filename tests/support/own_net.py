"""A user's own file: nets without canonical names, for ``file.py:factory``."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import vizcnn


class Own(nn.Module):
    """Two rectified convolutions, by functions, and class scores."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.head = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = torch.relu(self.conv2(x))
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


def make(classes: int = 3) -> nn.Module:
    return Own(classes)


def make_fixed() -> nn.Module:
    """A net that takes images of 48 x 48 pixels and no others."""
    return nn.Sequential(nn.Conv2d(3, 2, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(968, 3))


def make_wrapped() -> vizcnn.ZooModel:
    return vizcnn.wrap(
        Own(), preprocessing="mean=0.5,std=0.5,size=48", classes=["cat", "dog", "bird"], name="own"
    )


def fail() -> nn.Module:
    raise RuntimeError("no data\nhere")


def give_words() -> str:
    return "no net"


number = 7
