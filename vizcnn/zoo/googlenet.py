"""GoogLeNet as in the paper (Szegedy et al. 2014, arXiv 1409.4842), with its auxiliary heads."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from vizcnn.zoo.normalisation import ContrastNormalisation
from vizcnn.zoo.registry import Variant, name_stages, net, onnx_zoo


class NaiveInception(nn.Module):
    """Convolutions of 1 x 1, 3 x 3 and 5 x 5 beside a pooling, their maps side by side.

    Figure 2 (a): the pooling keeps all maps of the input, so there are ever more of them. Each
    convolution is followed by a ReLU; padding keeps the size.

    Args:
        in_maps: Maps of the input.
        maps1: Maps of the 1 x 1 convolution.
        maps3: Maps of the 3 x 3 convolution.
        maps5: Maps of the 5 x 5 convolution.

    Example:
        >>> NaiveInception(256, 128, 192, 96)(torch.zeros(1, 256, 28, 28)).shape
        torch.Size([1, 672, 28, 28])
    """

    def __init__(self, in_maps: int, maps1: int, maps3: int, maps5: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(in_maps, maps1, 1)
        self.relu1x1 = nn.ReLU()
        self.conv3x3 = nn.Conv2d(in_maps, maps3, 3, padding=1)
        self.relu3x3 = nn.ReLU()
        self.conv5x5 = nn.Conv2d(in_maps, maps5, 5, padding=2)
        self.relu5x5 = nn.ReLU()
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        branches = [
            self.relu1x1(self.conv1x1(x)),
            self.relu3x3(self.conv3x3(x)),
            self.relu5x5(self.conv5x5(x)),
            self.pool(x),
        ]
        return torch.cat(branches, dim=1)


class Inception(nn.Module):
    """The module with reductions: 1 x 1 convolutions before 3 x 3 and 5 x 5 and after the pool.

    Figure 2 (b). Each convolution is followed by a ReLU; padding keeps the size.

    Args:
        in_maps: Maps of the input.
        maps1: Maps of the 1 x 1 convolution (``#1x1`` in the paper's Table 1).
        reduce3: Maps of the reduction before the 3 x 3 convolution.
        maps3: Maps of the 3 x 3 convolution.
        reduce5: Maps of the reduction before the 5 x 5 convolution.
        maps5: Maps of the 5 x 5 convolution.
        pool_maps: Maps of the projection after the pooling (``pool proj``).

    Example:
        >>> Inception(256, 128, 64, 192, 64, 96, 64)(torch.zeros(1, 256, 28, 28)).shape
        torch.Size([1, 480, 28, 28])
    """

    def __init__(
        self,
        in_maps: int,
        maps1: int,
        reduce3: int,
        maps3: int,
        reduce5: int,
        maps5: int,
        pool_maps: int,
    ) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(in_maps, maps1, 1)
        self.relu1x1 = nn.ReLU()
        self.reduce3x3 = nn.Conv2d(in_maps, reduce3, 1)
        self.relu_reduce3x3 = nn.ReLU()
        self.conv3x3 = nn.Conv2d(reduce3, maps3, 3, padding=1)
        self.relu3x3 = nn.ReLU()
        self.reduce5x5 = nn.Conv2d(in_maps, reduce5, 1)
        self.relu_reduce5x5 = nn.ReLU()
        self.conv5x5 = nn.Conv2d(reduce5, maps5, 5, padding=2)
        self.relu5x5 = nn.ReLU()
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.project = nn.Conv2d(in_maps, pool_maps, 1)
        self.relu_project = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branches = [
            self.relu1x1(self.conv1x1(x)),
            self.relu3x3(self.conv3x3(self.relu_reduce3x3(self.reduce3x3(x)))),
            self.relu5x5(self.conv5x5(self.relu_reduce5x5(self.reduce5x5(x)))),
            self.relu_project(self.project(self.pool(x))),
        ]
        return torch.cat(branches, dim=1)


MODULES: dict[str, tuple[int, int, int, int, int, int, int]] = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}
"""Maps of the nine modules: of the input, then as in Table 1 from ``#1x1`` to ``pool proj``."""


class AuxiliaryHead(nn.Module):
    """A small classifier on the maps of a module in the middle (section 5).

    Average pooling of 5 x 5 with stride 3, 128 maps by 1 x 1, 1,024 units, dropout, logits.

    Args:
        in_maps: Maps of the module.
        side: Side of its maps in units.
        classes: Number of logits.
        dropout: Dropout before the logits while training.

    Raises:
        ValueError: If the maps are smaller than the pooling's window.

    Example:
        >>> AuxiliaryHead(512, 14, 10)(torch.zeros(1, 512, 14, 14)).shape
        torch.Size([1, 10])
    """

    def __init__(self, in_maps: int, side: int, classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        if side < 5:
            raise ValueError(f"maps of {side} x {side} are too small for a pooling of 5 x 5")
        pooled = (side - 5) // 3 + 1
        self.pool = nn.AvgPool2d(5, stride=3)
        self.conv = nn.Conv2d(in_maps, 128, 1)
        self.relu = nn.ReLU()
        self.fc1 = nn.Linear(128 * pooled * pooled, 1024)
        self.relu1 = nn.ReLU()
        self.drop = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.relu(self.conv(self.pool(x)))
        hidden = self.relu1(self.fc1(torch.flatten(maps, 1)))
        logits: Tensor = self.fc2(self.drop(hidden))
        return logits


def _name_layers(module: nn.Module) -> dict[str, str]:
    stages = name_stages("stem.relu1", "stem.relu2", "inception3b", "inception4e", "inception5b")
    stem = {name: f"stem.{name}" for name in ("pool1", "norm1", "norm2", "pool2")}
    order = (
        "inception3a inception3b pool3 inception4a aux1 inception4b inception4c inception4d aux2 "
        "inception4e pool4 inception5a inception5b fc"
    ).split()
    there = dict(module.named_children())
    return stages | stem | {path: path for path in order if path in there}


@net(
    "googlenet-paper",
    order=7,
    title="GoogLeNet (paper)",
    paper="Szegedy et al. 2014 (arXiv 1409.4842)",
    variants={
        "paper": Variant("5 x 5 filters, biases, contrast normalisation", {}, 224, "caffe"),
        "training": Variant("with both auxiliary heads", {"auxiliary": True}, 224, "caffe"),
    },
    layers=_name_layers,
    weights=[
        onnx_zoo(
            "paper",
            "inception_and_googlenet/googlenet/model/googlenet-12.onnx",
            "c99c507058eaf41de8723408fdda7db8325cb57f0a89f2ee07a716d6e963e14e",
            28_021_836,
            "BSD-3-Clause",
            (0.6778, 0.8834),
            "BVLC GoogLeNet",
        )
    ],
)
class GoogLeNet(nn.Module):
    """Twenty-two layers with weights on the longest way, nine inception modules.

    Sizes, maps and order are those of the paper's Table 1; normalisation, rounding of the
    poolings and biases as in BVLC's Caffe net: 6,998,552 parameters, 13,378,280 with the heads.
    torchvision's ``googlenet`` differs: batch normalisation, no biases, 3 x 3 filters where the
    paper has 5 x 5. Layers are called in the Caffe net's order, which is that of its ONNX file.

    Args:
        classes: Number of logits.
        input_size: Side of the square input in pixels; fixes the size of the auxiliary heads.
        auxiliary: Whether there are heads after 4a and 4d. They are computed in every pass, so
            that hooks reach them, and given back while training only: a trained net is used
            without them (section 5).
        dropout: Dropout before the logits while training.

    Example:
        >>> with torch.device("meta"):
        ...     GoogLeNet()(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 1000])
    """

    def __init__(
        self,
        *,
        classes: int = 1000,
        input_size: int = 224,
        auxiliary: bool = False,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
                norm1=ContrastNormalisation(alpha=1e-4, k=1.0),
                reduce2=nn.Conv2d(64, 64, 1),
                relu_reduce2=nn.ReLU(),
                conv2=nn.Conv2d(64, 192, 3, padding=1),
                relu2=nn.ReLU(),
                norm2=ContrastNormalisation(alpha=1e-4, k=1.0),
                pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
            )
        )
        for name, maps in MODULES.items():
            self.add_module(f"inception{name}", Inception(*maps))
        self.pool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool4 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, classes)
        self.aux1: AuxiliaryHead | None = None
        self.aux2: AuxiliaryHead | None = None
        if auxiliary:
            side = _find_side(input_size)
            self.aux1 = AuxiliaryHead(512, side, classes)
            self.aux2 = AuxiliaryHead(528, side, classes)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Give the logits; while training with heads, theirs too: (logits, after 4a, after 4d)."""
        heads: list[Tensor] = []
        maps = self.stem(x)
        for name in MODULES:
            maps = self.get_submodule(f"inception{name}")(maps)
            if name == "3b":
                maps = self.pool3(maps)
            elif name == "4e":
                maps = self.pool4(maps)
            head = {"4a": self.aux1, "4d": self.aux2}.get(name)
            if head is not None:
                heads.append(head(maps))
        logits: Tensor = self.fc(self.drop(torch.flatten(self.avgpool(maps), 1)))
        return (logits, heads[0], heads[1]) if heads and self.training else logits


def _find_side(input_size: int) -> int:
    """Give the side of the maps of 4a to 4e: conv1 and three poolings halve it."""
    side = (input_size + 1) // 2
    for _ in range(3):
        side //= 2
    return side
