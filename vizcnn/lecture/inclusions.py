"""Figures of the other commands, included: filters, deconvnet, guided backprop, aliasing."""

from functools import partial
from pathlib import Path

from vizcnn.drawing.style import larger_letters
from vizcnn.lecture.projection_figure import draw_projections
from vizcnn.lecture.studio import PHOTOS, Made, Studio
from vizcnn.pages.aliasing_story import Chapter, tell_story
from vizcnn.pages.deconv import DeconvSettings, PhotoExhibit
from vizcnn.pages.filters import FilterExhibit, FilterSettings, draw_grid, draw_measures, name_run
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


def make_filter_measures(studio: Studio) -> Made:
    """Include the measures of those filters: shares of low, mid and high frequency."""
    exhibits = _read_filters(studio, FilterSettings())
    caption = (
        "“A mix of extremely high and low frequency information, with little coverage of the mid "
        f"frequencies”: measured on these filters. {_say_weights(studio)}"
    )
    draw = partial(draw_measures, exhibits, name_run(exhibits))
    return Made(caption, draw, text="Shares of frequency bands, and every filter by frequency")


def _read_filters(studio: Studio, settings: FilterSettings) -> tuple[FilterExhibit, ...]:
    nets = (studio.alexnet, studio.zfnet)
    return tuple(FilterExhibit(net, None, net.title, settings) for net in nets)


def _say_weights(studio: Studio) -> str:
    nets = (studio.alexnet, studio.zfnet)
    return "; ".join(f"{net.title}: {net.provenance.describe()}" for net in nets) + "."


def make_projections(studio: Studio, method: str) -> Made:
    """Include ZFNet's strongest units on the photo, projected back by a method."""
    settings = DeconvSettings(method=method, top=UNITS)
    projector = Projector(studio.zfnet, method)
    exhibit = PhotoExhibit(projector, studio.zfnet, settings, studio.photo, Path("unused"))
    name = _SPOKEN.get(method, method)
    size = studio.zfnet.input_size
    (best, share), *_ = studio.zfnet.classify(exhibit.pixels)[0]
    caption = (
        f"The strongest units on {exhibit.name} at {size} × {size} px, which "
        f"{studio.zfnet.title} calls “{best}” ({share:.1%}); on the right their activations. "
        f"{exhibit.caption}."
    )
    title = f"{studio.zfnet.title}: what units see, by {name}"
    draw = partial(draw_projections, exhibit.project_strips(), title, caption)
    return Made(caption, draw, text=f"Projections of ZFNet’s units by {name}")


def make_chapter(studio: Studio, name: str) -> Made:
    """Include a picture of the aliasing lab, with its caption."""
    chapter = _find_chapter(studio, name)
    nets = [f"{study.title}: {study.model.provenance.describe()}" for study in studio.studies]
    photos = f"{PHOTOS} photos (patches of scikit-image’s samples); vizcnn aliasing takes more"
    letters = larger_letters(1.0 if name in NARROW else LARGER)
    draw = letters(partial(chapter.draw, " · ".join([*nets, photos])))
    return Made(chapter.caption, draw, text=chapter.text)


def _find_chapter(studio: Studio, name: str) -> Chapter:
    chapters = {chapter.name: chapter for chapter in tell_story(studio.studies, GRID_LAYER)}
    return chapters[name]
