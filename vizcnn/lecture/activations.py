"""AlexNet on a photo: contrast normalisation, overlapping pooling and dropout at work."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.measures.published import read_published
from vizcnn.photos.samples import name_photo
from vizcnn.recording.layers import find_layer
from vizcnn.recording.recording import record
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.normalisation import ContrastNormalisation


def read_activations(model: ZooModel, pixels: Tensor, layers: Sequence[str]) -> list[Tensor]:
    """Run a net on a photo and give the outputs of layers.

    Args:
        model: A net of the zoo.
        pixels: (1, 3, S, S), RGB 0..1.
        layers: Canonical names or module paths.

    Returns:
        One for each layer, on the CPU: (maps, rows, columns) or (units,).
    """
    like = next(model.module.parameters())
    paths = [find_layer(model, layer) for layer in layers]
    with record(model.module, paths) as recording:
        model.module(model.preprocessing.normalise(pixels.to(like.device, like.dtype)))
    return [recording.find_output(path).detach()[0].cpu() for path in paths]


MAPS = 4
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


@exhibit("alexnet-lrn", "alexnet", "Local response normalisation")
def make_normalisation(studio: Studio) -> Made:
    """Draw maps before and after, and the profile over maps at the strongest place."""
    model = studio.alexnet
    found = normalise_maps(model, studio.read(model))
    caption = _write_caption(studio, model, found)
    means = found.before.mean(dim=(1, 2))
    shown = means.argsort(descending=True)[:MAPS].tolist()

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


STRIDE = 2
WINDOWS = {"overlapping, 3×3": 3, "not overlapping, 2×2": 2}


@dataclass(frozen=True)
class PooledMaps:
    """Feature maps after max pooling.

    Attributes:
        size: Side of a window.
        maps: (maps, rows, columns).
        shared: Share of the windows whose maximum is another window's too, 0..1.
    """

    size: int
    maps: Tensor
    shared: float


def pool_maps(maps: Tensor, size: int, stride: int = STRIDE) -> PooledMaps:
    """Pool feature maps and find maxima that win in more than one window.

    Windows without anything positive are left out of the share: in them no place wins.

    Args:
        maps: (maps, rows, columns), not negative.
        size: Side of a window.
        stride: Its step.

    Example:
        >>> peak = torch.zeros(1, 5, 5)
        >>> peak[0, 2, 2] = 1
        >>> pool_maps(peak, 3).shared, pool_maps(peak, 2).shared
        (1.0, 0.0)
    """
    pooled, places = F.max_pool2d(maps[None], size, stride, return_indices=True)
    won = places[0].flatten(1)[pooled[0].flatten(1) > 0]
    numbers = torch.arange(len(maps)).repeat_interleave((pooled[0].flatten(1) > 0).sum(dim=1).cpu())
    keys = numbers * maps[0].numel() + won.cpu()
    _, counts = keys.unique(return_counts=True)
    shared = counts[counts > 1].sum().item() / max(len(keys), 1)
    return PooledMaps(size, pooled[0], shared)


@exhibit("alexnet-pooling", "alexnet", "Overlapping pooling")
def make_overlapping_pooling(studio: Studio) -> Made:
    """Draw the windows of both, and a map after each."""
    model = studio.alexnet
    (maps,) = read_activations(model, studio.read(model), ["norm1"])
    pooled = {words: pool_maps(maps, size) for words, size in WINDOWS.items()}
    told = read_published()
    item = told.figure("alexnet-overlap-top1")
    sizes = "; ".join(
        f"{words}: {maps.shape[1]} → {found.maps.shape[1]}, {found.shared:.0%} of the windows "
        "share "
        "their maximum with another"
        for words, found in pooled.items()
    )
    caption = (
        f"norm1 of {model.title} ({model.provenance.describe()}) on {name_photo(studio.photo)} "
        f"at {model.input_size} × {model.input_size} px, "
        f"{len(maps)} maps, pooled at stride {STRIDE} both ways. {sizes}. The deconvnet adds up "
        "what "
        "comes back to a shared maximum. The paper gained "
        f"{item.value:g} points of top-1 error by overlapping ({told.cite(item)})."
    )
    unit = int(maps.mean(dim=(1, 2)).argmax())
    limit = maps[unit].max().item()

    @plain_style()
    def draw() -> Figure:
        slide = Slide(4.4, "Overlapping pooling: 3×3 at stride 2", caption)
        slide.picture(maps[unit].numpy(), MARGIN, 0.45, 3.6, vmin=0, vmax=limit)
        slide.say(f"map {unit}: {maps.shape[1]}×{maps.shape[2]}", MARGIN, slide.top)
        for number, (words, found) in enumerate(pooled.items()):
            left = 4.5 + 4.5 * number
            slide.say(words, left, slide.top, weight="bold")
            slide.picture(found.maps[unit].numpy(), left, 0.45, 2.3, vmin=0, vmax=limit)
            size = f"{found.maps.shape[1]}×{found.maps.shape[2]}\nshared: {found.shared:.0%}"
            slide.say(size, left + 2.45, slide.top + 0.5)
            _draw_windows(slide.canvas(left, slide.top + 2.95, 4.0, 1.7), found.size)
        return slide.figure

    return Made(caption, draw, text="A feature map pooled with and without overlap")


def _draw_windows(axes: Axes, size: int) -> None:
    """Draw three windows of a row over the pixels that they read."""
    cell = 0.42
    for column in range(2 * STRIDE + size):
        place = (column * cell, 0.05)
        axes.add_patch(
            Rectangle(
                place,
                cell,
                cell,
                facecolor=tone("#cccccc"),
                edgecolor=tone("white"),
                lw=points(1.5),
            )
        )
    for number in range(3):
        left = number * STRIDE * cell
        top = 0.58 + 0.2 * (number % 2)
        colour = COLOURS[(0, 5, 2)[number]]
        axes.add_patch(Rectangle((left + 0.02, top), size * cell - 0.04, 0.14, color=colour))
    words = f"windows of {size}, each {STRIDE} further"
    axes.text(0, 1.25, words, fontsize=letter_size(SMALL if size else BODY), va="center")


RATE, MASKS, UNITS = 0.5, 200, 60
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


@exhibit("alexnet-dropout", "alexnet", "Dropout")
def make_dropout(studio: Studio) -> Made:
    """Draw activations, one mask, the mean of all, and how the class's probability spreads."""
    model = studio.alexnet
    found = drop_units(model, studio.read(model), studio.generator())
    spread = found.probabilities
    caption = (
        f"{LAYER} of {model.title} ({model.provenance.describe()}) on {name_photo(studio.photo)} "
        f"at {model.input_size} × {model.input_size} px: "
        f"{len(found.units)} units, {UNITS} of them shown, dropped with p = {RATE:g}; what is kept "
        f"counts double. The mean of {len(spread)} masks is off by {found.mean_error:.1%} of the "
        f"activations. Probability of “{found.label}”: {found.whole:.1%} without dropout; under a "
        f"mask {spread.mean():.1%} on average, {spread.min():.1%} to {spread.max():.1%}; "
        f"{found.kept:.0%} of the masks leave it the likeliest class. Seed {studio.seed}."
    )

    @plain_style()
    def draw() -> Figure:
        slide = Slide(5.2, "Dropout, p = 0.5", caption)
        order = found.units.argsort(descending=True)[:UNITS]
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
