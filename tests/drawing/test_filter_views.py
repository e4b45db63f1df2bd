"""Parts, contrast and order of filters."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.measures.test_tuning import make_gabor
from vizcnn.basics.errors import LayerError
from vizcnn.drawing.filter_grids import (
    ZOOM,
    scale_filters,
    show_channels,
    show_colours,
    sort_filters,
)
from vizcnn.drawing.style import DARK, use_style
from vizcnn.measures.filter_numbers import number_filters, split_parts, take_part


@pytest.fixture
def weight():
    return torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_parts_sum_to_the_filter_and_their_energies_add(weight):
    luminance, colour = split_parts(weight)
    torch.testing.assert_close(luminance + colour, weight)
    energy = luminance.square().sum(dim=(1, 2, 3)) + colour.square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(energy, weight.square().sum(dim=(1, 2, 3)))


def test_grey_pictures_are_answered_by_the_luminance_part_alone(weight):
    photo = torch.rand(1, 1, 9, 9, dtype=torch.float64).expand(1, 3, 9, 9)
    luminance, colour = split_parts(weight)
    torch.testing.assert_close(F.conv2d(photo, luminance), F.conv2d(photo, weight))
    assert F.conv2d(photo, colour).abs().max() < 1e-12


def test_part_of_maps_is_refused(weight):
    torch.testing.assert_close(take_part(weight, "colour"), split_parts(weight)[1])
    assert take_part(weight[:, :2], "all").shape[1] == 2
    with pytest.raises(LayerError, match="2 channels have no colours"):
        take_part(weight[:, :2], "luminance")


def test_unit_scaling_gives_each_filter_its_contrast_around_grey(weight):
    weight[3] *= 1000
    shown = scale_filters(weight, "unit").double()
    largest = (shown - 0.5).abs().amax(dim=(1, 2, 3))
    torch.testing.assert_close(largest, torch.full((8,), 0.5, dtype=torch.float64))
    assert ((shown > 0.5) == (weight > 0)).all()


def test_shared_scaling_keeps_ratios_around_grey(weight):
    shown = scale_filters(weight, "shared").double()
    expected = 0.5 + weight / (2 * weight.abs().max())
    torch.testing.assert_close(shown, expected, atol=1e-6, rtol=0)


def test_zf_scaling_goes_from_the_smallest_weight_to_the_largest(weight):
    shown = scale_filters(weight + 7, "zf").double()
    assert shown.min() == 0 and shown.max() == 1
    expected = (weight - weight.min()) / (weight.max() - weight.min())
    torch.testing.assert_close(shown, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("scaling", ["unit", "shared", "zf"])
def test_zeros_are_grey_in_every_scaling(scaling):
    assert (scale_filters(torch.zeros(2, 3, 4, 4), scaling) == 0.5).all()


def make_sortable():
    """Bars of known angle and frequency, a blob and a dead filter, in no order."""
    filters = [
        3.0 * make_gabor(0.3, 120, 3, 15),
        1.0 * make_gabor(0.0, 0, 3, 15, phase=0),
        2.0 * make_gabor(0.1, 150, 3, 15),
        0.001 * make_gabor(0.2, 10, 3, 15),
        1.5 * make_gabor(0.2, 30, 3, 15),
    ]
    return number_filters(torch.stack(filters)[:, None])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("index", [0, 1, 2, 3, 4]),
        ("orientation", [4, 0, 2, 1, 3]),
        ("frequency", [1, 2, 4, 0, 3]),
    ],
)
def test_orders_put_blobs_and_dead_filters_last(order, expected):
    assert sort_filters(make_sortable(), order) == expected


def test_order_of_energy_is_largest_first():
    numbers = make_sortable()
    order = sort_filters(numbers, "energy")
    energies = [numbers[index].energy for index in order]
    assert energies == sorted(energies, reverse=True)
    assert order[0] == 0 and order[-1] == 3


def test_ties_keep_the_index():
    numbers = number_filters(torch.ones(5, 3, 3, 3))
    for order in ("orientation", "frequency", "energy"):
        assert sort_filters(numbers, order) == [0, 1, 2, 3, 4]


def test_colours_and_grey_become_images():
    shown = torch.rand(2, 3, 4, 5)
    assert np.array_equal(show_colours(shown)[1], shown[1].permute(1, 2, 0).numpy())
    (image,) = show_colours(shown[:1, :1], grey=True)
    assert image.shape == (4, 5, 3)
    assert (image == image[..., :1]).all()


def test_block_holds_every_channel_in_rows():
    shown = torch.arange(6).view(1, 6, 1, 1).expand(1, 6, 2, 2) / 6
    (block,) = show_channels(shown)
    side = 2 * ZOOM + 1
    assert block.shape == (2 * side - 1, 3 * side - 1, 3)
    assert [block[r * side, c * side, 0] * 6 for r in range(2) for c in range(3)] == pytest.approx(
        range(6)
    )
    assert (block[2 * ZOOM] == 1).all()  # the gap


def test_gaps_of_a_block_are_the_ground_of_the_style():
    with use_style(DARK):
        (block,) = show_channels(torch.ones(1, 6, 2, 2))
    gap = np.full((3 * (2 * ZOOM + 1) - 1, 3), 0x17 / 255)
    assert block[2 * ZOOM] == pytest.approx(gap, abs=1 / 510)


def test_block_of_points_is_a_table_without_gaps():
    (block,) = show_channels(torch.rand(1, 16, 1, 1))
    assert block.shape[0] * block.shape[1] == 16 * ZOOM**2
