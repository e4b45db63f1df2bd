"""ZFNet (Zeiler & Fergus 2013, arXiv 1311.2901): AlexNet with a finer first layer."""

from functools import partial

from torch import Tensor, nn

from vizcnn.zoo.alexnet import make_classifier, name_chain, name_hidden, order_pool_and_norm
from vizcnn.zoo.chains import Part, build_chain, choose_widths
from vizcnn.zoo.normalisation import ContrastNormalisation
from vizcnn.zoo.registry import Variant, net, onnx_zoo

WIDE_MAPS = (512, 1024, 512)
"""Feature maps of conv3..conv5 in the larger net of ZF's section 5.1 and of lectures."""
PAPER_MAPS = (384, 384, 256)
"""Feature maps of conv3..conv5 in ZF's Figure 3."""

_ZFNET512 = {
    "maps": (512, 512, 512),
    "hidden": (4096, 1024),
    "conv1_padding": 0,
    "ceil_pools": False,
    "pool5_size": 2,
    "norm_before_pool": True,
}


@net(
    "zfnet",
    order=3,
    title="ZFNet",
    paper="Zeiler & Fergus 2013 (arXiv 1311.2901)",
    variants={
        "wide": Variant("512, 1024, 512 maps in conv3..conv5", {"maps": WIDE_MAPS}, 224),
        "paper": Variant("384, 384, 256 maps, as in Figure 3", {"maps": PAPER_MAPS}, 224),
        "zfnet512": Variant("ONNX Model Zoo's ZFNet-512", _ZFNET512, 224, "caffe2"),
    },
    layers=name_chain,
    weights=[
        onnx_zoo(
            "zfnet512",
            "zfnet-512/model/zfnet512-12.onnx",
            "c975ca6a24c0a2e1584c6f82667e0ac9c06084fc7769d267f71b4a154d1f1c72",
            349_005_501,
            "MIT",
            (0.5597, 0.7941),
            "conv4 has 512 maps and fc7 1024 units where the paper's larger net has 1024 and 4096; "
            "the zoo documents no preprocessing: that of Caffe2's trainer, BGR (x - 128) / 128, is "
            "taken",
        )
    ],
)
class ZFNet(nn.Module):
    """Five convolutions and three fully connected layers on 224 x 224 pixels.

    Feature maps: conv1 96 x 110 x 110 (7 x 7, stride 2), pool1 55, conv2 256 x 26 x 26 (5 x 5,
    stride 2), pool2 13, conv3..conv5 13 x 13, pool5 6 x 6 (ZF, Figure 3). As in the figure the
    maps are rectified, pooled, then contrast normalised.

    Args:
        classes: Number of logits.
        maps: Feature maps of conv3, conv4 and conv5: :data:`WIDE_MAPS` or :data:`PAPER_MAPS`
            (the ONNX Model Zoo's ZFNet-512 has 512, 512, 512).
        hidden: Width of fc6 and fc7, or a pair of widths (ZFNet-512: 4096, 1024).
        input_size: Side of the square input in pixels; fixes the size of fc6.
        conv1_padding: Padding of conv1; with 1 and pools that round up, 110, 55, 26 and 13
            come out as in Figure 3.
        ceil_pools: Round the sizes of pool1 and pool2 up.
        pool5_size: Window of pool5 (3 in the paper, 2 in ZFNet-512).
        norm_before_pool: Normalise before pooling, as AlexNet and ZFNet-512 do.
        dropout: Dropout before fc7 and fc8 while training.
        without: Layers to leave out, each with its rectifier: ``"conv3,conv4"``, as in ZF's
            Table 3. Pooling and normalisation stay.
        widths: Maps or units of layers, where they are others: ``"conv3=512,fc6=2048"``.

    Raises:
        ValueError: If there is no such layer, or it is conv1 or fc8 that is to be left out.

    Example:
        >>> import torch
        >>> ZFNet().features.conv1(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 96, 110, 110])
    """

    def __init__(
        self,
        *,
        classes: int = 1000,
        maps: tuple[int, int, int] = WIDE_MAPS,
        hidden: int | tuple[int, int] = 4096,
        input_size: int = 224,
        conv1_padding: int = 1,
        ceil_pools: bool = True,
        pool5_size: int = 3,
        norm_before_pool: bool = False,
        dropout: float = 0.5,
        without: str = "",
        widths: str = "",
    ) -> None:
        super().__init__()
        usual = dict(
            zip(("conv1", "conv2", "conv3", "conv4", "conv5"), (96, 256, *maps), strict=True)
        )
        chosen = choose_widths({**usual, **name_hidden(hidden)}, without, widths)
        pool1, pool2 = (nn.MaxPool2d(3, 2, ceil_mode=ceil_pools) for _ in range(2))
        parts: dict[str, Part] = {
            "conv1": partial(nn.Conv2d, kernel_size=7, stride=2, padding=conv1_padding),
            "relu1": nn.ReLU(),
            **order_pool_and_norm(1, pool1, ContrastNormalisation(), norm_before_pool),
            "conv2": partial(nn.Conv2d, kernel_size=5, stride=2),
            "relu2": nn.ReLU(),
            **order_pool_and_norm(2, pool2, ContrastNormalisation(), norm_before_pool),
            "conv3": partial(nn.Conv2d, kernel_size=3, padding=1),
            "relu3": nn.ReLU(),
            "conv4": partial(nn.Conv2d, kernel_size=3, padding=1),
            "relu4": nn.ReLU(),
            "conv5": partial(nn.Conv2d, kernel_size=3, padding=1),
            "relu5": nn.ReLU(),
            "pool5": nn.MaxPool2d(pool5_size, 2),
        }
        self.features = build_chain(parts, chosen, 3)
        self.classifier = make_classifier(self.features, input_size, chosen, classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits
