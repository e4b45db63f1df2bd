"""Maps and photos that move: against waves whose form is known at every shift."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import vizcnn
from tests.support.small_zoo import draw_noise, make_model
from vizcnn.basics.errors import LayerError
from vizcnn.measures.blur import insert_blur
from vizcnn.measures.shift import find_distances, move_columns, move_photo

STRIDE, COLUMNS = 4, 64
SHIFTS = tuple(range(17))


def take_every(stride, width=1):
    """Make a layer that averages ``width`` columns and keeps every stride-th value."""
    layer = nn.Conv2d(1, 1, (1, width), stride=(1, stride), bias=False).double()
    nn.init.constant_(layer.weight, 1 / width)
    return layer


def measure_wave(layer, wave):
    """Move a wave, a function of the pixel's column, to the right and measure a layer."""
    columns = torch.arange(STRIDE * COLUMNS, dtype=torch.float64)
    rows = torch.stack([wave(columns - shift) for shift in SHIFTS])
    maps = layer(rows[:, None, None].expand(-1, 1, 4, -1))
    return find_distances(maps, STRIDE, SHIFTS).tolist()


def low_waves(columns):
    """Give waves far below the limit of 1/8 that the mirror at the rim continues."""
    phase = math.pi * (columns + 0.5) / (STRIDE * COLUMNS)
    return 2 + torch.cos(3 * phase) - 0.7 * torch.cos(10 * phase) + torch.cos(31 * phase)


def high_waves(columns):
    """Give waves that fold onto 0 at a stride of 4."""
    return torch.cos(2 * math.pi * columns / 4 + 0.3) + torch.cos(math.pi * columns)


def test_ideal_filter_before_the_stride_measures_nothing():
    # a mean of four pixels has its zeros at 1/4 and 1/2, and lets the rest keep its form
    ideal = take_every(STRIDE, width=4)
    assert max(measure_wave(ideal, lambda x: low_waves(x) + high_waves(x))) < 1e-12
    plain = measure_wave(take_every(STRIDE), lambda x: low_waves(x) + high_waves(x))
    assert all((distance > 0.1) == (shift % 4 > 0) for shift, distance in enumerate(plain))


def test_wave_that_folds_onto_zero_measures_what_theory_gives():
    """A wave of 1/4 becomes the constant cos(p), and cos(p - pi d / 2) when it moves by d."""
    phase = 0.4
    found = measure_wave(take_every(STRIDE), lambda x: torch.cos(math.pi * x / 2 + phase))
    expected = [abs(math.cos(phase - math.pi * d / 2) / math.cos(phase) - 1) for d in SHIFTS]
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("stride_waves", "k"), [(1, 20), (1, -24), (2, -30), (0, 20)])
def test_wave_above_the_limit_is_out_of_step(stride_waves, k):
    """A folded wave moves on with its alias's frequency, which is m waves per column less.

    f = m / s + k / (2 w s) shows up as k / 2w waves per column. Moving by d pixels turns its phase
    by 2 pi f d, the map's movement turns the alias's by 2 pi f d - 2 pi m d / s: two waves out of
    step by 2 pi m d / s lie 2 |sin(pi m d / s)| apart.
    """
    frequency = stride_waves / STRIDE + k / (2 * COLUMNS * STRIDE)
    phase = math.pi * k / (2 * COLUMNS)
    found = measure_wave(
        take_every(STRIDE), lambda x: torch.cos(2 * math.pi * frequency * x + phase)
    )
    expected = [2 * abs(math.sin(math.pi * stride_waves * d / STRIDE)) for d in SHIFTS]
    assert found == pytest.approx(expected, rel=0.06, abs=1e-9)


