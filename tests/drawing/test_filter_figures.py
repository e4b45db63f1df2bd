"""Figures of filters: laid out for a slide, every text in its place, what they show."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from tests.drawing.test_figures import CAPTION, LONG_CAPTION, check_layout, flat, list_image_boxes
from vizcnn.drawing.filter_charts import ChartedNet, describe_layer, draw_numbers
from vizcnn.drawing.filter_grids import FilterPanel, draw_filters
from vizcnn.drawing.sheet import SLIDE_WIDTH
from vizcnn.drawing.style import DARK, LIGHT, use_style
from vizcnn.drawing.tiles import grid_columns
from vizcnn.measures.filter_numbers import number_filters, summarise_filters

SLIDE_HEIGHT = 7.5 + 0.5
"""A slide, and some room for long captions."""


def make_panel(count=96, size=(7, 7), labelled=False, blocks=False, name="", notes=()):
    tiles = [np.full((*size, 3), index / count, dtype=np.float32) for index in range(count)]
    labels = tuple(f"{index}†" for index in range(count)) if labelled else ()
    return FilterPanel(tuple(tiles), labels, name, tuple(notes), blocks)


@pytest.mark.parametrize(
    ("count", "columns"), [(1, 1), (2, 2), (6, 3), (64, 8), (96, 12), (97, 12)]
)
def test_grid_comes_near_three_to_two(count, columns):
    assert grid_columns(count) == columns


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 6, 32, 64, 96, 97, 192])
@pytest.mark.parametrize("size", [(3, 3), (11, 11), (1, 7)])
def test_plain_grid_is_one_image_of_square_weights_on_a_slide(count, size):
    figure = draw_filters([make_panel(count, size)], "ZFNet: the filters", CAPTION)
    texts = check_layout(figure)
    assert "ZFNet: the filters" in texts and CAPTION in flat(texts)
    width, height = figure.get_size_inches()
    assert width <= SLIDE_WIDTH + 1e-6 and height <= SLIDE_HEIGHT
    (image,) = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    (box,) = list_image_boxes(figure)
    assert box.width * width / image.shape[1] == pytest.approx(box.height * height / image.shape[0])
    shown = image[:: size[0] + 1, :: size[1] + 1, 0].flatten()[:count]
    np.testing.assert_allclose(shown / 255, np.arange(count) / count, atol=0.51 / 255)


@pytest.mark.parametrize(("style", "ground"), [(LIGHT, 255), (DARK, 0x17)])
def test_gaps_of_a_grid_are_the_ground_of_the_figure(style, ground):
    with use_style(style):
        figure = draw_filters([make_panel(97)], "ZFNet: the filters", CAPTION)
    (image,) = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert (image[7, :, :3] == ground).all()  # between two rows
    assert (image[-1, -1, :3] == ground).all()  # where no filter is
    assert round(255 * to_rgb(figure.get_facecolor())[0]) == ground


@pytest.mark.slow
@pytest.mark.parametrize("panels", [1, 2, 3, 4, 5, 6, 9])
@pytest.mark.parametrize("labelled", [False, True])
def test_panels_stand_apart_on_a_slide(panels, labelled):
    # each labelled tile is an axes of its own, which takes long to make
    count = 24 if labelled and panels > 2 else 96
    shown = [
        make_panel(count, (11, 11), labelled, name=f"Net {index}", notes=("weights", "numbers"))
        for index in range(panels)
    ]
    figure = draw_filters(shown, "Nets", CAPTION)
    texts = check_layout(figure)
    assert all(f"Net {index}" in texts for index in range(panels))
    assert texts.count(f"{count - 1}†") == (panels if labelled else 0)
    width, height = figure.get_size_inches()
    assert width <= SLIDE_WIDTH + 1e-6
    assert height <= (SLIDE_HEIGHT if panels <= 3 else 2 * SLIDE_HEIGHT)
    boxes = list_image_boxes(figure)
    assert len(boxes) == (count * panels if labelled else panels)
    assert all(box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1 for box in boxes)


def test_small_filters_are_drawn_as_large_as_large_ones():
    panels = [make_panel(96, (11, 11), name="a"), make_panel(96, (3, 3), name="b")]
    large, small = list_image_boxes(draw_filters(panels, "t", CAPTION))
    assert small.width == pytest.approx(large.width, rel=0.25)


def test_pairs_of_panels_keep_side_by_side():
    panels = [make_panel(12, name=f"p{index}") for index in range(6)]
    boxes = list_image_boxes(draw_filters(panels, "t", CAPTION, in_row=2))
    assert len({round(box.x0, 3) for box in boxes}) == 2
    assert len({round(box.y1, 3) for box in boxes}) == 3


def test_blocks_are_framed_and_named():
    figure = draw_filters([make_panel(12, (127, 191), True, blocks=True)], "t", CAPTION)
    texts = check_layout(figure)
    assert all(f"{index}†" in texts for index in range(12))
    images = [axes for axes in figure.axes if axes.images]
    assert len(images) == 12
    assert all(len(axes.patches) == 1 for axes in images)
    assert max(figure.get_size_inches()) <= SLIDE_WIDTH + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("title", ["ZFNet " * 60, "W" * 300, "猫" * 200, "a\x07b\udcff", ""])
def test_long_and_odd_texts_stay_on_the_figure(title):
    panel = make_panel(2, name=title, notes=(title,))
    check_layout(draw_filters([panel, panel], title, LONG_CAPTION))
    net = ChartedNet(title, number_filters(torch.randn(4, 3, 5, 5)), "net")
    figure = draw_numbers([net, net], "cycles/px", title, LONG_CAPTION)
    figure.draw_without_rendering()  # puts the axes' labels in their places
    check_layout(figure)


def make_nets(count):
    generator = torch.Generator().manual_seed(0)
    return [
        ChartedNet(
            f"net {index}", number_filters(torch.randn(20, 3, 7, 7, generator=generator)), "zfnet"
        )
        for index in range(count)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 9, 12])
def test_chart_shows_every_live_filter_and_every_share(count):
    nets = make_nets(count)
    numbers = list(nets[0].numbers)
    numbers[3] = replace(numbers[3], dead=True)
    nets[0] = replace(nets[0], numbers=numbers)
    figure = draw_numbers(nets, "cycles/px", "Filters in numbers", CAPTION)
    figure.draw_without_rendering()
    texts = check_layout(figure)
    assert all(f"net {index}\n" in texts + "\n" for index in range(count))
    assert "white noise" in texts and "80%" in texts
    assert figure.get_size_inches()[0] == pytest.approx(SLIDE_WIDTH)
    (scatter,) = [axes for axes in figure.axes if axes.collections and axes.get_ylabel()]
    assert scatter.get_ylabel() == "peak frequency (cycles/px)"
    points = [np.asarray(collection.get_offsets()) for collection in scatter.collections]
    assert [len(part) for part in points] == [19] + [20] * (count - 1)
    peaks = [filter.peak for filter in numbers if not filter.dead]
    np.testing.assert_allclose(points[0][:, 1], peaks)
    low, high = scatter.get_ylim()
    assert all(low <= part[:, 1].min() and part[:, 1].max() <= high for part in points)


def test_points_lie_at_their_orientation_or_beside_the_axis():
    (net,) = make_nets(1)
    numbers = [
        replace(filter, orientation=9.0 * index if index < 5 else None)
        for index, filter in enumerate(net.numbers)
    ]
    figure = draw_numbers([replace(net, numbers=numbers)], "cycles/px", "t", CAPTION)
    (scatter,) = [axes for axes in figure.axes if axes.collections and axes.get_ylabel()]
    places = np.asarray(scatter.collections[0].get_offsets())[:, 0]
    assert places[:5].tolist() == [0, 9, 18, 27, 36]
    assert (places[5:] > 186).all() and len(set(places[5:].tolist())) == 15


def test_bars_are_the_shares_of_the_layer():
    nets = make_nets(2)
    figure = draw_numbers(nets, "cycles/px", "t", CAPTION)
    bars = [axes.patches for axes in figure.axes if len(axes.patches) == 3 and axes.texts]
    widths = [[bar.get_width() for bar in part if isinstance(bar, Rectangle)] for part in bars]
    layers = [net.layer for net in nets]
    expected = [[layer.low, layer.mid, layer.high] for layer in layers]
    for shares, found in zip(expected, widths, strict=False):
        assert found == pytest.approx(shares)
    assert len(widths) == 3  # the last is white noise


def test_words_name_the_unit_and_leave_out_what_is_not_there():
    low = summarise_filters(number_filters(torch.ones(3, 3, 5, 5)))
    assert describe_layer(low, "cycles/px") == ("3 filters: 0 dead, 0 oriented, 3 low-pass",)
    edges = torch.tensor([[1.0, 0.0, -1.0, 0.0, 1.0]]).expand(3, 3, 1, 5)
    words = describe_layer(summarise_filters(number_filters(edges)), "cycles/map px")
    assert words[1].startswith("peak 0.25 cycles/map px")
    blob = torch.ones(1, 3, 1, 5)
    words = describe_layer(summarise_filters(number_filters(torch.cat([edges, blob]))), "cycles/px")
    assert words[0].endswith("1 low-pass") and words[1].startswith("others: peak 0.25 cycles/px")
