"""Numbers of filters and of their layer, against answers known otherwise."""

import math
from statistics import fmean

import pytest
import torch

from tests.measures.test_tuning import make_gabor
from vizcnn.measures.filter_numbers import (
    LOW_FREQUENCY,
    WHITE_SHARES,
    number_filters,
    summarise_filters,
)
from vizcnn.measures.filters import DEAD_SHARE, measure_filters


def shares(filter):
    (numbers,) = number_filters(filter.view(1, -1, *filter.shape[-2:]))
    return [numbers.low, numbers.mid, numbers.high]


def collect(numbers, name):
    return [getattr(filter, name) for filter in numbers]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frequency", "expected"), [(0.0, [1, 0, 0]), (0.17, [0, 1, 0]), (0.4, [0, 0, 1])]
)
@pytest.mark.parametrize("bars", [0, 33])
def test_narrow_filters_lie_in_one_band(frequency, bars, expected):
    filter = make_gabor(frequency, bars, sigma=6, size=41, phase=0)
    assert shares(filter) == pytest.approx(expected, abs=5e-3)


def test_single_pixel_is_white_noise():
    pixel = torch.zeros(3, 7, 7)
    pixel[1, 2, 3] = 5.0
    assert shares(pixel) == pytest.approx(WHITE_SHARES, abs=1e-12)
    assert sum(WHITE_SHARES) == pytest.approx(1)
    assert WHITE_SHARES[0] == pytest.approx(math.pi / 100)


def test_shares_agree_with_a_fine_transform_and_sum_to_one():
    weight = torch.randn(6, 3, 7, 7, generator=torch.Generator().manual_seed(4)).double()
    size = 512
    energy = torch.fft.fft2(weight, s=(size, size)).abs().square().sum(1)
    line = torch.fft.fftfreq(size, dtype=torch.float64)
    inside = torch.hypot(line[:, None], line) < LOW_FREQUENCY
    numbers = number_filters(weight)
    expected = energy[:, inside].sum(1) / energy.sum(dim=(1, 2))
    assert collect(numbers, "low") == pytest.approx(expected.tolist(), abs=2e-3)
    assert [n.low + n.mid + n.high for n in numbers] == pytest.approx([1.0] * 6)


def test_energy_and_strength():
    weight = torch.full((2, 3, 2, 2), 0.5)
    weight[1] *= 2
    numbers = number_filters(weight)
    assert collect(numbers, "energy") == pytest.approx([3.0, 12.0])
    assert collect(numbers, "rms") == pytest.approx([0.5, 1.0])
    assert collect(numbers, "high") == measure_filters(weight).high_share.tolist()


def test_colour_is_what_grey_pictures_do_not_see():
    grey, red_green = torch.ones(3, 5, 5), torch.zeros(3, 5, 5)
    red_green[0], red_green[1] = 1, -1
    numbers = number_filters(torch.stack([grey, red_green, grey + red_green]))
    # energies 3 and 2 per pixel
    assert collect(numbers, "colour") == pytest.approx([0.0, 1.0, 0.4])
    for other in (number_filters(torch.ones(2, 4, 3, 3)), number_filters(grey[None], 1, False)):
        assert {filter.colour for filter in other} == {None}


def test_channels_are_counted_by_their_energy():
    weight = torch.zeros(3, 8, 3, 3)
    weight[0, 5, 1, 1] = 2.0
    weight[1] = 1.0
    numbers = number_filters(weight)
    assert numbers[0].strongest_channel == 5
    assert collect(numbers, "strongest_share") == pytest.approx([1.0, 1 / 8, 0.0])
    assert collect(numbers, "channels_used") == pytest.approx([1.0, 8.0, 0.0])


def test_channels_of_groups_are_counted_over_all_of_the_layer():
    weight = torch.zeros(4, 3, 3, 3)
    weight[:, 1] = 1
    for groups, channels in ((1, [1, 1, 1, 1]), (2, [1, 1, 4, 4]), (4, [1, 4, 7, 10])):
        assert collect(number_filters(weight, groups), "strongest_channel") == channels


def test_layer_leaves_dead_filters_out_of_all_but_the_counts():
    bars, blob = make_gabor(0.2, 90, 4, 21), make_gabor(0.0, 0, 4, 21, phase=0)
    dead = bars * DEAD_SHARE / 10
    weight = torch.stack([bars, bars, blob, dead, dead])[:, None].expand(-1, 3, -1, -1)
    numbers = number_filters(weight)
    layer = summarise_filters(numbers)
    assert (layer.filters, layer.dead, layer.lowpass, layer.oriented) == (5, 2, 1, 2)
    assert layer.peak == pytest.approx(0.2, abs=1e-3)  # of those that are not low-pass
    assert layer.energy == pytest.approx(numbers[0].energy)  # the median of three
    assert layer.low == pytest.approx(fmean(collect(numbers[:3], "low")))
    assert layer.low + layer.mid + layer.high == pytest.approx(1)
    assert layer.bandwidth == pytest.approx(numbers[0].bandwidth)
    assert layer.colour == pytest.approx(0, abs=1e-9)
    assert layer.channels_used == pytest.approx(3)


def test_layer_of_zeros_is_dead():
    layer = summarise_filters(number_filters(torch.zeros(4, 3, 5, 5)))
    assert (layer.filters, layer.dead, layer.lowpass, layer.oriented) == (4, 4, 0, 0)
    assert (layer.energy, layer.low, layer.mid, layer.high) == (0, 0, 0, 0)
    assert layer.peak is layer.bandwidth is layer.colour is None
