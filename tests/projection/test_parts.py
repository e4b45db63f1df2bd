"""What pictures share, and own parts, against numpy's singular values and nets known in full."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import vizcnn
from vizcnn.basics.errors import VizcnnError
from vizcnn.projection.active_units import compare_with_active
from vizcnn.projection.methods import METHODS
from vizcnn.projection.parts import find_common, find_common_part, find_cosines
from vizcnn.projection.projection import project
from vizcnn.projection.targets import Position, Targets
from vizcnn.recording.recording import record


def find_by_numpy(pictures, weights=None):
    """Give C, the cosines with it, and the effective number, by numpy's own decomposition."""
    rows = np.asarray(pictures, dtype=np.float64).reshape(len(pictures), -1)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    repeated = rows if weights is None else rows.repeat(weights, axis=0)
    _, values, right = np.linalg.svd(repeated, full_matrices=False)
    shares = values**2 / (values**2).sum()
    return right[0], rows @ right[0], 1 / (shares**2).sum()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.integers(2, 40), st.integers(0, 10**6), st.floats(-25, 25))
def test_common_picture_is_the_first_right_singular_vector(count, size, seed, exponent):
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randn(count, 1, size, generator=generator) + 0.5
    scaled = pictures * 10**exponent  # squares of such numbers are no numbers any more
    common = find_common(scaled)
    direction, cosines, number = find_by_numpy(pictures)
    assert np.allclose(common.cosines.square(), cosines**2, atol=1e-5)
    assert abs(float(common.direction.flatten().double() @ torch.tensor(direction))) > 1 - 1e-5
    assert common.effective_number == pytest.approx(number, rel=1e-5)
    lean = float(common.cosines.sum())
    assert lean > 1e-8 * count or (abs(lean) < 1e-8 * count and common.cosines[0] >= 0)
    assert torch.allclose(common.selectivity, 1 - torch.tensor(cosines).square(), atol=1e-5)


def test_length_of_a_picture_has_no_say():
    pictures = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    scaled = pictures * torch.tensor([1e-6, 1.0, 3.0, 1e6, 7.0]).view(-1, 1, 1, 1)
    assert torch.allclose(find_common(scaled).direction, find_common(pictures).direction, atol=1e-6)


def test_pictures_of_zero_are_left_out():
    pictures = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    with_black = find_common(torch.cat([pictures, torch.zeros(2, 6)]))
    without = find_common(pictures)
    assert torch.allclose(with_black.direction, without.direction)
    assert with_black.effective_number == pytest.approx(without.effective_number)
    assert with_black.selectivity[4:].isnan().all()
    nothing = find_common(torch.zeros(2, 6))
    assert nothing.selectivity.isnan().all() and math.isnan(nothing.effective_number)


def test_of_one_picture_nothing_is_said():
    common = find_common(torch.tensor([[3.0, 4.0]]))
    assert common.selectivity.isnan().all() and common.effective_number == pytest.approx(1)
    assert torch.allclose(common.direction, torch.tensor([0.6, 0.8]))


def test_orthogonal_pictures_share_nothing():
    common = find_common(torch.eye(4))
    assert common.direction.eq(0).all() and common.selectivity.eq(1).all()
    assert common.effective_number == pytest.approx(4)


def test_a_sample_stands_for_those_that_it_was_drawn_from():
    pictures = torch.randn(5, 12, generator=torch.Generator().manual_seed(3)) + 0.4
    common = find_common(pictures, known=2, total=2 + 3 * 4)  # each of three stands for four
    direction, cosines, _ = find_by_numpy(pictures, [1, 1, 4, 4, 4])
    assert abs(float(common.direction.double() @ torch.tensor(direction))) > 1 - 1e-6
    assert np.allclose(common.cosines.square(), cosines**2, atol=1e-6)


def test_effective_number_of_samples_is_right_on_average():
    pictures = torch.randn(7, 12, generator=torch.Generator().manual_seed(4)) + 0.4
    _, _, number = find_by_numpy(pictures)
    squares = [  # 1 / N is what is linear in the squared cosines
        1 / find_common(pictures[[0, *drawn]], known=1, total=7).effective_number
        for drawn in itertools.combinations(range(1, 7), 3)
    ]
    assert np.mean(squares) == pytest.approx(1 / number, rel=1e-6)
    assert math.isnan(find_common(pictures[:2], known=1, total=7).effective_number)


