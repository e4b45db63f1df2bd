"""Figures: the texts they must have, none over another, none outside."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from vizcnn.drawing.figures import (
    MOST_UNITS,
    ROW_UNITS,
    LayerStrip,
    UnitPair,
    UnitPictures,
    draw_control,
    draw_layer,
    draw_overlay,
    draw_summary,
)
from vizcnn.drawing.labels import join_labels, place_apart
from vizcnn.drawing.sheet import SLIDE_WIDTH, SMALLEST, Sheet, fit_text, measure_width
from vizcnn.drawing.style import DPI, larger_letters, scale_letters

PHOTO = np.random.default_rng(0).random((32, 32, 3), dtype=np.float32)
CAPTION = (
    "deconvnet (Zeiler & Fergus 2013, arXiv 1311.2901, section 2.1) · ZFNet, bundled weights: "
    "natural144, 110 classes · zero is mid grey; full contrast: each unit's own 99.5 percentile"
)
LONG_CAPTION = f"{CAPTION} · {'word ' * 120}/a/path/without/a/single/space{'/folder' * 60}"
LONG_TITLE = f"ZFNet: {'photo of a naïve café $1 and $2 ' * 12}.jpg"
PREDICTIONS = [("tabby", 0.999), ("Egyptian $cat$ " * 9, 0.0004), ("é", 0.0), ("x" * 80, 0.3)]


def make_strip(
    count, name="conv3", note="512 maps, 14 × 14\nsees 207 × 207 px", selectivity="", **settings
):
    tile = np.full((42, 42, 3), 0.5, dtype=np.float32)
    labels = [
        f"unit {unit}\n{-1.23e-07 if unit % 2 else 123456}" for unit in range(4000, 4000 + count)
    ]
    pairs = tuple(UnitPair(tile, tile, label, selectivity) for label in labels)
    return LayerStrip(name, note, pairs, **settings)


COMPARED = {
    "selectivity": "≈\u00a00.08",
    "pictures": "the 1024 active units make about 17.3 different pictures by the deconvnet at the "
    "place of unit 1234 (row 12, column 12)",
    "pictures_short": "pictures: ≈\u00a017.3 of 1024",
    "shown": "own part",
}


def list_texts(figure) -> list[Text]:
    parts = [*figure.texts, *figure.legends]
    for axes in figure.axes:
        # an axes without axis still makes its ticks when it is asked for them, which takes long
        parts += [part for part in axes.get_children() if axes.axison or not isinstance(part, Axis)]
    return [
        text
        for part in parts
        for text in part.findobj(Text)
        if text.get_visible() and text.get_text() and (text.axes is None or text in text.axes.texts)
    ]


def check_layout(figure) -> str:
    """No text over another or outside the figure; gives all of the texts."""
    texts = list_texts(figure)
    renderer = figure.canvas.get_renderer()
    extents = [text.get_window_extent(renderer) for text in texts]
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in zip(texts, extents, strict=True):
        assert box.x0 >= -1 and box.y0 >= -1, text
        assert box.x1 <= width + 1 and box.y1 <= height + 1, text
    for (one, a), (two, b) in combinations(zip(texts, extents, strict=True), 2):
        apart = a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
        assert apart, (one, two)
    return "\n".join(text.get_text() for text in texts)


def list_image_boxes(figure):
    return [axes.get_position() for axes in figure.axes if axes.images]


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 9, 16])
@pytest.mark.parametrize("layers", [1, 3, 5])
def test_summary_holds_its_texts_apart(layers, units):
    strips = [make_strip(units, f"conv{index}") for index in range(layers)]
    figure = draw_summary(PHOTO, PREDICTIONS, strips, "ZFNet: cat $1 und $2.jpg", CAPTION)
    texts = check_layout(figure)
    assert "ZFNet: cat $1 und $2.jpg" in texts
    assert CAPTION in flat(texts)
    assert "tabby" in texts and "99.9%" in texts
    for index in range(layers):
        assert f"conv{index}" in texts
    assert texts.count("unit 4000") == layers
    assert texts.count("unit ") == layers * min(units, ROW_UNITS)
    assert texts.count("9 of 16 units") == (layers if units == 16 else 0)


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 9, 16])
def test_selectivities_have_a_line_of_their_own(units):
    strip = make_strip(units, **COMPARED)
    shown = min(units, ROW_UNITS)
    layer = check_layout(draw_layer(strip, "ZFNet conv3, own parts: a.jpg", CAPTION))
    assert layer.count("\nselectivity ≈\u00a00.08") == units
    rows = -(-units // ROW_UNITS)
    assert [line for line in layer.split("\n") if line in ("own part", "photo", "projection")] == [
        *("own part", "photo") * rows
    ]
    assert COMPARED["pictures"] in flat(layer)
    summary = check_layout(draw_summary(PHOTO, PREDICTIONS, [strip] * 5, "title", CAPTION))
    assert summary.count("\ns ≈\u00a00.08") == 5 * shown
    assert summary.count("\npictures: ≈\u00a017.3 of 1024") == 5
    assert "upper rows: own parts, lower rows" in flat(summary)
    uneven = [strip, make_strip(units)]
    assert check_layout(draw_summary(PHOTO, [], uneven, "t", CAPTION)).count("\ns ≈") == shown


@pytest.mark.parametrize("title", ["ZFNet conv5, two units of one place: a.jpg", LONG_TITLE])
@pytest.mark.parametrize("name", ["unit 4000", "a class with a name that is far too long for it"])
def test_control_holds_its_texts_apart(title, name):
    tile = np.full((42, 42, 3), 0.5, dtype=np.float32)
    label = f"{name}\nactivation 123456\nselectivity ≈\u00a00.08"
    units = [UnitPictures(label, tile, tile)] * 2
    figure = draw_control(tile, units, ["0.93", "-0.12"], title, CAPTION)
    texts = check_layout(figure)
    assert "cosine\n0.93" in texts and "cosine\n-0.12" in texts
    assert texts.count("selectivity ≈\u00a00.08") == 2
    assert "whole picture" in texts and "own part" in texts and "the photo there" in texts
    assert CAPTION in flat(texts)
    patch, *pictures = list_image_boxes(figure)
    tops = sorted({round(box.y0, 3) for box in pictures})
    assert len(pictures) == 4 and len(tops) == 2 and round(patch.y0, 3) == tops[1]


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 4, 9, 16])
@pytest.mark.parametrize("layers", [1, 3, 5, 12])
def test_summary_fills_a_slide_with_tiles_of_a_sensible_size(layers, units):
    figure = draw_summary(PHOTO, PREDICTIONS, [make_strip(units)] * layers, "title", CAPTION)
    width, height = figure.get_size_inches()
    photo, *strips = list_image_boxes(figure)
    columns = min(units, ROW_UNITS)
    for box in strips:
        assert 0.55 < box.width * width / columns < 1.41
        assert box.x0 > photo.x1
        # tiles stay square
        assert box.width * width / (columns * 36 - 1) == pytest.approx(
            box.height * height / (2 * 36 - 1)
        )
    assert 3.3 < photo.width * width < 5.5
    assert width <= SLIDE_WIDTH + 1e-6
    if columns == ROW_UNITS:
        assert width == pytest.approx(SLIDE_WIDTH)
        assert max(box.x1 for box in strips) > 0.98  # no empty margin on the right
    if layers <= 5:
        assert height < 11
    assert max(width, height) * DPI < 2**16  # matplotlib's limit


@pytest.mark.slow
def test_summary_without_predictions_and_with_long_texts():
    strip = make_strip(3, "features.denseblock4.denselayer16.conv2", "a very long note " * 5)
    check_layout(draw_summary(PHOTO, [], [strip], LONG_TITLE, LONG_CAPTION))


@pytest.mark.parametrize("units", [1, 2, 9, 16])
def test_layer_holds_its_texts_apart(units):
    figure = draw_layer(make_strip(units), "ZFNet conv3: a.jpg", CAPTION)
    texts = check_layout(figure)
    assert "ZFNet conv3: a.jpg" in texts
    assert CAPTION in flat(texts)
    assert "512 maps, 14 × 14 · sees 207 × 207 px" in texts
    assert all(f"unit {unit}\n" in texts for unit in range(4000, 4000 + units))
    assert texts.count("projection") == texts.count("photo") == -(-units // ROW_UNITS)
    assert figure.get_size_inches()[0] <= SLIDE_WIDTH


@pytest.mark.slow
def test_layer_of_thousands_of_units_draws_the_first_and_says_so():
    strip = make_strip(1)
    figure = draw_layer(LayerStrip("fc6", "note", strip.pairs * 4096), "title", CAPTION)
    texts = "\n".join(text.get_text() for text in list_texts(figure))
    assert texts.count("unit 4000") == MOST_UNITS
    assert f"the first {MOST_UNITS} of 4096 units are drawn" in flat(texts)


@pytest.mark.slow
@pytest.mark.parametrize("title", [LONG_TITLE, "W" * 300, "猫" * 200, "a\x07b\udcff", ""])
def test_long_and_odd_titles_and_captions_stay_on_every_figure(title):
    for figure in (
        draw_layer(make_strip(1), title, LONG_CAPTION),
        draw_overlay(PHOTO, PHOTO, [(0, 0, 9, 9)], ["1"], [title], title, LONG_CAPTION),
    ):
        check_layout(figure)
        captions = [text.get_text() for text in figure.texts if "Zeiler" in text.get_text()]
        assert ["".join(caption.split()) for caption in captions] == ["".join(LONG_CAPTION.split())]


@pytest.mark.parametrize("count", [1, 2, 9, 16])
@pytest.mark.parametrize("spread", [0, 3, 30])
def test_overlay_labels_every_box_apart(count, spread):
    rng = np.random.default_rng(count)
    corners = (rng.integers(0, spread + 1, (count, 2)) + 40).tolist()
    boxes = [(y, x, y + 60, x + 60) for y, x in corners]
    labels = [str(500 + index) for index in range(count)]
    notes = [f"unit {label} · 3.1" for label in labels]
    photo = np.zeros((150, 150, 3), dtype=np.float32)
    figure = draw_overlay(photo, photo, boxes, labels, notes, "ZFNet conv4: a.jpg", CAPTION)
    texts = check_layout(figure)
    assert "receptive fields" in texts and "projections in place" in texts
    assert all(texts.count(label) == 3 and f"unit {label} · 3.1" in texts for label in labels)
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 2
    for axes in panels:
        assert axes.get_xlim() == (-0.5, 149.5)
        rectangles = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert len(rectangles) == len(axes.patches)
        boxes_there = {patch.get_bbox().bounds for patch in rectangles}
        assert boxes_there == {(x - 0.5, y - 0.5, 60.0, 60.0) for y, x in corners}


@pytest.mark.parametrize("side", [1, 8])
def test_overlay_of_a_tiny_photo(side):
    photo = np.zeros((side, side, 3), dtype=np.float32)
    check_layout(
        draw_overlay(photo, photo, [(0, 0, 1, 1)] * 3, ["1", "2", "3"], list("abc"), "t", CAPTION)
    )


def test_labels_of_equal_boxes_are_joined_and_large_boxes_come_first():
    small, large = (0, 0, 4, 4), (0, 0, 9, 9)
    assert list(join_labels([small, large, small], ["7", "1", "5"]).items()) == [
        (large, "1"),
        (small, "7, 5"),
    ]


def test_labels_without_a_place_are_left_out():
    middles = place_apart([(2, 2)] * 3, [(3, 3)] * 3, (6, 3))
    assert middles[0] is not None
    assert middles[1:].count(None) >= 1
    assert all(middle is None or 1.5 <= middle[0] <= 4.5 for middle in middles)


def test_letters_that_are_shrunk_to_a_width_are_not_cut_for_a_rounded_pixel():
    for words in ("What excites conv2 most: deconvnet projections, up to nine photos", "W" * 30):
        for room in (4.0, 5.0, 6.0, 7.0):
            sheet = Sheet(12.0, 1.0, "title", "caption")
            text = sheet.write(words, 0.1, 0.1, 16)
            wide = measure_width(text)
            fit_text(text, room)
            assert measure_width(text) <= room
            assert ("…" in text.get_text()) == (room / wide < SMALLEST * 0.97), room / wide


def test_larger_letters_end_with_their_block():
    with pytest.raises(ZeroDivisionError), larger_letters(1.5):
        assert scale_letters(10) == 15
        raise ZeroDivisionError
    assert scale_letters(10) == 10
