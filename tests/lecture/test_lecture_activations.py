"""Exhibits on real photos, activations and trainings: what they measure, against other ways."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vizcnn.basics.errors import ImageError
from vizcnn.lecture.activations import drop_units, normalise_maps, pool_maps, read_activations
from vizcnn.lecture.augmentation import (
    ColourAxes,
    find_colour_axes,
    list_corners,
    measure_digits,
    measure_sample_colours,
    measure_steadiness,
    shift_colours,
    ten_crops,
)
from vizcnn.lecture.momentum import DROP, compare_with_torch, descend, step_by_slide
from vizcnn.lecture.relu_tanh import (
    MARK,
    Curve,
    build_four_layers,
    compare_activations,
    read_digits,
    train_curve,
)
from vizcnn.lecture.studio import Studio
from vizcnn.photos.samples import find_sample
from vizcnn.zoo import load
from vizcnn.zoo.torchvision_nets import import_torchvision


@pytest.fixture(scope="module")
def studio():
    photo = find_sample("motorcycle")
    assert photo is not None
    return Studio(photo, weights="bundled")


@pytest.mark.parametrize(("height", "width", "size"), [(256, 256, 224), (31, 40, 20), (9, 9, 9)])
def test_ten_crops_are_those_of_torchvision(height, width, size):
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    import_torchvision()
    from torchvision.transforms import TenCrop

    theirs = torch.stack(TenCrop(size)(image))
    # theirs are the crops of the mirrored image: its upper left corner is our upper right one
    order = [0, 1, 2, 3, 4, 6, 5, 8, 7, 9]
    assert torch.equal(ten_crops(image, size)[order], theirs)


def test_crops_larger_than_the_image_are_refused():
    with pytest.raises(ImageError, match="crops of 10 px from an image of 9 × 12 px"):
        list_corners((3, 9, 12), 10)


def test_colour_axes_are_those_of_numpy():
    pixels = torch.rand(500, 3, generator=torch.Generator().manual_seed(1)) ** 2
    axes = find_colour_axes(pixels)
    values, vectors = np.linalg.eigh(np.cov(pixels.double().numpy().T, bias=True))
    np.testing.assert_allclose(axes.values.numpy(), values[::-1], rtol=1e-5)
    np.testing.assert_allclose(np.abs(axes.vectors.numpy()), np.abs(vectors[:, ::-1]), atol=1e-5)
    assert measure_sample_colours().values.tolist() == sorted(
        measure_sample_colours().values.tolist(), reverse=True
    )


def test_colours_move_along_the_axes():
    axes = ColourAxes(torch.eye(3), torch.tensor([0.04, 0.01, 0.0]), 1)
    grey = torch.full((3, 2, 2), 0.5)
    moved = shift_colours(grey, axes, torch.tensor([1.0, -1.0, 5.0]))
    torch.testing.assert_close(moved[:, 0, 0], torch.tensor([0.7, 0.4, 0.5]))
    assert torch.equal(shift_colours(grey, axes, torch.zeros(3)), grey)


def test_the_slides_momentum_is_torchs_at_one_rate_only():
    assert compare_with_torch("constant") == 0
    assert compare_with_torch("dropped") > 0.01
    assert descend("dropped").distances[: DROP + 1].max() < 1e-12


def test_a_step_of_the_slide_by_hand():
    weight, velocity = step_by_slide(
        torch.tensor([2.0]), torch.tensor([0.5]), torch.tensor([3.0]), 0.1
    )
    expected = 0.9 * 0.5 - 0.0005 * 0.1 * 2 - 0.1 * 3
    assert velocity.item() == pytest.approx(expected)
    assert weight.item() == pytest.approx(2 + expected)


def test_dropout_keeps_the_mean(studio):
    model = studio.alexnet
    found = drop_units(model, studio.read(model), torch.Generator().manual_seed(3), masks=400)
    assert found.dropped.shape == (400, len(found.units))
    ratio = found.dropped[found.dropped > 0] / found.units.expand(400, -1)[found.dropped > 0]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 2.0))
    assert found.mean_error < 0.1
    assert found.dropped.eq(0).float().mean() >= 0.5
    (name, share), *_ = model.classify(studio.read(model))[0]
    assert found.label == name
    assert found.whole == pytest.approx(share, abs=1e-5)


def test_normalisation_is_torchs(studio):
    model = studio.alexnet
    found = normalise_maps(model, studio.read(model))
    layer = model.module.get_submodule(model.layers["norm1"])
    theirs = F.local_response_norm(found.before[None], layer.size, layer.alpha, layer.beta, layer.k)
    torch.testing.assert_close(found.after, theirs[0], rtol=1e-5, atol=1e-6)
    row, column = found.place
    assert found.before[:, row, column].max() == found.before.max()
    smallest = found.divisors[~found.divisors.isnan()].min().item()
    assert smallest == pytest.approx(layer.k**layer.beta, rel=1e-3)


def test_shared_maxima_are_those_of_a_search_by_hand():
    maps = torch.rand(3, 9, 9, generator=torch.Generator().manual_seed(5)).sub(0.4).clamp(min=0)
    for size in (2, 3):
        winners = []
        for number, rows in enumerate(maps):
            for top in range(0, 9 - size + 1, 2):
                for left in range(0, 9 - size + 1, 2):
                    window = rows[top : top + size, left : left + size]
                    if window.max() > 0:
                        place = divmod(int(window.argmax()), size)
                        winners.append((number, top + place[0], left + place[1]))
        shared = sum(winners.count(winner) > 1 for winner in winners) / len(winners)
        assert pool_maps(maps, size).shared == pytest.approx(shared)
    assert pool_maps(maps, 2).shared == 0


def test_activations_leave_the_net_as_it_was(studio):
    model = studio.alexnet
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    (maps,) = read_activations(model, studio.read(model), ["conv1"])
    assert maps.min() == 0
    assert not any(module._forward_hooks for module in model.module.modules())
    assert not any(value.grad is not None for value in model.module.parameters())
    assert all(torch.equal(value, before[n]) for n, value in model.module.state_dict().items())


@pytest.mark.slow
def test_training_is_the_same_for_a_seed_and_learns():
    pytest.importorskip("sklearn")
    state = torch.get_rng_state()
    images, labels = read_digits()
    assert images.shape == (1797, 1, 16, 16)
    first, again = (train_curve("ReLU", 0.01, images, labels, 3, seed=1) for _ in range(2))
    assert first == again
    assert first.errors[0] > 0.8
    assert first.errors[-1] < 0.5
    assert first.epochs == tuple(sorted(first.epochs))
    assert torch.equal(torch.get_rng_state(), state)
    relu, tanh = (build_four_layers(name, 4).state_dict() for name in ("ReLU", "tanh"))
    assert all(torch.equal(relu[name], tanh[name]) for name in relu)


@pytest.mark.slow
def test_the_best_rate_of_each_is_taken():
    pytest.importorskip("sklearn")
    found = compare_activations(epochs=1, rates=(0.001, 0.03))
    assert found.equal["ReLU"].rate == found.equal["tanh"].rate == 0.001
    assert sum(found.best["tanh"].errors) <= sum(found.equal["tanh"].errors)


def test_the_mark_is_found_between_measurements():
    curve = Curve("ReLU", 0.1, (0.0, 1.0, 2.0), (0.9, 0.5, 0.0))
    assert curve.reached == pytest.approx(1 + (0.5 - MARK) / 0.5)
    assert Curve("ReLU", 0.1, (0.0, 1.0), (0.9, 0.5)).reached is None
    assert Curve("ReLU", 0.1, (0.0, 1.0), (0.1, 0.0)).reached == 0


@pytest.mark.slow
def test_averaging_crops_is_measured(studio):
    pytest.importorskip("sklearn")
    found = measure_digits(load("lenet", weights="bundled"))
    told = load("lenet", weights="bundled").provenance.top1
    assert found.count == 355
    assert found.shares["centre crop"] == pytest.approx(told, abs=0.004)
    assert found.shares["ten crops"] < found.shares["five crops"]  # a mirrored digit is none
    steady = measure_steadiness(studio.alexnet, most=4)
    assert 0 < steady.changes["ten crops"] < steady.changes["centre crop"] < 1
