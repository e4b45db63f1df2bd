"""Overlapping pooling on real activations: windows of 3 at stride 2 against windows of 2."""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional as F

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.lecture.activations import read_activations
from vizcnn.lecture.published import read_published
from vizcnn.lecture.studio import Made, Studio
from vizcnn.photos.samples import name_photo

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
