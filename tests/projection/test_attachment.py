"""A deconvnet attached at one layer pair: every value computed again by torch alone."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import vizcnn
from vizcnn.basics.errors import UnsupportedOperationError
from vizcnn.projection.attachment import attach_deconvnet, list_pairs
from vizcnn.recording.recording import record

IMAGE = torch.rand(1, 3, 31, 29, generator=torch.Generator().manual_seed(1))


def make_norm(maps):
    norm = nn.BatchNorm2d(maps)
    nn.init.uniform_(norm.weight, 0.5, 2)
    norm.running_mean = torch.rand(maps) - 0.5
    norm.running_var = torch.rand(maps) + 0.5
    return norm


class Parts(nn.Module):
    """Convolution, perhaps batch normalisation, rectifier, pooling, convolution, rectifier."""

    def __init__(self, pool, groups=1, stride=1, padding=0, dilation=1, norm=False, inplace=False):
        super().__init__()
        torch.manual_seed(0)
        self.below = nn.Conv2d(3, 4, 1)
        self.conv = nn.Conv2d(
            4, 6, 3, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        self.norm = make_norm(6) if norm else nn.Identity()
        self.relu, self.pool = nn.ReLU(inplace=inplace), pool
        self.above, self.last = nn.Conv2d(6, 5, 2), nn.ReLU(inplace=inplace)

    def forward(self, x):
        return self.last(self.above(self.pool(self.relu(self.norm(self.conv(self.below(x)))))))


def attach(net, layer=None, image=IMAGE):
    with record(net.eval()) as recording:
        net(image)
    return attach_deconvnet(recording, layer)


def turn_back(function, source, signal):
    """Multiply a signal by the transposed of a linear function, by torch's own gradient."""
    source = source.detach().clone().requires_grad_()
    return torch.autograd.grad(function(source), source, signal)[0]


def unpool_by_hand(signal, indices, shape):
    """Send values back one by one; what meets is added."""
    found = torch.zeros(shape).flatten(2)
    for channel in range(shape[1]):
        for value, index in zip(
            signal[0, channel].flatten().tolist(), indices[0, channel].flatten(), strict=True
        ):
            found[0, channel, index] += value
    return found.view(shape)


