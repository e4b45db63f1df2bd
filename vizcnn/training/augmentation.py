"""Mild augmentation of a whole batch at once: random crop, flip, brightness, contrast, colour."""

import torch
from torch import Tensor

from vizcnn.basics.devices import make_constant, send
from vizcnn.photos.pixels import LUMINANCE


def augment(
    pixels: Tensor, crop: int, jitter: float, generator: torch.Generator, flip: bool = True
) -> Tensor:
    """Crop, flip and recolour each photo at random.

    Args:
        pixels: (N, 3, S, S), uint8, on any device.
        crop: Side of the crop, at most S.
        jitter: Largest relative change of brightness, contrast and saturation.
        generator: Source of all randomness (on the CPU).
        flip: Mirror every second photo; digits and letters must not be.

    Returns:
        (N, 3, crop, crop), float32, RGB 0..1.

    Example:
        >>> photos = torch.zeros(2, 3, 144, 144, dtype=torch.uint8)
        >>> augment(photos, 128, 0.2, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3, 128, 128])
    """
    cropped = _crop_and_flip(pixels, crop, generator, 0.5 if flip else 0.0).float().div_(255)
    count = len(cropped)
    change = 1 + jitter * (2 * torch.rand(3, count, 1, 1, 1, generator=generator) - 1)
    brightness, contrast, saturation = send(change, cropped.device)
    grey = _luminance(cropped)
    mean = grey.mean(dim=(1, 2, 3), keepdim=True)
    # saturation mixes with the grey photo, contrast with its mean, brightness scales all
    mixed = saturation * cropped + (1 - saturation) * grey
    recoloured: Tensor = brightness * (contrast * mixed + (1 - contrast) * mean)
    return recoloured.clamp_(0, 1)


def _crop_and_flip(pixels: Tensor, crop: int, generator: torch.Generator, share: float) -> Tensor:
    """Cut a window of each photo and mirror a share of them, all in one gather."""
    count, channels, height, width = pixels.shape
    tops = torch.randint(height - crop + 1, (count,), generator=generator)
    lefts = torch.randint(width - crop + 1, (count,), generator=generator)
    flips = torch.rand(count, generator=generator).lt(share)
    # first pixel, and step to the next column
    firsts = tops * width + torch.where(flips, lefts + crop - 1, lefts)
    first, step = send(torch.stack([firsts, 1 - 2 * flips.long()]), pixels.device)[..., None, None]
    side = torch.arange(crop, device=pixels.device)
    places = first + side[:, None] * width + side * step
    every = places.view(count, 1, crop * crop).expand(-1, channels, -1)
    return pixels.flatten(2).gather(2, every).view(count, channels, crop, crop)


def _luminance(pixels: Tensor) -> Tensor:
    weights = make_constant(LUMINANCE, pixels).view(1, 3, 1, 1)
    return (pixels * weights).sum(dim=1, keepdim=True)


def centre_crop(pixels: Tensor, crop: int) -> Tensor:
    """Cut the centre of photos.

    Args:
        pixels: (N, 3, S, S), uint8.
        crop: Side of the crop.

    Returns:
        (N, 3, crop, crop), float32, RGB 0..1.

    Example:
        >>> centre_crop(torch.zeros(2, 3, 144, 144, dtype=torch.uint8), 128).shape
        torch.Size([2, 3, 128, 128])
    """
    top = (pixels.shape[-2] - crop) // 2
    left = (pixels.shape[-1] - crop) // 2
    return pixels[..., top : top + crop, left : left + crop].float().div_(255)
