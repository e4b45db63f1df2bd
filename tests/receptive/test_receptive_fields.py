"""Receptive fields of whole layers: size, stride, offset, boxes of all units, errors."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.models import Spelled
from tests.support.small_zoo import SIZE, make_model
from vizcnn.basics.errors import LayerError, ModelError
from vizcnn.receptive import find_box, find_boxes, measure_fields
from vizcnn.recording.layers import find_layer
from vizcnn.recording.recording import record
from vizcnn.zoo.building import build_module
from vizcnn.zoo.catalogue import find_entry

ALEXNET = build_module(find_entry("alexnet"), {})


@pytest.mark.parametrize("layer", ["conv1", "pool2", "conv5", "pool5", "fc6"])
def test_boxes_of_all_units_are_those_of_the_graph(layer):
    (field,) = measure_fields(ALEXNET, [layer], 227)
    path = find_layer(ALEXNET, layer)
    assert (field.name, field.path, field.input_size) == (layer, path, (227, 227))
    with record(ALEXNET, [path]) as recording:
        ALEXNET(torch.zeros(1, 3, 227, 227, device="meta"))
    assert recording.input is not None
    output = recording.find_output(path)
    height, width = field.map_size or (1, 1)
    assert output.shape[1:] == (field.maps, *(field.map_size or ()))
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    for clip in (True, False):
        boxes = [list(find_box(field, row, column, clip)) for row, column in places.tolist()]
        assert boxes == find_boxes(output, recording.input, places, clip).tolist()
    seen = find_box(field, *field.middle)
    assert field.share == (seen[2] - seen[0]) * (seen[3] - seen[1]) / 227**2


def draw_pairs(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


CONVOLUTIONS = st.builds(
    partial(nn.Conv2d, 3, 3, device="meta"),
    kernel_size=draw_pairs(1, 5),
    stride=draw_pairs(1, 2),
    padding=draw_pairs(0, 2),
    dilation=st.integers(1, 3),
)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(layers=st.lists(CONVOLUTIONS, min_size=2, max_size=5))
def test_chains_are_as_the_closed_form_says(layers):
    """Araujo, Norris & Sim 2019 (Distill), equations 2, 3 and 5; dilation widens the kernel."""
    sizes = [np.array(conv.dilation) * (np.array(conv.kernel_size) - 1) + 1 for conv in layers]
    paddings = [np.array(conv.padding) for conv in layers]
    (field,) = measure_fields(nn.Sequential(*layers), [str(len(layers) - 1)], (400, 500))
    jumps = np.cumprod([np.ones(2, int), *(conv.stride for conv in layers)], axis=0)
    wide = zip(sizes, jumps, strict=False)
    assert field.size == tuple(1 + sum((size - 1) * jump for size, jump in wide))
    assert field.stride == tuple(jumps[-1])
    start = [-padding * jump for padding, jump in zip(paddings, jumps, strict=False)]
    assert field.offset == tuple(sum(start))
    assert field.centre == tuple(sum(start) + (np.array(field.size) - 1) / 2)
    row, column = field.middle
    assert find_box(field, row, column, clip=False)[:2] == tuple(
        np.array(field.offset) + np.array(field.stride) * (row, column)
    )


def test_a_fully_connected_layer_sees_all_and_has_no_stride():
    conv5, fc6, fc8 = measure_fields(ALEXNET, ["conv5", "fc6", "fc8"], 227)
    assert fc6.map_size is fc6.stride is None
    assert (fc6.maps, fc8.maps) == (4096, 1000)
    assert fc6.size == fc8.size == (195 + 5 * 32,) * 2
    assert fc6.sees_all and fc6.share == 1.0
    assert not conv5.sees_all and conv5.share == 163**2 / 227**2
    assert find_box(fc6, 0, 0) == (0, 0, 227, 227)


def test_sizes_that_the_classifier_refuses_do_for_the_layers_below():
    (field,) = measure_fields(ALEXNET, ["conv5"], (131, 227))
    assert field.size == (163, 163) and field.map_size == (7, 13)
    assert field.input_size == (131, 227)
    with pytest.raises(ModelError, match=r"131 x 227 px does not get through .* lower layers"):
        measure_fields(ALEXNET, ["conv5", "fc6"], (131, 227))
    with pytest.raises(ModelError, match="5 x 5 px does not get through"):
        measure_fields(ALEXNET, ["conv5"], 5)


def test_a_net_of_the_zoo_brings_its_size_and_is_left_as_it_was():
    model = make_model()
    model.module.train()
    conv2, fc7 = measure_fields(model, ["conv2", "fc7"])
    assert conv2.input_size == (SIZE, SIZE)
    assert conv2.size == (8, 8) and conv2.stride == (2, 2) and conv2.offset == (-3, -3)
    assert fc7.sees_all
    assert model.module.training
    assert all(parameter.grad is None for parameter in model.module.parameters())
    assert not any(part._forward_hooks for part in model.module.modules())


def test_grey_nets_and_calls_by_number():
    grey = nn.Sequential(nn.Conv2d(1, 2, 3))
    assert measure_fields(grey, ["0"], 8)[0].size == (3, 3)
    net = Spelled(nn.ReLU())
    first, second = measure_fields(net, ["relu#1", "relu#2"], 16)
    assert (first.size, second.size) == ((3, 3), (5, 5))
    with pytest.raises(LayerError, match="used 2 times"):
        measure_fields(net, ["relu"], 16)


class Growing(nn.Module):
    """Grows its maps and then pools them to a size that does not go into them."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.grown = nn.Upsample(scale_factor=2)
        self.pooled = nn.AdaptiveAvgPool2d(4)

    def forward(self, x):
        return self.pooled(self.grown(self.conv(x)))