@pytest.mark.parametrize(("sampled", "without"), [(3, 0.07), (5, 0.03), (8, 0.02)])
def test_selectivity_of_samples_is_right_on_average(sampled, without):
    """What is by chance in few pictures would make every other one look selective."""
    generator = torch.Generator().manual_seed(7)
    noise = torch.randn(12, 400, generator=generator)
    pictures = 3 * torch.randn(400, generator=generator) + noise * torch.linspace(2, 4, 12)[:, None]
    _, cosines, _ = find_by_numpy(pictures)
    wanted, found, uncorrected = 1 - cosines[0] ** 2, [], []
    assert 0.1 < wanted < 0.4
    for drawn in itertools.combinations(range(1, 12), sampled):
        common = find_common(pictures[[0, *drawn]], known=1, total=12)
        found.append(float(common.selectivity[0]))
        uncorrected.append(1 - float(common.cosines[0]) ** 2)
    assert np.mean(found) == pytest.approx(wanted, abs=0.015)
    assert np.mean(uncorrected) > wanted + without


def test_a_sample_with_nothing_in_common_is_not_corrected():
    generator = torch.Generator().manual_seed(8)
    common = find_common(torch.randn(4, 50, generator=generator), known=1, total=30)
    assert common.correction == 1
    assert find_common(torch.rand(4, 50, generator=generator)).correction == 1


@pytest.mark.parametrize(
    ("pictures", "numbers"),
    [
        (torch.zeros(0, 3), {}),
        (torch.zeros(3), {}),
        (torch.zeros(2, 3, dtype=torch.int64), {}),
        (torch.ones(2, 3), {"known": 3}),
        (torch.ones(2, 3), {"total": 1}),
        (torch.ones(2, 3), {"total": 5}),
    ],
)
def test_what_cannot_be_compared_is_refused(pictures, numbers):
    with pytest.raises(VizcnnError, match="needed"):
        find_common(pictures, **numbers)


def make_chain(rectifier):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), rectifier(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), rectifier()
    ).double()


IMAGE = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(5)).double()


@pytest.mark.parametrize("method", METHODS)
def test_units_of_one_convolution_are_as_alike_as_their_filters(method):
    torch.manual_seed(1)
    layer = nn.Conv2d(3, 7, 4)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, 100.0)  # all are active
    net = nn.Sequential(layer)
    found = vizcnn.Projector(net, method).project(IMAGE.float(), "0", list(range(7)), compare="all")
    filters = layer.weight.detach().numpy().reshape(7, -1)
    # each at the place where it is strongest, against all others there
    _, cosines, number = find_by_numpy(filters)
    assert np.allclose(found.selectivity, 1 - cosines**2, atol=1e-6)
    assert np.allclose(found.effective_number, number)
    assert found.compared.tolist() == [7] * 7


def test_without_rectifiers_all_methods_give_the_same_parts():
    net = make_chain(nn.Identity)
    net[2] = nn.AvgPool2d(2)
    found = {
        method: vizcnn.Projector(net, method).project(IMAGE, "3", count=3, compare="all")
        for method in METHODS
    }
    one = found["deconvnet"]
    for method, other in found.items():
        assert torch.allclose(one.selectivity, other.selectivity, atol=1e-9), method
        scale = (
            one.activations[:, None, None, None].abs() if method == "gradient" else torch.ones(1)
        )
        assert torch.allclose(one.own.pixels, other.own.pixels * scale, atol=1e-9), method


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_rank_one_that_are_not_negative_make_one_picture(method):
    # Sixt, Granz & Landgraf 2020 (arXiv 1912.09818): the products of such matrices have rank one
    generator = torch.Generator().manual_seed(6)
    net = make_chain(nn.ReLU)
    for layer in (net[0], net[3]):
        count, *rest = layer.weight.shape
        left = torch.rand(count, 1, generator=generator) + 0.1
        right = torch.rand(1, math.prod(rest), generator=generator) + 0.1
        layer.weight.data = (left @ right).view(count, *rest).double()
        nn.init.zeros_(layer.bias)
    found = vizcnn.Projector(net, method).project(IMAGE, "4", [0, 3], compare="all")
    assert torch.allclose(found.effective_number, torch.ones(2, dtype=torch.float64))
    assert float(found.selectivity.max()) < 1e-9
    rounded = vizcnn.Projector(net.float(), method).project(IMAGE.float(), "4", [0, 3], compare=1)
    assert bool(rounded.windows.any()) and not bool(rounded.own.windows.any())
    assert torch.equal(rounded.common.windows, rounded.windows)


