"""Luminance and colour: the two orthogonal parts of a filter on three colours."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from vizcnn.errors import LayerError

Part = Literal["all", "luminance", "colour"]
"""What of a filter is shown."""

PART_WORDS: Mapping[Part, str] = {
    "all": "",
    "luminance": "luminance part: the mean of the three colours",
    "colour": "colour part: what differs from the mean of the three colours",
}
"""Parts in words, for captions."""


def split_parts(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Split filters into luminance and colour, which are orthogonal and sum to the filter.

    The luminance part is the mean over red, green and blue in each of the three: the projection
    onto the grey axis. The whole of the response to grey pictures is in it; the colour part
    answers to none. Their energies add up to the filter's.

    Args:
        weight: (F, 3, h, w).

    Returns:
        Luminance and colour part, (F, 3, h, w) each.

    Raises:
        LayerError: If there are other than three channels.

    Example:
        >>> import torch
        >>> luminance, colour = split_parts(torch.tensor([3.0, 0.0, 0.0]).view(1, 3, 1, 1))
        >>> luminance.flatten().tolist(), colour.flatten().tolist()
        ([1.0, 1.0, 1.0], [2.0, -1.0, -1.0])
    """
    if weight.shape[1] != 3:
        raise LayerError(
            f"filters of {weight.shape[1]} channels have no colours; needed: red, green and blue"
        )
    luminance = weight.mean(dim=1, keepdim=True).expand_as(weight)
    return luminance, weight - luminance


def take_part(weight: Tensor, part: Part) -> Tensor:
    """Give the asked part of filters (F, 3, h, w); of ``"all"`` any number of channels.

    Raises:
        LayerError: If a part of other than three channels is asked for.
    """
    if part == "all":
        return weight
    luminance, colour = split_parts(weight)
    return luminance if part == "luminance" else colour
