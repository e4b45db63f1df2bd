"""The cascade against closed forms, the explicit mirrored net and Quantus."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn.utils import parametrizations, prune

from tests.support.check_nets import SIDE, draw_pixels, make_linear
from tests.support.small_zoo import make_model
from vizcnn import Projector
from vizcnn.basics.errors import LayerError, ModelError
from vizcnn.measures.cascade import Cascade, find_edges, list_cascade, shuffle, study_cascade
from vizcnn.measures.checks import CheckSettings, plan_layers
from vizcnn.measures.method_evidence import ShuffledNet
from vizcnn.measures.method_pictures import CHECKED_METHODS
from vizcnn.projection.methods import METHODS
from vizcnn.zoo import load

MODEL = make_model()
PIXELS = draw_pixels(3, MODEL.input_size)


def test_layers_go_from_the_top_down_with_all_that_is_theirs():
    found = list_cascade(MODEL, "fc7")
    assert [layer.name for layer in found] == ["fc7", "fc6", *(f"conv{k}" for k in (5, 4, 3, 2, 1))]
    assert [name for layer in found for name in layer.parameters] == [
        f"{number}.{kind}" for number in (14, 12, 9, 7, 5, 3, 0) for kind in ("weight", "bias")
    ]
    assert [layer.name for layer in list_cascade(MODEL, "conv2")] == ["conv2", "conv1"]


@pytest.mark.parametrize("name", ["googlenet", "squeezenet1_1"])
def test_no_parameter_of_a_branching_net_is_missing(name):
    net = load(name, weights=None)
    found = [p for layer in list_cascade(net, list(net.layers)[-1]) for p in layer.parameters]
    assert sorted(found) == sorted(name for name, _ in net.module.named_parameters())


def test_without_such_a_layer_or_weights_there_is_no_cascade():
    with pytest.raises(LayerError, match="no layer 'conv9'"):
        list_cascade(MODEL, "conv9")
    assert isinstance(MODEL.module, nn.Sequential)
    net = nn.Sequential(nn.Identity(), *MODEL.module)
    with pytest.raises(LayerError, match="nothing below it has weights"):
        list_cascade(replace(MODEL, module=net, layers={"fc7": "15"}), "0")


def test_weights_are_shuffled_not_redrawn():
    values = torch.randn(4, 3, 5, 5)
    found = shuffle(values, torch.Generator().manual_seed(1))
    assert found.shape == values.shape and not torch.equal(found, values)
    assert torch.equal(found.flatten().sort().values, values.flatten().sort().values)
    # all places are as likely: no value keeps to its filter
    again = shuffle(torch.arange(900.0), torch.Generator().manual_seed(2))
    assert abs(np.corrcoef(again.numpy(), np.arange(900))[0, 1]) < 0.1


def test_shuffling_nothing_is_perfect_agreement():
    found = study_cascade(MODEL, PIXELS, "fc7", CHECKED_METHODS)
    for method in CHECKED_METHODS:
        for switches in ("recomputed", "trained"):
            none = found.agreements[method, switches, 0]
            for values in (none.rank, none.magnitude, none.similarity):
                assert values == pytest.approx(np.ones(3), abs=1e-9)
    # and the recomputed pass of an untouched net is that of the net
    cascade = Cascade(MODEL, "fc7", ["gradient"])
    targets = cascade.choose_targets(PIXELS)
    assert targets.units.tolist() == MODEL.logits(PIXELS).argmax(dim=1).tolist()
    _, _, first = next(cascade.project(PIXELS, targets))
    for row, unit in enumerate(targets.units.tolist()):
        alone = Projector(MODEL, "gradient").project(PIXELS[row : row + 1], "fc7", unit)
        assert torch.allclose(first["gradient"].pixels[row], alone.pixels[0], atol=1e-7)


def test_the_net_is_left_as_it_was():
    before = copy.deepcopy(MODEL.module.state_dict())
    study_cascade(MODEL, PIXELS[:1], "conv2", ["deconvnet"])
    after = MODEL.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(part._forward_hooks for part in MODEL.module.modules())


def test_a_linear_nets_pictures_are_rows_of_the_shuffled_product():
    model = make_linear()
    pixels = draw_pixels(2)
    cascade = Cascade(model, "fc2", CHECKED_METHODS, seed=4)
    targets = cascade.choose_targets(pixels)
    std = torch.tensor(model.preprocessing.std)[:, None, None]
    trained = {name: value.clone() for name, value in model.module.named_parameters()}
    steps = []
    for count, switches, found in cascade.project(pixels, targets):
        steps.append((count, switches))
        now = dict(cascade.model.module.named_parameters())
        product = (now["2.weight"] @ now["1.weight"]).detach().view(4, 3, SIDE, SIDE) / std
        for row, unit in enumerate(targets.units.tolist()):
            for method in METHODS:
                assert torch.allclose(found[method].pixels[row], product[unit], atol=1e-5)
            times = product[unit] * (pixels[row] - 0.5)
            assert torch.allclose(found["gradient-x-input"].pixels[row], times, atol=1e-5)
        for name, layer in (("2.weight", 1), ("1.weight", 2)):
            assert torch.equal(now[name], trained[name]) == (count < layer)
    assert steps == [
        *((0, "recomputed"), (1, "trained"), (1, "recomputed")),
        *((2, "trained"), (2, "recomputed")),
    ]


@pytest.mark.parametrize("method", METHODS)
def test_trained_switches_are_those_of_the_mirrored_net(method):
    """The explicit chain of the trained pass, its filters replaced by the shuffled ones."""
    cascade = Cascade(MODEL, "fc7", [method], seed=1)
    photo = PIXELS[:1]
    targets = cascade.choose_targets(photo)
    chain = Projector(MODEL, method).mirror(photo, "fc7")
    filters = [step for step in chain if isinstance(getattr(step, "weight", None), torch.Tensor)]
    seed = torch.zeros(1, 4)
    seed[0, targets.units[0]] = 1
    seen = 0
    for count, switches, found in cascade.project(photo, targets):
        now = [value for value in cascade.model.module.parameters() if value.ndim > 1]
        for step, weight in zip(filters, reversed(now), strict=True):
            step.weight = weight.detach()
        if switches == "trained":
            expected = MODEL.preprocessing.to_pixel_gradient(chain(seed))
            size = expected.abs().max()
            assert size > 0 and (found[method].pixels - expected).abs().max() < 1e-5 * size
            seen += count
    assert seen == 28


def test_a_layers_units_are_compared_in_their_receptive_field():
    found = study_cascade(MODEL, PIXELS, "conv2", ["gradient"], seed=2)
    target = Projector(MODEL, "gradient").project(PIXELS[:1], "conv2", count=1)
    top, left, bottom, right = target.boxes[0].tolist()
    assert found.shown.unit == int(target.units[0])
    assert found.shown.photo.shape == (3, bottom - top, right - left)
    trained, one, two = found.shown.pictures["gradient", "recomputed"]
    assert np.allclose(trained, target.cut(0).numpy(), atol=1e-6)
    expected = [spearmanr(trained.ravel(), other.ravel()).statistic for other in (one, two)]
    told = [found.agreements["gradient", "recomputed", count].rank[0] for count in (1, 2)]
    assert told == pytest.approx(expected, abs=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_quantus_finds_the_same_correlations():
    """Its randomisation test, given the same pictures step by step."""
    try:
        from quantus.functions.similarity_func import correlation_spearman
        from quantus.metrics.randomisation.mprt import MPRT
    except ImportError as error:  # its OpenCV asks for libraries of a desktop
        pytest.skip(f"Quantus cannot be loaded here: {error}")
    found = study_cascade(MODEL, PIXELS, "fc7", ["guided"], seed=6)
    cascade = Cascade(MODEL, "fc7", ["guided"], seed=6)
    targets = cascade.choose_targets(PIXELS)
    pictures = [
        projections["guided"].pixels.numpy()
        for _, switches, projections in cascade.project(PIXELS, targets)
        if switches == "recomputed"
    ]
    steps = iter(pictures)

    def explain(model, inputs, targets, **_):
        return next(steps)

    told = MPRT(
        abs=False, normalise=False, disable_warnings=True, similarity_func=correlation_spearman
    )(
        model=MODEL.module,
        x_batch=PIXELS.numpy(),
        y_batch=targets.units.numpy(),
        a_batch=pictures[0],
        explain_func=explain,
    )
    assert isinstance(told, dict) and len(told) == len(pictures)
    for count, values in enumerate(told.values()):
        ours = found.agreements["guided", "recomputed", count].rank
        assert ours == pytest.approx(values, abs=1e-9)


def test_edges_are_where_the_photo_changes():
    photo = np.zeros((3, 20, 20), dtype=np.float32)
    photo[:, :, 10:] = 0.5
    edges = find_edges(photo)
    assert edges[:, 9:11].min() > 0.2 and edges[:, :8].max() == edges[:, 12:].max() == 0


def test_weights_that_are_made_of_others_are_refused():
    net = copy.deepcopy(MODEL)
    parametrizations.weight_norm(net.module.get_submodule("3"))
    with pytest.raises(ModelError, match="'3' are made of others"):
        Cascade(net, "fc7", ["gradient"])


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize(
    "make",
    [
        torch.nn.utils.weight_norm,
        torch.nn.utils.spectral_norm,
        lambda part: prune.random_unstructured(part, "weight", 0.5),
    ],
)
def test_weights_that_older_hooks_make_are_refused_before_anything_is_measured(make):
    net = copy.deepcopy(MODEL)
    make(net.module.get_submodule("3"))
    with pytest.raises(ModelError, match="'weight' of '3' is made of others"):
        plan_layers(net, CheckSettings())
    with pytest.raises(ModelError, match="'weight' of '3' is made of others"):
        Cascade(net, "fc7", ["gradient"])


def test_weights_that_layers_share_are_lost_with_the_highest():
    net = copy.deepcopy(MODEL)
    net.module.get_submodule("9").weight = net.module.get_submodule("5").weight
    cascade = Cascade(net, "fc7", ["gradient"])
    parameters = [layer.parameters for layer in cascade.layers if layer.name in ("conv5", "conv3")]
    assert parameters == [("5.weight", "9.bias"), ("5.bias",)]
    before = net.module.get_parameter("5.weight").detach().clone()
    names = ShuffledNet(net, "fc7", 0).names
    assert names == ("fc7", "fc6", "conv5", "conv4")
    assert torch.equal(net.module.get_parameter("9.weight"), before)
