"""Random nets: geometry, branches, in-place views, gates, masks, checkpoints, hooks."""

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Residual(nn.Module):
    """A branch beside a straight way, or one joined to it."""

    def __init__(self, channels: int, relu: nn.Module, joins: bool) -> None:
        super().__init__()
        self.joins = joins
        self.conv = nn.Conv2d(channels, channels // 2 if joins else channels, 3, padding=1)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.conv(x))
        return torch.cat([x[:, : x.shape[1] - y.shape[1]], y], 1) if self.joins else x + y


class Gated(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int, squash: Callable[[Tensor], Tensor], swapped: bool) -> None:
        super().__init__()
        self.conv, self.squash, self.swapped = nn.Conv2d(channels, channels, 1), squash, swapped

    def forward(self, x: Tensor) -> Tensor:
        gate = self.squash(self.conv(x.mean((2, 3), keepdim=True)))
        return gate * x if self.swapped else x * gate


class Checkpointed(nn.Module):
    """A part that keeps nothing for the backward pass."""

    def __init__(self, part: nn.Module, reentrant: bool = False) -> None:
        super().__init__()
        self.part, self.reentrant = part, reentrant

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = checkpoint(self.part, x, use_reentrant=self.reentrant)
        return out


def _rectify_a_view(x: Tensor) -> Tensor:
    y = x.clone()
    half = y.shape[1] // 2
    y[:, :half].relu_()
    F.relu(y[:, half:], inplace=True)
    return y


def _fill(x: Tensor) -> Tensor:
    y = x.clone()
    y[y <= 0] = 0
    return y


def _silence_training(x: Tensor) -> Tensor:
    if x.requires_grad:
        x.register_hook(lambda signal: signal * 0)  # meant for a training: no part of the picture
    return x.relu()


RELUS: list[Callable[[Tensor], Tensor]] = [
    F.relu,
    lambda x: F.relu(x.clone(), inplace=True),
    lambda x: x.clamp(min=0),
    lambda x: x * (x.detach() > 0),
    lambda x: torch.where(x > 0, x, 0.0),
    lambda x: x.masked_fill(x.detach() <= 0, 0),
    _rectify_a_view,
    _fill,
    torch.ops.aten.relu,
    _silence_training,
]
"""Spellings of ReLU that are taken as one."""

SQUASHES: list[Callable[[Tensor], Tensor]] = [
    torch.sigmoid,
    F.hardsigmoid,
    lambda x: x.softmax(1),
]
"""What makes a gate."""


def make_net(seed: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Make a random net, and the same with nn.ReLU for every spelling of ReLU.

    Returns:
        Two nets with the same weights, in evaluation mode, in float64.
    """
    pick = random.Random(seed)
    torch.manual_seed(seed)
    channels = pick.choice([4, 6])
    odd: list[nn.Module] = [nn.Conv2d(3, channels, pick.choice([1, 3]), stride=pick.choice([1, 2]))]
    plain: list[nn.Module] = [odd[0]]

    def relu() -> tuple[nn.Module, nn.Module]:
        return Apply(pick.choice(RELUS)), nn.ReLU()

    for _ in range(pick.randint(2, 5)):
        kind = pick.choice(["conv", "residual", "join", "gate", "pool", "norm", "leak", "check"])
        spelled, usual = relu()
        if kind == "conv":
            conv = nn.Conv2d(
                channels,
                channels,
                3,
                padding=pick.choice([0, 1]),
                dilation=pick.choice([1, 2]),
                padding_mode=pick.choice(["zeros", "reflect"]),
            )
            odd += [conv, spelled]
            plain += [conv, usual]
        elif kind in ("residual", "join"):
            block = Residual(channels, spelled, kind == "join")
            twin = Residual(channels, usual, kind == "join")
            twin.conv = block.conv
            odd.append(block)
            plain.append(twin)
        elif kind == "gate":
            squash = pick.choice(SQUASHES)
            odd.append(Gated(channels, squash, pick.random() < 0.5))
            plain.append(odd[-1])
        elif kind == "pool":
            odd.append(pick.choice([nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(2, 1), nn.MaxPool2d(2, 1)]))
            plain.append(odd[-1])
        elif kind == "norm":
            norm = pick.choice([nn.BatchNorm2d(channels), nn.InstanceNorm2d(channels)])
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean = torch.randn(channels) / 10
                norm.running_var = torch.rand(channels) + 0.5
            odd += [norm, nn.ReLU(inplace=True)]
            plain += [norm, nn.ReLU()]
        elif kind == "leak":
            odd.append(
                pick.choice(
                    [nn.LeakyReLU(0.2, inplace=True), nn.PReLU(channels), nn.LeakyReLU(0.1)]
                )
            )
            plain.append(odd[-1])
        else:
            conv = nn.Conv2d(channels, channels, 3, padding=1)
            odd.append(Checkpointed(nn.Sequential(conv, spelled)))
            plain.append(nn.Sequential(conv, usual))
    last = nn.Conv2d(channels, 4, 1)
    return (
        nn.Sequential(*odd, last).double().eval(),
        nn.Sequential(*plain, last).double().eval(),
    )
