"""Zeiler & Fergus' Figure 1 with real numbers: what is written in it is what torch gives."""

import re

import numpy as np
import pytest
import torch
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path
from torch.nn import functional as F

import vizcnn
from tests.drawing.test_figures import check_layout, flat
from tests.support.small_zoo import make_model, paint_photo
from vizcnn.drawing.layer_pair import MAXIMUM, SIGNAL, cut_region, find_in_window, write_cell
from vizcnn.drawing.saving import save_figure
from vizcnn.drawing.style import DARK, PAPER, SLIDE, use_style
from vizcnn.pages.attached import make_attached_figure
from vizcnn.photos.patches import find_samples


@pytest.fixture(scope="module")
def found():
    return make_attached_figure(vizcnn.load("zfnet"), find_samples()[4])


def list_cells(figure, colour):
    """Texts in cells of a colour."""
    (canvas,) = [axes for axes in figure.axes if len(axes.texts) > 20]
    cells = [
        patch
        for patch in canvas.patches
        if isinstance(patch, Rectangle) and patch.get_facecolor()[:3] == colour
    ]
    return [
        text.get_text()
        for patch in cells
        for text in canvas.texts
        if patch.get_bbox().contains(*text.get_position())
    ]


def to_rgb(colour):
    return tuple(int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))


@torch.no_grad()
def test_the_numbers_are_those_of_the_net(found):
    model = vizcnn.load("zfnet")
    conv1 = model.module.get_submodule("features.conv1")
    inputs = model.preprocessing.normalise(model.read("motorcycle"))
    features = conv1(inputs)
    _, indices = F.max_pool2d(features.relu(), 3, 2, ceil_mode=True, return_indices=True)
    unit, (row, column) = found.pair.unit, found.pair.place
    window = features.relu()[0, unit, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
    figure = found.draw()
    (canvas,) = [axes for axes in figure.axes if len(axes.texts) > 20]
    texts = [text.get_text() for text in canvas.texts]
    numbers = [write_cell(float(value)) for value in window.flatten()]
    assert any(texts[k : k + 9] == numbers for k in range(len(texts)))
    maximum = write_cell(float(window.max()))
    assert list_cells(figure, to_rgb(MAXIMUM))[:3] == [maximum] * 3
    switch = int(indices[0, unit, row, column])
    told = [text.get_text() for text in figure.texts]
    assert f"row {switch // features.shape[3]}," in told
    assert f"column {switch % features.shape[3]}" in told
    assert divmod(int(window.argmax()), 3) == find_in_window(found.pair)
    signals = list_cells(figure, to_rgb(SIGNAL))
    assert signals[0] == write_cell(found.pair.signal) and len(signals) == 3
    assert f"the window's maximum, {float(window.max()):.2f}" in found.caption


def test_arrows_go_up_on_the_right_and_down_on_the_left(found):
    (canvas,) = [axes for axes in found.draw().axes if len(axes.texts) > 20]
    arrows = [patch for patch in canvas.patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == 10
    heights, upright = [], 0
    for arrow in arrows:
        path = arrow.get_path()
        drawn = np.asarray(path.vertices)[np.asarray(path.codes) != Path.CLOSEPOLY]
        x, start = drawn[0]
        end_x, end = drawn[np.hypot(*(drawn - drawn[0]).T).argmax()]
        if abs(end - start) > abs(end_x - x):
            upright += 1
            heights.append((end > start) == (x < canvas.get_xlim()[1] / 2))  # inches from above
    assert upright == 6 and all(heights)


@pytest.mark.parametrize("style", [None, DARK, PAPER, SLIDE], ids=str)
def test_words_stand_apart_in_every_style(found, style, tmp_path):
    if style is None:
        figure = found.draw()
    else:
        with use_style(style):
            figure = found.draw()
    texts = flat(check_layout(figure))
    for words in ("Layer above reconstruction", "Unpooled maps", "Rectified unpooled maps"):
        assert words in texts
    for words in ("Pooled maps", "Rectified feature maps", "Layer below", "switch", "filter F"):
        assert words in texts
    assert "Zeiler & Fergus 2013, Figure 1" in texts
    save_figure(figure, tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 10_000


def test_any_net_with_a_pair_has_its_figure(tmp_path):
    photo = paint_photo(tmp_path / "a.png")
    found = make_attached_figure(make_model(), photo, "conv1")
    assert found.title == "Tiny $net: a deconvnet attached to conv1"
    assert found.pair.window.size == (2, 2)
    check_layout(found.draw())
    deeper = make_attached_figure(vizcnn.load("zfnet"), photo, "conv2")
    texts = flat(check_layout(deeper.draw()))
    assert not deeper.pair.is_image and re.search(r"map \d+ of 96", texts)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-2.1432, "−2.14"),
        (17.63, "17.6"),
        (999.9, "1000"),
        (-0.0009, "−9e-4"),
        (3e6, "3e6"),
    ],
)
def test_numbers_fit_their_cells(value, text):
    assert write_cell(value) == text and len(text) <= 6


def test_beyond_a_picture_there_is_grey():
    image = np.random.default_rng(0).random((5, 6, 3), dtype=np.float32)
    found = cut_region(image, (-2, 4, 3, 8))
    assert found.shape == (5, 4, 3)
    np.testing.assert_array_equal(found[2:, :2], image[:3, 4:])
    assert (found[:2] == 0.5).all() and (found[:, 2:] == 0.5).all()
