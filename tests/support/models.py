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


def fill_negative(x: Tensor) -> Tensor:
    y = x.clone()
    y[y < 0] = 0
    return y


def rectify_halves(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :3].relu_()
    y[:, 3:].relu_()
    return y


def sigmoid_of_a_half(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :3].sigmoid_()
    return y


def gate_a_half(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :3].mul_(y[:, 3:6].clone())
    return y


def scale_by_itself(x: Tensor) -> Tensor:
    mean, variance = torch.zeros(x.shape[1]), torch.ones(x.shape[1])
    return F.batch_norm(x, mean, variance, weight=x.mean((0, 2, 3)))


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
    "torch.maximum(0 * x, x)": lambda x: torch.maximum(x * 0, x),
    "clamp(min=tensor)": lambda x: x.clamp(min=torch.tensor(0.0)),
    "aten relu": torch.ops.aten.relu,
    "aten relu.default": torch.ops.aten.relu.default,
    "leaky_relu(0)": lambda x: F.leaky_relu(x, 0.0),
    "x * (x > 0)": lambda x: x * (x > 0),
    "(x > 0) * x": lambda x: (x > 0) * x,
    "x * x.ge(0)": lambda x: x * x.ge(0).float(),
    "x * (x.detach() > 0)": lambda x: x * (x.detach() > 0),
    "x * x.data.gt(0)": lambda x: x * x.data.gt(0).float(),
    "x * (x.relu() != 0)": lambda x: x * (x.relu() != 0),
    "x * ~x.signbit()": lambda x: x * ~x.signbit(),
    "x * heaviside(x)": lambda x: x * torch.heaviside(x.detach(), torch.tensor(0.0)),
    "x.mul_(x > 0)": lambda x: x.clone().mul_(x > 0),
    "where(x > 0, x, 0)": lambda x: torch.where(x > 0, x, 0.0),
    "where(x <= 0, 0, x)": lambda x: torch.where(x <= 0, torch.zeros_like(x), x),
    "x.where(x > 0, 0)": lambda x: x.where(x > 0, torch.tensor(0.0)),
    "x.masked_fill(x < 0, 0)": lambda x: x.masked_fill(x < 0, 0),
    "x[x < 0] = 0": fill_negative,
    "x[:, :3].relu_()": rectify_halves,
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
    "SiLU": (F.silu, "silu"),
    "GELU": (F.gelu, "gelu"),
    "Hardswish": (F.hardswish, "hardswish"),
    "Sigmoid": (torch.sigmoid, "sigmoid"),
    "tanh": (torch.tanh, "tanh"),
    "ELU": (F.elu, "elu"),
    "Softplus": (F.softplus, "softplus"),
    "clamp(-1, 1)": (lambda x: x.clamp(-1, 1), "clamp"),
    "abs": (torch.abs, "abs"),
    "self gate": (lambda x: x * torch.sigmoid(x), "product with a gate"),
    "square": (lambda x: x * x, "product of feature maps"),
    "mask of other maps": (lambda x: x * (x.detach().roll(1, 1) > 0), "product of feature maps"),
    "half of x and |x|": (lambda x: (x + x.abs()) / 2, "abs"),
    "stack with zeros": (
        lambda x: torch.stack([x, torch.zeros_like(x)]).amax(0),
        "maximum with a fixed map",
    ),
    "mask by einsum": (
        lambda x: torch.einsum("nchw,nchw->nchw", x, (x.detach() > 0).float()),
        "product of feature maps",
    ),
    "mask by numpy": (
        lambda x: x * torch.from_numpy(x.detach().numpy() > 0),
        "array from outside torch",
    ),
    "its own largest value": (lambda x: x / x.max().item(), "item"),
    "its own filter": (
        lambda x: F.conv2d(x, x[:1, :, :3, :3].expand(x.shape[1], -1, -1, -1), padding=1),
        "product of feature maps",
    ),
    "its own scale": (
        scale_by_itself,
        "product of feature maps",
    ),
    "in place on a half": (sigmoid_of_a_half, "sigmoid"),
    "in place on a view": (lambda x: F.elu(F.instance_norm(x), inplace=True), "elu"),
    "gate in place": (gate_a_half, "product of feature maps"),
    "own function": (Swish.apply, "Swish"),
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
