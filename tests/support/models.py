"""Odd nets: every way of writing a net that has broken a visualization tool."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.zoo.normalisation import ContrastNormalisation


class Spelled(nn.Module):
    """Two convolutions with one spelling of ReLU between them."""

    def __init__(self, relu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.relu(self.conv1(x))))


def relu_statement(x: Tensor) -> Tensor:
    """Rectify in place and use the old name on, as a statement."""
    x.relu_()
    return x


RELU_SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU(inplace)": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu(inplace)": lambda x: F.relu(x, inplace=True),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "x.relu()": lambda x: x.relu(),
    "x.relu_()": lambda x: x.relu_(),
    "x.relu_(); x": relu_statement,
    "torch.clamp(min=0)": lambda x: torch.clamp(x, min=0),
    "x.clamp(0)": lambda x: x.clamp(0),
    "x.clamp_(min=0)": lambda x: x.clamp_(min=0),
    "x.clip(min=0)": lambda x: x.clip(min=0),
    "x.clamp_min(0)": lambda x: x.clamp_min(0),
    "x.clamp_min_(0)": lambda x: x.clamp_min_(0),
    "torch.clamp_min": lambda x: torch.clamp_min(x, 0.0),
    "nn.Threshold(0, 0)": nn.Threshold(0, 0),
    "F.threshold(inplace)": lambda x: F.threshold(x, 0, 0, inplace=True),
    "torch.maximum": lambda x: torch.maximum(x, torch.zeros_like(x.detach())),
    "torch.max(0, x)": lambda x: torch.max(torch.zeros(()), x),
}
"""Spellings of max(x, 0); each must give what nn.ReLU gives."""

RELU6_SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "nn.ReLU6": nn.ReLU6(),
    "nn.ReLU6(inplace)": nn.ReLU6(inplace=True),
    "F.relu6": F.relu6,
    "F.hardtanh(0, 6)": lambda x: F.hardtanh(x, 0.0, 6.0),
    "nn.Hardtanh(0, 6)": nn.Hardtanh(0.0, 6.0),
    "x.clamp(0, 6)": lambda x: x.clamp(0, 6),
    "x.clamp_(0, 6)": lambda x: x.clamp_(0, 6),
}
"""Spellings of min(max(x, 0), 6)."""


class Swish(torch.autograd.Function):
    """An activation that no list of torch functions holds."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return gradient * (s + x * s * (1 - s))


class PRelu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([0.25]))

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.slope)


UNRULED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "SiLU": (F.silu, "Silu"),
    "GELU": (F.gelu, "Gelu"),
    "Hardswish": (F.hardswish, "Hardswish"),
    "Sigmoid": (torch.sigmoid, "Sigmoid"),
    "tanh": (torch.tanh, "Tanh"),
    "LeakyReLU": (nn.LeakyReLU(0.1), "LeakyRelu"),
    "PReLU": (PRelu(), "Prelu"),
    "ELU": (F.elu, "Elu"),
    "Softplus": (F.softplus, "Softplus"),
    "clamp(-1, 1)": (lambda x: x.clamp(-1, 1), "Clamp"),
    "abs": (torch.abs, "Abs"),
    "where": (lambda x: torch.where(x > 0, x, torch.zeros_like(x)), "Where"),
    "mask": (lambda x: x * (x > 0), "comparison 'gt'"),
    "float mask": (lambda x: x * x.ge(0).float(), "comparison 'ge'"),
    "self gate": (lambda x: x * torch.sigmoid(x), "Sigmoid"),
    "square": (lambda x: x * x, "product of feature maps"),
    "own function": (Swish.apply, "Swish"),
    "aten relu": (torch.ops.aten.relu, "Relu"),
}
"""Activations without a rule, and a word that their refusal has to hold."""


class Concatenated(nn.Module):
    """CReLU (arXiv 1603.05201): a rectifier's input has a second consumer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return F.relu(self.conv2(torch.cat([F.relu(x), F.relu(-x)], 1)))


class PreActivation(nn.Module):
    """Pre-activation residual block; with ``in_place`` the shortcut sees the rectified maps."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.conv1 = nn.Conv2d(6, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=in_place)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.conv1(self.relu(x))
        return x + self.conv2(self.relu(x))


class SharedBranches(nn.Module):
    """One ReLU module serves parallel branches and the trunk."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2)
        self.left = nn.Conv2d(6, 4, 3, padding=1)
        self.right = nn.Conv2d(6, 4, 5, padding=2)
        self.last = nn.Conv2d(8, 5, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        return self.last(torch.cat([self.relu(self.left(x)), self.relu(self.right(x))], 1)).relu()


class Pooled(nn.Module):
    """Overlapping, padded, dilated and ceiling pools, LRN, batch norm, groups, dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.LocalResponseNorm(5, alpha=0.1, k=1.0),
            nn.MaxPool2d(3, 2, padding=1),
            nn.Conv2d(8, 8, 3, groups=2, dilation=2, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            ContrastNormalisation(4, alpha=0.1),
            nn.Conv2d(8, 6, (3, 1), stride=(1, 2), padding=(1, 0)),
            nn.ReLU(),
            nn.MaxPool2d(2, 1, dilation=2),
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.LazyLinear(12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 7)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.chain(x))


class EditsItsInput(nn.Module):
    """Normalises its input in place, as some nets do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x.sub_(0.5).mul_(2)
        x[:, 0] += 0.1
        return F.relu(self.conv(x))


class Branched(nn.Module):
    """A small inception: parallel pools and convolutions, joined and averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.one = nn.Conv2d(6, 3, 1)
        self.three = nn.Conv2d(6, 3, 3, padding=1)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)), inplace=True)
        pooled = F.max_pool2d(x, 3, 1, 1)
        x = torch.cat([F.relu(self.one(x)), F.relu(self.three(x)), pooled], 1)
        x = F.avg_pool2d(x, 2)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Failing(nn.Module):
    """Raises in the middle of its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv(x)))
        raise ZeroDivisionError(f"on purpose, after {tuple(x.shape)}")


def branching_nets() -> dict[str, tuple[nn.Module, str]]:
    """Make the branching nets with a layer each."""
    return {
        "CReLU": (Concatenated(), "conv2"),
        "pre-activation": (PreActivation(in_place=False), "conv2"),
        "pre-activation in place": (PreActivation(in_place=True), "conv2"),
        "shared branches": (SharedBranches(), "last"),
        "inception": (Branched(), "head"),
        "edits its input": (EditsItsInput(), "conv"),
    }


def prepare(net: nn.Module, size: int = 32, seed: int = 0) -> Any:
    """Give a net seeded weights, live batch-norm statistics and evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    net.eval()
    with torch.no_grad():
        if not isinstance(net, Failing):
            net(torch.rand(1, 3, size, size))  # settles the shapes of lazy layers
        for parameter in net.parameters():
            scale = max(parameter[0].numel(), 1) ** -0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
        for name, statistic in net.named_buffers():
            if name.endswith("running_var"):
                statistic.uniform_(0.5, 2.0, generator=generator)
            elif name.endswith("running_mean"):
                statistic.normal_(generator=generator)
    return net
