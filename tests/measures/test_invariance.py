"""Invariance and equivariance, against nets whose answer is known and against plain numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vizcnn
from tests.support.small_zoo import draw_noise, make_model, paint_photo
from vizcnn.basics.errors import ImageError
from vizcnn.measures.invariance import (
    Movement,
    measure_invariance,
    measure_yardsticks,
)
from vizcnn.measures.invariance_curves import (
    average,
    describe_layers,
    summarise_rows,
    tabulate_changes,
)
from vizcnn.photos.transforms import STILL, Kind, Transform
from vizcnn.receptive import measure_fields

SIZE = 32
PHOTOS = [draw_noise(60, 50), draw_noise(50, 60), draw_noise(70, 70)]
AMOUNTS: dict[Kind, tuple[float, ...]] = {
    "shift": (-6.0, -1.0, 0.0, 4.0),
    "scale": (0.8, 1.0, 1.5),
    "rotate": (0.0, 90.0, 200.0),
}


def wrap_net(module: nn.Module):
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=0.3)
    return replace(make_model(), module=module.eval(), layers={})


def measure(model, layers, amounts, movement, photo=PHOTOS[0]):
    rulers = measure_yardsticks(model, PHOTOS, measure_fields(model, layers), movement)
    return measure_invariance(model, photo, amounts, rulers, movement), rulers


def test_a_circular_shift_of_a_convolutional_net_moves_its_maps():
    net = wrap_net(
        nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular"),
            nn.ReLU(),
            nn.Conv2d(5, 4, 5, padding=2, padding_mode="circular"),
            nn.Tanh(),
        )
    )
    amounts = {"shift": (-9.0, 0.0, 1.0, 16.0)}
    change, _ = measure(net, ["1", "3"], amounts, Movement("wrap"))
    assert not change.kinds["shift"].filled.any()
    for layer in change.kinds["shift"].layers:
        assert np.allclose(layer.returned, 0, atol=1e-6)
        assert np.array_equal(layer.returned, layer.inside)
        assert (layer.distances[[0, 2, 3]] > 1).all() and layer.distances[1] < 1e-5


def test_only_a_shift_brings_back_on_the_other_side_what_it_takes_away():
    """A closer look has the same pixels with both borders, and a turn has where it is in sight."""
    net = wrap_net(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU()))
    amounts: dict[Kind, tuple[float, ...]] = {"scale": (1.5,), "rotate": (30.0,)}
    found = [measure(net, ["0"], amounts, Movement(border))[0] for border in ("wrap", "reflect")]
    (scaled,), (other,) = (change.kinds["scale"].layers for change in found)
    assert scaled.returned == pytest.approx(other.returned)
    assert scaled.inside == pytest.approx(other.inside)
    (turned,), (other,) = (change.kinds["rotate"].layers for change in found)
    assert turned.inside == pytest.approx(other.inside, rel=1e-4)


@pytest.mark.parametrize("border", ["photo", "reflect", "mask", "black"])
def test_a_shift_by_the_stride_leaves_nothing_inside(border):
    """Padded at its edges, so that only the inside can be exact; other shifts are not."""
    net = wrap_net(
        nn.Sequential(
            nn.Conv2d(3, 5, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 4, 3)
        )
    )
    amounts = {"shift": (-8.0, -4.0, -3.0, 1.0, 2.0, 4.0, 8.0)}
    change, _ = measure(net, ["0", "3"], amounts, Movement(border))
    conv1, conv2 = change.kinds["shift"].layers
    assert np.allclose(conv1.inside[[0, 1, 4, 5, 6]], 0, atol=1e-6)
    assert (conv1.inside[[2, 3]] > 0.1).all()
    assert np.allclose(conv2.inside[[0, 1, 5, 6]], 0, atol=1e-6)
    assert (conv2.returned[[2, 3, 4]] > 0.05).all()
    assert (conv1.returned >= 0).all()


def test_quarter_turns_of_a_symmetrised_net_turn_its_maps():
    class Symmetric(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            turned = [self.weight.rot90(turns, (2, 3)) for turns in range(4)]
            weight = torch.stack(turned).mean(dim=0)
            return torch.nn.functional.conv2d(x, weight, self.bias, padding=1)

    net = wrap_net(
        nn.Sequential(Symmetric(3, 6, 3), nn.ReLU(), nn.AvgPool2d(2), Symmetric(6, 4, 3), nn.ReLU())
    )
    change, _ = measure(net, ["1", "4"], {"rotate": (45.0, 90.0, 180.0, 270.0)}, Movement())
    for layer in change.kinds["rotate"].layers:
        assert np.allclose(layer.returned[1:], 0, atol=1e-6)
        assert layer.returned[0] > 0.01
        assert (layer.distances > 0.1).all()
    plain = wrap_net(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()))
    change, _ = measure(plain, ["1"], {"rotate": (90.0,)}, Movement())
    assert change.kinds["rotate"].layers[0].returned[0] > 0.1


def run_by_hand(model, pixels):
    """conv1 and fc6 of the tiny net, and its probabilities, without anything of ours."""
    like = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    with torch.no_grad():
        x = (pixels - like[0]) / like[1]
        conv1 = torch.relu(model.module[0](x))
        fc6 = torch.relu(model.module[12](model.module[:12](x)))
        return conv1.numpy(), fc6.numpy(), model.module(x).softmax(dim=1).numpy()


@pytest.mark.parametrize("border", ["reflect", "mask"])
def test_distances_and_probabilities_are_those_of_numpy(border):
    model = make_model()
    movement = Movement(border, 0.9)
    change, rulers = measure(model, ["conv1", "fc6"], AMOUNTS, movement)
    stills = [run_by_hand(model, movement.show(model, p, [STILL])[0])[:2] for p in PHOTOS]
    for place, ruler in enumerate(rulers):
        found = [still[place] for still in stills]
        pairs = [np.square(found[i] - found[j]).sum() for i in range(3) for j in range(i)]
        assert ruler.distance == pytest.approx(np.sqrt(np.mean(pairs)), rel=1e-5)
    still, _ = movement.show(model, PHOTOS[0], [STILL])
    best = run_by_hand(model, still)[2].argmax()
    assert (change.class_number, change.is_true) == (best, False)
    colour = model.preprocessing.mean_colour.numpy()[None]
    for kind, amounts in AMOUNTS.items():
        for step, amount in enumerate(amounts):
            pixels, known = movement.show(model, PHOTOS[0], [Transform(kind, amount)])
            before = still.numpy()
            if border == "mask":
                before = np.where(known[:, None], before, colour).astype(np.float32)
            *maps, probabilities = run_by_hand(model, pixels)
            *others, _ = run_by_hand(model, torch.from_numpy(before))
            for place, (one, other) in enumerate(zip(maps, others, strict=True)):
                told = change.kinds[kind].layers[place].distances[step]
                assert told == pytest.approx(np.linalg.norm(one - other), rel=1e-4, abs=1e-4)
            told = change.kinds[kind].probabilities[step]
            assert told == pytest.approx(probabilities[0, best], abs=1e-5)
            assert change.kinds[kind].filled[step] == pytest.approx(1 - known.mean())


def test_a_map_moved_back_is_compared_where_it_is_in_sight():
    """A shift by two units of conv1, by slices: 30 of 32 rows are left."""
    model = make_model()
    movement = Movement("reflect")
    change, (ruler,) = measure(model, ["conv1"], {"shift": (2.0,)}, movement)
    moved, _ = movement.show(model, PHOTOS[0], [Transform("shift", 2)])
    still, _ = movement.show(model, PHOTOS[0], [STILL])
    (one, _, _), (other, _, _) = (run_by_hand(model, pixels) for pixels in (moved, still))
    error = np.square(one[0, :, 2:] - other[0, :, :-2]).sum()
    (layer,) = change.kinds["shift"].layers
    assert layer.returned[0] == pytest.approx(np.sqrt(error / ruler.spread[:-2].sum()), rel=1e-4)
    assert layer.inside[0] == pytest.approx(0, abs=1e-6)


def test_the_true_class_is_that_of_the_folder(tmp_path):
    model = make_model()
    photo = paint_photo(tmp_path / "dog" / "1.png")
    change, _ = measure(model, ["conv1"], {"shift": (1.0,)}, Movement(), photo)
    assert (change.class_number, change.is_true) == (1, True)


def test_nets_are_left_as_they_are_and_grey_nets_work():
    model = vizcnn.load("lenet", weights="bundled")
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    change, _ = measure(model, ["conv1", "fc4"], {"shift": (0.0, 4.0)}, Movement("mask"))
    assert change.kinds["shift"].layers[0].inside == pytest.approx([0, 0], abs=1e-6)
    assert np.isnan(change.kinds["shift"].layers[1].returned).all()
    after = model.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not model.module.training


def test_what_cannot_be_measured_is_refused():
    model = make_model()
    with pytest.raises(ImageError, match="two photos at least"):
        measure_yardsticks(model, PHOTOS[:1], measure_fields(model, ["conv1"]))
    for fit in ("pad", "none"):
        other = replace(model, preprocessing=replace(model.preprocessing, fitting=fit))
        with pytest.raises(ImageError, match="use fit crop or squash"):
            Movement().show(other, PHOTOS[0], [STILL])


def test_a_net_without_scores_has_no_probabilities():
    net = wrap_net(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    change, rulers = measure(net, ["1"], {"shift": (1.0,)}, Movement())
    assert change.class_number is None and change.kinds["shift"].probabilities is None
    layers = describe_layers(rulers)
    (row,) = tabulate_changes([change], layers, {"shift": (1.0,)})
    assert row.probabilities == ()


def test_the_table_is_the_mean_photo_without_the_photo_itself():
    model = make_model()
    amounts: dict[Kind, tuple[float, ...]] = {"shift": (-1.0, 0.0, 3.0)}
    movement = Movement()
    found = [measure(model, ["conv1", "fc6"], amounts, movement, photo) for photo in PHOTOS]
    changes, rulers = [change for change, _ in found], found[0][1]
    (row,) = tabulate_changes(changes, describe_layers(rulers), amounts)
    first, second = summarise_rows([row])
    values = np.array([c.kinds["shift"].layers[0].distances for c in changes]) / rulers[0].distance
    assert first.largest == pytest.approx(values.mean(axis=0).max())
    assert first.relative == pytest.approx(values[:, [0, 2]].mean())
    assert second.returned is None and second.inside is None
    mean, deviation = average(row.layers[0].relative)
    assert np.allclose(mean, values.mean(axis=0)) and np.allclose(deviation, values.std(axis=0))
