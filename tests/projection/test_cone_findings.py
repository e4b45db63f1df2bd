"""Nets that are easily followed wrongly on windows: each against the whole image."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.support.models import prepare
from tests.support.projecting import relative_error
from tests.support.reference import reference_projection
from vizcnn.basics.errors import LayerError, UnsupportedOperationError
from vizcnn.projection.cone_steps import BACK
from vizcnn.projection.deconvnet import Projector
from vizcnn.recording.recording import record
from vizcnn.recording.unpool import Window, pool_with_switches, unpool


class Net(nn.Module):
    """Two convolutions with an operation between them."""

    def __init__(self, between):
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3)
        self.bias = nn.Parameter(torch.randn(6))
        self.relu = nn.ReLU()
        self.between = between

    def forward(self, x):
        return self.last(self.relu(self.between(self, self.conv(x))))


class Clone(torch.autograd.Function):
    """Reverses gradients, under the name of an operation of torch."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, signal):
        return -signal


class Rectify(Clone):
    """The same under the name of one of ours."""


BETWEEN = {
    "a bias of another shape": lambda net, x: x + net.bias.view(1, -1, 1, 1),
    "a computed bias": lambda net, x: x - (net.bias.exp() * 2).view(1, -1, 1, 1),
    "a computed scale": lambda net, x: F.batch_norm(
        x, net.bias.detach(), net.bias.detach() ** 2, weight=net.bias.exp(), bias=net.bias * 2
    ),
    "filters of the image": lambda net, x: F.conv2d(
        x, F.avg_pool2d(x, 18)[:, :, :1, :1].expand(6, 6, 1, 1)
    ),
    "a number": lambda net, x: torch.ops.aten.add.Scalar(x, 1),
    "another's clone": lambda net, x: Clone.apply(x),
    "another's rectifier": lambda net, x: Rectify.apply(x),
    "a negative divisor": lambda net, x: F.avg_pool2d(x, 3, 2, divisor_override=-7),
    "another type": lambda net, x: (x + torch.ones(1, 6, 1, 1, dtype=torch.float64)).float(),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_gradient_is_that_of_autograd(name):
    net = prepare(Net(BETWEEN[name]), 20)
    images = torch.randn(1, 3, 20, 20)
    for unit in range(4):
        got = Projector(net, "gradient").project(images, "last", unit).pixels
        wanted = reference_projection(net, images, "last", unit, "gradient")
        assert relative_error(got, wanted) < 1e-5


@pytest.mark.parametrize("function", [Clone, Rectify])
def test_a_function_of_the_users_own_is_refused_by_name(function):
    net = prepare(Net(lambda net, x: function.apply(x)), 20)
    with pytest.raises(UnsupportedOperationError, match=function.__name__):
        Projector(net, "guided").project(torch.randn(1, 3, 20, 20), "last", 0)


def test_what_was_written_over_gives_nothing():
    net = prepare(Net(lambda net, x: x.copy_(x.detach().clone())), 20)
    assert not Projector(net, "gradient").project(torch.randn(1, 3, 20, 20), "last", 0).pixels.any()


@pytest.mark.parametrize("layer", ["last", "conv"])
def test_no_units_give_no_rows(layer):
    net = prepare(Net(lambda net, x: x), 20)
    found = Projector(net, "gradient").project(torch.randn(2, 3, 20, 20), layer, count=0)
    assert found.pixels.shape == (0, 3, 20, 20)
    assert found.boxes.shape == (0, 4)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_true_gradient_of_normalisation_in_any_mode(mode):
    net = prepare(Net(lambda net, x: F.local_response_norm(x, 3, alpha=0.5)), 20)
    images = torch.randn(1, 3, 20, 20)
    wanted = Projector(net, "guided").project(images, "last", [0, 1]).pixels
    with mode():
        assert torch.equal(Projector(net, "guided").project(images, "last", [0, 1]).pixels, wanted)


def test_autocast_of_the_caller_does_not_reach_the_windows():
    net = prepare(Net(lambda net, x: F.max_pool2d(x, 2)), 20)
    projector = Projector(net, "deconvnet")
    recording = projector.record(torch.randn(1, 3, 20, 20))
    wanted = projector.project_recording(recording, "last", [0, 1]).pixels
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(projector.project_recording(recording, "last", [0, 1]).pixels, wanted)


def test_every_operation_with_statistics_has_the_names_that_are_read():
    for kind, epsilon in (("CudnnBatchNorm", "_saved_epsilon"), ("NativeBatchNorm", "_saved_eps")):
        assert kind in BACK
        for name in (epsilon, "_saved_running_var", "_saved_weight", "_saved_training"):
            assert hasattr(getattr(torch._C._functions, f"{kind}Backward0"), name)


class GivesBack(nn.Module):
    """Keeps a tensor that a module gave back as it got it, and rectifies it in place."""

    def __init__(self, way):
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3)
        self.way, self.relu = way, nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.conv(x)
        kept = self.way(x)
        return self.last(self.relu(x)) + self.last(kept)


