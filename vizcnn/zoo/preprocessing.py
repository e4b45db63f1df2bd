"""From pixels (RGB 0..1) to a net's input and back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from msgspec import Meta
from PIL import Image
from torch import Tensor

from vizcnn.basics.codec import LARGEST_SIDE, Finite, Positive, Side, check
from vizcnn.basics.devices import make_constant
from vizcnn.basics.errors import ImageError, WeightsError, check_number, quote
from vizcnn.photos.framing import FITS, Fit, Framing, frame_photo
from vizcnn.photos.pixels import LUMINANCE
from vizcnn.zoo.registry import Style, Variant

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)
"""Mean colour of Caffe's ImageNet nets, 0..255."""

USUAL_SIZE = 224
"""Input size in pixels of a net that nobody says another of."""

_USUAL_RESIZES = {224: 256, 227: 256, 299: 342}


@dataclass(frozen=True)
class Preprocessing:
    """An affine map per channel: ``input = (pixels * scale - mean) / std``.

    The channels are red, green and blue, or blue first, or the luminance alone.

    Attributes:
        mean: Mean per channel, in the net's own channel order: three values, or one if grey.
        std: Divisor per channel, in the same order.
        scale: What pixels of 0..1 are multiplied by first (255 for Caffe nets).
        bgr: Whether the net takes blue first.
        input_size: Side of the square input in pixels.
        resize: Side that the photo's shorter side is brought to before the crop.
        grey: Whether the net takes one channel, the luminance (ITU-R BT.601) of the pixels.
        fitting: How a photo is brought to the input (:data:`~vizcnn.photos.framing.Fit`).
    """

    mean: Annotated[tuple[Finite, ...], Meta(min_length=1, max_length=3)]
    std: Annotated[tuple[Positive, ...], Meta(min_length=1, max_length=3)]
    scale: Positive
    bgr: bool
    input_size: Side
    resize: Side
    grey: bool = False
    fitting: Fit = "crop"

    def __post_init__(self) -> None:
        needed = 1 if self.grey else 3
        if not len(self.mean) == len(self.std) == needed:
            raise WeightsError(
                f"{len(self.mean)} channels in mean and {len(self.std)} in std; needed: 3, or 1 "
                "if grey"
            )

    @property
    def channels(self) -> int:
        """Number of channels of the net's input."""
        return len(self.mean)

    @property
    def fill(self) -> tuple[int, int, int]:
        """The net's mean colour, RGB 0..255: what it takes for nothing, up to rounding to 8 bits.

        Padding has this colour.
        """
        red, green, blue = (self.mean_colour.clamp(0, 1).flatten() * 255).round().int().tolist()
        return red, green, blue

    @property
    def mean_colour(self) -> Tensor:
        """The colour that becomes zero at the net's input, (3, 1, 1), RGB 0..1 (not clamped)."""
        return self.denormalise(torch.zeros(self.channels, 1, 1))

    def frame(self, photo: Image.Image | tuple[int, int]) -> Framing:
        """Tell where a photo lies in the net's input once :meth:`fit` has brought it there.

        Args:
            photo: The photo, or its width and height.
        """
        size = photo.size if isinstance(photo, Image.Image) else photo
        return frame_photo(self.fitting, size, self.input_size, self.resize)

    def describe_use(self, photo: Image.Image | tuple[int, int]) -> str:
        """Say in words what of a photo the net sees, and how.

        Args:
            photo: The photo, or its width and height.

        Example:
            >>> make_preprocessing("grey", 32).describe_use((400, 100))
            'the middle 19 % of the photo was used; the net sees the luminance alone'
        """
        used = self.frame(photo).describe()
        return f"{used}; the net sees the luminance alone" if self.grey else used

    def fit(self, photo: Image.Image) -> Tensor:
        """Bring a photo to the net's size, as :attr:`fitting` says.

        By default the shorter side is brought to ``resize`` and the middle square cut out.

        Args:
            photo: An RGB image.

        Returns:
            Pixels (3, S, S), uint8; (3, H, W) of the photo's own size if it is not to be fitted.
        """
        framing = self.frame(photo)
        top, left, bottom, right = framing.inside
        # resizing only the part that stays keeps a panorama from becoming a giant on the way
        fitted = photo.resize(
            (right - left, bottom - top), Image.Resampling.LANCZOS, box=framing.used
        )
        if fitted.size != framing.input_size:
            padded = Image.new("RGB", framing.input_size, self.fill)
            padded.paste(fitted, (left, top))
            fitted = padded
        return torch.from_numpy(np.array(fitted)).permute(2, 0, 1).contiguous()

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn pixels (N, 3, H, W), RGB 0..1, into the net's input (N, channels, H, W)."""
        mean, std = self._column(self.mean, pixels), self._column(self.std, pixels)
        return (self._choose_channels(pixels) * self.scale - mean) / std

    def _choose_channels(self, pixels: Tensor) -> Tensor:
        if self.grey:
            return (pixels * self._column(LUMINANCE, pixels)).sum(dim=-3, keepdim=True)
        return pixels.flip(-3) if self.bgr else pixels

    def denormalise(self, inputs: Tensor) -> Tensor:
        """Turn the net's input (N, channels, H, W) back into pixels, RGB 0..1 (not clamped).

        Of a grey net the three colours are equal.
        """
        mean, std = self._column(self.mean, inputs), self._column(self.std, inputs)
        scaled = (inputs * std + mean) / self.scale
        if self.grey:
            return scaled.repeat_interleave(3, dim=-3)
        return scaled.flip(-3) if self.bgr else scaled

    def show(self, pixels: Tensor) -> Tensor:
        """Give pixels (N, 3, H, W), RGB 0..1, as the net sees them: grey for a net that sees grey.

        Example:
            >>> sees_grey = make_preprocessing("grey", 32)
            >>> sees_grey.show(torch.rand(1, 3, 2, 2))[0].std(dim=0).max().item()
            0.0
        """
        return self.denormalise(self.normalise(pixels)).clamp(0, 1)

    def to_pixel_gradient(self, gradient: Tensor) -> Tensor:
        """Turn a gradient (or projection) at the net's input into one at RGB pixels 0..1.

        The chain rule through :meth:`normalise`: times scale / std, channels back in RGB order; of
        a grey net each colour gets its weight in the luminance.

        Args:
            gradient: (..., channels, H, W).

        Returns:
            (..., 3, H, W).
        """
        scaled = gradient * self.scale / self._column(self.std, gradient)
        if self.grey:
            return scaled * self._column(LUMINANCE, gradient)
        return scaled.flip(-3) if self.bgr else scaled

    def to_visible(self, gradient: Tensor) -> Tensor:
        """Turn a gradient at RGB pixels, from :meth:`to_pixel_gradient`, into one to look at.

        A grey net's gradient has the tint of the luminance's weights, which says nothing of the
        net: what all three colours do together stands in each of them instead.

        Args:
            gradient: (..., 3, H, W).

        Returns:
            The same shape; the gradient itself unless the net is grey.
        """
        if self.grey:
            return gradient.sum(dim=-3, keepdim=True).expand_as(gradient)
        return gradient

    def at_size(self, input_size: int) -> "Preprocessing":
        """Give the same map for another input size; the resize keeps its share of border."""
        resize = max(round(self.resize * input_size / self.input_size), 1)
        return replace(self, input_size=input_size, resize=resize)

    def fit_otherwise(self, fit: Fit | None = None, size: int | None = None) -> "Preprocessing":
        """Give the same map with photos brought to the input in another way.

        Args:
            fit: How; as before when None.
            size: Side of the input in pixels; as before when None.

        Raises:
            ImageError: If there is no such way, or photos shall have a size and keep their own.
        """
        fit = self.fitting if fit is None else fit
        if fit not in FITS:
            raise ImageError(f"fit={quote(fit)} is not known; needed: {', '.join(FITS)}")
        if size is not None and fit == "none":
            raise ImageError(
                "fit none keeps each photo's own size, and a size was given as well: leave one out"
            )
        sized = self
        if size is not None:
            sized = self.at_size(check_number("size", size, 1, LARGEST_SIDE, ImageError))
        return replace(sized, fitting=fit)

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as plain values for JSON; the usual way to fit goes without saying."""
        values = asdict(self)
        if self.fitting == "crop":
            del values["fitting"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Make one from what :meth:`to_dict` gave, perhaps by way of JSON.

        Raises:
            WeightsError: If a setting is missing, of another type or out of its bounds.
        """
        return check(cls, values, "preprocessing", WeightsError)

    @staticmethod
    def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
        return make_constant(values, like).view(-1, 1, 1)


