"""Figures after Zeiler & Fergus' Figures 5 and 8: on a page, a slide and in a paper."""

import numpy as np
import pytest

from tests.drawing.test_figures import CAPTION, check_layout, list_image_boxes
from vizcnn.drawing.correspondence_plots import draw_hidden
from vizcnn.drawing.invariance_plots import choose_examples, draw_distances
from vizcnn.drawing.style import make_style, use_style
from vizcnn.measures.invariance_curves import LayerCurves, TransformRow

PHOTO = np.random.default_rng(0).random((8, 8, 3), dtype=np.float32)
AMOUNTS = (-32.0, -16.0, 0.0, 16.0, 32.0)
PHOTOS = ("coffee", "chelsea", "rocket")


def change():
    curves = tuple(tuple(abs(amount) * 3 + 1 for amount in AMOUNTS) for _ in PHOTOS)
    layers = tuple(
        LayerCurves(layer=name, distances=curves, relative=curves, returned=(), inside=())
        for name in ("conv1", "fc7")
    )
    rows = [
        TransformRow(
            kind=kind,
            amounts=AMOUNTS,
            filled=(0.0,) * len(AMOUNTS),
            layers=layers,
            probabilities=((0.5,) * len(AMOUNTS),) * len(PHOTOS),
        )
        for kind in ("shift", "scale", "rotate")
    ]
    examples = [[PHOTO] * len(choose_examples(AMOUNTS))] * len(PHOTOS)
    names = ["conv1", "fc7"]
    return draw_distances(rows, lambda _: examples, PHOTOS, names, "ZFNet", CAPTION, "a line each")


def hide():
    return draw_hidden([[PHOTO] * 5] * 3, PHOTOS, ["photo", *"abcd"], "ZFNet", CAPTION)


@pytest.mark.parametrize("style", ["page", "slide", "paper"])
def test_nothing_overlaps_or_leaves_the_figure(style):
    with use_style(make_style(style, "dark")):
        check_layout(hide())


def test_a_slide_of_three_transforms_fills_its_width():
    with use_style(make_style("slide")):
        figure = change()
        figure.draw_without_rendering()
        right = max(axes.get_position().x1 for axes in figure.axes)
    assert figure.get_size_inches() == pytest.approx((40 / 3, 7.5), abs=1e-3)
    assert right > 0.9


def test_photos_with_parts_hidden_stand_in_the_middle():
    figure = hide()
    figure.draw_without_rendering()
    boxes = list_image_boxes(figure)
    names = min(text.get_window_extent().x0 for text in figure.texts if text.get_text() in PHOTOS)
    width = figure.get_size_inches()[0] * figure.dpi
    right = 1 - max(box.x1 for box in boxes)
    assert names / width == pytest.approx(right, abs=0.02)
