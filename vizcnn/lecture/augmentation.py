"""AlexNet's input: crops, mirrors, colours along their principal axes; ten crops averaged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional as F

from vizcnn.basics.errors import ImageError
from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide, to_image
from vizcnn.drawing.style import letter_size, plain_style, points
from vizcnn.drawing.tables import Table
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.photos.images import centre_square, read_photo
from vizcnn.photos.patches import read_samples
from vizcnn.photos.samples import name_photo
from vizcnn.training.digits import FRAME, SIDE, read_digits
from vizcnn.zoo import load
from vizcnn.zoo.model import ZooModel

WHOLE, CROP = 256, 224
"""Sides of the square that is cut out, and of the crops that the net sees, in pixels."""
COLOUR_STD = 0.1
"""Standard deviation of the draws along the principal axes (section 4.1)."""


def ten_crops(pixels: Tensor, size: int) -> Tensor:
    """Cut the four corners and the centre, and mirror each (Krizhevsky et al., section 4.1).

    Args:
        pixels: (3, H, W).
        size: Side of a crop in pixels.

    Returns:
        (10, 3, size, size): upper left, upper right, lower left, lower right, centre, then the
        same mirrored.

    Raises:
        ImageError: If the image is smaller than a crop.

    Example:
        >>> ten_crops(torch.zeros(3, 256, 256), 224).shape
        torch.Size([10, 3, 224, 224])
    """
    crops = torch.stack(
        [pixels[:, t : t + size, s : s + size] for t, s in list_corners(pixels.shape, size)]
    )
    return torch.cat([crops, crops.flip(-1)])


def list_corners(shape: tuple[int, ...], size: int) -> list[tuple[int, int]]:
    """Give top and left of the five crops of an image (..., H, W)."""
    height, width = shape[-2:]
    if size > min(height, width):
        raise ImageError(
            f"crops of {size} px from an image of {height} × {width} px: needed is at least {size}"
        )
    down, right = height - size, width - size
    centre = (round(down / 2), round(right / 2))
    return [(0, 0), (0, right), (down, 0), (down, right), centre]


def count_ten_crops() -> int:
    """Count the crops whose predictions AlexNet averages.

    Example:
        >>> count_ten_crops()
        10
    """
    return len(ten_crops(torch.zeros(3, WHOLE, WHOLE), CROP))


@dataclass(frozen=True)
class ColourAxes:
    """Principal axes of colours.

    Attributes:
        vectors: (3, 3): a column per axis, RGB, the largest variance first.
        values: Variances along them, (3,), of RGB 0..1.
        pixels: How many pixels they are of.
    """

    vectors: Tensor
    values: Tensor
    pixels: int


def find_colour_axes(pixels: Tensor) -> ColourAxes:
    """Find the principal axes of the colours of pixels.

    Args:
        pixels: (N, 3), RGB 0..1.

    Example:
        >>> grey = torch.linspace(0, 1, 9)[:, None].repeat(1, 3)
        >>> find_colour_axes(grey).vectors[:, 0].abs()
        tensor([0.5774, 0.5774, 0.5774])
    """
    centred = pixels.double() - pixels.double().mean(dim=0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(pixels))
    order = values.argsort(descending=True)
    return ColourAxes(vectors[:, order].float(), values[order].float(), len(pixels))


@cache
def measure_sample_colours() -> ColourAxes:
    """Find the principal axes of the patches of the sample photos."""
    patches = [centre_square(patch, 64) for patch in read_samples()]
    pixels = torch.stack(patches).float().div(255).permute(0, 2, 3, 1).reshape(-1, 3)
    return find_colour_axes(pixels)


def shift_colours(pixels: Tensor, axes: ColourAxes, draws: Tensor) -> Tensor:
    """Add multiples of the principal axes to every pixel (section 4.1).

    Args:
        pixels: (3, H, W), RGB 0..1.
        axes: Principal axes.
        draws: (3,), one normal draw for each axis, in standard deviations of the axis. (The paper
            multiplies by the eigenvalues themselves, whose size depends on the pixels' unit.)

    Returns:
        (3, H, W), clamped to 0..1.
    """
    change = axes.vectors @ (draws * axes.values.sqrt())
    return (pixels + change[:, None, None]).clamp(0, 1)


@exhibit("alexnet-input", "alexnet", "Input processing")
def make_input(studio: Studio) -> Made:
    """Draw what is done to a photo before AlexNet sees it."""
    photo = read_photo(studio.photo)
    square = centre_square(photo, WHOLE).float().div(255)
    generator = studio.generator()
    places = torch.randint(0, WHOLE - CROP + 1, (4, 2), generator=generator).tolist()
    mean = square.mean().item()
    caption = (
        f"{name_photo(studio.photo)}, {photo.width} × {photo.height} px: the shorter side is "
        "brought "
        f"to {WHOLE} px, the middle {WHOLE} × {WHOLE} cut out, random crops of {CROP} × {CROP} "
        "taken "
        f"and mirrored ({(WHOLE - CROP + 1) ** 2:,} places, 2 mirrored; the paper counts 32 · 32). "
        f"The mean image of the training set is then subtracted; this square’s mean is {mean:.2f} "
        "of 0..1. Krizhevsky et al. 2012, sections 2 and 4.1."
    )

    @plain_style()
    def draw() -> Figure:
        slide = Slide(4.7, "What AlexNet sees of a photo", caption)
        whole = slide.picture(np.asarray(photo), MARGIN, 0, 4.2)
        side = min(photo.size)
        left, top = (photo.width - side) / 2, (photo.height - side) / 2
        _draw_frame(whole, left, top, side, COLOURS[1])
        slide.say(f"middle square, to {WHOLE} px", MARGIN, slide.top + 4.3, size=SMALL)
        axes = slide.picture(to_image(square), 4.9, 0.4, 3.4)
        for number, (down, right) in enumerate(places):
            _draw_frame(axes, right, down, CROP, COLOURS[(0, 1, 5, 6)[number]])
        slide.say(f"{WHOLE} px, random crops", 4.9, slide.top + 4.3, size=SMALL)
        for number, (down, right) in enumerate(places):
            crop = square[:, down : down + CROP, right : right + CROP]
            x, y = 8.7 + 2.25 * (number % 2), 2.15 * (number // 2)
            slide.picture(to_image(crop.flip(-1) if number % 2 else crop), x, y, 2.0)
        slide.say(f"{CROP} px, right: mirrored", 8.7, slide.top + 4.3, size=SMALL)
        return slide.figure

    return Made(caption, draw, text="A photo, its middle square, and random crops of it")


def _draw_frame(axes: Axes, left: float, top: float, side: float, colour: str) -> None:
    """Draw a square around pixels, whose middles are at whole numbers."""
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, side, side, fill=False, ec=colour, lw=points(3)))


@exhibit("alexnet-crops", "alexnet", "Ten crops")
def make_ten_crops(studio: Studio) -> Made:
    """Draw the ten crops whose predictions are averaged."""
    square = centre_square(read_photo(studio.photo), WHOLE).float().div(255)
    crops = ten_crops(square, CROP)
    caption = (
        f"The four corners and the centre of {WHOLE} × {WHOLE} px, each {CROP} × {CROP}, and their "
        "mirrors: the net’s predictions on these ten are averaged (Krizhevsky et al. 2012, section "
        f"4.1; the lecture calls them random). Photo: {name_photo(studio.photo)}."
    )

    @plain_style()
    def draw() -> Figure:
        slide = Slide(4.4, "Ten crops", caption)
        axes = slide.picture(to_image(square), MARGIN, 0, 3.9)
        for number, (down, right) in enumerate(list_corners((3, WHOLE, WHOLE), CROP)):
            inset = 1.5 + 2.5 * number
            colour = COLOURS[(0, 1, 5, 6, 4)[number]]
            _draw_frame(axes, right + inset, down + inset, CROP - 2 * inset, colour)
        for number, crop in enumerate(crops):
            slide.picture(to_image(crop), 4.4 + 1.77 * (number % 5), 2.15 * (number // 5), 1.68)
        slide.say("below: mirrored", 4.4, slide.top + 4.0, size=SMALL)
        return slide.figure

    return Made(caption, draw, text="Five crops of a photo and their mirrors")


@exhibit("alexnet-colours", "alexnet", "Colour augmentation")
def make_colours(studio: Studio) -> Made:
    """Draw the photo with its colours moved along the principal axes."""
    square = centre_square(read_photo(studio.photo), WHOLE).float().div(255)
    axes = measure_sample_colours()
    draws = torch.randn(4, 3, generator=studio.generator()) * COLOUR_STD
    strong = torch.zeros(3, 3)
    strong[range(3), range(3)] = 0.5
    shares = (axes.values / axes.values.sum()).tolist()
    caption = (
        f"Principal axes of the colours of {axes.pixels:,} pixels of the sample photos: "
        f"{', '.join(f'{share:.1%}' for share in shares)} of the variance. Above: along each "
        "axis by "
        "half a standard deviation, to see what it does; below: draws of the augmentation, normal "
        f"with {COLOUR_STD:g} times the standard deviation on each axis, seed {studio.seed}. "
        "Krizhevsky et al. 2012, section 4.1, there with the training set’s axes and variances."
    )

    @plain_style()
    def draw() -> Figure:
        slide = Slide(5.2, "Colours along their principal axes", caption)
        for number, (draw, words) in enumerate(
            [(torch.zeros(3), "the photo"), *zip(strong, _name_axes(axes), strict=True)]
        ):
            x = MARGIN + 3.3 * number
            slide.picture(to_image(shift_colours(square, axes, draw)), x, 0, 2.15)
            slide.say(words, x + 2.25, slide.top + 0.1, size=SMALL - 1)
        for number, draw in enumerate(draws):
            x = MARGIN + 3.3 * number
            slide.picture(to_image(shift_colours(square, axes, draw)), x, 2.75, 2.15)
            told = "\n".join(f"{value:+.2f}" for value in draw.tolist())
            slide.say(told, x + 2.25, slide.top + 2.85, size=BODY - 2)
        return slide.figure

    return Made(caption, draw, text="The photo in colours moved along three axes")


def _name_axes(axes: ColourAxes) -> list[str]:
    return [
        f"axis {number}\n" + "\n".join(f"{n} {v:+.2f}" for n, v in zip("RGB", axis, strict=True))
        for number, axis in enumerate(axes.vectors.T.tolist(), start=1)
    ]


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "centre crop": lambda crops: crops[4:5],
    "five crops": lambda crops: crops[:5],
    "ten crops": lambda crops: crops,
}
"""Which of the ten crops are averaged."""
LARGER = 8 / 7
"""Side of the square that crops are cut from, of a crop's: 256 for 224, as in the paper."""
SHIFTS = ((-4, 0), (4, 0), (0, -4), (0, 4))
"""Moves of the photo in pixels of the net's input."""


@dataclass(frozen=True)
class DigitAccuracy:
    """Accuracy of LeNet-5 on digits that it was not trained on.

    Attributes:
        count: How many digits.
        shares: Share classified rightly by way, 0..1.
    """

    count: int
    shares: dict[str, float]


@dataclass(frozen=True)
class Steadiness:
    """How much a net's prediction changes when a photo moves by a few pixels.

    Attributes:
        title: The net.
        weights: Its weights, in words.
        photos: How many patches of photos.
        changes: Mean total variation between the probabilities of the photo and of the moved one,
            0..1, by way.
    """

    title: str
    weights: str
    photos: int
    changes: dict[str, float]


@torch.no_grad()
def measure_digits(model: ZooModel) -> DigitAccuracy:
    """Measure LeNet-5 on the digits that validate it, with one, five and ten crops.

    Raises:
        DataError: If scikit-learn is not installed.
    """
    images, labels = _read_validation_digits()
    crops = torch.stack([ten_crops(image, SIDE) for image in images])
    shares = {}
    for way, choose in WAYS.items():
        chosen = torch.stack([choose(ten) for ten in crops])
        means = _average(model, chosen)
        shares[way] = (means.argmax(dim=1) == labels).double().mean().item()
    return DigitAccuracy(len(labels), shares)


def _read_validation_digits() -> tuple[Tensor, Tensor]:
    """Give the digits as they are validated, in a frame of 2 px: (355, 3, 36, 36), 0..1."""
    digits, labels, held_out = read_digits()
    images = torch.from_numpy(digits[held_out]).float().div(16)[:, None]
    enlarged = F.interpolate(images, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
    framed = F.pad(enlarged.clamp(0, 1), [FRAME] * 4).expand(-1, 3, -1, -1)
    return framed, torch.from_numpy(labels[held_out])


def _average(model: ZooModel, crops: Tensor) -> Tensor:
    """Give the mean of the probabilities over crops (N, crops, 3, S, S)."""
    count, number = crops.shape[:2]
    shares = model.logits(crops.flatten(0, 1)).softmax(dim=1).cpu()
    return shares.view(count, number, -1).mean(dim=1)


@torch.no_grad()
def measure_steadiness(model: ZooModel, most: int = 24) -> Steadiness:
    """Measure how steady predictions are when photos move, by one, five and ten crops.

    Args:
        model: A net of the zoo.
        most: Patches of the sample photos, evenly spread.
    """
    size = model.input_size
    side = round(size * LARGER)
    room = max(abs(step) for shift in SHIFTS for step in shift)
    patches = read_samples()
    patches = patches[:: -(-len(patches) // most)]
    changes: dict[str, list[float]] = {way: [] for way in WAYS}
    for patch in patches:
        pixels = centre_square(patch, side + 2 * room).float().div(255)
        views = torch.stack([ten_crops(view, size) for view in _move(pixels, side, room)])
        for way, choose in WAYS.items():
            means = _average(model, torch.stack([choose(ten) for ten in views]))
            changes[way].append((means[1:] - means[0]).abs().sum(dim=1).mean().item() / 2)
    return Steadiness(
        title=model.title,
        weights=model.provenance.describe(),
        photos=len(patches),
        changes={way: sum(values) / len(values) for way, values in changes.items()},
    )


def _move(pixels: Tensor, side: int, room: int) -> Iterator[Tensor]:
    """Give the middle of a photo, and the same window after every move."""
    for down, right in ((0, 0), *SHIFTS):
        top, left = room + down, room + right
        yield pixels[:, top : top + side, left : left + side]


@exhibit("alexnet-crops-measured", "alexnet", "Averaging over crops, measured")
def make_ten_crop_measures(studio: Studio) -> Made:
    """Draw accuracy and steadiness by the number of crops."""
    lenet = load("lenet", weights="bundled", device=studio.device)
    digits = measure_digits(lenet)
    steady = [measure_steadiness(net) for net in (studio.alexnet, studio.zfnet)]
    caption = _write_caption(lenet, digits, steady)

    @plain_style()
    def draw() -> Figure:
        slide = Slide(4.6, "Averaging over crops, measured", caption)
        left = slide.plot(1.1, slide.top + 0.5, 4.4, 3.5, "", "digits wrong (%)")
        left.set_title("LeNet-5 on digits", fontsize=letter_size(BODY), loc="left", weight="bold")
        wrong = [100 * (1 - digits.shares[way]) for way in WAYS]
        left.bar(range(len(WAYS)), wrong, color=COLOURS[0], width=0.6)
        left.margins(y=0.1)
        for place, value in enumerate(wrong):
            left.text(
                place, value, f"{value:.1f}", fontsize=letter_size(SMALL), ha="center", va="bottom"
            )
        right = slide.plot(
            7.2, slide.top + 0.5, slide.width - 7.2 - MARGIN - 0.1, 3.5, "", "change (%)"
        )
        right.set_title(
            "photos moved by 4 px", fontsize=letter_size(BODY), loc="left", weight="bold"
        )
        for number, net in enumerate(steady):
            places = [place + 0.36 * (number - 0.5) for place in range(len(WAYS))]
            heights = [100 * net.changes[way] for way in WAYS]
            colour = COLOURS[(1, 2)[number]]
            right.bar(places, heights, width=0.34, color=colour, label=net.title)
        right.legend(fontsize=letter_size(BODY - 2), frameon=False)
        for axes in (left, right):
            axes.set_xticks(range(len(WAYS)), list(WAYS), fontsize=letter_size(SMALL))
            axes.grid(visible=False, axis="x")
        return slide.figure

    return Made(caption, draw, _make_table(digits, steady), "Bars by number of crops")


def _write_caption(lenet: ZooModel, digits: DigitAccuracy, steady: list[Steadiness]) -> str:
    told = ", ".join(f"{way} {share:.1%}" for way, share in digits.shares.items())
    moved = "; ".join(
        f"{net.title} ({net.weights}): "
        + ", ".join(f"{way} {change:.1%}" for way, change in net.changes.items())
        for net in steady
    )
    return (
        f"Left: accuracy of {lenet.title} ({lenet.provenance.describe()}) on the {digits.count} "
        f"digits that it was not trained on: {told}. The mirrors of ten crops are no digits; "
        "photos "
        f"may be mirrored. Right: {steady[0].photos} patches of the sample photos, which have no "
        "labels: how much the mean probabilities change (total variation) when the photo moves by "
        f"4 px. {moved}."
    )


def _make_table(digits: DigitAccuracy, steady: list[Steadiness]) -> Table:
    return Table(
        "Averaging over crops",
        ("crops", "LeNet-5, digits right", *(f"{net.title}, change" for net in steady)),
        tuple(
            (
                way,
                round(digits.shares[way], 4),
                *(round(net.changes[way], 4) for net in steady),
            )
            for way in WAYS
        ),
    )
