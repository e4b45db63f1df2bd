"""From pixels (RGB 0..1) to a net's input and back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """An affine map per colour: ``input = (pixels * scale - mean) / std``, perhaps in BGR order.

    Attributes:
        mean: Mean per channel, in the net's own channel order.
        std: Divisor per channel, in the net's own channel order.
        scale: What pixels of 0..1 are multiplied by first (255 for Caffe nets).
        bgr: Whether the net takes blue first.
        input_size: Side of the square input in pixels.
        resize: Side that the photo's shorter side is brought to before the crop.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float
    bgr: bool
    input_size: int
    resize: int

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn pixels (N, 3, H, W), RGB 0..1, into the net's input."""
        ordered = pixels.flip(-3) if self.bgr else pixels
        return (ordered * self.scale - self._column(self.mean, pixels)) / self._column(
            self.std, pixels
        )

    def denormalise(self, inputs: Tensor) -> Tensor:
        """Turn the net's input (N, 3, H, W) back into pixels, RGB 0..1 (not clamped)."""
        scaled = (
            inputs * self._column(self.std, inputs) + self._column(self.mean, inputs)
        ) / self.scale
        return scaled.flip(-3) if self.bgr else scaled

    def to_pixel_gradient(self, gradient: Tensor) -> Tensor:
        """Turn a gradient (or projection) at the net's input into one at RGB pixels 0..1.

        The chain rule through :meth:`normalise`: times scale / std, channels back in RGB order.
        """
        scaled = gradient * self.scale / self._column(self.std, gradient)
        return scaled.flip(-3) if self.bgr else scaled

    def at_size(self, input_size: int) -> "Preprocessing":
        """Give the same map for another input size; the resize keeps its share of border."""
        resize = round(self.resize * input_size / self.input_size)
        return replace(self, input_size=input_size, resize=resize)

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Make one from what :meth:`to_dict` gave, perhaps by way of JSON.

        Raises:
            KeyError: If a setting is missing.
            TypeError, ValueError: If a setting has another form.
        """
        return cls(
            mean=_read_triple(values["mean"]),
            std=_read_triple(values["std"]),
            scale=float(values["scale"]),
            bgr=bool(values["bgr"]),
            input_size=int(values["input_size"]),
            resize=int(values["resize"]),
        )

    @staticmethod
    def _column(values: tuple[float, float, float], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device).view(3, 1, 1)


def _read_triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def imagenet_preprocessing(input_size: int, resize: int) -> Preprocessing:
    """Make torchvision's usual preprocessing: RGB, ImageNet's mean and standard deviation."""
    return Preprocessing(IMAGENET_MEAN, IMAGENET_STD, 1.0, False, input_size, resize)


def caffe_preprocessing(
    mean_bgr: tuple[float, float, float], input_size: int, resize: int
) -> Preprocessing:
    """Make Caffe's usual preprocessing: BGR 0..255 minus a mean colour."""
    return Preprocessing(mean_bgr, (1.0, 1.0, 1.0), 255.0, True, input_size, resize)
