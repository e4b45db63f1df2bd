"""Sheets and posters: where each tile stands, how it is enlarged, what a slide shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from tests.support.small_zoo import list_files
from tests.support.stored_panels import read_panels
from vizcnn.drawing.poster import (
    MANY_UNITS,
    POSTER_DPI,
    SLIDE,
    PosterBlock,
    choose_units,
    draw_poster,
)
from vizcnn.drawing.saving import save_figure, save_image
from vizcnn.drawing.style import make_style, use_style
from vizcnn.drawing.tiles import robust_limit
from vizcnn.drawing.unit_sheets import (
    BLANK,
    fit_grid,
    lay_out,
    make_sheet,
    plan_large,
    plan_small,
    show_projections,
)

RNG = np.random.default_rng(0)


def draw_tiles(count, height, width):
    return list(RNG.integers(0, 256, (count, height, width, 3), dtype=np.uint8))


SIDES = st.integers(1, 32)


@pytest.mark.slow
@given(st.sampled_from([plan_small, plan_large]), st.tuples(SIDES, SIDES), st.data())
def test_tiles_stand_row_by_row_in_both_halves(plan, window, data):
    top = data.draw(st.integers(1, 9))
    count = data.draw(st.integers(0, top))
    form = plan(window, top)
    projections, patches = draw_tiles(count, *window), draw_tiles(count, *window)
    sheet = make_sheet(projections, patches, form)
    assert sheet.shape == (form.size[1], form.size[0], 3)
    times = form.tile[0] // window[0]
    assert form.tile == (times * window[0], times * window[1])
    seen = np.full(sheet.shape[:2], True)
    for start, tiles in ((0, projections), (form.half[1] + form.middle, patches)):
        for rank, tile in enumerate(tiles):
            row, column = divmod(rank, form.columns)
            y = row * (form.tile[0] + form.gap)
            x = start + column * (form.tile[1] + form.gap)
            for dy in range(0, form.tile[0], max(times // 3, 1)):
                for dx in range(0, form.tile[1], max(times // 2, 1)):
                    assert (sheet[y + dy, x + dx] == tile[dy // times, dx // times]).all()
            seen[y : y + form.tile[0], x : x + form.tile[1]] = False
    assert (sheet[seen] == BLANK).all()


def test_tiles_keep_to_their_sizes():
    for side in range(1, 400):
        small, large = plan_small((side, side), 9).tile[0], plan_large((side, side), 9).tile[0]
        assert 36 <= small <= 72
        assert 96 <= large <= 224
        assert small % side == 0 or side > 64
        assert large % side == 0 or side > 224


def test_large_windows_are_reduced_smoothly_and_keep_their_shape():
    form = plan_large((300, 150), 1)
    assert form.tile == (224, 112)
    stripes = np.zeros((300, 150, 3), dtype=np.uint8)
    stripes[::2] = 255
    shown = lay_out([stripes], form)
    assert np.abs(shown[20:-20].astype(int) - 127).mean() < 30  # dropping rows would give 127


def test_grids_hold_their_tiles_and_no_empty_row():
    for count in range(1, 101):
        rows, columns = fit_grid(count)
        assert (rows - 1) * columns < count <= rows * columns
        assert 0 <= columns - rows <= 1


def test_scalings_keep_or_drop_the_ratio_of_a_units_projections():
    weak = RNG.normal(size=(20, 20, 3)).astype(np.float32)
    strong = 4 * weak
    own = show_projections([strong, weak], "unit")
    assert np.array_equal(own[0], own[1])
    shared = show_projections([strong, weak], "shared")
    assert np.array_equal(shared[0], own[0])
    wanted = np.clip(0.5 + weak / (2 * robust_limit(strong)), 0, 1) * 255
    assert np.abs(shared[1] - wanted).max() <= 0.51
    (flat,) = show_projections([np.zeros((3, 3, 3), dtype=np.float32)], "unit")
    assert (flat == 128).all()


def test_webp_is_exact_where_asked_and_the_same_each_time(tmp_path):
    (tile,) = draw_tiles(1, 40, 60)
    for name, exact in (("a", True), ("b", False)):
        save_image(tile, tmp_path / f"{name}1.webp", exact)
        save_image(tile, tmp_path / f"{name}2.webp", exact)
    files = list_files(tmp_path)
    assert files["a1.webp"] == files["a2.webp"]
    assert files["b1.webp"] == files["b2.webp"]
    assert len(files["b1.webp"]) < len(files["a1.webp"])
    from PIL import Image

    assert np.array_equal(np.asarray(Image.open(tmp_path / "a1.webp").convert("RGB")), tile)


def draw_blocks(count, shape=(30, 30)):
    return [
        PosterBlock(str(unit), np.full((*shape, 3), 10 + unit, np.uint8), draw_tiles(1, *shape)[0])
        for unit in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 7, 20, 48])
@pytest.mark.parametrize("shape", [(30, 30), (20, 40), (40, 20)])
def test_posters_are_slides_with_every_block_in_both_halves(tmp_path, count, shape):
    blocks = draw_blocks(count, shape)
    figure = draw_poster(blocks, "Tiny $net conv1", "all", "random weights · zero is mid grey")
    assert tuple(figure.get_size_inches()) == pytest.approx(SLIDE, abs=0.01)
    labels = [text.get_text() for text in figure.texts]
    assert {"Tiny $net conv1", "projections", "patches of the photos"} <= set(labels)
    assert all(labels.count(block.label) == 2 for block in blocks)
    (axes,) = figure.axes
    extents = [image.get_extent() for image in axes.images]
    assert len(extents) == 2 * count
    for left, right, bottom, top in extents:
        assert 0 < left < right < SLIDE[0]
        assert 0 < top < bottom < SLIDE[1]
        assert (right - left) / (bottom - top) == pytest.approx(shape[1] / shape[0])
    for index, (image, block) in enumerate(zip(axes.images, [*blocks, *blocks], strict=True)):
        wanted = block.projections if index < count else block.patches
        assert np.array_equal(np.asarray(image.get_array()), wanted)
    for index, one in enumerate(extents):
        for other in extents[index + 1 :]:
            apart = one[1] < other[0] or other[1] < one[0] or one[2] < other[3]
            assert apart or other[2] < one[3]


@pytest.mark.slow
def test_a_saved_poster_shows_the_blocks_where_they_belong(tmp_path):
    from PIL import Image

    block = PosterBlock(
        "5",
        np.full((9, 9, 3), [200, 0, 0], np.uint8),
        np.full((9, 9, 3), [0, 0, 200], np.uint8),
    )
    figure = draw_poster([block], "title", "one", "caption")
    save_figure(figure, tmp_path / "poster.png", POSTER_DPI)
    shown = np.asarray(Image.open(tmp_path / "poster.png").convert("RGB"))
    assert shown.shape == (1350, 2400, 3)
    for wanted, half in (((200, 0, 0), shown[:, :1200]), ((0, 0, 200), shown[:, 1200:])):
        share = (np.abs(half.astype(int) - wanted).max(axis=2) < 3).mean()
        assert 0.3 < share < 0.9
    assert (shown[:8] == 255).all()
    assert to_rgb("white") == tuple(figure.get_facecolor()[:3])


def test_units_of_a_poster_are_drawn_by_the_seed():
    units = list(range(0, 1000, 7))
    first = choose_units(units, (59, 59), seed=0)
    assert first == sorted(set(first))
    assert set(first) < set(units)
    assert choose_units(units, (59, 59), seed=0) == first
    assert choose_units(units, (59, 59), seed=1) != first
    assert len(choose_units(units, (7, 7), seed=0)) == MANY_UNITS
    assert choose_units([3, 1, 2], (59, 59), seed=0) == [1, 2, 3]
    assert len(choose_units(units, (59, 59), seed=0, count=5)) == 5


@pytest.mark.parametrize("kind", ["svg", "pdf"])
@pytest.mark.parametrize("style", ["page", "slide", "paper"])
def test_a_poster_stores_its_blocks_as_they_are_in_every_style(tmp_path, kind, style):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 2, 40, 40, 3), dtype=np.uint8)
    blocks = [PosterBlock(str(unit), *pair) for unit, pair in enumerate(pixels)]
    with use_style(make_style(style)):
        figure = draw_poster(blocks, "title", "subtitle", "caption")
        save_figure(figure, tmp_path / f"a.{kind}", POSTER_DPI)
    width = {"page": 10.0, "slide": 40 / 3, "paper": 0.52 * 40 / 3}[style]
    assert figure.get_size_inches() == pytest.approx((width, width * 9 / 16), rel=1e-3)
    panels = read_panels(tmp_path / f"a.{kind}")
    wanted = [*pixels[:, 0], *pixels[:, 1]]
    assert len(panels) == len(wanted)
    assert all(np.array_equal(a.pixels, b) for a, b in zip(panels, wanted, strict=True))
