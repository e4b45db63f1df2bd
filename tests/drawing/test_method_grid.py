"""Photos by methods: a scale through mid grey, and every text in its place."""

import numpy as np
import pytest

from tests.drawing.test_figures import LONG_CAPTION, LONG_TITLE, check_layout, list_image_boxes
from vizcnn.drawing.method_grid import (
    GridColumn,
    GridRow,
    colour_map,
    draw_method_grid,
    show_map,
)

TILE = np.full((30, 30, 3), 0.5, dtype=np.float32)


def test_zero_is_mid_grey_and_the_sign_is_seen_without_colour():
    values = np.linspace(-3, 3, 61, dtype=np.float32)[None]
    shown = colour_map(values, 2.0)[0]
    assert shown[30].tolist() == [0.5, 0.5, 0.5]
    lightness = shown @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(lightness) >= -1e-6).all()
    assert lightness[0] < 0.25 and lightness[-1] > 0.75
    assert (shown[0] == shown[5]).all()  # beyond the limit
    assert shown[0, 2] > shown[0, 0] and shown[-1, 0] > shown[-1, 2]  # cold, warm


def test_nothing_is_shifted():
    """A map that is positive everywhere has no dark places: no min-max."""
    values = np.linspace(1, 2, 100, dtype=np.float32).reshape(10, 10, 1)
    shown, limit = show_map(values)
    assert limit == pytest.approx(2, rel=0.01)
    assert shown[..., 0].min() > 0.74
    picture, limit = show_map(values.repeat(3, axis=2))
    assert picture.min() == pytest.approx(0.5 + 0.5 / limit, rel=1e-4)
    assert show_map(np.zeros((4, 4, 1), np.float32))[0].tolist() == np.full((4, 4, 3), 0.5).tolist()


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (5, 2), (12, 1), (12, 2), (12, 5)])
def test_texts_have_their_places(columns, rows):
    lines = ("selectivity", "after shuffling", "with occlusion", "another unit's", "time")
    methods = [
        GridColumn(f"integrated\ngradients {number}", ("0.02", "–", "−0.30", "+0.48", "123 s"))
        for number in range(columns)
    ]
    photos = [
        GridRow(
            TILE,
            f"a photo with a name that is far too long {number}\nEgyptian $cat$: 1.2e-07",
            (TILE,) * columns,
            ("±1.23e-07",) * columns,
        )
        for number in range(rows)
    ]
    figure = draw_method_grid(methods, photos, lines, LONG_TITLE, LONG_CAPTION)
    texts = check_layout(figure)
    assert texts.count("±1.23e-07") == rows * columns
    boxes = list_image_boxes(figure)
    bands = 2 if columns > 6 and rows <= 2 else 1
    assert len(boxes) == rows * (columns + bands) + 2
    for k, one in enumerate(boxes):
        for other in boxes[k + 1 :]:
            apart = one.x1 <= other.x0 + 1e-6 or other.x1 <= one.x0 + 1e-6
            assert apart or one.y1 <= other.y0 + 1e-6 or other.y1 <= one.y0 + 1e-6
