"""What speaks for a method: cases whose numbers are known beforehand."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.attributing import SIZE, make_photo, make_plain, wrap
from tests.support.small_zoo import make_model
from vizcnn.attribution.attributions import ATTRIBUTIONS
from vizcnn.attribution.hidden_passes import Squares
from vizcnn.attribution.occlusion import list_squares, measure_drops
from vizcnn.attribution.question import AttributionSettings, ask
from vizcnn.measures.method_evidence import ShuffledNet, agree_with_drops, find_selectivity

PHOTO = make_photo()
SETTINGS = AttributionSettings(side=6, stride=3)


def make_detectors(filters):
    """One convolution without padding, a rectified unit for each filter (3, 5, 5)."""
    convolution: Any = nn.Conv2d(3, len(filters), 5)
    model = wrap(nn.Sequential(convolution, nn.ReLU()), {"conv1": "1"})
    with torch.no_grad():
        convolution.weight.copy_(torch.stack(filters))
        convolution.bias.fill_(100.0)  # all are active
    return model


@pytest.mark.parametrize("method", ["deconvnet", "guided", "gradient"])
def test_disjoint_detectors_are_selective_and_equal_ones_are_not(method):
    one, two = torch.zeros(2, 3, 5, 5)
    one[:, :2], two[:, 3:] = 1.0, 1.0
    for filters, wanted in (([one, two], 1.0), ([one, 3 * one, 2 * one], 0.0)):
        question, _ = ask(make_detectors(filters), PHOTO, "conv1", 0, (7, 7))
        assert len(question.company) == len(filters)
        (own,) = ATTRIBUTIONS[method].attribute(question)
        found = find_selectivity(question, ATTRIBUTIONS[method], SETTINGS, own)
        assert found == pytest.approx(wanted, abs=1e-5)


def test_of_one_convolution_it_is_that_of_the_filters():
    filters = list(torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0)))
    question, _ = ask(make_detectors(filters), PHOTO, "conv1", 2, (3, 9))
    (own,) = ATTRIBUTIONS["gradient"].attribute(question)
    found = find_selectivity(question, ATTRIBUTIONS["gradient"], SETTINGS, own)
    # the pixels' colours lie the other way round, and each has its own scale
    scaled = torch.stack(filters).double() / torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    rows = nn.functional.normalize(scaled.flatten(1)).numpy()
    _, _, vectors = np.linalg.svd(rows)
    assert found == pytest.approx(1 - (rows[2] @ vectors[0]) ** 2, abs=1e-5)


def test_a_silent_unit_is_compared_with_the_active_ones():
    one, two = torch.zeros(2, 3, 5, 5)
    one[:, :2], two[:, 3:] = 1.0, 1.0
    model = make_detectors([one, two, two, two + 0.1 * one])
    convolution: Any = model.module[0]
    with torch.no_grad():
        convolution.bias[0] = -100.0
    question, value = ask(model, PHOTO, "conv1", 0, (7, 7))
    assert (value, question.known, question.active) == (0.0, 0, 3)
    method = ATTRIBUTIONS["deconvnet"]
    own = torch.zeros(3, SIZE, SIZE)
    assert find_selectivity(question, method, SETTINGS, own) is None
    own[:, 7:9, 7:12] = 1.0  # what the silent unit would show
    found = find_selectivity(question, method, SETTINGS, own)
    assert found is not None and found > 0.99


def test_the_drop_of_a_linear_unit_is_foretold_exactly():
    linear = nn.Linear(3 * SIZE**2, 5)
    model = wrap(nn.Sequential(nn.Flatten(), linear), {"fc": "1"})
    question, _ = ask(model, PHOTO, "fc")
    squares = list_squares(question, SETTINGS)
    drops = measure_drops(
        model, PHOTO, "fc", question.units, question.position, squares, "mean"
    ).numpy()
    values = ATTRIBUTIONS["gradient-x-input"].attribute(question)[0].numpy()
    assert agree_with_drops(values, drops, squares, question.box) == [pytest.approx(1.0)]
    assert agree_with_drops(-values, drops, squares, question.box) == [pytest.approx(-1.0)]
    sums = [values[0, row : row + 6, column : column + 6].sum() for row, column in squares.corners]
    np.testing.assert_allclose(drops[0], sums, rtol=1e-3, atol=1e-4)


def test_what_a_map_says_out_of_the_field_is_left_out():
    squares = Squares(2, ((0, 0), (0, 1), (1, 1), (2, 2)))
    values = np.zeros((1, 4, 4), dtype=np.float32)
    values[0, 1:3, 1:3] = [[1, 2], [3, 4]]
    drops = np.array([[1.0, 3.0, 10.0, 4.0]])
    values[0, 3] = values[0, :, 3] = 100.0
    assert agree_with_drops(values, drops, squares, (1, 1, 3, 3)) == [pytest.approx(1.0)]
    assert agree_with_drops(values, drops, squares, (0, 0, 4, 4))[0] < 0.9


def test_squares_that_reach_out_of_the_field_are_left_out():
    question, _ = ask(make_plain(), PHOTO, "conv2")
    top, left, bottom, right = question.box
    corners = ((top, left), (top - 1, left), (bottom - 3, right - 3), (bottom - 2, right - 3))
    kept = Squares(3, corners).keep_inside(question.box)
    assert kept == Squares(3, (corners[0], corners[2]))
    large = Squares(20, corners)
    assert large.keep_inside(question.box) is large


def test_shuffling_moves_the_weights_of_the_upper_half_only():
    model = make_model()
    before = {name: value.clone() for name, value in model.module.named_parameters()}
    # seven layers have weights: fc7, fc6, conv5, conv4 | conv3, conv2, conv1
    assert ShuffledNet(model, "fc7", 0).names == ("fc7", "fc6", "conv5", "conv4")
    found = []
    for seed in (0, 1, 0):
        again = ShuffledNet(model, "fc7", seed).model.module
        for name, value in again.named_parameters():
            original = before[name]
            assert torch.equal(value.flatten().sort().values, original.flatten().sort().values)
            assert torch.equal(value, original) == (name.split(".")[0] in ("0", "3", "5"))
        found.append(again.get_parameter("14.weight").detach())
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
    for name, value in model.module.named_parameters():
        assert torch.equal(value, before[name])
    assert ShuffledNet(model, "conv3", 0).names == ("conv3", "conv2")


def test_of_a_silenced_unit_the_next_active_one_stands_in():
    model = make_model()
    question, _ = ask(model, make_photo(32), "conv5")
    shuffled = ShuffledNet(model, "conv5", 0)
    signal = model.preprocessing.normalise(question.pixels)
    for part in list(shuffled.model.module.children())[:11]:
        signal = part(signal)
    values = signal[(0, slice(None), *question.position)]
    active = (values > 0).nonzero()[:, 0].tolist()
    assert 0 < len(active) < 10
    for unit in range(10):
        again = shuffled.ask(question.about(torch.tensor([unit])), compare=3)
        assert again is not None
        chosen = again.units.item()
        assert chosen == min(active, key=lambda other: (other - unit) % 10)
        assert again.model is shuffled.model and again.position == question.position
        assert set(again.company.tolist()) <= set(active) and again.company[0] == chosen
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.abs_().neg_()
    assert ShuffledNet(model, "conv5", 0).ask(question, 3) is None
