import math

import pytest
import torch

from vizcnn.basics.errors import LayerError
from vizcnn.measures.filters import DEAD_SHARE, measure_filters


def make_grating(frequency: float, angle: float = 0.0, size: int = 41) -> torch.Tensor:
    """A windowed grating: narrow in frequency, so that nearly all of its energy is at one."""
    places = torch.arange(size, dtype=torch.float64) - size // 2
    y, x = torch.meshgrid(places, places, indexing="ij")
    phase = 2 * math.pi * frequency * (x * math.cos(angle) + y * math.sin(angle))
    window = torch.hann_window(size, periodic=False, dtype=torch.float64)
    return torch.cos(phase) * window[:, None] * window


@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi / 2])
@pytest.mark.parametrize(("frequency", "share"), [(0.0, 0.0), (0.1, 0.0), (0.4, 1.0)])
def test_grating_is_low_or_high_at_every_angle(frequency, share, angle):
    weight = make_grating(frequency, angle)[None, None]
    assert measure_filters(weight).high_share.item() == pytest.approx(share, abs=1e-3)


def test_grating_on_the_diagonal_counts_by_its_radial_frequency():
    # 0.2 cycles/px along both axes is 0.28 along the diagonal
    weight = make_grating(math.hypot(0.2, 0.2), math.pi / 4)[None, None]
    assert measure_filters(weight).high_share.item() > 0.9


@pytest.mark.parametrize("place", [(0, 0), (3, 3), (6, 2)])
def test_single_pixel_is_white_wherever_it_is(place):
    weight = torch.zeros(1, 3, 7, 7)
    weight[0, 1, *place] = -2.0
    expected = 1 - math.pi * 0.25**2
    assert measure_filters(weight).high_share.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(5, 3, 11, 11), (4, 1, 7, 3), (3, 2, 1, 1)])
def test_share_agrees_with_a_fine_discrete_fourier_transform(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    size = 512
    energy = torch.fft.fft2(weight, s=(size, size)).abs().pow(2).sum(dim=1)
    axis = torch.fft.fftfreq(size, dtype=torch.float64)
    high = torch.hypot(axis[:, None], axis[None]) > 0.25
    expected = energy[:, high].sum(dim=1) / energy.sum(dim=(1, 2))
    torch.testing.assert_close(measure_filters(weight).high_share, expected, atol=2e-3, rtol=0)


def test_rms_and_dead_filters():
    weight = torch.ones(5, 3, 5, 5)
    scales = torch.tensor([1.0, 2.0, 1.1 * DEAD_SHARE, 0.9 * DEAD_SHARE, 1.0])  # median 1
    measures = measure_filters(weight * scales.view(5, 1, 1, 1))
    torch.testing.assert_close(measures.rms, scales.double())
    assert measures.dead.tolist() == [False, False, False, True, False]


def test_median_share_leaves_dead_filters_out():
    size = 21
    low, high = make_grating(0.1, size=size), make_grating(0.4, size=size)
    weight = torch.stack([low, low, low, high * 1e-4, high * 1e-4])[:, None]
    measures = measure_filters(weight)
    assert measures.dead.tolist() == [False, False, False, True, True]
    assert measures.median_high_share == pytest.approx(measures.high_share[0].item())


def test_filter_of_zeros_has_no_share():
    measures = measure_filters(torch.zeros(2, 1, 3, 3))
    assert measures.high_share.tolist() == [0.0, 0.0]
    assert measures.dead.tolist() == [True, True]
    assert measures.median_high_share == 0.0


@pytest.mark.parametrize(
    "weight", [torch.zeros(3, 5, 5), torch.full((1, 1, 2, 2), math.nan)], ids=["3-d", "nan"]
)
def test_what_cannot_be_measured_is_refused(weight):
    with pytest.raises(LayerError, match="cannot be measured"):
        measure_filters(weight)
