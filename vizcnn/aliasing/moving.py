"""Move a photo by whole pixels, and feature maps by any part of a column."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vizcnn.errors import LayerError
from vizcnn.images import read_photo
from vizcnn.zoo.model import ZooModel

_SILENCE = 1e-9
"""Part of the whole map's norm up to which what stays in sight is rounding of the interpolation."""


def move_photo(model: ZooModel, photo: Path | Image.Image, shifts: Sequence[int]) -> Tensor:
    """Move a photo to the right under the net's window, over pixels that it really has.

    The shorter side is brought to the preprocessing's ``resize``, or to the input size plus the
    largest shift if that is more; no border is filled and nothing comes in again on the other
    side. In the middle of the range (8 of 0..16) the picture is that of
    :meth:`~vizcnn.zoo.model.ZooModel.read`, unless the photo had to be made larger.

    Args:
        model: A net of the zoo.
        photo: A file, or an image of any mode.
        shifts: K movements in pixels, 0 or more.

    Returns:
        Pixels (K, 3, S, S), RGB 0..1, on the module's device and of its type.

    Raises:
        ImageError: If the file cannot be read.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("zfnet", weights=None, hidden=8, input_size=64)
        >>> one, two = move_photo(net, Image.radial_gradient("L"), (0, 1))
        >>> torch.equal(two[..., 1:], one[..., :-1])
        True
    """
    image = photo.convert("RGB") if isinstance(photo, Image.Image) else read_photo(photo)
    size, reach = model.input_size, max(shifts)
    scale = min(image.size) / max(model.preprocessing.resize, size + reach)
    width, height = (size + reach) * scale, size * scale
    left, top = (image.width - width) / 2, (image.height - height) / 2
    strip = image.resize(
        (size + reach, size),
        Image.Resampling.LANCZOS,
        box=_keep_inside((left, top, left + width, top + height), image.size),
    )
    like = next(model.module.parameters())
    pixels = torch.from_numpy(np.array(strip)).permute(2, 0, 1).to(like.device, like.dtype) / 255
    return torch.stack([pixels[..., reach - step : reach - step + size] for step in shifts])


def _keep_inside(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Take rounding errors off a box, which Pillow refuses even if they are of 1e-14 pixels."""
    return max(box[0], 0.0), max(box[1], 0.0), min(box[2], size[0]), min(box[3], size[1])


def find_distances(maps: Tensor, jump: int, shifts: Sequence[int]) -> Tensor:
    """Compare maps of a photo that moved with maps that moved themselves.

    Per shift d: ``|F_d - M_d F_0| / |M_d F_0|``, the norm over all features and rows and over the
    columns from ``ceil(d / jump)`` on. M_d moves a map by d / jump columns, by band-limited
    (Fourier) interpolation of the map continued evenly on both sides, the cosine transform's way.
    A layer that commutes with the movement and subsamples without aliasing measures 0. The columns
    left out look at what lay outside the window at shift 0; those that stay look at one place of
    the photo in both maps. Where their receptive fields reach beyond the window, its edge and the
    padding cut them differently, and this counts too: it grows with the shift, and in deep layers,
    whose fields are as wide as the window, it is most of what is measured.

    Shifts that are multiples of the jump need no interpolation and show no aliasing: without
    padding they measure 0. At the others the interpolation, which does not know what lies beyond
    the rim, errs itself: on random maps of frequencies up to 80 % of the limit by about 0.03 at 6
    columns and 0.01 at 30 or more; on maps that fill the band up to the limit by 0.1 and 0.05.

    The maps compared are those of Zhang's internal feature distance (arXiv 1904.11486), the
    shifted map and the shifted photo's map, which is a cosine distance there.

    Args:
        maps: The layer's outputs, (K, C, h, w) or (K, C), in the order of the shifts.
        jump: Distance of neighbouring units in pixels; 0 compares without moving.
        shifts: K movements in pixels; the first is 0.

    Returns:
        (K,), float64, on the CPU. NaN where there is nothing to compare with: a layer that is
        silent on the photo, or in all columns that have not moved out of sight; and where maps
        are not finite.

    Raises:
        LayerError: If a shift leaves no column that can be compared.

    Example:
        >>> maps = torch.tensor([[[[5.0, 1.0, 2.0]]], [[[7.0, 5.0, 1.0]]], [[[7.0, 5.0, 3.0]]]])
        >>> find_distances(maps, 4, (0, 4, 4)).square().round(decimals=3).tolist()
        [0.0, 0.0, 0.154]
    """
    values = maps.cpu().double()  # first to the CPU: not every device has float64
    original = values[0]
    least = _SILENCE * original.norm()
    found = []
    for moved, step in zip(values, shifts, strict=True):
        wanted, first = original, 0
        if jump and original.ndim == 3:
            first = math.ceil(step / jump)
            wanted = original @ move_columns(original.shape[-1], step / jump).T
        rest = moved if first == 0 else moved[..., first:]
        energy = wanted.norm()
        ratio = ((rest - wanted).norm() / energy).item()
        found.append(ratio if energy > least and math.isfinite(ratio) else math.nan)
    return torch.tensor(found, dtype=torch.float64)


def move_columns(columns: int, by: float) -> Tensor:
    """Make the matrix that moves a row of values to the right by Fourier interpolation.

    The row is continued evenly (mirrored beyond its outer half pixels), which repeats after twice
    its length without a step, and its Fourier series is read off elsewhere: the cosine transform
    and back.

    Args:
        columns: Length of the row.
        by: Movement in columns, 0 or more.

    Returns:
        (columns - ceil(by), columns), float64: from the row to the values at ``ceil(by)`` and
        beyond.

    Raises:
        LayerError: If no column is left.

    Example:
        >>> (move_columns(3, 1.0) @ torch.tensor([7.0, 8.0, 9.0]).double()).round().tolist()
        [7.0, 8.0]
    """
    first = math.ceil(by)
    if first >= columns:
        raise LayerError(
            f"maps of {columns} columns move by {by:g} columns out of sight; needed: smaller shifts"
        )
    places = torch.arange(columns, dtype=torch.float64) + 0.5
    wave = math.pi * torch.arange(columns, dtype=torch.float64) / columns
    analysis = torch.cos(torch.outer(wave, places)) * 2 / columns
    analysis[0] /= 2
    return torch.cos(torch.outer(places[first:] - by, wave)) @ analysis
