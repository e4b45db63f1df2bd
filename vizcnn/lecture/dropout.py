"""Dropout on the real activations of AlexNet's fc6: what masks do, and why outputs are scaled."""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points
from vizcnn.lecture.activations import read_activations
from vizcnn.lecture.studio import Made, Studio
from vizcnn.photos.samples import name_photo
from vizcnn.zoo.model import ZooModel

RATE, MASKS, SHOWN = 0.5, 200, 60
"""Share of units that are dropped; masks that are drawn; units that are shown."""
LAYER = "fc6"


@dataclass(frozen=True)
class DroppedUnits:
    """A layer's activations with and without dropout.

    Attributes:
        units: Activations of the layer, (units,).
        dropped: The same under each mask, scaled by 1 / (1 - rate), (masks, units).
        probabilities: Probability of the net's own class under each mask, (masks,).
        whole: The same without dropout.
        kept: How many masks leave the class the likeliest one, 0..1.
        label: Name of that class.
    """

    units: Tensor
    dropped: Tensor
    probabilities: Tensor
    whole: float
    kept: float
    label: str

    @property
    def mean_error(self) -> float:
        """Distance of the mean over all masks from the activations, relative."""
        off = self.dropped.mean(dim=0) - self.units
        return float(off.norm() / self.units.norm())


def drop_units(
    model: ZooModel, pixels: Tensor, generator: torch.Generator, masks: int = MASKS
) -> DroppedUnits:
    """Drop half of fc6's units at random, again and again, and run the rest of the net.

    Args:
        model: AlexNet or ZFNet of the zoo.
        pixels: (1, 3, S, S), RGB 0..1.
        generator: Source of the masks.
        masks: How many.
    """
    (units,) = read_activations(model, pixels, [LAYER])
    units = units.to(pixels.device)
    keep = torch.rand(masks, len(units), generator=generator).ge(RATE).to(units)
    dropped = units * keep / (1 - RATE)
    rest = _find_rest(model.module, model.layers[LAYER])
    with torch.no_grad():
        whole = rest(units[None]).softmax(dim=1)[0]
        shares = rest(dropped).softmax(dim=1)
    best = int(whole.argmax())
    return DroppedUnits(
        units=units.cpu(),
        dropped=dropped.cpu(),
        probabilities=shares[:, best].cpu(),
        whole=whole[best].item(),
        kept=(shares.argmax(dim=1) == best).double().mean().item(),
        label=model.classes[best],
    )


def _find_rest(net: nn.Module, path: str) -> nn.Sequential:
    """Give what comes after a layer of the classifier; its own dropout is off."""
    home, _, name = path.rpartition(".")
    chain = net.get_submodule(home)
    names = [child for child, _ in chain.named_children()]
    return nn.Sequential(*[chain.get_submodule(n) for n in names[names.index(name) + 1 :]])


def make_dropout(studio: Studio) -> Made:
    """Draw activations, one mask, the mean of all, and how the class's probability spreads."""
    model = studio.alexnet
    found = drop_units(model, studio.read(model), studio.generator())
    spread = found.probabilities
    caption = (
        f"{LAYER} of {model.title} ({model.provenance.describe()}) on {name_photo(studio.photo)} "
        f"at {model.input_size} × {model.input_size} px: "
        f"{len(found.units)} units, {SHOWN} of them shown, dropped with p = {RATE:g}; what is kept "
        f"counts double. The mean of {len(spread)} masks is off by {found.mean_error:.1%} of the "
        f"activations. Probability of “{found.label}”: {found.whole:.1%} without dropout; under a "
        f"mask {spread.mean():.1%} on average, {spread.min():.1%} to {spread.max():.1%}; "
        f"{found.kept:.0%} of the masks leave it the likeliest class. Seed {studio.seed}."
    )

    @plain_style()
    def draw() -> Figure:
        slide = Slide(5.2, "Dropout, p = 0.5", caption)
        order = found.units.argsort(descending=True)[:SHOWN]
        rows = (
            ("all units", found.units[order], 0),
            ("one mask, doubled", found.dropped[0, order], 5),
            (f"mean of {len(spread)} masks", found.dropped.mean(dim=0)[order], 2),
        )
        highest = found.dropped[:, order].max().item() * 1.05
        for number, (words, values, colour) in enumerate(rows):
            axes = slide.plot(0.7, slide.top + 0.3 + 1.65 * number, 6.9, 1.15)
            axes.bar(range(len(values)), values.tolist(), color=COLOURS[colour], width=0.9)
            axes.set_ylim(0, highest)
            axes.set_xticks([])
            axes.set_title(words, fontsize=letter_size(BODY - 1), loc="left", pad=points(3))
        right = slide.plot(
            8.9,
            slide.top + 0.3,
            slide.width - 8.9 - MARGIN - 0.15,
            3.9,
            f"probability of “{found.label}”",
            "masks",
        )
        right.hist(spread.tolist(), bins=20, range=(0, 1), color=COLOURS[5])
        right.axvline(found.whole, color=COLOURS[0], lw=points(3))
        right.margins(y=0.22)
        right.text(
            found.whole,
            right.get_ylim()[1],
            " without dropout ",
            va="top",
            ha="right" if found.whole > 0.5 else "left",
            fontsize=letter_size(SMALL),
        )
        return slide.figure

    return Made(caption, draw, text="Activations under dropout, and a histogram")
