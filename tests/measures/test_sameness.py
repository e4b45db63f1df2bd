"""How alike pictures are, against the filters of one convolution and the rows of a linear net."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.check_nets import draw_pixels, make_convolution, make_linear
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import LayerError
from vizcnn.measures.method_pictures import CHECKED_METHODS
from vizcnn.measures.sameness import check_layers, find_cosines, study_sameness
from vizcnn.projection.methods import METHODS

PIXELS = draw_pixels(5)


def find_active(model, pixels):
    """The units above zero at the place of the strongest one, by plain convolution."""
    inputs = model.preprocessing.normalise(pixels)
    for maps in model.module.get_submodule("0")(inputs).detach():
        unit, row, column = np.unravel_index(int(maps.argmax()), maps.shape)
        yield int(unit), (maps[:, row, column] > 0).nonzero()[:, 0].tolist(), (row, column)


def test_of_one_convolution_they_are_the_filters():
    model = make_convolution()
    found = study_sameness(model, PIXELS, ["conv1"], list(METHODS), 64)
    std = np.array(model.preprocessing.std)[:, None, None]
    filters = model.module.get_parameter("0.weight").detach().double().numpy() / std
    rows = filters.reshape(8, -1) / np.linalg.norm(filters.reshape(8, -1), axis=1)[:, None]
    cosines = rows @ rows.T
    for method in METHODS:
        told = found.found["conv1", method]
        for photo, (unit, active, _) in enumerate(find_active(model, PIXELS)):
            others = [other for other in active if other != unit]
            assert told.active[photo] == told.compared[photo] == len(active)
            middle = np.median(cosines[unit, others])
            assert told.cosines[photo] == pytest.approx(middle, abs=1e-5)
            gram = cosines[np.ix_(active, active)]
            number = len(active) ** 2 / (gram**2).sum()
            assert told.effective[photo] == pytest.approx(number, rel=1e-5)


def test_so_many_of_the_active_units_are_projected():
    model = make_convolution()
    few = study_sameness(model, PIXELS, ["conv1"], ["gradient"], 3).found["conv1", "gradient"]
    all_ = study_sameness(model, PIXELS, ["conv1"], ["gradient"], 64).found["conv1", "gradient"]
    assert few.compared.tolist() == np.minimum(all_.compared, 3).tolist()
    assert few.active.tolist() == all_.active.tolist()


def test_the_place_is_shown_with_its_own_parts():
    model = make_convolution()
    shown = study_sameness(model, PIXELS, ["conv1"], CHECKED_METHODS, 64).shown
    unit, active, position = next(find_active(model, PIXELS))
    assert shown.units[0] == unit and shown.position == position
    assert set(shown.units) == set(active) and shown.active == len(active)
    row, column = position
    patch = PIXELS[0, :, row : row + 5, column : column + 5].numpy()
    assert np.array_equal(shown.patch, patch)
    for method in CHECKED_METHODS:
        whole, own = (part[method].reshape(len(active), -1) for part in (shown.pictures, shown.own))
        common = whole - own
        assert np.abs((own * common).sum(axis=1)).max() < 1e-5 * (whole**2).sum()
        # all that is taken away is one picture
        assert np.linalg.matrix_rank(common, tol=1e-4) == 1
        expected = 1 - (common**2).sum(axis=1) / (whole**2).sum(axis=1)
        assert shown.selectivity[method] == pytest.approx(expected, abs=1e-5)


def test_classes_of_a_linear_net_are_rows_of_its_product():
    model = make_linear()
    found = study_sameness(make_convolution_before(model), PIXELS, ["conv1"], list(METHODS), 4)
    below, above = (model.module.get_parameter(f"{layer}.weight") for layer in (1, 2))
    weight = above @ below
    std = torch.tensor(model.preprocessing.std)[:, None, None]
    pictures = (weight.detach().view(4, 3, 12, 12) / std).flatten(1).double()
    order = model.logits(PIXELS).topk(2).indices
    expected = torch.cosine_similarity(pictures[order[:, 0]], pictures[order[:, 1]], dim=1)
    signs = model.logits(PIXELS).gather(1, order).sign().prod(dim=1)
    assert signs.abs().min() == 1
    for method in METHODS:
        assert found.found["fc2", method].cosines == pytest.approx(expected.numpy(), abs=1e-5)


def make_convolution_before(model):
    """Put a convolution that changes nothing before a net: a layer with maps."""
    same = nn.Conv2d(3, 3, 1, bias=False)
    with torch.no_grad():
        same.weight.copy_(torch.eye(3)[:, :, None, None])
    net = nn.Sequential(same, *model.module)
    return replace(model, module=net, layers={"conv1": "0", "fc1": "2", "fc2": "3"})


def test_cosines_of_tiny_and_of_empty_pictures():
    found = find_cosines(
        torch.full((2, 2), 1e-30), torch.stack([torch.ones(2, 2), torch.zeros(2, 2)])
    )
    assert float(found[0]) == pytest.approx(1) and found[1].isnan()


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (["conv9"], "no layer 'conv9'"),
        (["fc6"], "fc6 has no feature maps: give a convolutional layer"),
        (["fc7"], "the units of fc7 are the classes: give a layer below it"),
        ([], "no layer is named"),
    ],
)
def test_layers_are_looked_at_first(layers, words):
    with pytest.raises(LayerError, match=words):
        check_layers(make_model(), layers, ["gradient"])


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"conv1": "0"}, "conv1, the last layer that Tiny names, has 8 units for 3 classes"),
        ({}, "Tiny names no layers"),
    ],
)
def test_a_net_that_does_not_name_its_classes_is_refused(named, words):
    with pytest.raises(LayerError, match=words):
        check_layers(replace(make_convolution(), layers=named), ["0"], ["gradient"])


def test_where_no_unit_is_active_none_is_said_to_be():
    model = make_convolution()
    with torch.no_grad():
        model.module.get_parameter("0.bias").fill_(-100.0)
    found = study_sameness(model, PIXELS, ["conv1"], ["gradient"], 64)
    assert found.found["conv1", "gradient"].active.tolist() == [0] * 5
    assert found.shown.active == 0 and len(found.shown.units) == 1
    assert np.isnan(found.shown.selectivity["gradient"]).all()
    # not what rounding leaves of it minus itself
    assert np.array_equal(found.shown.own["gradient"], found.shown.pictures["gradient"])