def test_a_common_part_that_is_nothing_but_rounding_is_none():
    almost = torch.tensor([[1.0, 1e-8], [0.0, 1.0], [0.0, 2.0]])
    common = find_common(almost)
    assert 0 < abs(float(common.cosines[0])) < 1e-6
    assert not bool(find_common_part(almost[0], common.direction).any())
    assert torch.equal(find_common_part(almost[2], common.direction), almost[2])


def plant(crowd):
    """Make a net of two detectors of single pixels, and others that see the rest of the patch."""
    net = nn.Sequential(nn.Conv2d(3, 2 + crowd, 3, bias=False), nn.ReLU())
    weight = torch.zeros(2 + crowd, 3, 3, 3)
    weight[0, 0, 0, 0] = weight[1, 1, 2, 2] = 1
    weight[2:, 2] = 1
    net[0].weight.data = weight
    return net


@pytest.mark.parametrize("crowd", [0, 2, 5])
@pytest.mark.parametrize("method", METHODS)
def test_planted_detectors_of_disjoint_pixels_are_all_their_own(method, crowd):
    found = vizcnn.Projector(plant(crowd), method).project(
        IMAGE.float() + 0.1, "1", [0, 1], compare="all"
    )
    assert found.selectivity.tolist() == [1, 1]
    assert torch.equal(found.own.windows, found.windows)
    assert found.common.windows.eq(0).all()
    assert found.compared.tolist() == [2 + crowd] * 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("position", ["max", (0, 0), (4, 4), "all"])
def test_parts_of_places_are_those_of_all_active_units_there(method, position):
    net = make_chain(nn.ReLU).float()
    images = torch.cat([IMAGE, IMAGE.flip(2)]).float()
    projector = vizcnn.Projector(net, method)
    found = projector.project(images, "4", [1, 4, 5], position, compare="all")
    maps = net(images)
    for row in range(len(found)):
        image, place = int(found.images[row]), found.positions[row].tolist()
        if position == "all":
            active = [u for u in range(8) if maps[image, u].max() > 0]
        else:
            active = [u for u in range(8) if maps[(image, u, *place)] > 0]
        at: Position = "all" if position == "all" else tuple(place)
        pictures = [
            projector.project(images[image : image + 1], "4", unit, at).pixels[0] for unit in active
        ]
        direction, _, number = find_by_numpy([each for each in pictures if each.any()])
        picture = found.pixels[row].flatten().double().numpy()
        length = np.linalg.norm(picture)
        assert found.comparison is not None
        assert found.compared[row] == found.comparison.active[row] == len(active)
        if not length:
            assert found.selectivity[row].isnan()  # silent, or all of its signal was cut
            continue
        common = (picture @ direction) * direction
        assert np.allclose(found.common.pixels[row].flatten(), common, atol=1e-6 * length)
        assert np.allclose(found.own.pixels[row].flatten(), picture - common, atol=1e-6 * length)
        cosine = picture @ direction / length
        assert float(found.selectivity[row]) == pytest.approx(1 - cosine**2, abs=1e-6)
        assert float(found.effective_number[row]) == pytest.approx(number, rel=1e-5)
        own, shared = (part.pixels[row].flatten().double() for part in (found.own, found.common))
        assert abs(float(own @ shared)) < 1e-6 * length**2


def test_parts_have_names_and_keep_what_is_known():
    found = vizcnn.Deconvnet(make_chain(nn.ReLU)).project(IMAGE, "4", count=2, compare="all")
    assert [found.take_part(part).part for part in ("whole", "own", "common")] == [
        "whole",
        "own",
        "common",
    ]
    assert found.take_part("own") is found.own
    assert torch.equal(found.own.selectivity, found.selectivity)
    assert torch.equal(found.own.cut(0), found.own.windows[0])
    with pytest.raises(VizcnnError, match="no part 'mine'; needed: whole, own, common"):
        found.take_part("mine")  # type: ignore[arg-type]


