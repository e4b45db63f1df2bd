"""The first layer of a net as signal theory sees it: filters on pixels and a stride."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.basics.errors import ModelError
from vizcnn.measures.filter_layers import find_first_filters
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True)
class FirstLayer:
    """Filters that act on RGB pixels of 0..1, without their bias, and their stride.

    Attributes:
        weight: (F, 3, h, w), float32 on the CPU.
        stride: Step in pixels, the same in both directions.
        path: Module path of the convolution.
    """

    weight: Tensor
    stride: int
    path: str

    @property
    def limit(self) -> float:
        """Highest frequency that the stride keeps in its place, cycles per pixel: 1/(2 stride)."""
        return 0.5 / self.stride

    def respond(self, pixels: Tensor, stride: int | None = None) -> Tensor:
        """Filter pixels (N, 3, H, W) without padding and keep every ``stride``-th value.

        Args:
            pixels: RGB 0..1.
            stride: Another step than the layer's own.

        Returns:
            (N, F, H', W'), in the type of the pixels.
        """
        weight = self.weight.to(pixels.dtype)
        return F.conv2d(pixels, weight, stride=stride or self.stride)


def find_first_layer(model: ZooModel) -> FirstLayer:
    """Find the first convolution of a net.

    Raises:
        ModelError: If it does not take a picture's colours, or its strides or dilations are not
            those of a plain convolution with one step for both directions.

    Example:
        >>> from vizcnn import load
        >>> find_first_layer(load("zfnet", weights=None, hidden=8)).limit
        0.25
    """
    path, weight = find_first_filters(model)
    module = model.module.get_submodule(path)
    assert isinstance(module, nn.Conv2d)
    down, across = module.stride
    if down != across or module.dilation != (1, 1):
        raise ModelError(
            f"the first layer of {model.name} has strides {module.stride} and dilation "
            f"{module.dilation}; needed: one stride for both directions, no dilation"
        )
    return FirstLayer(weight, down, path)
