"""EfficientNet-Lite (Liu & Tan 2020, after Tan & Le 2019, arXiv 1905.11946): ReLU6 all through."""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from vizcnn.zoo.registry import Variant, list_children, name_stages, net

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, size of their filters, stride of the first, widening inside, maps (Tan & Le, Table 1)."""
STEM_MAPS, HEAD_MAPS = 32, 1280
"""Maps of the first and of the last convolution, which Lite keeps at all widths."""
_EPSILON, _MOMENTUM = 1e-3, 0.01


def _normalise(maps: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(maps, eps=_EPSILON, momentum=_MOMENTUM)


def _pad_same(side: int, size: int, stride: int) -> nn.Module:
    """Make TensorFlow's padding: what the last window needs, the odd pixel at the end."""
    missing = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
    before, after = missing // 2, missing - missing // 2
    return nn.ZeroPad2d((before, after, before, after))


class Block(nn.Module):
    """An inverted residual block: widened, filtered map by map, narrowed without a rectifier.

    Its input is added where it has the shape of the output. Names are timm's.

    Args:
        in_maps: Maps of the input.
        maps: Maps of the output.
        size: Side of the filters.
        stride: Their stride.
        widening: Maps inside for each of the input; 1 leaves the first convolution out.
        side: Side of the input in units, which fixes the padding.

    Example:
        >>> Block(8, 12, 3, 2, 6, 14)(torch.zeros(1, 8, 14, 14)).shape
        torch.Size([1, 12, 7, 7])
    """

    def __init__(
        self, in_maps: int, maps: int, size: int, stride: int, widening: int, side: int
    ) -> None:
        super().__init__()
        inner = in_maps * widening
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if widening > 1:
            layers["conv_pw"] = nn.Conv2d(in_maps, inner, 1, bias=False)
            layers["bn1"] = _normalise(inner)
            layers["act1"] = nn.ReLU6()
        filtering = len(layers) // 3 + 1  # timm counts from 1 whichever comes first
        layers["pad"] = _pad_same(side, size, stride)
        layers["conv_dw"] = nn.Conv2d(inner, inner, size, stride, groups=inner, bias=False)
        layers[f"bn{filtering}"] = _normalise(inner)
        layers[f"act{filtering}"] = nn.ReLU6()
        narrowing = "conv_pwl" if widening > 1 else "conv_pw"
        layers[narrowing] = nn.Conv2d(inner, maps, 1, bias=False)
        layers[f"bn{filtering + 1}"] = _normalise(maps)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.is_residual = stride == 1 and in_maps == maps

    def forward(self, x: Tensor) -> Tensor:
        result = x
        for layer in self.children():
            result = layer(result)
        return result + x if self.is_residual else result


def _name_layers(module: nn.Module) -> dict[str, str]:
    stages = name_stages("blocks.0", "blocks.1", "blocks.2", "blocks.4", "act2")
    blocks = {
        f"block{stage + 1}_{number}": path
        for stage in range(len(STAGES))
        for number, path in enumerate(list_children(module, f"blocks.{stage}"), start=1)
    }
    return {**stages, "stem": "act1", **blocks, "fc": "classifier"}


_PAPER = "Tan & Le 2019 (arXiv 1905.11946); Lite: Liu & Tan 2020"


@net(
    "efficientnet-lite0",
    order=8,
    title="EfficientNet-Lite0",
    paper=_PAPER,
    variants={"lite": Variant("as published", {}, 224, "lite")},
    layers=_name_layers,
)
@net(
    "efficientnet-lite1",
    order=9,
    title="EfficientNet-Lite1",
    paper=_PAPER,
    variants={"lite": Variant("as published", {"depth": 1.1}, 240, "lite")},
    layers=_name_layers,
)
@net(
    "efficientnet-lite2",
    order=10,
    title="EfficientNet-Lite2",
    paper=_PAPER,
    variants={"lite": Variant("as published", {"width": 1.1, "depth": 1.2}, 260, "lite")},
    layers=_name_layers,
)
class EfficientNetLite(nn.Module):
    """EfficientNet without squeezing and excitation, with ReLU6 in the place of SiLU.

    Every operation has a rule of the deconvnet's, which SiLU has not. Parts are named as in timm's
    ``tf_efficientnet_lite0``, whose weights fit.

    Args:
        classes: Number of logits.
        input_size: Side of the square input in pixels; fixes the padding.
        width: Factor of the maps, rounded to multiples of 8.
        depth: Factor of the number of blocks of a stage, but for the first and the last.
        dropout: Dropout before the logits while training.

    Example:
        >>> with torch.device("meta"):
        ...     EfficientNetLite()(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 1000])
    """

    def __init__(
        self,
        *,
        classes: int = 1000,
        input_size: int = 224,
        width: float = 1.0,
        depth: float = 1.0,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.pad = _pad_same(input_size, 3, 2)
        self.conv_stem = nn.Conv2d(3, STEM_MAPS, 3, 2, bias=False)
        self.bn1 = _normalise(STEM_MAPS)
        self.act1 = nn.ReLU6()
        side, in_maps = math.ceil(input_size / 2), STEM_MAPS
        stages = []
        for number, (count, size, stride, widening, usual) in enumerate(STAGES):
            maps = _round_maps(usual * width)
            if 0 < number < len(STAGES) - 1:
                count = math.ceil(count * depth)
            blocks = []
            for _ in range(count):
                blocks.append(Block(in_maps, maps, size, stride, widening, side))
                side, in_maps, stride = math.ceil(side / stride), maps, 1
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = nn.Conv2d(in_maps, HEAD_MAPS, 1, bias=False)
        self.bn2 = _normalise(HEAD_MAPS)
        self.act2 = nn.ReLU6()
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(dropout)
        self.classifier = nn.Linear(HEAD_MAPS, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.bn1(self.conv_stem(self.pad(x))))
        x = self.act2(self.bn2(self.conv_head(self.blocks(x))))
        logits: Tensor = self.classifier(self.drop(torch.flatten(self.global_pool(x), 1)))
        return logits


def _round_maps(maps: float) -> int:
    """Round to a multiple of 8, by no more than a tenth down."""
    rounded = max(8, int(maps + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * maps else rounded + 8