@pytest.mark.parametrize("way", [nn.Identity(), nn.Dropout()])
def test_a_recorded_net_computes_what_it_always_does(way):
    net = prepare(GivesBack(way), 20)
    images = torch.randn(1, 3, 20, 20)
    wanted = net(images)
    with record(net) as recording:
        assert torch.equal(net(images), wanted)
    assert recording.find_output("relu").min() == 0


def test_what_a_layer_put_out_is_kept_before_it_is_written_over():
    class Adds(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.last = nn.Conv2d(3, 6, 3), nn.ReLU(True), nn.Conv2d(6, 4, 3)

        def forward(self, x):
            x = self.conv(x)
            self.relu(x)
            x += 100.0
            return self.last(x)

    net, images = prepare(Adds(), 20), torch.randn(1, 3, 20, 20)
    strongest = F.relu(net.conv(images)).amax(dim=(2, 3))[0]
    found = Projector(net, "deconvnet").project(images, "relu", list(range(6)))
    torch.testing.assert_close(found.activations, strongest)


def test_images_that_share_statistics_are_projected_one_by_one():
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, track_running_stats=False), nn.Conv2d(6, 4, 3)
    )
    images = torch.randn(3, 3, 12, 12)
    found = Projector(net, "gradient").project(images, "2", [0, 1])
    leaf = images.clone().requires_grad_()
    output = net(leaf)
    for row in range(len(found)):
        image, unit = int(found.images[row]), int(found.units[row])
        y, x = found.positions[row].tolist()
        value = output[image, unit, y, x]
        (wanted,) = torch.autograd.grad(value, leaf, value.detach(), retain_graph=True)
        assert relative_error(found.pixels[row], wanted[image]) < 1e-4


def test_a_layer_that_joins_images_is_refused():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, 6, 3), nn.Identity()

        def forward(self, x):
            x = self.conv(x)
            return self.last(torch.cat([x, x]))

    with pytest.raises(LayerError, match="maps of 4 images for 2"):
        Projector(Joined(), "gradient").project(torch.randn(2, 3, 9, 9), "last", 0)


@pytest.mark.parametrize("position", [(1.0, 2), (True, 2), (1.5, 2)])
def test_positions_are_whole_numbers(position):
    net = prepare(Net(lambda net, x: x), 20)
    with pytest.raises(LayerError, match="is not in the"):
        Projector(net, "gradient").project(torch.randn(1, 3, 20, 20), "last", 0, position)
    with pytest.raises(LayerError, match="whole numbers"):
        projector = Projector(net, "gradient")
        recording = projector.record(torch.randn(1, 3, 20, 20))
        zero = torch.tensor([0])
        projector.project_places(recording, "last", zero, zero, torch.tensor([[1.7, 2.0]]))


def test_pooling_of_single_pixels_on_the_full_image():
    maps = torch.randn(1, 2, 4, 4)
    window = Window((1, 1), (1, 1))
    maxima, switches = pool_with_switches(maps, window)
    assert torch.equal(unpool(maxima, switches, window, (4, 4)), maps)
    net = prepare(
        nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.MaxPool2d(1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        ),
        9,
    )
    images = torch.randn(1, 3, 9, 9)
    found = Projector(net, "gradient").project(images, "4", [0, 1, 2])
    wanted = reference_projection(net, images, "4", 2, "gradient")
    assert relative_error(found.pixels[2:], wanted) < 1e-5
