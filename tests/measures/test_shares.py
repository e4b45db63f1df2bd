"""Aliasing measures against signals whose answer is known."""

import math

import pytest
import torch
from torch import Tensor, nn

from vizcnn.basics.errors import ImageError, LayerError, ModelError
from vizcnn.measures.first_layer import FirstLayer, find_first_layer
from vizcnn.measures.shares import (
    AliasShares,
    blur_power,
    choose_grid,
    measure_colours,
    measure_power,
    measure_shares,
    natural_power,
    predict_power,
)
from vizcnn.measures.spectrum import fold_spectrum, frequency_grid, inside_limit, transfer_function
from vizcnn.measures.sweep import (
    find_frequency,
    fold_frequency,
    make_grating,
    make_zone_plate,
    point_frequency,
    respond_to_grating,
    sample_transfer,
    sweep_gratings,
)
from vizcnn.zoo import load

GREY = torch.eye(3)


def delta(stride: int, size: int = 1) -> FirstLayer:
    """A filter that copies red."""
    weight = torch.zeros(1, 3, size, size)
    weight[0, 0, size // 2, size // 2] = 1
    return FirstLayer(weight, stride, "conv1")


def predict_shares(layer: FirstLayer, covariance: Tensor) -> AliasShares:
    return measure_shares(predict_power(layer, covariance), layer.stride)


def measure_photo_shares(layer: FirstLayer, pixels: Tensor, blur: int | None = None) -> AliasShares:
    return measure_shares(blur_power(measure_power(layer, pixels), blur), layer.stride)


def random_layer(stride: int, size: int = 7) -> FirstLayer:
    generator = torch.Generator().manual_seed(size)
    return FirstLayer(torch.randn(5, 3, size, size, generator=generator), stride, "conv1")


def low_pass(size: int, stride: int) -> Tensor:
    """A periodic filter of size x size that passes only what a stride keeps, strictly inside."""
    vertical, horizontal = frequency_grid(size)
    inside = (vertical.abs() < 0.5 / stride - 1e-9) & (horizontal.abs() < 0.5 / stride - 1e-9)
    return torch.fft.ifft2(inside.double()).real


class TestTransferFunction:
    def test_is_the_response_to_gratings(self):
        layer = random_layer(1)
        transfer = transfer_function(layer.weight.double().sum(dim=1), 32)
        line = torch.fft.fftfreq(32).tolist()
        for row, column in ((0, 0), (3, 5), (31, 16), (20, 9)):
            response = respond_to_grating(layer, (line[row], line[column]), 1)
            torch.testing.assert_close(response[:, 0, 0], transfer[:, row, column])

    def test_parseval(self):
        weight = random_layer(1).weight
        energy = transfer_function(weight, 16).abs().square().mean(dim=(-2, -1))
        torch.testing.assert_close(energy, weight.double().square().sum(dim=(-2, -1)))

    def test_refuses_a_grid_smaller_than_the_filter(self):
        with pytest.raises(LayerError, match="7 x 7 do not fit a grid of 4"):
            transfer_function(torch.zeros(1, 7, 7), 4)


class TestFold:
    @pytest.mark.parametrize("stride", [2, 4])
    def test_is_the_spectrum_of_what_subsampling_leaves(self, stride: int):
        """For one grating at a time, against the Fourier transform of the subsampled grating."""
        size = 16
        for row in range(size):
            for column in range(size):
                power = torch.zeros(size, size, dtype=torch.float64)
                power[row, column] = 1
                kept, aliased = fold_spectrum(power, stride)
                frequency = (row / size, column / size)
                sampled = make_grating(size, frequency)[::stride, ::stride]
                expected = torch.fft.fft2(sampled, norm="forward").abs().square()
                torch.testing.assert_close(kept + aliased, expected)
                inside = inside_limit(size, stride)[row, column]
                assert kept.sum() == (1.0 if inside else 0.0)

    def test_keeps_all_power(self):
        power = torch.rand(3, 32, 32, dtype=torch.float64)
        kept, aliased = fold_spectrum(power, 4)
        torch.testing.assert_close((kept + aliased).sum(), power.sum())
        assert kept.shape == aliased.shape == (3, 8, 8)

    def test_stride_one_folds_nothing(self):
        power = torch.rand(8, 8)
        kept, aliased = fold_spectrum(power, 1)
        assert torch.equal(kept, power)
        assert not aliased.any()

    @pytest.mark.parametrize(("shape", "stride"), [((10, 10), 4), ((8, 16), 2), ((8, 8), 0)])
    def test_refuses_what_does_not_fold(self, shape: tuple[int, int], stride: int):
        with pytest.raises(LayerError, match=f"stride of {stride}"):
            fold_spectrum(torch.zeros(shape), stride)


class TestSignals:
    @pytest.mark.parametrize(
        ("frequency", "stride", "folded"),
        [(0.3, 2, -0.2), (0.1, 4, 0.1), (0.25, 4, 0.0), (0.45, 4, -0.05), (0.45, 1, 0.45)],
    )
    def test_fold_frequency(self, frequency: float, stride: int, folded: float):
        assert fold_frequency((0.0, frequency), stride) == pytest.approx((0.0, folded))

    def test_found_where_predicted(self):
        for stride in (1, 2, 3, 4):
            for radial in (0.03, 0.11, 0.27, 0.41):
                place = point_frequency(radial, 25)
                sampled = make_grating(64, place)[::stride, ::stride]
                folded = fold_frequency(place, stride)
                assert find_frequency(sampled, stride) == pytest.approx(folded)

    def test_zone_plate_has_its_frequency_in_its_place(self):
        plate = 2 * make_zone_plate(401, 0.25)[200] - 1  # the middle row
        for radius in (40, 80, 120):  # along it the frequency is 0.25 * radius / 200.5
            crossings = plate[200 + radius - 20 : 200 + radius + 21].sign().diff().ne(0).sum()
            expected = 2 * 40 * 0.25 * radius / 200.5
            assert abs(crossings.item() - expected) <= 1

    def test_zone_plate_is_grey_beyond_its_highest_frequency(self):
        assert make_zone_plate(64)[0, 0] == 0.5


class TestShares:
    @pytest.mark.parametrize("stride", [2, 3, 4, 5])
    def test_delta_under_white_noise_folds_all_but_the_square_that_stays(self, stride: int):
        power = transfer_function(delta(stride).weight[:, 0], choose_grid(stride)).abs().square()
        assert measure_shares(power, stride).layer_share == pytest.approx(1 - 1 / stride**2)

    @pytest.mark.parametrize("stride", [2, 4])
    def test_delta_under_natural_images_folds_what_the_law_has_above(self, stride: int):
        """Against the integral of 1/f^2 over the square ring, in closed form.

        Over the square |u|, |v| < b without a square |u|, |v| < a, 1/f^2 integrates to
        ``8 * (pi / 4) * log(b / a)``: 8 triangles, in each the angle's range of pi / 4 times the
        logarithm. So the share between the lowest frequency and the limit does not depend on more
        than logarithms.
        """
        vertical, horizontal = frequency_grid(512)
        ring = torch.maximum(vertical.abs(), horizontal.abs()) >= 8 / 512
        shares = measure_shares(natural_power(512)[None] * ring, stride)
        expected = math.log(stride) / math.log(0.5 / (7.5 / 512))
        assert shares.layer_share == pytest.approx(expected, rel=0.02)

    @pytest.mark.parametrize("stride", [2, 3, 5])
    def test_an_octave_more_of_low_frequencies_adds_its_energy(self, stride: int):
        """1/share is the energy of all octaves over that of the log2(stride) above the limit."""
        size = choose_grid(stride)
        few, many = (
            measure_shares(predict_power(delta(stride), GREY, side), stride).layer_share
            for side in (size, 2 * size)
        )
        assert predict_shares(delta(stride), GREY).layer_share == few
        assert 1 / many - 1 / few == pytest.approx(1 / math.log2(stride), rel=0.02)

    def test_grids_are_the_smallest_that_fold(self):
        for strides in ((1,), (2, 4), (3,), (2, 4, 5), (6, 7), (300,)):
            steps = [2 * stride for stride in strides]
            fitting = (n for n in range(256, 999) if not any(n % step for step in steps))
            assert choose_grid(*strides) == next(fitting)
        with pytest.raises(LayerError, match=r"strides of \(2, 0\)"):
            choose_grid(2, 0)

    @pytest.mark.parametrize("stride", [2, 3, 4, 5])
    def test_band_limited_filter_folds_nothing(self, stride: int):
        filters = low_pass(choose_grid(stride), stride).expand(1, 3, -1, -1)
        layer = FirstLayer(filters, stride, "conv1")
        shares = predict_shares(layer, GREY)
        assert shares.layer_share == pytest.approx(0, abs=1e-20)
        assert shares.kept.sum() == pytest.approx(1)

    def test_stride_one_folds_nothing(self):
        assert predict_shares(random_layer(1), GREY).layer_share == 0

    def test_a_filter_of_zeros_has_no_share(self):
        layer = FirstLayer(torch.zeros(2, 3, 5, 5), 4, "conv1")
        shares = predict_shares(layer, GREY)
        assert shares.shares.tolist() == [0, 0]
        assert shares.layer_share == 0

    def test_one_grating_goes_wholly_to_one_side(self):
        for cycles, share in ((10, 0.0), (30, 1.0)):  # of 80 pixels: 1/8 and 3/8 cycles per pixel
            line = 0.5 + 0.4 * torch.cos(2 * math.pi * cycles / 80 * torch.arange(80))
            measured = measure_photo_shares(delta(2), line.expand(1, 3, 80, 80)).layer_share
            assert measured == pytest.approx(share, abs=1e-9)

    @pytest.mark.parametrize("stride", [3, 4, 5])
    def test_white_noise_photos_agree_with_theory(self, stride: int):
        """White pixels through any filter: the measured share is the white one of the filter."""
        layer = random_layer(stride, 5)
        generator = torch.Generator().manual_seed(1)
        pixels = torch.rand(40, 3, 100, 100, generator=generator)
        transfer = transfer_function(layer.weight, choose_grid(stride))
        expected = measure_shares(transfer.abs().square().sum(dim=1), stride)
        measured = measure_photo_shares(layer, pixels)
        torch.testing.assert_close(measured.shares, expected.shares, atol=0.01, rtol=0)

    @pytest.mark.parametrize("taps", [3, 5])
    def test_blur_takes_the_binomials_share(self, taps: int):
        """A delta blurred: |cos(pi f)|^(2 (taps - 1)) in each direction, on white noise."""
        power = transfer_function(delta(2).weight[:, 0], 64).abs().square()
        line = torch.fft.fftfreq(64, dtype=torch.float64)
        gain = (torch.pi * line).cos().pow(2 * (taps - 1))
        expected = measure_shares(power * gain[:, None] * gain[None, :], 2).layer_share
        pixels = torch.rand(60, 3, 80, 80, generator=torch.Generator().manual_seed(2))
        measured = measure_photo_shares(delta(2), pixels, blur=taps).layer_share
        assert measured == pytest.approx(expected, abs=0.01)
        assert measured < measure_photo_shares(delta(2), pixels).layer_share

    def test_colours_weigh_by_their_covariance(self):
        weight = torch.zeros(1, 3, 5, 5)
        weight[0, 0, 2, 2], weight[0, 1] = 1, 1 / 25
        only_red = torch.diag(torch.tensor([1.0, 0, 0]))
        shares = predict_shares(FirstLayer(weight, 2, "conv1"), only_red)
        assert shares.layer_share == pytest.approx(predict_shares(delta(2), only_red).layer_share)

    def test_covariance_of_colours(self):
        pixels = torch.rand(4, 1, 30, 30) * torch.tensor([1.0, 2.0, 0.0]).view(3, 1, 1)
        variance = (pixels[:, 0] - pixels[:, 0].mean(dim=(1, 2), keepdim=True)).square().mean()
        expected = variance.item() * torch.tensor([[1, 2, 0], [2, 4, 0], [0, 0, 0]])
        torch.testing.assert_close(measure_colours(pixels), expected.double())

    def test_refuses_photos_that_are_too_small(self):
        with pytest.raises(ImageError, match=r"\(12, 12\) pixels are too small"):
            measure_photo_shares(delta(4), torch.rand(1, 3, 12, 12))


class TestSweep:
    @pytest.mark.parametrize("stride", [1, 2, 4])
    def test_every_grating_is_found_where_it_should_fold_to(self, stride: int):
        sweep = sweep_gratings(random_layer(stride), [0.02, 0.13, 0.22, 0.31, 0.49], [0, 35, 110])
        assert sweep.worst_miss < 1e-9
        torch.testing.assert_close(sweep.found, sweep.predicted)

    def test_amplitude_is_the_transfer_functions_above_and_below_the_limit(self):
        layer = random_layer(4)
        transfer = sample_transfer(layer, 32)
        sweep = sweep_gratings(layer, [2 / 32, 9 / 32], [0])
        expected = torch.stack([transfer[0, 2], transfer[0, 9]])
        torch.testing.assert_close(sweep.strided[:, 0], expected)
        assert sweep.ideal[:, 0].tolist() == [pytest.approx(expected[0].item()), 0.0]

    def test_delta_answers_all_alike_and_the_ideal_layer_only_below_the_limit(self):
        sweep = sweep_gratings(delta(2), [0.1, 0.2, 0.3, 0.4], [0])
        torch.testing.assert_close(sweep.strided, torch.ones(4, 1, dtype=torch.float64))
        assert sweep.ideal.flatten().tolist() == pytest.approx([1, 1, 0, 0])
        assert sweep.aliased_share == pytest.approx(0.5)

    def test_the_limit_itself_is_kept(self):
        sweep = sweep_gratings(delta(2), [0.25], [0, 90])
        assert sweep.aliased_share == pytest.approx(0)
        assert sweep.worst_miss < 1e-9

    def test_a_silent_layer_finds_nothing(self):
        sweep = sweep_gratings(FirstLayer(torch.zeros(1, 3, 3, 3), 2, "conv1"), [0.1], [0])
        assert sweep.found.isnan().all()
        assert sweep.aliased_share == 0


class TestFirstLayer:
    def test_filters_act_on_pixels(self):
        """What the net's own first layer says to pixels, but for its bias."""
        model = load("zfnet", weights=None, hidden=8)
        layer = find_first_layer(model)
        pixels = torch.rand(1, 3, 31, 31)
        with torch.no_grad():
            conv = model.module.get_submodule(layer.path)
            conv.get_parameter("bias").zero_()
            black = conv(model.preprocessing.normalise(torch.zeros_like(pixels)))
            expected = conv(model.preprocessing.normalise(pixels)) - black
        inner = expected[:, :, 1:-1, 1:-1]  # the net pads its input
        shifted = layer.respond(pixels[:, :, 1:, 1:])[:, :, : inner.shape[2], : inner.shape[3]]
        torch.testing.assert_close(shifted, inner, atol=1e-5, rtol=1e-4)
        assert layer.stride == 2

    def test_refuses_uneven_strides(self):
        model = load("zfnet", weights=None, hidden=8)
        conv = model.module.get_submodule("features.conv1")
        assert isinstance(conv, nn.Conv2d)
        conv.stride = (2, 1)
        with pytest.raises(ModelError, match=r"strides \(2, 1\)"):
            find_first_layer(model)
