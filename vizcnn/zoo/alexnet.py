"""AlexNet (Krizhevsky, Sutskever & Hinton 2012), as in the paper and in lectures."""

import math
from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from vizcnn.zoo.chains import Part, build_chain, choose_widths
from vizcnn.zoo.normalisation import ContrastNormalisation
from vizcnn.zoo.registry import Variant, list_children, net, onnx_zoo


def name_chain(module: nn.Module) -> dict[str, str]:
    """Name the layers of AlexNet or ZFNet: conv1 and fc6 after the ReLU, norm1, pool1, ..."""
    names = {}
    for path in list_children(module, "features"):
        name = path.removeprefix("features.")
        if not name.startswith("conv"):
            names[name.replace("relu", "conv")] = path
    for path in list_children(module, "classifier"):
        name = path.removeprefix("classifier.")
        if name.startswith("relu"):
            names[name.replace("relu", "fc")] = path
    return {**names, "fc8": "classifier.fc8"}


_PAPER = "Krizhevsky, Sutskever & Hinton 2012 (NIPS)"
_BVLC = {"groups": 2, "norm_alpha": 1e-4, "norm_k": 1.0, "input_size": 224, "ceil_pool5": True}
_CAFFENET = Variant(
    "CaffeNet: pools before it normalises", {**_BVLC, "norm_before_pool": False}, 224, "caffe"
)
_FINER = {"conv1_size": 7, "conv1_stride": 2}


