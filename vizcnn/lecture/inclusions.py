"""Figures of the other commands, included: filters, deconvnet, guided backprop, aliasing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vizcnn.drawing.sheet import MARGIN, QUIET, SMALL, Slide
from vizcnn.drawing.style import larger_letters, plain_style, tone
from vizcnn.drawing.words import (
    describe_part,
    explain_selectivity,
    name_method,
    name_part,
    show_activation,
    show_decimal,
)
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.pages.aliasing import describe_photos, write_small_print
from vizcnn.pages.aliasing_story import tell_story
from vizcnn.pages.attached import make_attached_figure
from vizcnn.pages.deconv import (
    DeconvSettings,
    MeasuredLayer,
    MeasuredPhoto,
    measure,
    show_part,
)
from vizcnn.pages.filters import (
    FilterSettings,
    NetFilters,
    draw_grid,
    draw_measures,
    measure_net,
    name_run,
)
from vizcnn.photos.pixels import Array
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.parts import find_cosines

UNITS = 6
"""Units of each layer in the figures of projections."""
NARROW = ("grids",)
"""Chapters whose figure is narrow, and comes large onto a slide as it is."""
COMPARED = 32
"""Other active units of its place that each projection is compared with, at most."""
SAMPLED = f"from at most {COMPARED} others of these units"
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


@exhibit("zfnet-attached", "zfnet", "A deconvnet attached to a convnet")
def make_attached_pair(studio: Studio) -> Made:
    """Draw Zeiler & Fergus' Figure 1 with the numbers of one window of ZFNet's first layer."""
    found = make_attached_figure(studio.zfnet, studio.photo)
    return Made(found.caption, found.draw, text=found.text)


@exhibit("zfnet-deconvnet", "zfnet", "Deconvnet: what units see", method="deconvnet")
@exhibit("zfnet-guided", "zfnet", "Guided backprop: what units see", method="guided")
def make_projections(studio: Studio, method: str) -> Made:
    """Include ZFNet's strongest units on the photo, projected back by a method."""
    settings = DeconvSettings(method=method, top=UNITS, part=studio.part, compare=COMPARED)
    photo = measure(Projector(studio.zfnet, method), studio.zfnet, studio.photo, settings)
    size = studio.zfnet.input_size
    (best, share), *_ = photo.section.predictions
    caption = (
        f"{_say_what_is_shown(photo, method)} The strongest units on {photo.name} at "
        f"{size} × {size} px, which {studio.zfnet.title} calls “{best}” ({share:.1%}): on the left "
        "each unit’s number and selectivity, on the right its activation. "
        f"{photo.write_caption(explain_selectivity(sampled=SAMPLED))}."
    )
    what = "what units see" if studio.part == "whole" else f"{name_part(studio.part)}s of units"
    title = f"{studio.zfnet.title}: {what}, by {name_method(method).removeprefix('the ')}"
    left = "projected back to pixels"
    left = left if studio.part == "whole" else f"{name_part(studio.part)}s, {left}"
    rows = [make_row(layer, layer.projections, layer.patches) for layer in photo.layers]
    draw = partial(draw_projections, rows, (left, "the photo in the same places"), title, caption)
    return Made(caption, draw, text=f"Projections of ZFNet’s units by {name_method(method)}")


def _say_what_is_shown(photo: MeasuredPhoto, method: str) -> str:
    """Say what a projection is a picture of, with the effective number of the last layer."""
    section = photo.layers[-1].section
    told = section.describe_pictures(method)
    shown = "A projection shows what the net kept of the photo at a place, not what the unit wants"
    return f"{shown}: in {section.name}, {told}." if told else f"{shown}."


@exhibit("zfnet-own-parts", "zfnet", "Deconvnet: what is each unit’s own", method="deconvnet")
def make_own_parts(studio: Studio, method: str) -> Made:
    """Set the projections of units of one place beside their own parts, layer by layer."""
    net = studio.zfnet
    projector = Projector(net, method)
    settings = DeconvSettings(method=method, top=1)
    first = measure(projector, net, studio.photo, settings)
    layers, rows = [], []
    for section in first.section.layers:
        there = replace(
            settings,
            layers=(section.name,),
            top=UNITS,
            position=section.strongest.position or "max",
            compare=COMPARED,
        )
        layer = measure(projector, net, studio.photo, there).layers[0]
        owns = show_part(net, layer.projection, "own", settings.scaling)[: len(layer.projections)]
        layers.append(layer)
        rows.append(make_row(layer, layer.projections, owns))
    caption = (
        f"In each layer the strongest units at one place, that of the layer’s strongest unit on "
        f"{first.name}: on the left their whole pictures, under number and selectivity; on the "
        f"right, under the activation, their {describe_part('own')}. {_say_likeness(layers[-1])}"
        f"{first.way} · {layers[0].section.scaling} · {explain_selectivity(sampled=SAMPLED)}."
    )
    title = f"{net.title}: units of one place, and what is each one’s own"
    halves = ("whole pictures", "own parts")
    draw = partial(draw_projections, rows, halves, title, caption)
    return Made(caption, draw, text="Whole pictures of ZFNet’s units beside their own parts")


