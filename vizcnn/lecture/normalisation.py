"""Contrast normalisation on the real activations of AlexNet's first layer."""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import MARGIN, SMALL, Slide
from vizcnn.drawing.style import plain_style
from vizcnn.lecture.activations import read_activations
from vizcnn.lecture.published import read_published
from vizcnn.lecture.studio import Made, Studio
from vizcnn.photos.samples import name_photo
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.normalisation import ContrastNormalisation

SHOWN = 4
"""Maps that are shown."""


@dataclass(frozen=True)
class NormalisedMaps:
    """Feature maps before and after normalisation, and what each number was divided by.

    Attributes:
        before: (maps, rows, columns).
        after: The same shape.
        place: Row and column of the largest number before.
    """

    before: Tensor
    after: Tensor
    place: tuple[int, int]

    @property
    def divisors(self) -> Tensor:
        """What active numbers were divided by; NaN where there is nothing to divide."""
        return torch.where(self.before > 0, self.before / self.after, torch.nan)

    @property
    def profile(self) -> Tensor:
        """Divisors of all maps at the strongest place, over the smallest of all; NaN if silent."""
        row, column = self.place
        smallest = self.divisors.nan_to_num(torch.inf).min()
        return self.divisors[:, row, column] / smallest


def normalise_maps(model: ZooModel, pixels: Tensor) -> NormalisedMaps:
    """Record conv1 and norm1 of a net whose normalisation follows its first layer.

    Args:
        model: AlexNet of the zoo.
        pixels: (1, 3, S, S), RGB 0..1.
    """
    before, after = read_activations(model, pixels, ["conv1", "norm1"])
    strongest = int(before.amax(dim=0).argmax())
    return NormalisedMaps(before, after, divmod(strongest, before.shape[2]))


def make_normalisation(studio: Studio) -> Made:
    """Draw maps before and after, and the profile over maps at the strongest place."""
    model = studio.alexnet
    found = normalise_maps(model, studio.read(model))
    caption = _write_caption(studio, model, found)
    means = found.before.mean(dim=(1, 2))
    shown = means.argsort(descending=True)[:SHOWN].tolist()

    @plain_style()
    def draw() -> Figure:
        slide = Slide(4.4, "Local response normalisation on real activations", caption)
        for number, unit in enumerate(shown):
            for row, maps in enumerate((found.before, found.after)):
                left, top = MARGIN + 0.75 + 1.75 * number, 0.35 + 1.85 * row
                limit = torch.quantile(maps[shown], 0.995).item()
                slide.picture(maps[unit].numpy(), left, top, 1.65, vmin=0, vmax=limit)
            slide.say(f"map {unit}", MARGIN + 0.8 + 1.75 * number, slide.top, size=SMALL)
        for row, words in enumerate(("before", "after")):
            slide.say(words, MARGIN, slide.top + 1.0 + 1.85 * row, size=SMALL)
        axes = slide.plot(
            9.2,
            slide.top + 0.35,
            slide.width - 9.2 - MARGIN - 0.1,
            3.4,
            "maps, at the strongest place",
            "damped more than\nthe constant does (%)",
        )
        extra = (found.profile.nan_to_num(1.0) - 1) * 100
        axes.bar(range(len(extra)), extra.tolist(), color=COLOURS[5], width=1.0)
        return slide.figure

    return Made(caption, draw, text="Feature maps before and after normalisation")


def _write_caption(studio: Studio, model: ZooModel, found: NormalisedMaps) -> str:
    layer = model.module.get_submodule(model.layers["norm1"])
    assert isinstance(layer, ContrastNormalisation)
    active = found.divisors[~found.divisors.isnan()]
    strong = found.divisors[found.before == found.before.max()][0].item()
    told = read_published()
    item = told.figure("alexnet-lrn-top1")
    return (
        f"conv1 of {model.title} ({model.provenance.describe()}) on {name_photo(studio.photo)} "
        f"at {model.input_size} × {model.input_size} px "
        f"before and after norm1: b = a / ({layer.k:g} + {layer.alpha / layer.size:g} "
        f"Σ a²)^{layer.beta:g}, the sum over {layer.size} neighbouring maps. Active numbers are "
        f"divided by {active.min():.3f} to {active.max():.3f} ({active.median():.3f} in the "
        "middle), the strongest one by "
        f"{strong:.3f}: the constant {layer.k:g} does most of it, strong neighbours damp by at "
        "most "
        f"{active.max() / active.min() - 1:.1%} more. Each row of maps has one grey scale from 0 "
        "to its 99.5 % quantile. The paper "
        f"gained {item.value:g} points of top-1 error by it ({told.cite(item)})."
    )
