"""What leaves places out in a net: found in every spelling, and computed at stride 1."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import vizcnn
from tests.support.functions import Apply, make_model
from vizcnn.basics.errors import LayerError, ModelError
from vizcnn.measures.first_layer import FirstLayer
from vizcnn.measures.folding import measure_folding
from vizcnn.measures.layer_folding import measure_photo, sum_photos
from vizcnn.measures.shares import measure_power, measure_shares
from vizcnn.measures.subsampling import Subsampling, find_subsamplings, see_dense

WEIGHT = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(0))

CALLS = {
    "convolution": nn.Conv2d(3, 5, 3, stride=2, padding=1),
    "large kernel, no bias": nn.Conv2d(3, 5, 7, stride=4, padding=(2, 3), bias=False),
    "kernel smaller than the stride": nn.Conv2d(3, 5, 2, stride=3),
    "1 x 1": nn.Conv2d(3, 5, 1, stride=2),
    "dilation": nn.Conv2d(3, 5, 3, stride=2, padding=2, dilation=2),
    "groups": nn.Conv2d(3, 6, 3, stride=2, groups=3),
    "one direction": nn.Conv2d(3, 5, 3, stride=(1, 2)),
    "two strides": nn.Conv2d(3, 5, 3, stride=(2, 3)),
    "mirrored padding": nn.Conv2d(3, 5, 3, stride=2, padding=1, padding_mode="reflect"),
    "function": Apply(lambda x: F.conv2d(x, weight=WEIGHT, stride=2, padding="valid")),
    "torch function": Apply(lambda x: torch.conv2d(x, WEIGHT, None, (2, 2))),
    "aten": Apply(lambda x: torch.ops.aten.conv2d.default(x, WEIGHT, None, [2, 2])),
    "aten convolution": Apply(
        lambda x: torch.ops.aten.convolution.default(
            x, WEIGHT, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1
        )
    ),
    "max": nn.MaxPool2d(2),
    "overlapping max": nn.MaxPool2d(3, 2, padding=1),
    "max smaller than the stride": nn.MaxPool2d(1, 2),
    "max that rounds up": nn.MaxPool2d(3, 2, ceil_mode=True),
    "max of large strides that rounds up": nn.MaxPool2d(2, 3, ceil_mode=True),
    "dilated max": nn.MaxPool2d(3, 2, padding=1, dilation=2),
    "max with indices": Apply(lambda x: F.max_pool2d(x, 3, 2, return_indices=True)[0]),
    "mean": nn.AvgPool2d(2),
    "mean that counts the padding": nn.AvgPool2d(3, 2, padding=1),
    "mean without the padding": nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    "mean that rounds up": nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
    "mean of another divisor": nn.AvgPool2d(3, 2, divisor_override=5),
    "mean as a function": Apply(lambda x: F.avg_pool2d(x, (2, 3), stride=(2, 3))),
    "slice": Apply(lambda x: x[:, :, ::2, ::2]),
    "slice from later on": Apply(lambda x: x[..., 1::2, ::3]),
    "slice of rows": Apply(lambda x: x[:, :, ::2]),
    "slice of maps last": Apply(lambda x: x.permute(0, 2, 3, 1)[:, ::2, 1::2].permute(0, 3, 1, 2)),
    "no batch": Apply(lambda x: F.max_pool2d(x[0], 2)[None]),
}


def gather(net: nn.Module, x: Tensor) -> tuple[tuple[Subsampling, ...], list[Tensor]]:
    steps, _ = find_subsamplings(net, x)
    dense: dict[int, Tensor] = {}
    see_dense(net, x, steps, dense.__setitem__)
    return steps, [dense[number] for number in range(len(steps))]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("size", [(23, 24), (26, 21)])
def test_every_s_th_place_of_the_dense_map_is_what_the_net_gives(name, size):
    x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    net = CALLS[name].eval()
    (step,), (dense,) = gather(net, x)
    with torch.no_grad():
        output = net(x)
    rows, columns = output.shape[2:]
    kept = dense[..., :: step.stride[0], :: step.stride[1]][..., :rows, :columns]
    assert torch.allclose(kept, output, atol=1e-6)
    assert step.kept == (rows, columns)
    assert dense.shape[1:] == (step.maps, *step.dense)


@pytest.mark.parametrize(
    "net",
    [
        nn.Conv2d(3, 5, 1, stride=2),
        nn.Conv2d(3, 5, 3, stride=2, dilation=2),
        nn.Conv2d(3, 5, 3, stride=3),
        nn.MaxPool2d(3, 2),
        nn.MaxPool2d(1, 2),
        nn.AvgPool2d(2),
        Apply(lambda x: x[..., ::2, ::2]),
    ],
)
def test_the_places_between_are_what_a_moved_picture_gives(net):
    x = torch.randn(1, 3, 24, 25, generator=torch.Generator().manual_seed(1))
    (step,), (dense,) = gather(net, x)
    with torch.no_grad():
        moved = net(x[..., 1:, 1:])
    between = dense[..., 1 :: step.stride[0], 1 :: step.stride[1]]
    rows, columns = moved.shape[2:]
    assert torch.allclose(between[..., :rows, :columns], moved, atol=1e-6)


def test_what_is_written_over_later_is_measured_before():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2))
    x = torch.randn(1, 3, 40, 40)
    _, (first, second) = gather(net, x)
    assert first.min() < 0 <= second.min()


def test_names_are_paths_and_second_calls_have_numbers():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
            self.pool = nn.MaxPool2d(2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.pool(self.stem(x))
            return F.avg_pool2d(self.pool(x), 2)

    net = Net().eval()
    steps, _ = find_subsamplings(net, torch.zeros(1, 3, 130, 130))
    assert [(step.name, step.kind) for step in steps] == [
        ("stem.0", "convolution"),
        ("pool#1", "max pooling"),
        ("pool#2", "max pooling"),
        ("avg_pool2d()", "average pooling"),
    ]
    seen = []
    see_dense(net, torch.rand(1, 3, 130, 130), steps, lambda number, _: seen.append(number))
    assert seen == [0, 1, 2, 3]


def space_to_depth(x: Tensor) -> Tensor:
    return torch.cat([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)


@pytest.mark.parametrize(
    ("function", "what", "reason"),
    [
        (lambda x: F.adaptive_avg_pool2d(x, 1), "adaptive average pooling", "global"),
        (lambda x: F.adaptive_avg_pool2d(x, 7), "adaptive average pooling", "no one stride"),
        (lambda x: F.adaptive_max_pool2d(x, 24), "adaptive max pooling", "nothing is left out"),
        (lambda x: x.mean((2, 3)), "mean of each map", "global"),
        (lambda x: x.mean(dim=(-2, -1), keepdim=True), "mean of each map", "global"),
        (lambda x: F.max_pool2d(x, 24), "max pooling", "one value of each map"),
        (lambda x: F.avg_pool2d(x, 8), "average pooling", "3 × 3 values of each map are left"),
        (lambda x: F.pixel_unshuffle(x, 2), "space to depth", "nothing is lost"),
        (space_to_depth, "space to depth", "nothing is lost"),
        (lambda x: F.interpolate(x, scale_factor=0.5), "resizing", "there is no stride"),
        (lambda x: F.lp_pool2d(x, 2, 2), "lp pool2d", "no rule here"),
        (lambda x: F.conv1d(x.flatten(2), WEIGHT[:, :, 0], stride=2), "conv1d", "1 dimensions"),
    ],
)
def test_what_is_left_out_is_named_with_its_reason(function, what, reason):
    steps, others = find_subsamplings(Apply(function), torch.rand(1, 3, 24, 24))
    assert steps == ()
    assert {other.what for other in others} == {what}
    assert all(reason in other.reason for other in others)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.conv2d(x, WEIGHT, padding=1),
        lambda x: F.max_pool2d(x, 3, 1),
        lambda x: F.conv_transpose2d(x, WEIGHT.movedim(0, 1), stride=2),
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: x[:, ::2, 3:-3, 2:],
        lambda x: x[:, torch.tensor([0, 2])],
        lambda x: x.mean(1, keepdim=True),
    ],
)
def test_what_keeps_all_places_is_none(function):
    assert find_subsamplings(Apply(function), torch.rand(1, 3, 24, 24)) == ((), ())


def test_all_strides_of_a_net_of_the_zoo_are_found():
    model = vizcnn.load("zfnet", weights=None, hidden=8, classes=5, input_size=128)
    steps, others = find_subsamplings(model.module, torch.zeros(1, 3, 128, 128))
    strided = [
        path
        for path, part in model.module.named_modules()
        if isinstance(part, nn.Conv2d | nn.MaxPool2d) and part.stride not in (1, (1, 1))
    ]
    assert [step.name for step in steps] + [other.name for other in others] == strided


def test_a_net_is_left_as_it_was_even_if_it_fails():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), Apply(lambda x: x.view(1, 7))).train()
    x = torch.rand(1, 3, 24, 24)
    before = x.clone()
    with pytest.raises(RuntimeError):
        find_subsamplings(net, x)
    assert net.training and net[0].training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    assert torch.equal(x, before)
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_net_that_cannot_be_seen_into_is_refused():
    net = nn.Sequential(torch.jit.trace(nn.Conv2d(3, 4, 3, stride=2), torch.zeros(1, 3, 9, 9)))
    with pytest.raises(ModelError, match="scripted"):
        find_subsamplings(net, torch.zeros(1, 3, 24, 24))


def test_a_net_that_takes_another_way_is_refused():
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.max_pool2d(x, 2) if x.mean() < 0.5 else x

    steps, _ = find_subsamplings(Net(), torch.zeros(1, 3, 24, 24))
    with pytest.raises(LayerError, match=r"max_pool2d\(\) is not reached by every photo"):
        see_dense(Net(), torch.ones(1, 3, 24, 24), steps, lambda *_: None)


def test_a_wave_above_the_limit_lands_where_theory_has_it():
    side, frequency = 64, 27  # of 64 places: 27/64 cycles per pixel, above 1/4
    places = torch.arange(side)
    wave = torch.cos(2 * torch.pi * frequency * places / side).expand(1, 3, side, side)
    net = Apply(lambda x: x[..., ::2, ::2])
    _, (dense,) = gather(net, wave)
    assert measure_folding(dense[0], (2, 2)).shares[0] == pytest.approx(1, abs=1e-6)
    found = np.abs(np.fft.rfft(net(wave)[0, 0, 0].numpy()))
    # 27/64 - 1/2 = -5/64 cycles per pixel, which is 5 in 32 new places
    assert found.argmax() == 5 and found[5] == pytest.approx(16)


def test_a_first_layer_folds_what_the_page_on_first_layers_says():
    side, kernel, stride = 68, 5, 4  # 64 places: both measure all of them
    first = nn.Conv2d(3, 6, kernel, stride=stride)
    model = make_model(nn.Sequential(first, nn.ReLU()), side)
    photos = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    photos = photos + photos.roll(1, 3) + photos.roll(2, 3) + photos.roll(1, 2)
    layer = FirstLayer(first.weight.detach(), stride, "0")
    expected = measure_shares(measure_power(layer, photos), stride)
    steps, others = find_subsamplings(model.module, photos[:1])
    found = sum_photos(
        model, steps, others, [measure_photo(model, steps, photo[None]) for photo in photos]
    )
    (measured,) = found.layers
    assert measured.shares[0] == pytest.approx(expected.layer_share, rel=1e-4)
    assert measured.mean_share == pytest.approx(expected.shares.mean().item(), rel=1e-4)
    least, most = sorted(share or 0.0 for share in measured.photo_shares)
    assert 0 < least <= (measured.shares[0] or 0.0) <= most
    assert found.worst is measured and found.median_shares == measured.shares
