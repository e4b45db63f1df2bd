"""Figures of the other commands, included: filters, deconvnet, guided backprop, aliasing."""

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from vizcnn.drawing.figures import LayerStrip
from vizcnn.drawing.sheet import MARGIN, QUIET, SMALL, Slide
from vizcnn.drawing.style import larger_letters, plain_style, tone
from vizcnn.lecture.studio import PHOTOS, Made, Studio, exhibit
from vizcnn.pages.aliasing_story import tell_story
from vizcnn.pages.deconv import DeconvSettings, measure
from vizcnn.pages.filters import (
    FilterSettings,
    NetFilters,
    draw_grid,
    draw_measures,
    measure_net,
    name_run,
)
from vizcnn.projection.deconvnet import Projector

UNITS = 6
"""Units of each layer in the figures of projections."""
NARROW = ("grids",)
"""Chapters whose figure is narrow, and comes large onto a slide as it is."""
_SPOKEN = {"guided": "guided backprop"}
"""Names of methods as a lecture says them."""
LARGER = 1.3
"""Letters of included figures, over those of the other commands: a lecture hall is deep."""
GRID_LAYER = "conv2"
"""Layer whose projections are searched for the first layer's grid, as in ZF's Figure 6 (d)."""


@exhibit("zfnet-filters", "zfnet", "First-layer filters")
def make_filters(studio: Studio) -> Made:
    """Include the first layers of AlexNet and ZFNet, as ``vizcnn filters`` draws them."""
    settings = FilterSettings()
    exhibits = _read_filters(studio, settings)
    caption = (
        "First-layer filters of trained nets, as vizcnn filters draws them: Zeiler & Fergus 2013, "
        f"Figure 6 (b) and (c). {_say_weights(studio)}"
    )
    draw = larger_letters(LARGER)(partial(draw_grid, exhibits, settings, name_run(exhibits)))
    return Made(caption, draw, text="Grids of first-layer filters, AlexNet and ZFNet")


@exhibit("zfnet-filter-measures", "zfnet", "First-layer filters in numbers")
def make_filter_measures(studio: Studio) -> Made:
    """Include the measures of those filters: shares of low, mid and high frequency."""
    exhibits = _read_filters(studio, FilterSettings())
    caption = (
        "“A mix of extremely high and low frequency information, with little coverage of the mid "
        f"frequencies”: measured on these filters. {_say_weights(studio)}"
    )
    draw = partial(draw_measures, exhibits, name_run(exhibits))
    return Made(caption, draw, text="Shares of frequency bands, and every filter by frequency")


def _read_filters(studio: Studio, settings: FilterSettings) -> tuple[NetFilters, ...]:
    nets = (studio.alexnet, studio.zfnet)
    return tuple(measure_net(net, None, net.title, settings) for net in nets)


def _say_weights(studio: Studio) -> str:
    nets = (studio.alexnet, studio.zfnet)
    return "; ".join(f"{net.title}: {net.provenance.describe()}" for net in nets) + "."


@exhibit("zfnet-deconvnet", "zfnet", "Deconvnet: what units see", method="deconvnet")
@exhibit("zfnet-guided", "zfnet", "Guided backprop: what units see", method="guided")
def make_projections(studio: Studio, method: str) -> Made:
    """Include ZFNet's strongest units on the photo, projected back by a method."""
    settings = DeconvSettings(method=method, top=UNITS)
    photo = measure(Projector(studio.zfnet, method), studio.zfnet, studio.photo, settings)
    name = _SPOKEN.get(method, method)
    size = studio.zfnet.input_size
    (best, share), *_ = photo.section.predictions
    caption = (
        f"The strongest units on {photo.name} at {size} × {size} px, which "
        f"{studio.zfnet.title} calls “{best}” ({share:.1%}); on the right their activations. "
        f"{photo.caption}."
    )
    title = f"{studio.zfnet.title}: what units see, by {name}"
    draw = partial(draw_projections, [layer.to_strip() for layer in photo.layers], title, caption)
    return Made(caption, draw, text=f"Projections of ZFNet’s units by {name}")


def make_chapter(studio: Studio, name: str) -> Made:
    """Include a picture of the aliasing lab, with its caption."""
    story = tell_story(studio.studies, GRID_LAYER)
    chapter = next(chapter for chapter in story if chapter.name == name)
    nets = [f"{study.title}: {study.model.provenance.describe()}" for study in studio.studies]
    photos = f"{PHOTOS} photos (patches of scikit-image’s samples); vizcnn aliasing takes more"
    letters = larger_letters(1.0 if name in NARROW else LARGER)
    draw = letters(partial(chapter.draw, " · ".join([*nets, photos])))
    return Made(chapter.caption, draw, text=chapter.text)


TILE, GAP = 0.87, 0.04
"""Side of a tile and space between tiles, in inches."""
LABEL = 0.2
"""Height of a label above a tile in inches."""
HEAD = 0.4
"""Height of the heads of the two halves in inches."""
NAMES = 1.65
"""Width of the layers' names in inches."""
HALVES = ("projected back to pixels", "the photo in the same places")


def draw_projections(strips: Sequence[LayerStrip], title: str, caption: str) -> Figure:
    """Draw the strongest units of layers, in the arrangement of Zeiler & Fergus 2013, Figure 2.

    Args:
        strips: One per layer, lowest first, of six units at most.
        title: Heading.
        caption: Small print below.
    """
    row = LABEL + TILE + GAP
    with plain_style():
        slide = Slide(HEAD + row * len(strips), title, caption)
        half = (slide.width - 2 * MARGIN - NAMES) / 2
        lefts = [MARGIN + NAMES + half * number for number in range(2)]
        for left, words in zip(lefts, HALVES, strict=True):
            slide.say(words, left, slide.top, weight="bold")
        for number, strip in enumerate(strips):
            _draw_strip(slide, strip, HEAD + row * number, lefts)
    return slide.figure


def _draw_strip(slide: Slide, strip: LayerStrip, top: float, lefts: Sequence[float]) -> None:
    below = slide.top + top + LABEL
    slide.say(strip.name, MARGIN, below + 0.1, weight="bold")
    slide.write(strip.note, MARGIN, below + 0.42, SMALL - 2, room=NAMES, color=tone(QUIET))
    for number, pair in enumerate(strip.pairs):
        across = (TILE + GAP) * number
        tiles = zip(lefts, (pair.projection, pair.patch), pair.label.split("\n"), strict=True)
        for left, tile, words in tiles:
            # tiles are often drawn smaller than they are, where "nearest" would drop pixels
            slide.picture(tile, left + across, top + LABEL, TILE, interpolation="auto")
            style = {"ha": "center", "va": "bottom"}
            middle = left + across + TILE / 2
            slide.write(words, middle, below - 0.02, SMALL - 2, room=TILE, **style)


_CHAPTERS = (
    ("spectra", "Spectra of first-layer filters"),
    ("shares", "What the stride folds"),
    ("zone-plate", "A zone plate through the first layer"),
    ("gratings", "A grating that the stride cannot keep"),
    ("sweep", "All gratings through the first layer"),
    ("shifts", "Features of a photo that moves"),
    ("cure", "Blur before subsampling"),
    ("second-layer", "Second-layer projections"),
    ("grids", "The grid in the projections"),
)
"""Pictures of the aliasing lab; its first, the filters, is the figure of vizcnn filters here."""

for _name, _title in _CHAPTERS:
    exhibit(f"zfnet-aliasing-{_name}", "zfnet", _title, name=_name)(make_chapter)