def test_comparing_changes_nothing_else():
    projector = vizcnn.Deconvnet(make_chain(nn.ReLU))
    plain = projector.project(IMAGE, "4", count=4)
    compared = projector.project(IMAGE, "4", count=4, compare="all")
    assert torch.equal(plain.windows, compared.windows)
    assert plain.comparison is None
    for name in ("own", "common", "selectivity", "compared", "effective_number"):
        with pytest.raises(VizcnnError, match='project with compare="all"'):
            getattr(plain, name)


def test_a_unit_that_is_alone_is_compared_with_nothing():
    net = plant(0)
    image = torch.zeros(1, 3, 8, 8)
    image[0, 0, 2, 2] = 1
    found = vizcnn.Deconvnet(net).project(image, "1", 0, compare="all")
    assert found.selectivity.isnan().all() and found.compared.tolist() == [1]
    assert torch.equal(found.own.windows, found.windows)
    silent = vizcnn.Deconvnet(net).project(torch.zeros(1, 3, 8, 8), "1", 0, compare="all")
    assert silent.compared.tolist() == [0] and silent.effective_number.isnan().all()
    assert silent.own.windows.eq(0).all()


def test_a_unit_whose_company_has_no_pictures_is_alone():
    net = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU(), nn.Conv2d(1, 2, 1), nn.ReLU())
    net[2].weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)  # a signal below zero is cut
    net[2].bias.data = torch.tensor([0.0, 100.0])
    net[0].weight.data, net[0].bias.data = torch.ones(1, 3, 1, 1), torch.zeros(1)
    found = vizcnn.Deconvnet(net).project(IMAGE.float(), "3", [0, 1], (2, 2), compare="all")
    assert found.compared.tolist() == [2, 2] and found.selectivity.isnan().all()
    assert torch.equal(found.own.windows, found.windows)


def test_a_unit_that_is_not_active_has_nothing_to_be_compared_with_in_empty_pictures():
    net = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU(), nn.Conv2d(1, 2, 1))
    net[2].weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)  # a signal below zero is cut
    net[2].bias.data = torch.tensor([-100.0, 100.0])
    net[0].weight.data, net[0].bias.data = torch.ones(1, 3, 1, 1), torch.zeros(1)
    found = vizcnn.Deconvnet(net).project(IMAGE.float(), "2", 0, (2, 2), compare="all")
    assert float(found.activations[0]) < 0 and bool(found.windows.any())
    assert found.compared.tolist() == [1] and found.selectivity.isnan().all()
    assert torch.equal(found.own.windows, found.windows)


def test_no_projections_have_parts_as_well():
    found = vizcnn.Deconvnet(plant(2)).project(IMAGE.float(), "1", count=0, compare="all")
    assert len(found.own) == len(found.common) == len(found.selectivity) == 0


def test_a_unit_that_is_not_active_is_compared_with_those_that_are():
    net = nn.Sequential(nn.Conv2d(3, 2, 3, bias=False))
    net[0].weight.data = torch.stack([torch.ones(3, 3, 3), -torch.ones(3, 3, 3)])
    net[0].weight.data[1, 0] = 0
    found = vizcnn.Projector(net, "gradient").project(IMAGE.float(), "0", 1, compare="all")
    assert float(found.activations[0]) < 0 and found.compared.tolist() == [1]
    assert float(found.selectivity[0]) == pytest.approx(1 - 2 / 3, abs=1e-6)


@pytest.mark.parametrize("compare", [1, 3, 100])
def test_so_many_others_are_taken_evenly(compare):
    torch.manual_seed(2)
    layer = nn.Conv2d(3, 20, 3)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, 10.0)
    net = nn.Sequential(layer, nn.ReLU())
    found = vizcnn.Projector(net, "gradient").project(IMAGE.float(), "1", [5], (3, 3), 1, compare)
    assert found.compared.tolist() == [1 + min(compare, 19)]
    drawn = {1: [10], 3: [0, 10, 15], 100: [unit for unit in range(20) if unit != 5]}[compare]
    filters = layer.weight.detach().numpy().reshape(20, -1).astype(np.float64)
    rows = filters[[5, *drawn]] / np.linalg.norm(filters[[5, *drawn]], axis=1, keepdims=True)
    weights = np.array([1.0] + [19 / len(drawn)] * len(drawn))
    _, _, right = np.linalg.svd(rows * np.sqrt(weights)[:, None])
    assert float(found.selectivity[0]) == pytest.approx(1 - (rows[0] @ right[0]) ** 2, abs=1e-6)


