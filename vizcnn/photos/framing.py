"""Where a photo lies in a net's input: how much of it is used, and what of the input is padding."""

from dataclasses import dataclass
from typing import Literal, get_args

from vizcnn.basics.texts import write_percent

Fit = Literal["crop", "pad", "squash", "none"]
"""How a photo is brought to a net's input.

``crop``: the shorter side is brought to a size and the middle square cut out. ``pad``: the longer
side is brought to the input's, and the margins get the net's mean colour. ``squash``: both sides
are brought to the input's, whatever that does to the shapes. ``none``: the photo keeps its size.
"""

FITS: tuple[Fit, ...] = get_args(Fit)

LEAST_USED = 0.4
"""Share of a photo below which a warning says how little of it is used. The usual crop leaves 57 %
of a photo of 4 by 3, 51 % of one of 3 by 2, 43 % of one of 16 by 9, but a fifth of a panorama."""


@dataclass(frozen=True, kw_only=True)
class Framing:
    """Where a photo lies in a net's input.

    Attributes:
        fit: How it came there.
        photo: Width and height of the photo in pixels.
        used: The part of the photo that is used: left, top, right, bottom in its pixels.
        input_size: Width and height of the input in pixels.
        inside: Where that part lies in the input; the rest is padding.
    """

    fit: Fit
    photo: tuple[int, int]
    used: tuple[float, float, float, float]
    input_size: tuple[int, int]
    inside: tuple[int, int, int, int]

    @property
    def share(self) -> float:
        """Share of the photo's pixels that is used, above 0 and up to 1."""
        left, top, right, bottom = self.used
        return (right - left) * (bottom - top) / (self.photo[0] * self.photo[1])

    @property
    def is_cut(self) -> bool:
        """Whether a part of the photo is not used."""
        return self.share < 1 - 1e-9

    @property
    def stretch(self) -> float:
        """How many times wider the photo is shown than it is, in proportion to its height."""
        left, top, right, bottom = self.used
        upper, first, lower, last = self.inside
        return ((last - first) / (right - left)) / ((lower - upper) / (bottom - top))

    def find_padding(self, box: tuple[int, int, int, int]) -> float:
        """Give the share of a box of the input, 0..1, in which there is padding.

        Example:
            >>> frame_photo("pad", (200, 100), 64, 64).find_padding((0, 0, 32, 64))
            0.5
        """
        top, left, bottom, right = box
        area = (bottom - top) * (right - left)
        height = max(min(bottom, self.inside[2]) - max(top, self.inside[0]), 0)
        width = max(min(right, self.inside[3]) - max(left, self.inside[1]), 0)
        return 1 - height * width / area if area else 0.0

    def describe(self) -> str:
        """Say in words what of the photo was used, and how.

        Example:
            >>> frame_photo("crop", (400, 100), 64, 64).describe()
            'the middle 25 % of the photo was used'
            >>> frame_photo("squash", (400, 100), 64, 64).describe()
            'the whole photo was used, squashed to 0.25 of its width'
        """
        if self.is_cut:
            percent = self.share * 100
            shown = f"{percent:.0f}" if percent >= 1 else f"{percent:.1g}"
            return f"the middle {shown} % of the photo was used"
        whole = "the whole photo was used"
        if self.inside != (0, 0, self.input_size[1], self.input_size[0]):
            padding = self.find_padding((0, 0, self.input_size[1], self.input_size[0]))
            return f"{whole}; {write_percent(padding, 0)} of the input is padding"
        if self.fit == "squash" and round(self.stretch, 2) != 1:
            narrower, side = min(self.stretch, 1 / self.stretch), "width"
            if self.stretch > 1:
                side = "height"
            return f"{whole}, squashed to {narrower:.2f} of its {side}"
        return f"{whole}, in its own size" if self.fit == "none" else whole


def frame_photo(fit: Fit, photo: tuple[int, int], size: int, resize: int) -> Framing:
    """Find where a photo lies in a net's input.

    Args:
        fit: How it is brought there.
        photo: Its width and height in pixels.
        size: Side of the net's square input in pixels; of no account with ``none``.
        resize: Side that the shorter side is brought to before a crop.

    Example:
        >>> frame_photo("pad", (200, 100), 64, 64).inside
        (16, 0, 48, 64)
    """
    width, height = photo
    used = (0.0, 0.0, float(width), float(height))
    inside: tuple[int, int, int, int] = (0, 0, size, size)
    input_size = (size, size)
    if fit == "crop":
        side = min(photo) * min(size / resize, 1.0)
        left, top = (width - side) / 2, (height - side) / 2
        used = (left, top, left + side, top + side)
    elif fit == "pad":
        across, down = (max(round(length * size / max(photo)), 1) for length in photo)
        above, before = (size - down) // 2, (size - across) // 2
        inside = (above, before, above + down, before + across)
    elif fit == "none":
        inside, input_size = (0, 0, height, width), photo
    return Framing(fit=fit, photo=photo, used=used, input_size=input_size, inside=inside)
