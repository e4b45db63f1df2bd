"""Averaging over crops, measured on bundled nets: accuracy on digits, steadiness on photos."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from vizcnn.basics.errors import DataError
from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style
from vizcnn.drawing.tables import Table
from vizcnn.lecture.augmentation import ten_crops
from vizcnn.lecture.studio import Made, Studio
from vizcnn.photos.images import centre_square
from vizcnn.photos.patches import read_samples
from vizcnn.training.digits import EVERY, FRAME, SIDE
from vizcnn.zoo import load
from vizcnn.zoo.model import ZooModel

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
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(
            "the digits come with scikit-learn, which is not here: pip install 'vizcnn[digits]'"
        ) from None
    digits = load_digits()
    seen = [0] * 10
    chosen = []
    for number, digit in enumerate(digits.target):
        seen[digit] += 1
        if seen[digit] % EVERY == 0:
            chosen.append(number)
    images = torch.from_numpy(digits.images[chosen]).float().div(16)[:, None]
    enlarged = F.interpolate(images, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
    framed = F.pad(enlarged.clamp(0, 1), [FRAME] * 4).expand(-1, 3, -1, -1)
    return framed, torch.from_numpy(digits.target[chosen])


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