@pytest.mark.parametrize("compare", [1, 2, 4, "all"])
def test_what_is_said_of_a_unit_does_not_depend_on_its_company(compare):
    projector = vizcnn.Projector(make_chain(nn.ReLU), "gradient")
    every = projector.project(IMAGE, "3", list(range(8)), (1, 1), compare=compare)
    assert bool((every.activations > 0).any()) and bool((every.activations < 0).any())
    assert every.comparison is not None
    for unit in range(8):
        alone = projector.project(IMAGE, "3", [unit], (1, 1), compare=compare)
        twice = projector.project(IMAGE, "3", [unit, 3, unit], (1, 1), compare=compare)
        for other, row in ((alone, 0), (twice, 0), (twice, 2)):
            for name in ("selectivity", "compared", "effective_number"):
                one, same = getattr(every, name)[unit], getattr(other, name)[row]
                assert torch.allclose(one, same, equal_nan=True), (name, unit)
            assert torch.allclose(every.own.pixels[unit], other.own.pixels[row])


def test_little_room_gives_the_same():
    net = make_chain(nn.ReLU)
    with record(net) as recording:
        net(torch.cat([IMAGE, IMAGE.flip(3)]))
    maps = recording.find_output("4")
    targets = vizcnn.strongest(maps, 4)
    projection = project(recording, "4", targets, "deconvnet")
    calls = []

    def project_others(others: Targets):
        calls.append(len(others))
        return project(recording, "4", others, "deconvnet")

    wide, narrow = (
        compare_with_active(maps, targets, projection, project_others, "all", room)
        for room in (1 << 30, 1)
    )
    assert len(calls) > 2 and calls[0] == sum(calls[1:])
    assert torch.allclose(wide.cosines, narrow.cosines)
    assert torch.allclose(wide.directions, narrow.directions)


@pytest.mark.parametrize("compare", ["some", 0, -1, 1.5, True, [3]])
def test_odd_numbers_of_units_are_refused(compare):
    with pytest.raises(VizcnnError, match=r"compare.*needed"):
        vizcnn.Deconvnet(plant(0)).project(IMAGE.float(), "1", 0, compare=compare)


def test_signals_and_vectors_have_parts_too():
    torch.manual_seed(3)
    signals = nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU())
    found = vizcnn.Projector(signals, "guided").project(torch.rand(1, 2, 20), "1", compare="all")
    assert torch.allclose(found.own.windows + found.common.windows, found.windows)

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 6)
            nn.init.constant_(self.head.bias, 1.0)

        def forward(self, images):
            return self.head(F.relu(self.features(images)).mean((2, 3)))

    net = Head()
    image = IMAGE.float()
    projector = vizcnn.Projector(net, "gradient")
    found = projector.project(image, "head", [0, 2], compare="all")
    whole = projector.project(image, "head", [0, 2], "all", compare="all")
    assert torch.equal(whole.own.windows, found.own.windows)
    moved = image.clone().requires_grad_()
    rows = [torch.autograd.grad(net(moved)[0, unit], moved)[0].numpy() for unit in range(6)]
    active = (net(image)[0] > 0).nonzero()[:, 0].tolist()
    direction, _, _ = find_by_numpy([rows[unit] for unit in active])
    for row, unit in enumerate((0, 2)):
        cosine = rows[unit].flatten() @ direction / np.linalg.norm(rows[unit])
        assert float(found.selectivity[row]) == pytest.approx(1 - cosine**2, abs=1e-5)


def test_cosines_of_tiny_and_of_empty_pictures():
    found = find_cosines(
        torch.full((2, 2), 1e-30), torch.stack([torch.ones(2, 2), torch.zeros(2, 2)])
    )
    assert float(found[0]) == pytest.approx(1) and found[1].isnan()