def imagenet_preprocessing(input_size: int, resize: int) -> Preprocessing:
    """Make torchvision's usual preprocessing: RGB, ImageNet's mean and standard deviation."""
    return Preprocessing(IMAGENET_MEAN, IMAGENET_STD, 1.0, False, input_size, resize)


def caffe_preprocessing(
    mean_bgr: tuple[float, float, float], input_size: int, resize: int
) -> Preprocessing:
    """Make Caffe's usual preprocessing: BGR 0..255 minus a mean colour."""
    return Preprocessing(mean_bgr, (1.0, 1.0, 1.0), 255.0, True, input_size, resize)


def make_preprocessing(style: Style, input_size: int) -> Preprocessing:
    """Make the preprocessing of a style at an input size.

    Args:
        style: ``"imagenet"``: RGB, ImageNet's mean and standard deviation (torchvision).
            ``"half"``: RGB, -1..1 (GoogLeNet and Inception v3, whose torchvision classes get there
            by ``transform_input``). ``"caffe"``: BGR 0..255 minus the mean colour.
            ``"lite"``: RGB, (0..255 - 127) / 128 (EfficientNet-Lite).
            ``"caffe2"``: BGR, (0..255 - 128) / 128, the default of Caffe2's trainer.
            ``"grey"``: luminance, -1..1, one channel (LeNet-5).
        input_size: Side of the square input in pixels.
    """
    resize = _USUAL_RESIZES.get(input_size, round(input_size * 256 / 224))
    half = (0.5, 0.5, 0.5)
    middle = (128.0, 128.0, 128.0)
    if style == "grey":
        return Preprocessing((0.5,), (0.5,), 1.0, False, input_size, resize, grey=True)
    if style == "half":
        return Preprocessing(half, half, 1.0, False, input_size, resize)
    if style == "caffe":
        return caffe_preprocessing(CAFFE_MEAN_BGR, input_size, resize)
    if style == "lite":
        return Preprocessing((127.0,) * 3, (128.0,) * 3, 255.0, False, input_size, resize)
    if style == "caffe2":
        return Preprocessing(middle, middle, 255.0, True, input_size, resize)
    return imagenet_preprocessing(input_size, resize)


def variant_preprocessing(variant: Variant, options: Mapping[str, Any]) -> Preprocessing:
    """Make the preprocessing of a net's form, for the input size that its options tell."""
    if variant.preprocessing is not None:
        told = Preprocessing.from_dict(dict(variant.preprocessing))
        return told.at_size(options.get("input_size", variant.input_size))
    return make_preprocessing(variant.style, options.get("input_size", variant.input_size))
