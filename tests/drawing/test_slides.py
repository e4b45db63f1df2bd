"""Figures as slides: 13.33 by 7.5 inches, letters large, none over another; and for papers."""

import numpy as np
import pytest
import torch

from tests.drawing.test_figures import CAPTION, COMPARED, PREDICTIONS, check_layout, list_texts
from tests.drawing.test_figures import make_strip as make_layer
from tests.drawing.test_filter_figures import make_panel
from vizcnn.basics.errors import VizcnnError
from vizcnn.drawing.figures import (
    UnitPictures,
    draw_control,
    draw_layer,
    draw_overlay,
    draw_summary,
)
from vizcnn.drawing.filter_charts import ChartedNet, draw_numbers
from vizcnn.drawing.filter_grids import draw_filters
from vizcnn.drawing.method_grid import GridColumn, GridRow, draw_method_grid
from vizcnn.drawing.receptive_fields import FieldBox, draw_fields
from vizcnn.drawing.sheet import SLIDE_WIDTH
from vizcnn.drawing.style import PAPER, SLIDE, make_style, use_style
from vizcnn.measures.filter_numbers import number_filters

PHOTO = np.random.default_rng(0).random((32, 32, 3), dtype=np.float32)
SMALL = 9.0
"""Smallest letters of a slide in points: those that are shrunk into little room."""


def summarise(layers, units=9):
    strips = [make_layer(units, f"conv{number}", **COMPARED) for number in range(layers)]
    return lambda: draw_summary(PHOTO, PREDICTIONS[:2], strips, "ZFNet: a.jpg", CAPTION)


def frame(count=9):
    boxes = [(0, 0, 3 * number + 4, 3 * number + 4) for number in range(count)]
    labels = [str(number) for number in range(count)]
    return lambda: draw_overlay(PHOTO, PHOTO, boxes, labels, labels, "ZFNet: a.jpg", CAPTION)


def nest(count=9):
    boxes = [
        FieldBox((-n, -n, n, n), f"conv{n}", (f"{n} px, stride 16", "unit (1, 1): 1%"))
        for n in range(3, 3 + 3 * count, 3)
    ]
    return lambda: draw_fields(PHOTO, boxes, "ZFNet", CAPTION)


def control():
    pictures = [UnitPictures("unit 4000\nactivation 123\nselectivity 0.08", PHOTO, PHOTO)] * 2
    return draw_control(PHOTO, pictures, ["0.93", "-0.12"], "ZFNet", CAPTION)


def compare(methods=12):
    columns = [GridColumn("integrated\ngradients", ("0.02", "–", "+0.4"))] * methods
    row = GridRow(PHOTO, "coffee\nunit 3: 1.2", (PHOTO,) * methods, ("±3.27",) * methods)
    return draw_method_grid(columns, [row], ("selectivity", "shuffled", "time"), "ZFNet", CAPTION)


def chart():
    generator = torch.Generator().manual_seed(0)
    nets = [
        ChartedNet(name, number_filters(torch.randn(9, 3, 7, 7, generator=generator)), name)
        for name in ("alexnet", "zfnet")
    ]
    figure = draw_numbers(nets, "cycles/px", "Filters in numbers", CAPTION)
    figure.draw_without_rendering()
    return figure


FIGURES = {
    **{f"summary of {layers}": summarise(layers) for layers in (1, 2, 5, 13)},
    "summary of one unit": summarise(5, units=1),
    **{
        f"layer of {units}": lambda n=units: draw_layer(make_layer(n), "ZFNet", CAPTION)
        for units in (1, 9)
    },
    "frames": frame(),
    "many frames": frame(60),
    "nested frames": nest(),
    "control": control,
    "methods": compare,
    "chart": chart,
    "filters": lambda: draw_filters([make_panel(name="a net")] * 2, "Filters", CAPTION),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_slide_has_its_shape_and_all_texts_have_their_places(name, theme):
    with use_style(make_style("slide", theme)):
        figure = FIGURES[name]()
        check_layout(figure)
        assert figure.get_size_inches() == pytest.approx((40 / 3, 7.5), abs=1e-3)
        assert figure.get_facecolor()[0] == pytest.approx(1 if theme == "light" else 23 / 255)
        if name != "summary of 13":
            assert min(float(text.get_fontsize()) for text in list_texts(figure)) >= SMALL * 0.75


@pytest.mark.parametrize("name", ["summary of 5", "layer of 9", "nested frames", "methods"])
def test_a_slides_letters_are_larger_than_a_pages(name):
    sizes = []
    for style in ("page", "slide"):
        with use_style(make_style(style)):
            figure = FIGURES[name]()
            texts, width = list_texts(figure), figure.get_size_inches()[0]
            # on a slide of 13.33 inches
            sizes.append(
                np.median([float(text.get_fontsize()) for text in texts]) * 40 / 3 / max(width, 13)
            )
    assert sizes[1] > 1.1 * sizes[0]


@pytest.mark.parametrize("name", ["summary of 5", "chart", "nested frames"])
def test_a_paper_has_figures_of_half_the_size(name):
    with use_style(PAPER):
        figure = FIGURES[name]()
        check_layout(figure)
    assert figure.get_size_inches()[0] <= PAPER.scale * SLIDE_WIDTH + 1e-6


@pytest.mark.parametrize("style", ["page", "slide"])
def test_without_caption_and_title_their_room_goes_to_nothing(style):
    heights = []
    for title, captions in ((None, True), ("", False)):
        with use_style(make_style(style, title=title, captions=captions)):
            figure = draw_layer(make_layer(9), "ZFNet", CAPTION)
            heights.append(figure.get_size_inches()[1])
            texts = check_layout(figure)
            assert ("Zeiler" in texts) == captions and ("ZFNet" in texts) == (title is None)
    assert heights[1] < heights[0] - 0.4 if style == "page" else heights[1] == heights[0]


def test_all_layers_are_on_a_summary_and_say_which_units_are_shown():
    with use_style(SLIDE):
        texts = check_layout(summarise(5)())
    assert all(f"conv{number}" in texts for number in range(5))
    shown = texts.count("unit ")
    assert shown >= 10 and shown % 5 == 0


@pytest.mark.parametrize(
    "given",
    [{"name": "poster"}, {"theme": "blue"}, {"dpi": 0}, {"dpi": 10**6}],
)
def test_a_style_that_cannot_be_is_one_clear_line(given):
    with pytest.raises(VizcnnError) as told:
        make_style(**given)
    assert len(str(told.value).splitlines()) == 1
