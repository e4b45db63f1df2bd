"""Photos as programs hold them, arrays and tensors: their layout and their values made out.

What cannot be told is refused: a picture of values that were taken for others looks right.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from vizcnn.basics.errors import ImageError, quote
from vizcnn.photos.samples import find_file, name_photo
from vizcnn.photos.stored import PhotoFile, StoredPhoto

Photo = PhotoFile | str | Image.Image | NDArray[Any] | Tensor
"""One photo: a file, the name of a sample, a PIL image, an array (H, W, 3) or a tensor."""

DARKEST = 8.0
"""Least maximum of floating-point values that are taken for 0..255: below lie what normalisation
leaves of a photo and what is brighter than white."""

_ROUNDING = 1e-6
"""How far values of 0..1 may lie outside."""

_WHOLE = (torch.uint8, torch.int16, torch.int32, torch.int64)

WAY_OUT = (
    "give the photo as it was before it was normalised, or take that back with "
    "model.preprocessing.denormalise; what is the net's own input goes to "
    "vizcnn.Deconvnet(model.module)"
)
"""What to do with values that are no pixels."""


def list_photos(photos: Any) -> list[Any]:
    """List photos that were given together, also in lists of lists.

    Args:
        photos: One photo, a batch (N, H, W, 3) or (N, 3, H, W), or any iterable of these.

    Returns:
        Each by itself, batches whole; what is no photo is among them, for its reader to refuse.

    Raises:
        ImageError: If there is none.

    Example:
        >>> [type(photo).__name__ for photo in list_photos(["coffee", [np.zeros((8, 8, 3))]])]
        ['str', 'ndarray']
    """
    listed = list(_walk(photos, depth=4))
    if not listed:
        raise ImageError(f"got {quote(photos)}, no photo; needed: at least one")
    return listed


def _walk(photos: Any, depth: int) -> Iterator[Any]:
    texts, mappings = str | bytes | Path, Mapping | Set
    alone = texts | mappings | Image.Image | np.ndarray | Tensor | nn.Module | type
    # a file is an iterable of lines
    several = isinstance(photos, Iterable) and not hasattr(photos, "read")
    if depth and several and not isinstance(photos, alone):
        for photo in photos:
            yield from _walk(photo, depth - 1)
    else:
        yield photos


def name_photos(photos: Iterable[Any]) -> tuple[str, ...]:
    """Name photos, as :func:`list_photos` lists them: by their files, others by their numbers.

    Example:
        >>> name_photos(["holiday/beach.jpg", torch.zeros(2, 3, 8, 8)])
        ('beach.jpg', 'photo 2', 'photo 3')
    """
    names: list[str] = []
    for photo in photos:
        if isinstance(photo, StoredPhoto):
            names.append(name_photo(photo))
        elif isinstance(photo, str | Path):
            names.append(name_photo(Path(find_file(photo))))
        else:
            several = isinstance(photo, np.ndarray | Tensor) and photo.ndim == 4
            count = photo.shape[0] if several else 1
            names += [f"photo {len(names) + number}" for number in range(1, count + 1)]
    return tuple(names)


def read_values(values: NDArray[Any] | Tensor) -> Tensor:
    """Make pixels of an array or a tensor.

    Whole numbers, and numbers above :data:`DARKEST`, are taken for 0..255, else numbers of 0..1 for
    0..1. Arrays have the channels last, tensors first; the other order is seen where only that is
    possible. Grey is spread over three channels, transparency laid over white.

    Args:
        values: (H, W), (H, W, C), (C, H, W) or a batch of the latter two, of 1, 3 or 4 channels.

    Returns:
        Pixels (N, 3, H, W), RGB 0..1, of the values' type and device (whole numbers as float32).

    Raises:
        ImageError: If the shape, the type or the values are no photo's. Values below zero, and
            such that are neither of 0..1 nor of 0..255, are refused.

    Example:
        >>> read_values(np.full((2, 5, 3), 255, dtype=np.uint8)).shape
        torch.Size([1, 3, 2, 5])
        >>> read_values(torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0)))
        Traceback (most recent call last):
        ImageError: got torch.float32 of shape (3, 8, 8) with values of -2.97..., no pixels of ...
    """
    got = f"{values.dtype} of shape {tuple(values.shape)}"
    channels_last = isinstance(values, np.ndarray)
    if isinstance(values, np.ndarray):
        values = _to_tensor(values, got)
    has_values = values.layout == torch.strided and not values.is_meta
    if not has_values or not (values.is_floating_point() or values.dtype in _WHOLE):
        raise ImageError(f"got {got}; needed: pixels as numbers, uint8 or floating-point")
    if not values.numel():
        raise ImageError(f"got {got}: there is nothing in it; needed: at least one image")
    planes = _lay_out(values, channels_last, got)
    return _spread_channels(_scale(planes, got))


def _to_tensor(values: NDArray[Any], got: str) -> Tensor:
    if values.dtype.kind not in "uif" or values.dtype.str[1:] in ("u2", "u4", "u8"):
        raise ImageError(f"got {got}; needed: pixels as uint8 (0..255) or floating-point (0..1)")
    if values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    # not from_numpy of a view: strides below zero (array[::-1]) are no tensor's; and big-endian
    return torch.from_numpy(np.array(values, dtype=values.dtype.newbyteorder("=")))


def _lay_out(values: Tensor, channels_last: bool, got: str) -> Tensor:
    """Bring values to (N, C, H, W)."""
    if values.ndim == 2:
        return values[None, None]
    if values.ndim in (3, 4):
        batch = values if values.ndim == 4 else values[None]
        orders = {False: batch.shape[1] in (1, 3, 4), True: batch.shape[3] in (1, 3, 4)}
        for last in (channels_last, not channels_last):
            if orders[last]:
                return batch.permute(0, 3, 1, 2) if last else batch
    raise ImageError(
        f"got {got}; needed: a photo of 1, 3 or 4 channels, (H, W, 3) as an array or (3, H, W) as "
        "a tensor, or a batch of such, of grey ones (N, H, W, 1)"
    )


def _scale(planes: Tensor, got: str) -> Tensor:
    """Bring values to 0..1, if it can be told what they are."""
    if not planes.is_floating_point():
        low, high = planes.min().item(), planes.max().item()
        if not 0 <= low <= high <= 255:
            raise ImageError(f"got {got} with values of {low}..{high}; needed: pixels of 0..255")
        return planes.to(torch.float32) / 255
    if not planes.isfinite().all():
        raise ImageError(f"got {got} with values that are not finite; needed: numbers")
    low, high = planes.min().item(), planes.max().item()
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return planes
    if low >= 0 and DARKEST <= high <= 255:
        return planes / 255
    raise ImageError(
        f"got {got} with values of {low:.3g}..{high:.3g}, no pixels of 0..1 or 0..255: if they "
        f"were normalised for the net, {WAY_OUT}"
    )


def _spread_channels(planes: Tensor) -> Tensor:
    if planes.shape[1] == 1:
        return planes.expand(-1, 3, -1, -1)
    if planes.shape[1] == 4:
        colours, opacity = planes[:, :3], planes[:, 3:]
        return colours * opacity + (1 - opacity)
    return planes


def to_photo(pixels: Tensor) -> Image.Image:
    """Make an 8-bit RGB image of pixels (3, H, W), RGB 0..1."""
    rounded = (pixels.detach().float().clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return Image.fromarray(rounded.permute(1, 2, 0).contiguous().cpu().numpy())