def test_uneven_fields_have_no_stride():
    grown, pooled = measure_fields(Growing(), ["grown", "pooled"], 16)
    assert grown.stride is None and grown.size == (3, 3)
    assert find_box(grown, 0, 3) == (0, 2, 3, 5)
    assert pooled.stride is None and pooled.exact
    # of 14 rows the pooled read 0..3, 3..6, 7..10, 10..13: of 7 rows 0..1, 1..3, 3..5, 5..6
    assert [(span.start, span.stop) for span in pooled.rows] == [(0, 5), (2, 9), (6, 13), (10, 15)]


class Sampled(nn.Module):
    """Reads its maps at places that no rule knows."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 4, 3)

    def forward(self, x):
        grid = torch.zeros(1, 8, 8, 2, dtype=x.dtype)
        return self.last(F.grid_sample(self.conv(x), grid, align_corners=False))


def test_unknown_geometry_is_the_whole_image_and_says_so():
    below, above = measure_fields(Sampled(), ["conv", "last"], 12)
    assert below.exact and not above.exact
    assert above.sees_all and above.stride is None


def test_a_unit_that_reads_only_padding_sees_nothing():
    net = nn.Sequential(nn.Conv2d(3, 2, 1, padding=2))
    (field,) = measure_fields(net, ["0"], 6)
    assert find_box(field, 0, 3) == find_box(field, 5, 9) == (0, 0, 0, 0)
    assert find_box(field, 0, 3, clip=False) == (-2, 1, -1, 2)
    assert find_box(field, 2, 3) == (0, 1, 1, 2)


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (13, 0), (0, 13)])
def test_units_that_do_not_exist_are_refused(place):
    (field,) = measure_fields(ALEXNET, ["conv5"], 227)
    with pytest.raises(LayerError, match=r"'conv5' has no unit at .* needed: row 0..12, column 0"):
        find_box(field, *place)


def test_nets_and_layers_that_cannot_be_measured_are_refused():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(ModelError, match="input size of a Sequential is not known"):
        measure_fields(net, ["0"])
    with pytest.raises(LayerError, match="no layer '7'"):
        measure_fields(net, ["7"], 8)
    with pytest.raises(LayerError, match="did you mean 'conv1'"):
        measure_fields(make_model(), ["conv11"])


class Folded(nn.Module):
    """Space to depth, then a convolution of 12 channels: the photo has 3."""

    def __init__(self) -> None:
        super().__init__()
        self.fold, self.conv = nn.PixelUnshuffle(2), nn.Conv2d(12, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(self.fold(x))
        return y


class HeadFirst(nn.Module):
    """The head is defined before the stem."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.stem = nn.Conv2d(8, 2, 1), nn.Conv2d(5, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.stem(x))
        return y


def test_channels_of_the_input_are_found_or_given() -> None:
    (folded,) = measure_fields(Folded(), ["conv"], 24)
    assert (folded.size, folded.stride) == ((6, 6), (2, 2))
    (stem,) = measure_fields(HeadFirst(), ["stem"], 24)
    assert stem.size == (3, 3)
    assert measure_fields(HeadFirst(), ["stem"], 24, channels=5) == (stem,)
    with pytest.raises(ModelError, match="other channels"):
        measure_fields(HeadFirst(), ["stem"], 24, channels=3)


@pytest.mark.parametrize("joins", [False, True])
def test_transposed_maps_are_never_said_to_see_less_than_they_do(joins: bool) -> None:
    class Transposed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, 4, (5, 3), stride=2), nn.Conv2d(4, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            y = y[..., :6, :6]
            out: Tensor = self.last(y + y.transpose(2, 3) if joins else y.transpose(2, 3))
            return out

    net = Transposed()
    (field,) = measure_fields(net, ["last"], 24)
    assert not field.exact
    image = torch.rand(1, 3, 24, 24, requires_grad=True)
    output = net(image)
    for row, column in [(0, 0), (0, 3), (3, 1), (3, 3)]:
        (signal,) = torch.autograd.grad(
            output[0, :, row, column].abs().sum(), image, retain_graph=True
        )
        top, left, bottom, right = find_box(field, row, column)
        signal[:, :, top:bottom, left:right] = 0
        assert not signal.any()
