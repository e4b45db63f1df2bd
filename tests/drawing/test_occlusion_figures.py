"""Figures of hidden squares: where each value stands, and what is written beside it."""

import numpy as np
import pytest

from tests.drawing.test_figures import check_layout
from vizcnn.drawing.occlusion_figures import (
    BLANK,
    MOST_CLASSES,
    OcclusionRow,
    ShownProjection,
    colour_class,
    draw_occlusion,
    list_classes,
    spread_over_photo,
)
from vizcnn.drawing.style import make_style, use_style
from vizcnn.measures.occlusion_maps import place_grid


@pytest.mark.parametrize(
    ("size", "side", "stride"), [(16, 4, 4), (17, 5, 3), (9, 9, 1), (12, 1, 1)]
)
def test_each_pixel_has_the_colour_of_the_nearest_centre(size, side, stride):
    grid = place_grid(size, size + 2, side, stride)
    cells = np.random.default_rng(0).random((*grid.shape, 3)).astype(np.float32)
    shown = spread_over_photo(cells, grid, size, size + 2)
    for row in range(size):
        for column in range(size + 2):
            down = [abs(row + 0.5 - (top + side / 2)) for top in grid.tops]
            across = [abs(column + 0.5 - (left + side / 2)) for left in grid.lefts]
            if max(min(down), min(across)) > stride / 2:
                assert (shown[row, column] == BLANK).all()
            else:
                cell = cells[down.index(min(down)), across.index(min(across))]
                assert np.array_equal(shown[row, column], cell)


def test_classes_are_listed_by_their_share_and_keep_their_colours():
    best = np.array([[7, 7, 3], [9, 3, 7]])
    assert list_classes(best) == [(7, 0.5), (3, 2 / 6), (9, 1 / 6)]
    colours = {colour_class(number) for number in range(200)}
    assert len(colours) == 200


def make_row(classes=1, places=True, projections=2, why="") -> OcclusionRow:
    grid = place_grid(32, 32, 8, 4)
    values = np.arange(np.prod(grid.shape), dtype=np.float64).reshape(grid.shape)
    tile = np.full((12, 9, 3), 0.4, dtype=np.float32)
    return OcclusionRow(
        name="a photo with a $ and a long name " * 3,
        hidden=np.full((32, 32, 3), 0.7, dtype=np.float32),
        square=(8, 4, 16, 12),
        box=(0, 2, 20, 30),
        grid=grid,
        maps=(values if places else None, values, values / 100),
        wholes=(3.0, 48.0, 0.48),
        best=values.astype(np.int64) % classes,
        names={number: f"class {number} of a $ name" for number in range(classes)},
        target=0,
        projections=tuple(ShownProjection(tile, k == 0) for k in range(projections)),
        unprojected=why,
    )


@pytest.mark.parametrize("style", ["page", "slide", "paper"])
def test_nothing_overlaps_or_leaves_the_figure(style):
    rows = [
        make_row(classes=MOST_CLASSES + 4, projections=4),
        make_row(places=False, projections=0, why="no projection: the net has a GELU"),
        make_row(projections=1, why="other photos: with an index"),
    ]
    with use_style(make_style(style, "dark")):
        figure = draw_occlusion(rows, "A net: what hiding a square takes away", "small print")
        check_layout(figure)
    words = [text.get_text() for text in figure.texts]
    assert any(word.startswith("4 more classes ") for word in words)
    assert "the layer has no places" in words