def _say_likeness(layer: MeasuredLayer) -> str:
    """Say how alike the pictures of a layer's units of one place are: whole, and own parts."""
    count = len(layer.section.tiles)
    whole, own = (
        median_cosine(pictures.windows[:count])
        for pictures in (layer.projection, layer.projection.own)
    )
    if whole is None or own is None:
        return ""
    return (
        f"Between the {count} units of {layer.section.name}, the median cosine is {whole:.2f} of "
        f"the whole pictures and {own:.2f} of the own parts. "
    )


def median_cosine(pictures: Tensor) -> float | None:
    """Give the median cosine between pictures (n, ...); None with fewer than two that are there."""
    pairs = [find_cosines(one, pictures[number:]) for number, one in enumerate(pictures, 1)]
    median = float(torch.cat(pairs).nanmedian())
    return None if math.isnan(median) else median


def make_chapter(studio: Studio, name: str) -> Made:
    """Include a picture of the aliasing lab, with its caption."""
    story = tell_story(studio.studies, GRID_LAYER)
    chapter = next(chapter for chapter in story if chapter.name == name)
    photos = describe_photos(len(studio.studies[0].photos), samples=True)
    small_print = write_small_print(studio.studies, photos)
    letters = larger_letters(1.0 if name in NARROW else LARGER)
    draw = letters(partial(chapter.draw, small_print))
    return Made(chapter.caption, draw, text=chapter.text)


TILE, GAP = 0.87, 0.04
"""Side of a tile and space between tiles, in inches."""
LABEL = 0.2
"""Height of a label above a tile in inches."""
HEAD = 0.4
"""Height of the heads of the two halves in inches."""
NAMES = 1.65
"""Width of the layers' names in inches."""


@dataclass(frozen=True)
class ProjectionRow:
    """A layer of a slide of projections.

    Attributes:
        name: The layer's name.
        note: What is written below it.
        left, right: Pictures of the two halves, (h, w, 3), 0..1, of the same units.
        labels: What is written above the tiles of either half.
    """

    name: str
    note: str
    left: tuple[Array, ...]
    right: tuple[Array, ...]
    labels: tuple[tuple[str, str], ...]


def make_row(layer: MeasuredLayer, left: Sequence[Array], right: Sequence[Array]) -> ProjectionRow:
    """Make a row of a layer's units, with what stands in the two halves."""
    strip = layer.to_strip()
    labels = tuple(
        # short: letters on a slide are large
        (
            f"{tile.name or tile.unit} · {show_decimal(tile.selectivity)}",
            show_activation(tile.activation),
        )
        for tile in layer.section.tiles
    )
    return ProjectionRow(strip.name, strip.note, tuple(left), tuple(right), labels)


def draw_projections(
    rows: Sequence[ProjectionRow], halves: tuple[str, str], title: str, caption: str
) -> Figure:
    """Draw the strongest units of layers, in the arrangement of Zeiler & Fergus 2013, Figure 2.

    Args:
        rows: One per layer, lowest first, of six units at most.
        halves: What the tiles on the left and on the right are.
        title: Heading.
        caption: Small print below.
    """
    height = LABEL + TILE + GAP
    with plain_style():
        slide = Slide(HEAD + height * len(rows), title, caption)
        half = (slide.width - 2 * MARGIN - NAMES) / 2
        lefts = [MARGIN + NAMES + half * number for number in range(2)]
        for left, words in zip(lefts, halves, strict=True):
            slide.say(words, left, slide.top, weight="bold")
        for place, row in enumerate(rows):
            _draw_row(slide, row, HEAD + height * place, lefts)
    return slide.figure


def _draw_row(slide: Slide, row: ProjectionRow, top: float, lefts: Sequence[float]) -> None:
    below = slide.top + top + LABEL
    slide.say(row.name, MARGIN, below + 0.1, weight="bold")
    slide.write(row.note, MARGIN, below + 0.42, SMALL - 2, room=NAMES, color=tone(QUIET))
    for place, (*tiles, labels) in enumerate(zip(row.left, row.right, row.labels, strict=True)):
        across = (TILE + GAP) * place
        for left, tile, words in zip(lefts, tiles, labels, strict=True):
            slide.add_tile(tile, left + across, below, TILE)
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
