"""Measures of tuning against filters whose answer is known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vizcnn.basics.errors import LayerError
from vizcnn.measures.tuning import UNORIENTED, measure_tuning


def make_gabor(frequency, bars, sigma=5.0, size=41, phase=0.3):
    """A grating of a frequency in a Gaussian window; its bars at an angle, as one sees them."""
    places = torch.arange(size, dtype=torch.float64) - size // 2
    up, right = torch.meshgrid(-places, places, indexing="ij")
    across = math.radians(bars + 90)  # the wave runs across the bars
    wave = frequency * (right * math.cos(across) + up * math.sin(across))
    window = torch.exp(-(up.square() + right.square()) / (2 * sigma**2))
    return torch.cos(2 * math.pi * wave + phase) * window


def measure(filter):
    tuning = measure_tuning(filter.view(1, -1, *filter.shape[-2:]))
    return {name: getattr(tuning, name).item() for name in vars(tuning)}


@settings(max_examples=21)
@given(frequency=st.floats(0.12, 0.31), bars=st.floats(0, 179.9))
def test_gabor_has_its_frequency_and_orientation(frequency, bars):
    found = measure(make_gabor(frequency, bars))
    assert found["peak"] == pytest.approx(frequency, abs=1e-4)
    # 179.99 and 0 are neighbours
    assert (found["orientation"] - bars + 90) % 180 - 90 == pytest.approx(0, abs=0.01)
    assert found["selectivity"] > 0.8


@pytest.mark.parametrize("sigma", [4.0, 5.0, 6.0])
@pytest.mark.parametrize("frequency", [0.15, 0.25])
def test_gabor_has_the_bandwidth_of_its_window(frequency, sigma):
    # the amplitude exp(-2 pi^2 sigma^2 d^2) is half at d
    d = math.sqrt(2 * math.log(2)) / (2 * math.pi * sigma)
    octaves = math.log2((frequency + d) / (frequency - d))
    found = measure(make_gabor(frequency, 30, sigma))
    assert found["bandwidth"] == pytest.approx(octaves, rel=2e-3)


def test_orientation_is_that_of_what_one_sees():
    rising = torch.eye(9).flip(0)  # from the lower left to the upper right
    assert measure(rising)["orientation"] == pytest.approx(45)
    assert measure(rising.flip(0))["orientation"] == pytest.approx(135)
    row, column = torch.zeros(9, 9), torch.zeros(9, 9)
    row[4], column[:, 4] = 1, 1
    assert measure(row)["orientation"] == pytest.approx(0, abs=1e-9)
    assert measure(column)["orientation"] == pytest.approx(90)


def test_orientation_agrees_with_derivatives_of_a_gaussian():
    """The structure tensor, computed in space with sampled derivatives on a fine grid."""
    filter = torch.rand(5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    filter += 2 * torch.eye(5) + torch.eye(5).roll(1, 1)
    line = torch.arange(-8, 13, 0.1, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    gradient = [torch.zeros_like(x), torch.zeros_like(x)]
    for row in range(5):
        for column in range(5):
            bell = torch.exp(-((y - row) ** 2 + (x - column) ** 2) / 2)
            gradient[0] += filter[row, column] * (row - y) * bell
            gradient[1] += filter[row, column] * (column - x) * bell
    vertical, horizontal = gradient
    difference = (horizontal**2 - vertical**2).sum().item()
    mixed = (2 * horizontal * vertical).sum().item()
    total = (horizontal**2 + vertical**2).sum().item()
    found = measure(filter)
    assert found["selectivity"] == pytest.approx(math.hypot(difference, mixed) / total, rel=1e-6)
    angle = (90 - math.degrees(math.atan2(mixed, difference)) / 2) % 180
    assert found["orientation"] == pytest.approx(angle, abs=1e-3)


def test_channels_count_by_their_energy():
    weak, strong = make_gabor(0.3, 0), 3 * make_gabor(0.15, 90)
    found = measure(torch.stack([weak, strong]))
    assert found["peak"] == pytest.approx(0.15, abs=1e-4)
    assert found["orientation"] == pytest.approx(90, abs=0.01)
    # opposite colours do not cancel
    opposed = measure(torch.stack([strong, -strong]))
    assert opposed["peak"] == pytest.approx(0.15, abs=1e-4)


@pytest.mark.slow
def test_peak_is_the_maximum_of_a_much_finer_transform():
    filters = torch.randn(4, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    size = 1024
    power = torch.fft.fft2(filters.double(), s=(size, size)).abs().square().sum(1).flatten(1)
    line = torch.fft.fftfreq(size, dtype=torch.float64)
    radius = torch.cartesian_prod(line, line).norm(dim=1)
    expected = radius[power.argmax(dim=1)]
    torch.testing.assert_close(measure_tuning(filters).peak, expected, atol=2 / size, rtol=0)


@pytest.mark.parametrize("size", [1, 3, 11])
def test_constant_is_low_pass_without_orientation_and_band(size):
    found = measure(torch.ones(3, size, size))
    assert found["peak"] == 0
    assert found["selectivity"] == pytest.approx(0, abs=1e-9)
    assert math.isnan(found["orientation"]) and math.isnan(found["bandwidth"])


@pytest.mark.parametrize("place", [(0, 0), (3, 3), (6, 1)])
def test_single_pixel_answers_to_everything_alike(place):
    pixel = torch.zeros(7, 7)
    pixel[place] = -2.0
    found = measure(pixel)
    assert found["peak"] == 0  # of equal maxima the lowest
    assert math.isnan(found["orientation"]) and math.isnan(found["bandwidth"])


def test_checkerboard_reaches_the_corner_where_the_band_stays_open():
    places = torch.arange(8)
    found = measure((-1.0) ** (places[:, None] + places))
    assert found["peak"] == pytest.approx(math.hypot(0.5, 0.5))
    assert math.isnan(found["orientation"]) and math.isnan(found["bandwidth"])


def test_kernels_of_one_row_answer_to_upright_bars():
    found = measure(torch.tensor([[1.0, 0.0, -1.0, 0.0, 1.0]]))
    assert found["peak"] == pytest.approx(0.25, abs=1e-6)
    assert found["orientation"] == pytest.approx(90)


def test_zeros_have_no_tuning():
    found = measure(torch.zeros(3, 5, 5))
    assert (found["peak"], found["selectivity"]) == (0, 0)
    assert math.isnan(found["orientation"]) and math.isnan(found["bandwidth"])


def test_size_and_number_of_filters_change_no_measure():
    filters = torch.randn(130, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    whole, alone = measure_tuning(filters), measure_tuning(1000 * filters[97:98])
    padded = measure_tuning(torch.nn.functional.pad(filters[97:98], (1, 3, 2, 0)))
    for other in (alone, padded):
        for name, value in vars(other).items():
            torch.testing.assert_close(
                getattr(whole, name)[97:98], value, equal_nan=True, atol=1e-5, rtol=1e-5
            )


@pytest.mark.slow
def test_noise_has_hardly_an_orientation():
    noise = torch.randn(1000, 3, 7, 7, generator=torch.Generator().manual_seed(2))
    oriented = (measure_tuning(noise).selectivity >= UNORIENTED).double().mean().item()
    assert oriented <= 0.015


@pytest.mark.parametrize(
    "weight", [torch.zeros(3, 5, 5), torch.full((1, 1, 2, 2), math.inf), torch.zeros(0, 3, 2, 2)]
)
def test_what_cannot_be_measured_is_refused(weight):
    with pytest.raises(LayerError, match="cannot be measured"):
        measure_tuning(weight)