@net(
    "alexnet",
    order=1,
    title="AlexNet",
    paper=_PAPER,
    variants={
        "paper": Variant("the paper's layers, without its groups", {}, 227),
        "towers": Variant("two towers: conv2, conv4, conv5 in two groups", {"groups": 2}, 227),
        "bvlc": Variant("BVLC AlexNet (Caffe)", _BVLC, 224, "caffe"),
        "caffenet": _CAFFENET,
    },
    layers=name_chain,
    weights=[
        onnx_zoo(
            "bvlc",
            "alexnet/model/bvlcalexnet-12.onnx",
            "6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945",
            243_863_787,
            "BSD-3-Clause",
            (0.5480, 0.7823),
            "BVLC AlexNet",
        )
    ],
    trained_as={"ceil_pool5": True},  # at 128 pixels pool5 is 3 x 3
)
@net(
    "alexnet-7x7",
    order=2,
    title="AlexNet 7×7",
    paper=f"{_PAPER}, with the first layer of Zeiler & Fergus 2013 (arXiv 1311.2901)",
    variants={"finer": Variant("conv1 of 7 x 7 at stride 2, as in ZFNet", _FINER, 227)},
    layers=name_chain,
    trained_as={"ceil_pool5": True, **_FINER},  # at 128 pixels pool5 is 7 x 7
)
@net(
    "caffenet",
    order=4,
    title="CaffeNet",
    paper="Jia et al. 2014 (arXiv 1408.5093)",
    variants={"caffenet": _CAFFENET},
    layers=name_chain,
    weights=[
        onnx_zoo(
            "caffenet",
            "caffenet/model/caffenet-12.onnx",
            "ea563e5c47d1f58e1717cf1a2d8bf288b8adc07af0ad228b622096cd243aeecb",
            243_863_798,
            "BSD-3-Clause",
            None,
            "BVLC CaffeNet",
        )
    ],
    trained_as=None,
)
class AlexNet(nn.Module):
    """Five convolutions and three fully connected layers on 227 x 227 pixels.

    Feature maps: conv1 96 x 55 x 55, pool1 27, conv2 256 x 27 x 27, pool2 13, conv3 384, conv4 384
    and conv5 256 x 13 x 13, pool5 256 x 6 x 6; 34,944 parameters in conv1. ``groups=2`` is the
    paper's split over two GPUs. Sizes: Krizhevsky et al. 2012, section 3.5; the 227 of the input
    is what makes 55 come out (the paper's 224 is a slip).

    Args:
        classes: Number of logits.
        groups: Groups of conv2, conv4 and conv5: 1, or 2 as on two GPUs.
        hidden: Width of fc6 and fc7, or a pair of widths.
        input_size: Side of the square input in pixels; fixes the size of fc6.
        norm_alpha: Alpha of the contrast normalisation (mean over 5 channels). The paper's 1e-4
            per channel is 5e-4 here; BVLC's Caffe net has 1e-4.
        norm_k: Constant of the contrast normalisation (the paper: 2; BVLC: 1).
        norm_before_pool: Normalise before pooling (the paper, BVLC); CaffeNet pools first.
        ceil_pool5: Round the size of pool5 up, as Caffe does; only matters for other inputs
            than 227.
        conv1_size: Side of conv1's filters; with 7 and a stride of 2 only the first layer is
            ZFNet's.
        conv1_stride: Stride of conv1.
        dropout: Dropout before fc7 and fc8 while training.
        without: Layers to leave out, each with its rectifier: ``"conv3,conv4"``. Pooling and
            normalisation stay.
        widths: Maps or units of layers, where they are others: ``"conv3=512,fc6=2048"``.

    Raises:
        ValueError: If there is no such layer, or it is conv1 or fc8 that is to be left out.

    Example:
        >>> import torch
        >>> AlexNet(groups=2)(torch.zeros(1, 3, 227, 227)).shape
        torch.Size([1, 1000])
    """

    def __init__(
        self,
        *,
        classes: int = 1000,
        groups: int = 1,
        hidden: int | tuple[int, int] = 4096,
        input_size: int = 227,
        norm_alpha: float = 5e-4,
        norm_k: float = 2.0,
        norm_before_pool: bool = True,
        ceil_pool5: bool = False,
        conv1_size: int = 11,
        conv1_stride: int = 4,
        dropout: float = 0.5,
        without: str = "",
        widths: str = "",
    ) -> None:
        super().__init__()
        norm1, norm2 = (ContrastNormalisation(alpha=norm_alpha, k=norm_k) for _ in range(2))
        maps = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256}
        chosen = choose_widths({**maps, **name_hidden(hidden)}, without, widths)
        parts: dict[str, Part] = {
            "conv1": partial(nn.Conv2d, kernel_size=conv1_size, stride=conv1_stride),
            "relu1": nn.ReLU(),
            **order_pool_and_norm(1, nn.MaxPool2d(3, 2), norm1, norm_before_pool),
            "conv2": partial(nn.Conv2d, kernel_size=5, padding=2, groups=groups),
            "relu2": nn.ReLU(),
            **order_pool_and_norm(2, nn.MaxPool2d(3, 2), norm2, norm_before_pool),
            "conv3": partial(nn.Conv2d, kernel_size=3, padding=1),
            "relu3": nn.ReLU(),
            "conv4": partial(nn.Conv2d, kernel_size=3, padding=1, groups=groups),
            "relu4": nn.ReLU(),
            "conv5": partial(nn.Conv2d, kernel_size=3, padding=1, groups=groups),
            "relu5": nn.ReLU(),
            "pool5": nn.MaxPool2d(3, 2, ceil_mode=ceil_pool5),
        }
        self.features = build_chain(parts, chosen, 3)
        self.classifier = make_classifier(self.features, input_size, chosen, classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def order_pool_and_norm(
    number: int, pool: nn.Module, norm: nn.Module, norm_first: bool
) -> dict[str, nn.Module]:
    """Name a pooling and a contrast normalisation, in the order in which they are applied.

    Args:
        number: Number of the convolution that they follow.
        pool: The pooling.
        norm: The contrast normalisation.
        norm_first: Whether to normalise before pooling.

    Returns:
        The two modules by name, such as ``norm1`` and ``pool1``.
    """
    named = {f"norm{number}": norm, f"pool{number}": pool}
    return named if norm_first else dict(reversed(named.items()))


def count_outputs(features: nn.Module, shape: tuple[int, int, int]) -> int:
    """Count the values that the convolutional part of a net gives for one image.

    By their formula: running the layers on torch's meta device, where nets are built, would load
    sympy and torch's compiler, which takes a second.

    Args:
        features: The convolutional part: convolutions, windows that pool, and what keeps shapes.
        shape: Channels, rows and columns of the image.

    Raises:
        RuntimeError: If a window does not fit into its input; torch's own is one, too.

    Example:
        >>> count_outputs(nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2)), (3, 10, 10))
        128
    """
    channels, *sides = shape
    for name, part in features.named_children():
        if not hasattr(part, "kernel_size"):
            continue
        counts = [_count_windows(part, side, axis) for axis, side in enumerate(sides)]
        if min(counts) < 1:
            raise RuntimeError(
                f"the windows of {name} do not fit into its input of {' x '.join(map(str, sides))}"
            )
        sides, channels = counts, getattr(part, "out_channels", channels)
    return channels * math.prod(sides)


def _count_windows(part: nn.Module, side: int, axis: int) -> int:
    """Count the windows of a convolution or pooling along an axis, as torch places them."""
    names = ("kernel_size", "stride", "padding", "dilation")
    sizes = (getattr(part, name, 1) for name in names)  # an average pooling has no dilation
    window, stride, padding, dilation = (
        size if isinstance(size, int) else size[axis] for size in sizes
    )
    room = side + 2 * padding - dilation * (window - 1) - 1
    if not getattr(part, "ceil_mode", False):
        return room // stride + 1
    count = -(-room // stride) + 1
    # the last one has to begin inside the map or the padding on its left
    return count - 1 if (count - 1) * stride >= side + padding else count


def name_hidden(hidden: int | tuple[int, int]) -> dict[str, int]:
    """Give the widths of fc6 and fc7, of one width for both or a pair.

    Example:
        >>> name_hidden(512), name_hidden((4096, 1024))
        ({'fc6': 512, 'fc7': 512}, {'fc6': 4096, 'fc7': 1024})
    """
    width6, width7 = (hidden, hidden) if isinstance(hidden, int) else hidden
    return {"fc6": width6, "fc7": width7}


def make_classifier(
    features: nn.Module,
    input_size: int,
    widths: Mapping[str, int],
    classes: int,
    dropout: float,
) -> nn.Sequential:
    """Make fc6, fc7 and fc8 for the features' output at an input size.

    Args:
        features: The convolutional part.
        input_size: Side of the square RGB input in pixels.
        widths: Units of fc6 and fc7; one that it lacks is left out.
        classes: Number of logits.
        dropout: Dropout after fc6 and fc7 while training.

    Returns:
        Modules flatten, fc6, relu6, drop6, fc7, relu7, drop7, fc8.
    """
    parts: dict[str, Part] = {
        "flatten": nn.Flatten(),
        "fc6": nn.Linear,
        "relu6": nn.ReLU(),
        "drop6": nn.Dropout(dropout),
        "fc7": nn.Linear,
        "relu7": nn.ReLU(),
        "drop7": nn.Dropout(dropout),
        "fc8": nn.Linear,
    }
    return build_chain(
        parts, {**widths, "fc8": classes}, count_outputs(features, (3, input_size, input_size))
    )