CASES = {
    "plain": Parts(nn.MaxPool2d(2)),
    "overlapping": Parts(nn.MaxPool2d(3, 2), stride=2),
    "padded": Parts(nn.MaxPool2d(3, 2, padding=1), padding=1),
    "rounded up": Parts(nn.MaxPool2d(3, 2, ceil_mode=True), groups=2),
    "dilated": Parts(nn.MaxPool2d(2, 1, dilation=2), dilation=2),
    "normalised": Parts(nn.MaxPool2d(3, 2), norm=True, inplace=True),
}


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_every_value_is_what_torch_gives(name):
    net = CASES[name].eval()
    with torch.enable_grad():
        pair = attach(net)
    plain = nn.ReLU()
    below = net.below(IMAGE)
    features = net.norm(net.conv(below))
    rectified = plain(features)
    pool = net.pool
    pooled, indices = F.max_pool2d(
        rectified,
        pool.kernel_size,
        pool.stride,
        pool.padding,
        pool.dilation,
        pool.ceil_mode,
        return_indices=True,
    )
    top = plain(net.above(pooled))
    unit, place = pair.source_unit, pair.source_place
    assert float(top[0, unit][place]) == pytest.approx(float(top.max()))
    assert pair.activation == pytest.approx(float(top.max()))
    signal = torch.zeros_like(top)
    signal[0, unit][place] = top.max()
    with torch.enable_grad():
        above = turn_back(net.above, pooled, signal)
    unpooled = unpool_by_hand(above, indices, rectified.shape)
    passed = unpooled.clamp(min=0)
    with torch.enable_grad():
        # the derivative of batch normalisation is its scale
        filtered = turn_back(net.norm, net.conv(below), passed)
        reconstruction = turn_back(net.conv, below, filtered)
    u = pair.unit
    for found, expected in (
        (pair.below, below[0]),
        (pair.filter, net.conv.weight[u]),
        (pair.features, features[0, u]),
        (pair.rectified, rectified[0, u]),
        (pair.compared, rectified[0, u]),
        (pair.pooled, pooled[0, u]),
        (pair.above, above[0, u]),
        (pair.unpooled, unpooled[0, u]),
        (pair.passed, passed[0, u]),
        (pair.filtered, filtered[0, u]),
        (pair.reconstruction, reconstruction[0]),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert divmod(int(indices[0, u][pair.place]), rectified.shape[3]) == pair.switch
    assert float(rectified[0, u][pair.switch]) == pair.maximum == float(pooled[0, u][pair.place])
    assert pair.maximum > 0 and pair.signal > 0 and not pair.is_image
    check_window(pair, rectified[0, u], pool)


def check_window(pair, rectified, pool):
    """The window's numbers, read by hand; NaN where there is padding."""
    size, stride, padding, dilation = (
        value if isinstance(value, tuple) else (value, value)
        for value in (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    )
    values = pair.read_window(rectified)
    assert values.shape == size
    for row in range(size[0]):
        for column in range(size[1]):
            y = pair.place[0] * stride[0] - padding[0] + row * dilation[0]
            x = pair.place[1] * stride[1] - padding[1] + column * dilation[1]
            if 0 <= y < rectified.shape[0] and 0 <= x < rectified.shape[1]:
                assert values[row, column] == rectified[y, x]
            else:
                assert values[row, column].isnan()
    assert values.nan_to_num(-1).max() == pair.maximum
    around = pair.read_around(pair.pooled)
    assert around.shape == (3, 3) and around[1, 1] == pair.maximum


@pytest.mark.parametrize(("name", "layer"), [("zfnet", "conv1"), ("alexnet", "conv1")])
def test_at_the_first_layer_it_ends_with_the_deconvnets_picture(name, layer):
    model = vizcnn.load(name)
    pixels = model.read("coffee")
    inputs = model.preprocessing.normalise(pixels)
    deconvnet = vizcnn.Deconvnet(model.module)
    pair = attach_deconvnet(deconvnet.record(inputs), model.layers[layer])
    assert pair.is_image and pair.source == model.layers["conv2"]
    torch.testing.assert_close(pair.below, inputs[0])
    assert pair.source_place is not None
    seen = deconvnet.project(inputs, pair.source, pair.source_unit, pair.source_place)
    torch.testing.assert_close(pair.reconstruction, seen.pixels[0], rtol=1e-4, atol=1e-5)
    assert (pair.steps[1] == ("contrast normalisation",)) == (name == "alexnet")
    # what this window adds to the reconstruction: so many times its filter
    top, left, bottom, right = pair.footprint
    conv = next(part for part in model.module.modules() if isinstance(part, nn.Conv2d))
    alone = torch.zeros(1, conv.out_channels, *pair.filtered.shape)
    alone[0, pair.unit][pair.switch] = pair.sent
    added = turn_back(conv, inputs, alone)[0]
    height, width = inputs.shape[2:]
    inside = [
        (slice(max(a, 0), min(b, n)), slice(max(a, 0) - a, min(b, n) - a))
        for a, b, n in ((top, bottom, height), (left, right, width))
    ]
    patch = pair.sent * pair.filter[:, inside[0][1], inside[1][1]]
    torch.testing.assert_close(added[:, inside[0][0], inside[1][0]], patch)
    assert float(added.abs().sum()) == pytest.approx(float(patch.abs().sum()), rel=1e-4)


def test_pairs_are_named_by_any_of_their_layers():
    net = CASES["overlapping"]
    for layer in ("conv", "relu", "pool"):
        assert attach(net, layer).layer == layer
    assert attach(net).layer == attach(CASES["normalised"]).layer == "relu"  # in place, too
    model = vizcnn.load("zfnet")
    recording = vizcnn.Deconvnet(model).record("coffee")
    assert len(list(list_pairs(recording))) == 3
    for name, stage in (("conv2", "conv3"), ("conv5", "fc6")):
        pair = attach_deconvnet(recording, model.layers[name])
        assert pair.source == model.layers[stage]


def test_where_nothing_above_can_be_followed_the_maximum_itself_goes_down():
    class Branching(Parts):
        def forward(self, x):
            pooled = self.pool(self.relu(self.conv(self.below(x))))
            return self.last(self.above(pooled))[:, :, :1] + pooled.mean()

    pair = attach(Branching(nn.MaxPool2d(2)))
    assert pair.source == "pool" and pair.source_place == pair.place
    assert pair.signal == pair.maximum == pair.activation == pytest.approx(float(pair.pooled.max()))
    assert np.count_nonzero(pair.above) == 1


def test_nets_without_such_a_pair_are_refused():
    with pytest.raises(UnsupportedOperationError, match="no convolution whose maps are rectified"):
        attach(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU()))
    with pytest.raises(UnsupportedOperationError, match=r"'last' is no part .* one of relu"):
        attach(CASES["plain"], "last")
