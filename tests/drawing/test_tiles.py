"""Tiles: scaling with known answers, cutting, enlarging, grids, overlays."""

import numpy as np
import pytest

from vizcnn.drawing.tiles import (
    GREY,
    ROBUST_PERCENTILE,
    SHADOW,
    cut_box,
    describe_scaling,
    enlarge,
    lay_out_grid,
    lay_over,
    pad_tile,
    robust_limit,
    scale_projections,
    scale_signed,
    to_bytes,
)

RNG = np.random.default_rng(0)


def plain(height, width, value):
    return np.full((height, width, 3), value, dtype=np.float32)


def noise(height, width):
    return RNG.random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ([0.0, 0.0], 0.0),
        ([], 0.0),
        ([0.0, -3.0], 3.0),
        ([2.0, -2.0, 0.0, 2.0], 2.0),
        (np.arange(1001), 995.005),  # zero is left out: the 99.5 percentile of 1..1000
        (-np.arange(1001), 995.005),
    ],
)
def test_robust_limit_is_the_percentile_of_what_is_not_zero(values, limit):
    assert robust_limit(np.array(values, dtype=np.float32)) == pytest.approx(limit)


def test_robust_limit_is_hardly_moved_by_zeros_or_one_outlier():
    values = RNG.standard_normal(10_000).astype(np.float32)
    usual = robust_limit(values)
    assert robust_limit(np.concatenate([values, np.zeros(90_000, np.float32)])) == usual
    assert robust_limit(np.append(values, np.float32(1e6))) == pytest.approx(usual, rel=0.02)


@pytest.mark.parametrize(
    ("limit", "shown"),
    [(2.0, [0.0, 0.25, 0.5, 0.75, 1.0]), (4.0, [0.0, 0.375, 0.5, 0.625, 1.0]), (0.0, [0.5] * 5)],
)
def test_scale_signed_shows_zero_as_mid_grey_and_clips(limit, shown):
    values = np.array([-5, -1, 0, 1, 5], dtype=np.float32)
    before = values.copy()
    scaled = scale_signed(values, limit)
    assert scaled.tolist() == shown
    assert scaled.dtype == np.float32
    assert np.array_equal(values, before)


def test_scaling_by_unit_gives_each_its_contrast_and_shared_keeps_the_ratio():
    strong, weak, empty = plain(2, 2, 4.0), plain(2, 2, -1.0), plain(2, 2, 0.0)
    by_unit = scale_projections([strong, weak, empty], "unit")
    assert [tile.flat[0] for tile in by_unit] == [1.0, 0.0, GREY]
    shared = scale_projections([strong, weak, empty], "shared")
    assert [tile.flat[0] for tile in shared] == [1.0, 0.375, GREY]
    assert scale_projections([], "shared") == []


def test_scaling_is_described_with_its_percentile():
    assert str(ROBUST_PERCENTILE) in describe_scaling("unit")
    assert "each unit's" in describe_scaling("unit")
    assert "units' largest" in describe_scaling("shared")


def test_cut_box_takes_rows_then_columns():
    image = noise(7, 9)
    assert np.array_equal(cut_box(image, (1, 2, 4, 8)), image[1:4, 2:8])


def test_padding_puts_what_is_not_square_into_the_middle_of_grey():
    image = noise(2, 6)
    tile = pad_tile(image, 9)
    assert tile.shape == (9, 9, 3)
    assert np.array_equal(tile[3:5, 1:7], image)
    tile[3:5, 1:7] = GREY
    assert np.all(tile == GREY)


def test_grid_places_each_tile_and_fills_the_rest():
    tiles = [plain(2, 3, value) for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    grid = lay_out_grid(tiles, columns=3, gap=2, background=0.9)
    assert grid.shape == (6, 13, 3)
    expected = plain(6, 13, 0.9)
    for index, tile in enumerate(tiles):
        top, left = index // 3 * 4, index % 3 * 5
        expected[top : top + 2, left : left + 3] = tile
    assert np.array_equal(grid, expected)


@pytest.mark.parametrize(("count", "columns", "shape"), [(1, 1, (4, 4, 3)), (2, 5, (4, 24, 3))])
def test_grid_of_few_tiles(count, columns, shape):
    assert lay_out_grid([plain(4, 4, 0.0)] * count, columns).shape == shape


def test_overlay_shows_the_stronger_projection_over_a_pale_shadow():
    photo = plain(4, 4, 1.0)
    first, second = plain(4, 4, 0.0), plain(4, 4, 0.0)
    first[0, :2] = 2.0  # at full contrast: white
    second[0, 1:3] = -8.0  # at its own full contrast: black; equal strength keeps the first
    laid = lay_over(photo, [first, second])
    shadow = GREY + (1.0 - GREY) * SHADOW
    assert laid[0, :, 0].tolist() == pytest.approx([1.0, 1.0, shadow - 0.5, shadow], abs=1e-6)
    assert np.allclose(laid[1:], shadow)
    assert np.allclose(lay_over(photo, []), shadow)


@pytest.mark.parametrize(
    ("shape", "side", "times"), [((32, 32), 640, 20), ((224, 200), 640, 2), ((700, 5), 640, 1)]
)
def test_enlarge_repeats_whole_pixels(shape, side, times):
    image = noise(*shape)
    large = enlarge(image, side)
    assert large.shape == (shape[0] * times, shape[1] * times, 3)
    assert np.array_equal(large[::times, ::times], image)


def test_bytes_are_rounded_and_clipped():
    values = np.array([-1, 0, 0.001, 0.002, 0.5, 1, 2], dtype=np.float32)
    assert to_bytes(values).tolist() == [0, 0, 0, 1, 128, 255, 255]
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_bytes(every.astype(np.float32) / np.float32(255)), every)
