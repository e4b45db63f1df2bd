"""Effective receptive fields against closed forms, plain autograd, and the exact boxes."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vizcnn
from tests.support.small_zoo import SIZE, make_model
from vizcnn.basics.errors import LayerError, ModelError, VizcnnError
from vizcnn.measures.effective_field import (
    AT_ONCE,
    SHARES,
    hold_by_side,
    hold_shares,
    measure_effective_fields,
)
from vizcnn.receptive import find_box, measure_fields
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance

PLAIN = Preprocessing((0.0,) * 3, (1.0,) * 3, 1.0, False, SIZE, SIZE)


def make_net(module, size=SIZE):
    return ZooModel(
        name="mine",
        title="Mine",
        module=module.eval(),
        preprocessing=PLAIN.at_size(size),
        layers={},
        classes=("one",),
        provenance=Provenance("code"),
        options={},
    )


def draw_photos(count, size=SIZE):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def stack_ones(count, kernel):
    layers = [nn.Conv2d(3 if number == 0 else 1, 1, kernel) for number in range(count)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [3, 5])
def test_of_all_ones_it_is_a_box_convolved_with_itself(count, kernel):
    size = 33  # an odd map: one middle unit
    net = make_net(stack_ones(count, kernel), size)
    (field,) = measure_effective_fields(net, draw_photos(2, size), [str(count - 1)])
    line = np.ones(1)
    for _ in range(count):
        line = np.convolve(line, np.ones(kernel))
    expected = np.zeros((size, size))
    start = (size - len(line)) // 2
    inside = slice(start, start + len(line))
    expected[inside, inside] = 3 * np.outer(line, line)  # three colours
    np.testing.assert_array_equal(field.map, expected)
    assert field.size == (len(line), len(line)) and field.places == 1
    assert field.peak == expected.max() and field.outside == 0


def test_of_an_even_map_the_middle_four_are_averaged():
    net = make_net(stack_ones(1, 3), 8)  # a map of 6 x 6
    (field,) = measure_effective_fields(net, draw_photos(1, 8), ["0"])
    expected = np.zeros((8, 8))
    for row in (2, 3):
        for column in (2, 3):
            expected[row : row + 3, column : column + 3] += 3 / 4
    np.testing.assert_array_equal(field.map, expected)
    assert (field.places, field.size, field.box) == (4, (4, 4), (2, 2, 6, 6))
    assert field.centre == (3.5, 3.5)


def test_what_passes_everything_sees_one_pixel():
    identity = nn.Conv2d(3, 3, 1, bias=False)
    identity.weight.data = torch.eye(3)[:, :, None, None]
    (field,) = measure_effective_fields(
        make_net(nn.Sequential(identity), 9), draw_photos(1, 9), ["0"]
    )
    expected = np.zeros((9, 9))
    expected[4, 4] = 3
    np.testing.assert_array_equal(field.map, expected)
    assert [held.side for held in field.held] == [1, 1, 1, 1]
    assert [held.area for held in field.held] == [1.0] * 4
    assert field.ratio == 1 and field.gaussian is None  # one pixel has no width


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_its_support_is_the_exact_field(stride, dilation):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, stride=stride),
        nn.LeakyReLU(),
        nn.Conv2d(8, 8, 3, padding=2, dilation=dilation, stride=stride),
        nn.LeakyReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 4, (1, 3)),
    )
    net, paths = make_net(module), ["0", "2", "4", "5"]
    found = measure_effective_fields(net, draw_photos(3), paths)
    for field, exact in zip(found, measure_fields(net, paths), strict=True):
        middles = [
            range((len(spans) - 1) // 2, len(spans) // 2 + 1)
            for spans in (exact.rows, exact.columns)
        ]
        boxes = [find_box(exact, row, column) for row in middles[0] for column in middles[1]]
        box = (*np.min(boxes, axis=0)[:2], *np.max(boxes, axis=0)[2:])
        assert field.box == box
        rows, columns = np.nonzero(field.map)
        assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == box
        assert field.outside == 0
        if dilation == 1:  # no holes
            assert np.count_nonzero(field.map) == (box[2] - box[0]) * (box[3] - box[1])


@pytest.mark.parametrize("name", ["lenet", "zfnet"])
def test_nothing_of_a_trained_net_lies_outside(name):
    net = vizcnn.load(name)
    for field in measure_effective_fields(net, ["coffee", "chelsea"]):
        top, left, bottom, right = field.box
        beyond = field.map.copy()
        beyond[top:bottom, left:right] = 0
        assert field.peak > 0 and not beyond.any()


def loop(net, pixels, path, normalise):
    """The same by torch alone: one photo and one place at a time."""
    kept: dict[str, Tensor] = {}
    handle = net.module.get_submodule(path).register_forward_hook(
        lambda module, args, output: kept.update(output=output.clone())
    )
    total = torch.zeros(pixels.shape[2:], dtype=torch.float64)
    means, stds = torch.tensor(net.preprocessing.mean), torch.tensor(net.preprocessing.std)
    for photo in pixels:
        photo = photo[None].clone().requires_grad_()
        net.module((photo - means.view(-1, 1, 1)) / stds.view(-1, 1, 1))
        output = kept["output"]
        if output.ndim == 2:
            value = output.sum()
        else:
            height, width = output.shape[2:]
            rows = {(height - 1) // 2, height // 2}
            columns = {(width - 1) // 2, width // 2}
            values = [output[0, :, y, x].sum() for y in rows for x in columns]
            value = torch.stack(values).mean()
        value.backward()
        each = photo.grad[0].abs().sum(dim=0).double()
        net.module.zero_grad()
        if normalise == "photo":
            each /= each.sum()
        total += each
    handle.remove()
    return (total / len(pixels)).numpy()


@pytest.mark.parametrize("normalise", ["none", "photo"])
def test_it_is_what_a_plain_loop_over_photos_gives(normalise):
    net, pixels = make_model(), draw_photos(AT_ONCE + 3)  # more than one batch
    layers = ["conv1", "conv2", "conv5", "fc6"]
    found = measure_effective_fields(net, pixels, layers, normalise)
    assert [field.name for field in found] == layers
    for field in found:
        expected = loop(net, pixels, net.layers[field.name], normalise)
        np.testing.assert_allclose(field.map, expected, rtol=1e-5, atol=1e-7 * expected.max())
        if normalise == "photo":
            assert field.map.sum() == pytest.approx(1)


def test_shares_are_counted_as_a_loop_counts_them():
    values = np.random.default_rng(0).random((13, 17)) ** 3
    for centre in ((6.0, 8.0), (5.5, 7.5), (6.0, 2.5), (0.0, 16.0)):
        for held in hold_shares(values, centre, area=100):
            sums: dict[float, float] = {}
            for row in range(13):
                for column in range(17):
                    side = 1 + 2 * max(abs(row - centre[0]), abs(column - centre[1]))
                    sums[side] = sums.get(side, 0) + values[row, column]
            total, side = 0.0, 0.0
            for side in sorted(sums):
                total += sums[side]
                if total >= held.share * values.sum():
                    break
            assert held.side == side
            left, count = held.share * values.sum(), 0
            for value in sorted(values.flatten(), reverse=True):
                left, count = left - value, count + 1
                if left <= 0:
                    break
            assert held.area == count / 100
    assert [held.share for held in hold_shares(values, (6.0, 8.0))] == list(SHARES)
    sides, shares = zip(*hold_by_side(values, (6.0, 8.0)), strict=True)
    assert list(sides) == [1, 3, 5, 7, 9, 11, 13, 15, 17] and shares[-1] == pytest.approx(1)


def test_a_silent_middle_is_told():
    conv = nn.Conv2d(3, 2, 3)
    conv.bias = nn.Parameter(torch.full((2,), -100.0))
    module = nn.Sequential(conv, nn.ReLU())
    (field,) = measure_effective_fields(make_net(module), draw_photos(3), ["1"], "photo")
    assert (field.silent, field.photos, field.peak) == (3, 3, 0)
    assert field.held == () and field.ratio is None and field.gaussian is None


def test_a_damaged_net_is_refused():
    model = make_model()
    next(model.module.parameters()).data.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        measure_effective_fields(model, torch.rand(1, 3, SIZE, SIZE), ["conv1"])


def test_some_silent_photos_count_as_zero():
    conv = nn.Conv2d(3, 1, 1)
    nn.init.ones_(conv.weight)
    conv.bias = nn.Parameter(torch.full((1,), -1.5))
    module = nn.Sequential(conv, nn.ReLU())
    photos = torch.cat([torch.zeros(1, 3, 9, 9), torch.ones(1, 3, 9, 9)])
    (field,) = measure_effective_fields(make_net(module, 9), photos, ["1"])
    assert field.silent == 1 and field.map[4, 4] == 1.5


def test_the_net_and_torch_stay_as_they_were():
    net = make_model()
    net.module.train()
    before = {name: value.clone() for name, value in net.module.state_dict().items()}
    photos = draw_photos(2)
    kept = photos.clone()
    with torch.inference_mode():
        (field,) = measure_effective_fields(net, photos, ["conv3"])
    assert field.peak > 0 and torch.equal(photos, kept)
    assert net.module.training and not any(part._forward_hooks for part in net.module.modules())
    assert all(value.grad is None for value in net.module.parameters())
    after = net.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_what_makes_no_sense_is_refused():
    net = make_model()
    with pytest.raises(LayerError, match="no layer 'conv9'"):
        measure_effective_fields(net, draw_photos(1), ["conv9"])
    with pytest.raises(VizcnnError, match="'max' is not known; needed: none or photo"):
        measure_effective_fields(net, draw_photos(1), ["conv1"], "max")  # type: ignore[arg-type]
    with pytest.raises(LayerError, match="needed: a list of names"):
        measure_effective_fields(net, draw_photos(1), "conv1")

    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)
            self.last = nn.Conv2d(2, 2, 3)

        def forward(self, x):
            return self.last(self.conv(x).detach())

    with pytest.raises(LayerError, match="image"):
        measure_effective_fields(make_net(Cut()), draw_photos(1), ["last"])
