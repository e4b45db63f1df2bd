"""What strides fold, against numpy that shares no code with it, and against theory."""

import numpy as np
import pytest
import torch

from vizcnn.basics.errors import LayerError
from vizcnn.measures.folding import Folding, keep_low, measure_folding


def make_noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make_band_limited(size: tuple[int, int], stride: tuple[int, int], spare: int) -> torch.Tensor:
    """Add up waves below the new limit, each by its formula; ``spare`` frequencies stay free."""
    random = np.random.default_rng(3)
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])[None, :]
    down, across = (
        (side // step - 1) // 2 - spare for side, step in zip(size, stride, strict=True)
    )
    found = np.zeros(size)
    for vertical in range(-down, down + 1):
        for horizontal in range(across + 1):
            turn = vertical * rows / size[0] + horizontal * columns / size[1]
            found += random.normal() * np.cos(2 * np.pi * turn + random.uniform(0, 6))
    return torch.from_numpy(found)[None]


@pytest.mark.parametrize(
    ("stride", "expected"),
    [((2, 2), 3 / 4), ((4, 4), 15 / 16), ((3, 3), 8 / 9), ((2, 1), 1 / 2), ((2, 3), 5 / 6)],
)
def test_white_noise_folds_what_the_new_square_does_not_hold(stride, expected):
    folding = measure_folding(make_noise(120, 60, 60), stride)
    assert folding.shares[0] == pytest.approx(expected, abs=0.004)
    assert folding.mean_share == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize(
    ("size", "stride"),
    [((16, 16), (2, 2)), ((14, 26), (2, 2)), ((21, 24), (3, 4)), ((15, 18), (1, 2))],
)
def test_what_lies_below_the_limit_is_kept_as_it_is(size, stride):
    maps = make_band_limited(size, stride, spare=0)
    plain = maps[:, :: stride[0], :: stride[1]]
    assert torch.allclose(keep_low(maps, stride), plain, atol=1e-10)


@pytest.mark.parametrize(("size", "stride"), [((32, 36), (2, 2)), ((30, 28), (2, 2))])
def test_what_lies_below_the_limit_folds_nothing(size, stride):
    # fading out at the edges moves energy by one frequency
    folding = measure_folding(make_band_limited(size, stride, spare=1), stride)
    assert folding.shares[0] == pytest.approx(0, abs=1e-24)
    assert folding.distances[0] == pytest.approx(0, abs=1e-12)
    assert folding.passed[1] == pytest.approx(0.6, abs=0.3), "a blur takes from it"


@pytest.mark.parametrize("size", [(16, 24), (12, 40)])
def test_it_is_the_cut_of_the_shifted_spectrum(size):
    maps = make_noise(3, *size)
    shifted = np.fft.fftshift(np.fft.fft2(maps.numpy(), norm="forward"), axes=(1, 2))
    rows, columns = (slice(side // 4, side // 4 * 3) for side in size)
    cut = np.fft.ifftshift(shifted[:, rows, columns], axes=(1, 2))
    expected = np.fft.ifft2(cut, norm="forward").real
    assert np.allclose(keep_low(maps, (2, 2)), expected)


@pytest.mark.parametrize(("side", "step"), [(10, 2), (14, 2), (15, 3), (18, 3), (8, 4)])
def test_of_any_number_of_places_it_is_the_sum_over_frequencies(side, step):
    line = make_noise(side).numpy()
    kept = side // step
    expected = np.zeros(kept, dtype=complex)
    for frequency in range(-(kept // 2), (kept + 1) // 2):
        amplitude = sum(line[x] * np.exp(-2j * np.pi * frequency * x / side) for x in range(side))
        places = np.exp(2j * np.pi * frequency * np.arange(kept) * step / side)
        expected += amplitude / side * places
    found = keep_low(torch.from_numpy(line).expand(3, side), (1, step))
    assert np.allclose(found[1], expected.real)


def test_a_stride_that_does_not_divide_is_refused():
    with pytest.raises(LayerError, match="maps of 9 places cannot be cut into steps of 2"):
        keep_low(torch.zeros(9, 9), (2, 2))


def blur(maps: np.ndarray, taps: int, axis: int) -> np.ndarray:
    """Blur a map that is repeated without end, by moving it."""
    row = {3: (1, 2, 1), 5: (1, 4, 6, 4, 1)}[taps]
    moved = [weight * np.roll(maps, place - taps // 2, axis) for place, weight in enumerate(row)]
    blurred: np.ndarray = np.stack(moved).sum(axis=0) / sum(row)
    return blurred


def measure_plainly(maps: np.ndarray, stride: tuple[int, int], taps: int | None):
    """Give share, distance and energy below the limit, in numpy and as the words have it."""
    rows, columns = (side // step * step for side, step in zip(maps.shape[1:], stride, strict=True))
    maps = maps[:, :rows, :columns]
    lines = [0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n) for n in (rows, columns)]
    window = np.outer(*lines)
    weighted = (maps * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    faded = (maps - weighted) * window
    frequencies = np.meshgrid(np.fft.fftfreq(rows), np.fft.fftfreq(columns), indexing="ij")
    inside = np.ones((rows, columns), dtype=bool)
    for line, step in zip(frequencies, stride, strict=True):
        inside &= (line >= -0.5 / step - 1e-9) & (line < 0.5 / step - 1e-9)
    spectrum = np.fft.fft2(faded)
    ideal = np.fft.ifft2(spectrum * inside).real[:, :: stride[0], :: stride[1]]
    blurred = faded
    if taps is not None:
        for axis, step in enumerate(stride, start=1):
            blurred = blur(blurred, taps, axis) if step > 1 else blurred
    power = np.abs(np.fft.fft2(blurred)) ** 2
    kept = blurred[:, :: stride[0], :: stride[1]]
    distance = np.sqrt(((kept - ideal) ** 2).sum() / (ideal**2).sum())
    return power[:, ~inside].sum() / power.sum(), distance, power[:, inside].sum()


@pytest.mark.parametrize(
    ("size", "stride"),
    [((24, 24), (2, 2)), ((27, 22), (2, 2)), ((21, 16), (3, 2)), ((9, 20), (1, 4))],
)
def test_shares_and_distances_are_those_of_numpy(size, stride):
    # smoothed, so that there is something to keep
    maps = make_noise(5, *size)
    maps = maps + maps.roll(1, 2) + 3 * maps.roll(1, 1) + 4.0
    folding = measure_folding(maps, stride)
    expected = [measure_plainly(maps.numpy(), stride, taps) for taps in (None, 3, 5)]
    assert folding.shares == pytest.approx([share for share, _, _ in expected])
    assert folding.distances == pytest.approx([distance for _, distance, _ in expected])
    below = [energy for _, _, energy in expected]
    assert folding.passed == pytest.approx([energy / below[0] for energy in below])


def test_the_wrap_around_is_that_of_a_repeated_against_a_mirrored_map():
    maps = make_noise(2, 13, 12).numpy() + np.arange(12)
    cut = maps[:, :12, :12]
    centred = cut - cut.mean(axis=(1, 2), keepdims=True)

    def keep(values: np.ndarray) -> np.ndarray:
        spectrum = np.fft.fft2(values)
        lines = [np.fft.fftfreq(side) for side in values.shape[1:]]
        low = [(line > -0.25 - 1e-9) & (line < 0.25 - 1e-9) for line in lines]
        return np.fft.ifft2(spectrum * np.outer(*low)).real[:, ::2, ::2]

    mirrored = np.pad(centred, ((0, 0), (0, 12), (0, 12)), mode="symmetric")
    plain = keep(mirrored)[:, :6, :6]
    expected = np.linalg.norm(keep(centred) - plain) / np.linalg.norm(plain)
    assert measure_folding(torch.from_numpy(maps), (2, 2)).wrap == pytest.approx(expected)
    assert expected > 0.1, "left and right differ"


def test_energies_add_up_over_photos_and_maps_alike():
    one, two = make_noise(3, 16, 16), 5 * make_noise(3, 16, 16, seed=1)
    added = measure_folding(one, (2, 2)) + measure_folding(two, (2, 2))
    together = measure_folding(torch.cat([one, two]), (2, 2))
    assert added.shares == pytest.approx(together.shares)
    assert added.distances == pytest.approx(together.distances)
    assert np.allclose(added.power, together.power)
    # but a map that is strong in one photo stays one map
    assert len(added.ideal) == 3


def test_many_maps_are_measured_in_parts_alike():
    maps = make_noise(18, 256, 256)  # more than are transformed at a time
    whole = measure_folding(maps, (2, 2))
    some = measure_folding(maps[17:], (2, 2))
    assert whole.energy[:, 17] == pytest.approx(some.energy[:, 0])
    assert whole.ideal[17] == pytest.approx(some.ideal[0])


def test_silence_has_no_share():
    folding = measure_folding(torch.full((2, 8, 8), 3.0), (2, 2))
    assert folding.shares == (None, None, None)
    assert folding.distances == (None, None, None)
    assert folding.mean_share is None and folding.wrap is None


def test_arrays_are_all_that_is_known():
    folding = measure_folding(make_noise(2, 8, 8), (2, 2))
    again = Folding.from_arrays(folding.to_arrays())
    assert again.shares == folding.shares and again.wrap == folding.wrap
