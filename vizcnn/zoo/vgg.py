"""VGG in configuration C (Simonyan & Zisserman 2014, arXiv 1409.1556, Table 1)."""

import torch
from torch import Tensor, nn

from vizcnn.zoo.registry import Variant, net
from vizcnn.zoo.torchvision_nets import name_vgg

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Maps of the convolutions of each block, as in configuration D."""


@net(
    "vgg16-c",
    order=6,
    title="VGG-16 C",
    paper="Simonyan & Zisserman 2014 (arXiv 1409.1556)",
    variants={"paper": Variant("D with three 1 x 1 convolutions", {}, 224)},
    layers=name_vgg,
)
class VGGC(nn.Module):
    """Sixteen layers with weights on 224 x 224 pixels; three of them see single pixels.

    As D (torchvision's ``vgg16``), but the third convolution of the blocks 3, 4 and 5 has filters
    of 1 x 1: C has D's depth and rectifiers, and B's (``vgg13``'s) receptive fields.
    Layers lie where torchvision's VGG has them.

    Args:
        classes: Number of logits.
        input_size: Side of the square input in pixels; fixes the size of the first fully
            connected layer, 512 x 7 x 7 for 224.
        hidden: Width of the two hidden fully connected layers.
        dropout: Dropout after each of them while training.

    Example:
        >>> with torch.device("meta"):
        ...     VGGC()(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 1000])
    """

    def __init__(
        self,
        *,
        classes: int = 1000,
        input_size: int = 224,
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = _make_features()
        side = input_size // 2 ** len(BLOCKS)
        if side < 1:
            raise ValueError(f"an input of {input_size} px leaves nothing: give at least 32")
        self.classifier = nn.Sequential(
            nn.Linear(BLOCKS[-1][-1] * side * side, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits


def _make_features() -> nn.Sequential:
    layers: list[nn.Module] = []
    maps = 3
    for block in BLOCKS:
        for number, width in enumerate(block, start=1):
            size = 1 if number == 3 else 3
            layers += [nn.Conv2d(maps, width, size, padding=size // 2), nn.ReLU()]
            maps = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)
