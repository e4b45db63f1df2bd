"""The grid artefact's measure on pictures with and without a grid, and the strongest patches."""

import math

import pytest
import torch

from vizcnn.basics.errors import ImageError, LayerError
from vizcnn.measures.grid import list_grid_frequencies, measure_grid
from vizcnn.measures.spectrum import frequency_grid
from vizcnn.measures.study import project_strongest
from vizcnn.projection.deconvnet import Deconvnet
from vizcnn.zoo import load
from vizcnn.zoo.model import ZooModel


def noise(side: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(3, side, side, generator=torch.Generator().manual_seed(seed))


def random_phases(side: int, slope: int, generator: torch.Generator) -> torch.Tensor:
    """Draw a grey picture whose amplitude falls as 1 / f^slope, cut from one twice as large."""
    vertical, horizontal = frequency_grid(2 * side)
    frequency = torch.hypot(vertical, horizontal)
    amplitude = torch.where(frequency > 0, frequency, torch.inf).pow(-slope)
    white = torch.rand(2 * side, 2 * side, generator=generator, dtype=torch.float64)
    phases = torch.fft.fft2(white).angle()  # those of a real picture
    picture = torch.fft.ifft2(torch.polar(amplitude, phases)).real
    return picture[:side, :side].expand(3, -1, -1)


def grating(side: int, frequency: float) -> torch.Tensor:
    return torch.cos(2 * math.pi * frequency * torch.arange(side)).expand(3, side, side)


class TestMeasureGrid:
    @pytest.mark.slow
    def test_noise_has_one_on_average(self):
        values = torch.tensor([measure_grid(noise(48, seed)) for seed in range(200)])
        assert values.mean().item() == pytest.approx(1, abs=0.06)

    @pytest.mark.slow
    @pytest.mark.parametrize(("slope", "median"), [(0, 0.97), (1, 0.87), (2, 0.71)])
    def test_pictures_without_a_grid_have_the_medians_of_the_docstring(
        self, slope: int, median: float
    ):
        generator = torch.Generator().manual_seed(slope)
        pictures = [random_phases(51, slope, generator) for _ in range(200)]
        values = torch.tensor([measure_grid(picture) for picture in pictures])
        # the median of 200 errs by 0.035 on average
        assert values.quantile(0.5).item() == pytest.approx(median, abs=0.08)
        assert ((values > 0.25) & (values < 1.75)).double().mean() > 0.85

    @pytest.mark.parametrize("amplitude", [0.5, 1.0, 2.0])
    def test_grid_on_noise_has_the_ratio_of_their_powers(self, amplitude: float):
        """A cosine of 1/4 has two of the 15 places; a windowed sum gives its power there.

        Noise of variance 1 has the power ``sum w^2`` at every frequency, a cosine of amplitude a
        has ``(a / 2 * sum w)^2`` at plus and minus its frequency.
        """
        side = 60
        window = torch.hann_window(side, periodic=True, dtype=torch.float64)
        own = (amplitude / 2 * window.sum().square()).square().item()
        other = window.square().sum().square().item()
        expected = 1 + 2 / 15 * own / other
        picture = [noise(side, s) + amplitude * grating(side, 0.25) for s in range(60)]
        mean = torch.tensor([measure_grid(p) for p in picture]).mean().item()
        assert mean == pytest.approx(expected, rel=0.1)

    def test_a_grating_beside_the_grid_counts_as_surroundings(self):
        side = 60
        beside = noise(side) + 4 * grating(side, 0.25 + 3 / side)
        assert measure_grid(beside) < 1 < measure_grid(noise(side) + 4 * grating(side, 0.25))

    def test_a_smooth_blob_has_no_grid(self):
        line = torch.linspace(-2, 2, 51).square()
        blob = torch.exp(-line[:, None] - line[None, :]).expand(3, -1, -1)
        # what its smooth edges leave at 1/4 and 1/2 is tiny and falls with frequency
        faint = blob + 1e-3 * noise(51)
        assert measure_grid(faint) < 3

    def test_scale_and_mean_do_not_matter(self):
        picture = noise(40) + grating(40, 0.25)
        assert measure_grid(5 * picture + 3) == pytest.approx(measure_grid(picture))

    def test_period_two_looks_at_one_half_only(self):
        assert set(list_grid_frequencies(2)) == {(-0.5, -0.5), (-0.5, 0.0), (0.0, -0.5)}
        assert measure_grid(noise(48) + grating(48, 0.5), period=2) > 5
        assert measure_grid(noise(48) + grating(48, 0.25), period=2) < 3

    def test_four_has_fifteen_places(self):
        places = list_grid_frequencies(4)
        assert len(places) == len(set(places)) == 15
        assert {abs(part) for place in places for part in place} == {0, 0.25, 0.5}

    @pytest.mark.parametrize(("side", "period"), [(23, 4), (40, 8), (64, 1)])
    def test_refuses_what_it_cannot_tell(self, side: int, period: int):
        with pytest.raises(ImageError, match=f"{side} x {side} .* period {period}"):
            measure_grid(noise(side), period)

    def test_nothing_has_no_ratio(self):
        assert math.isnan(measure_grid(torch.zeros(3, 30, 30)))


@pytest.fixture(scope="module")
def model() -> ZooModel:
    return load("zfnet", weights=None, hidden=8, maps=(8, 8, 8), input_size=96, classes=5)


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.rand(6, 3, 96, 96, generator=torch.Generator().manual_seed(3))


class TestProjectStrongest:
    @pytest.mark.slow
    def test_patches_are_the_strongest_and_projected_as_by_the_deconvnet(self, model, pixels):
        units = project_strongest(model, pixels, "conv2", units=[3, 100], count=4)
        projector = Deconvnet(model)
        for strong in units:
            single = projector.project(pixels, "conv2", strong.unit)
            order = single.activations.argsort(descending=True, stable=True)
            assert [patch.photo for patch in strong.patches] == order[:4].tolist()
            for patch in strong.patches:
                top, left, bottom, right = patch.box
                expected = single.pixels[patch.photo, :, top:bottom, left:right]
                assert patch.activation == pytest.approx(single.activations[patch.photo].item())
                torch.testing.assert_close(patch.projection, expected, rtol=1e-4, atol=1e-6)

    def test_grid_is_that_of_the_projection(self, model, pixels):
        (unit,) = project_strongest(model, pixels, "conv2", units=[7], count=6)
        measured = [patch.grid for patch in unit.patches if patch.grid is not None]
        assert measured
        for patch in unit.patches:
            if min(patch.projection.shape[1:]) >= 24:
                assert patch.grid == measure_grid(patch.projection)
            else:
                assert patch.grid is None
        assert unit.grid == pytest.approx(torch.tensor(measured).quantile(0.5).item())

    def test_ties_go_to_the_earlier_photo(self, model, pixels):
        twice = torch.cat([pixels[:1], pixels[:1], pixels[:1]])
        (unit,) = project_strongest(model, twice, "conv2", units=[7], count=2)
        assert [patch.photo for patch in unit.patches] == [0, 1]

    def test_refuses_units_that_are_not_there(self, model, pixels):
        with pytest.raises(LayerError, match="no unit 256 in conv2"):
            project_strongest(model, pixels, "conv2", units=[256])

    def test_refuses_layers_without_maps(self, model, pixels):
        with pytest.raises(LayerError, match="fc6 has no feature maps"):
            project_strongest(model, pixels, "fc6", units=[0])
