"""Passes on windows: the same as plain full passes, whatever the net does with its maps."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import vizcnn
from tests.support.random_nets import Apply, Gated, Residual, make_net
from vizcnn.attribution.hidden_passes import HiddenPasses, Squares
from vizcnn.zoo.normalisation import ContrastNormalisation

SIZE = 26
PHOTO = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).double()
FILLING = PHOTO.flip(2)
STARTS = [0, 3, 8, 13, SIZE - 5]
SQUARES = Squares(5, tuple((row, column) for row in STARTS for column in STARTS))
UNITS = torch.tensor([2, 0, 3])
PLACES = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).double()


class Joined(nn.Module):
    """Branches of different reach, side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class InPlace(nn.Module):
    """A shortcut added in place, and a rectifier over both, as in ResNet."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.norm(self.conv1(self.relu(x)))
        out += x
        return self.relu(out)


def settle(body: nn.Module) -> nn.Module:
    """Give normalisations statistics of their own."""
    for part in body.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.rand(part.num_features) * 0.6 - 0.3
            part.running_var = torch.rand(part.num_features) + 0.5
            nn.init.uniform_(part.weight, 0.5, 2.0)
    return body


def shuffle(x):
    count, channels, height, width = x.shape
    grouped = x.view(count, 2, channels // 2, height, width)
    return grouped.transpose(1, 2).contiguous().view(count, channels, height, width)


def cut_and_join(x):
    left, right = x.chunk(2, dim=1)
    return torch.cat([left, F.relu(right), x[:, 1:3] * 2], dim=1)


def conv(*args, **kwargs):
    return nn.Conv2d(3, 8, *args, **kwargs)


BODIES = {
    "strided": lambda: [conv(7, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 5, stride=2)],
    "stride beyond filter": lambda: [conv(2, stride=3), nn.ReLU(), nn.Conv2d(8, 6, 3)],
    "dilated": lambda: [conv(3, dilation=3, padding=2), nn.ReLU(inplace=True)],
    "groups": lambda: [conv(3), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1, groups=2)],
    "one axis": lambda: [conv((1, 5), padding=(0, 2)), nn.Conv2d(8, 6, (3, 1), stride=(2, 1))],
    "reflected": lambda: [conv(3, padding=1, padding_mode="reflect"), nn.ReLU()],
    "overlapping ceil": lambda: [conv(3), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(8, 6, 3)],
    "padded pooling": lambda: [conv(3), nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(8, 6, 3)],
    "dilated pooling": lambda: [conv(3), nn.MaxPool2d(2, 1, dilation=2)],
    "mean": lambda: [conv(3), nn.AvgPool2d(3, 2, padding=1, ceil_mode=True), nn.Conv2d(8, 6, 2)],
    "mean of what is there": lambda: [conv(3), nn.AvgPool2d(3, 2, 1, count_include_pad=False)],
    "own divisor": lambda: [conv(3), nn.AvgPool2d(2, 2, divisor_override=3)],
    "contrast": lambda: [conv(3), ContrastNormalisation(alpha=1.0), nn.Conv2d(8, 6, 3)],
    "torch's contrast": lambda: [conv(3), nn.LocalResponseNorm(3, alpha=1.0)],
    "batch norm": lambda: [conv(3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)],
    "residual": lambda: [conv(3), Residual(8, nn.ReLU(), False), nn.MaxPool2d(2)],
    "in place": lambda: [conv(3, stride=2), InPlace(8), InPlace(8)],
    "branches": lambda: [
        conv(3),
        Joined(
            nn.Conv2d(8, 4, 1),
            nn.Sequential(nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 5, padding=2)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(8, 4, 1)),
        ),
        nn.ReLU(inplace=True),
    ],
    "shuffled maps": lambda: [conv(3), Apply(shuffle), nn.Conv2d(8, 6, 3, groups=2)],
    "parts of maps": lambda: [conv(3), Apply(cut_and_join)],
    "zeros around": lambda: [conv(3), nn.ZeroPad2d((1, 2, 3, 0)), nn.Conv2d(8, 6, 3)],
    "smooth": lambda: [conv(3), nn.SiLU(), nn.Conv2d(8, 8, 1), nn.Hardswish(inplace=True)],
    "of each map": lambda: [conv(3), nn.PReLU(8), nn.Conv2d(8, 8, 3)],
    "by place": lambda: [conv(3, padding=1), Apply(lambda x: x * PLACES + PLACES)],
}


def wrap(body: nn.Module) -> vizcnn.zoo.model.ZooModel:
    net = nn.Sequential(body, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LazyLinear(5)).double()
    net(PHOTO)
    told = f"mean=0.4,std=0.3,size={SIZE}"
    return vizcnn.wrap(net.eval(), preprocessing=told, input_size=SIZE)


def hide_plainly(model):
    """Hide each square by itself, and run the whole net."""
    images = []
    for row, column in SQUARES.corners:
        image = PHOTO.clone()
        image[:, :, row : row + 5, column : column + 5] = FILLING[
            :, :, row : row + 5, column : column + 5
        ]
        images.append((image - 0.4) / 0.3)
    return images


def check(model, windows=True):
    """Compare with a loop: sums and values of units of the body, and the logits."""
    position = (2, 1)
    passes = HiddenPasses(model, PHOTO, SQUARES, FILLING, "0", UNITS, position, logits=True)
    found = list(passes.run())
    assert [number for numbers, _ in found for number in numbers] == list(range(len(STARTS) ** 2))
    with torch.no_grad():
        images = hide_plainly(model)
        maps = torch.cat([model.module[0](image) for image in images])[:, UNITS]
        logits = torch.cat([model.module(image) for image in images])
    wanted = {"values": maps[:, :, 2, 1], "sums": maps.sum((2, 3)), "logits": logits}
    assert maps.std() > 0
    for name, right in wanted.items():
        got = torch.cat([getattr(reading, name) for _, reading in found])
        assert torch.allclose(got, right, rtol=1e-11, atol=1e-11), name
    assert passes.computed.startswith("windows only") == windows, passes.computed
    return passes


@pytest.mark.parametrize("name", BODIES)
def test_windows_give_what_full_passes_give(name):
    torch.manual_seed(3)
    check(wrap(settle(nn.Sequential(*BODIES[name]()))))


@pytest.mark.parametrize("seed", range(12))
def test_random_nets_give_what_full_passes_give(seed):
    body, _ = make_net(seed)
    torch.manual_seed(seed)
    model = wrap(body)
    passes = HiddenPasses(model, PHOTO, SQUARES, FILLING, "0", UNITS[:1], (0, 0), logits=True)
    found = torch.cat([reading.list_values()[-1] for _, reading in passes.run()])
    with torch.no_grad():
        wanted = torch.cat([model.module(image) for image in hide_plainly(model)])
    assert torch.allclose(found, wanted, rtol=1e-11, atol=1e-12), passes.computed


def test_what_mixes_all_places_gets_the_batch_in_full():
    gated = nn.Sequential(conv(3), Gated(8, torch.sigmoid, False), nn.Conv2d(8, 6, 3))
    assert check(wrap(gated)).computed == "windows only, in full from mean on"


def test_a_net_that_writes_into_part_of_a_map_gets_full_passes():
    model = wrap(nn.Sequential(conv(3), Apply(rectify_some)))
    check(model, windows=False)


def rectify_some(x):
    y = x * 1
    y[:, :4].relu_()
    return y


def test_a_net_is_left_as_it_was_and_an_error_of_its_own_is_told():
    def refuse(x):
        if len(x) > 1:
            raise RuntimeError("one image only")
        return x

    model = wrap(nn.Sequential(conv(3), nn.BatchNorm2d(8), Apply(refuse)))
    model.module.train()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    with pytest.raises(RuntimeError, match="one image only"):
        list(HiddenPasses(model, PHOTO, SQUARES, FILLING, "0", UNITS).run())
    assert model.module.training
    assert all(torch.equal(before[k], v) for k, v in model.module.state_dict().items())
    assert not any(
        part._forward_hooks or part._forward_pre_hooks for part in model.module.modules()
    )


def test_only_the_maps_that_are_read_are_computed():
    """The filters of the last convolution are those of the units that are asked for."""
    model = wrap(nn.Sequential(conv(3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU()))
    taken = []
    plain = torch.ops.aten.convolution.default

    class Count(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            # of windows only what is computed later comes by; tried are three squares
            if func is plain and type(args[0]) is torch.Tensor and len(args[0]) > 3:
                taken.append(args[1].shape[0])
            return func(*args, **(kwargs or {}))

    with Count():
        list(HiddenPasses(model, PHOTO, SQUARES, FILLING, "0", UNITS).run())
    assert set(taken) == {3}