@pytest.mark.parametrize("taps", [3, 5])
def test_blur_lowers_the_distance_by_the_binomials_factor(taps):
    """On 1 + a cos(pi x / 2) the map is 1 + a g, moved by d it is 1 + a g cos(pi d / 2)."""
    contrast, gain = 0.5, math.cos(math.pi / 4) ** (taps - 1)
    blurred = insert_blur(take_every(STRIDE), taps)
    found = measure_wave(blurred, lambda x: 1 + contrast * torch.cos(math.pi * x / 2))
    high = contrast * gain
    expected = [high * abs(math.cos(math.pi * d / 2) - 1) / (1 + high) for d in SHIFTS]
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("columns", "most"), [(6, 0.05), (13, 0.03), (30, 0.015)])
def test_interpolation_of_random_maps_errs_little(columns, most):
    """Waves of random phase up to 80 % of the limit, as the docstring says."""
    generator = torch.Generator().manual_seed(columns)
    period = 16 * columns
    waves = torch.arange(1, int(0.4 * period) + 1, dtype=torch.float64)[:, None]
    size = (2, 500, len(waves))
    even, odd = torch.randn(size, generator=generator, dtype=torch.float64) / waves[:, 0].sqrt()

    def sample(places):
        angles = 2 * math.pi * waves * places / period
        values = even @ torch.cos(angles) + odd @ torch.sin(angles)
        return values[:, None] / math.hypot(even.norm(), odd.norm()) * math.sqrt(500) + 1

    places = torch.arange(columns, dtype=torch.float64)
    maps = torch.stack([sample(places - shift / 4) for shift in range(8)])
    found = find_distances(maps, 4, range(8))
    assert 1e-4 < found[1:].mean() < most


def test_maps_without_energy_have_no_distance():
    silent, loud = torch.zeros(2, 1, 4), torch.ones(2, 1, 4)
    for second in (silent, loud, torch.full_like(loud, math.inf)):
        assert find_distances(torch.stack([silent, second]), 2, (0, 1)).isnan().all()
    found = find_distances(torch.stack([loud, silent, loud * math.inf]), 2, (0, 1, 2))
    assert found[:2].tolist() == pytest.approx([0, 1])
    assert found[2].isnan()


def test_energy_that_moves_out_of_sight_leaves_nothing_to_compare_with():
    """All the original's energy is in the last column, at which nothing looks after a movement."""
    last = torch.tensor([0.0, 0, 0, 1])[None, None]
    found = find_distances(torch.stack([last, last, last]), 4, (0, 2, 4))
    assert found.isnan().tolist() == [False, False, True]


def test_whole_columns_move_exactly():
    row = torch.rand(9, dtype=torch.float64)
    for by in range(9):
        torch.testing.assert_close(move_columns(9, by) @ row, row[: 9 - by])
    with pytest.raises(LayerError, match=r"maps of 3 columns move by 2\.5"):
        move_columns(3, 2.5)


def test_units_without_place_are_compared_as_they_are():
    vectors = torch.tensor([[3.0, 4.0], [3.0, 4.0], [6.0, 8.0]])
    assert find_distances(vectors, 0, (0, 1, 2)).tolist() == [0.0, 0.0, 1.0]
    maps = vectors[:, :, None, None]
    assert find_distances(maps, 0, (0, 1, 2)).tolist() == [0.0, 0.0, 1.0]


def test_middle_of_the_range_is_what_the_net_reads():
    model = vizcnn.load("zfnet", weights=None, hidden=8, input_size=128)
    assert model.preprocessing.resize >= 128 + 16
    for photo in (draw_noise(300, 200), draw_noise(161, 400), draw_noise(90, 1000)):
        moved = move_photo(model, photo, SHIFTS)
        assert (moved[8] - model.read(photo)[0]).abs().max() <= 1.01 / 255


@pytest.mark.parametrize("size", [(48, 48), (33, 70), (500, 90), (90, 501), (1, 1)])
def test_photos_move_to_the_right_over_pixels_of_their_own(size):
    moved = move_photo(make_model(), draw_noise(*size), SHIFTS)
    assert moved.shape == (17, 3, 32, 32)
    for shift in SHIFTS:
        assert torch.equal(moved[shift, ..., shift:], moved[0, ..., : 32 - shift])
    if size == (48, 48):  # nothing to resize: shift 16 is the left end of the middle rows
        pixels = torch.from_numpy(np.array(draw_noise(48, 48))).permute(2, 0, 1) / 255
        assert torch.equal(moved[16], pixels[:, 8:40, :32])
