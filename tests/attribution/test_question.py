"""What is asked: the unit, its place, and the active units that keep it company."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

import vizcnn
from tests.support.attributing import make_photo, make_plain, run_plainly, wrap
from tests.support.small_zoo import make_model
from vizcnn.attribution.attributions import ATTRIBUTIONS, find_attributions
from vizcnn.attribution.question import (
    AttributionSettings,
    ask,
    search_class_layer,
)
from vizcnn.basics.errors import LayerError, ModelError, VizcnnError
from vizcnn.zoo.model import find_class

PHOTO = make_photo()


def test_the_strongest_unit_is_asked_about_among_those_active_at_its_place():
    model = make_plain()
    maps = run_plainly(model, PHOTO)["relu2"][0].detach()
    question, value = ask(model, PHOTO, "conv2", compare=100)
    assert value == pytest.approx(maps.max().item(), rel=1e-5)
    unit = int(question.units)
    assert maps[(unit, *question.position)] == maps.max()
    there = maps[:, question.position[0], question.position[1]]
    active = (there > 0).nonzero().flatten().tolist()
    assert question.company.tolist() == [unit, *(k for k in active if k != unit)]
    assert (question.active, question.known) == (len(active), 1)
    assert len(active) > 3
    few, _ = ask(model, PHOTO, "conv2", compare=2)
    assert len(few.company) == 3
    assert set(few.company.tolist()) < set(question.company.tolist())
    assert few.active == len(active)


def test_a_silent_unit_is_not_in_the_company():
    model = make_plain()
    maps = run_plainly(model, PHOTO)["relu2"][0].detach()
    unit = int((maps[:, 5, 5] == 0).nonzero()[0])
    question, value = ask(model, PHOTO, "conv2", unit, (5, 5))
    assert value == 0
    assert unit not in question.company.tolist()
    assert question.known == 0


def test_the_classes_are_found_where_the_layers_name_none():
    assert search_class_layer(make_plain(), PHOTO) == "fc"
    squeezenet = vizcnn.load("squeezenet1_1", weights=None, seed=1)
    photo = make_photo(224)
    layer = search_class_layer(squeezenet, photo)
    question, value = ask(squeezenet, photo, layer)
    logits = squeezenet.logits(photo)[0]
    assert question.units.item() == logits.argmax().item()
    assert value == pytest.approx(logits.max().item(), rel=1e-4)
    assert not question.has_places


def test_a_net_that_puts_out_no_numbers_is_told_so():
    model = make_plain()
    with torch.no_grad():
        model.module.get_parameter("head.weight").fill_(torch.nan)
    with pytest.raises(ModelError, match="'fc' puts out values that are not finite"):
        ask(model, PHOTO, search_class_layer(model, PHOTO))


def test_of_classes_of_one_name_the_number_is_needed():
    model = replace(make_model(), classes=("crane", "dog", "Crane", "cat"))
    assert find_class(model, "2") == 2
    with pytest.raises(LayerError, match=r"2 classes are named 'crane': give the number.* 0, 2"):
        find_class(model, "crane")


def test_classes_have_names_and_numbers():
    model = make_model()
    assert find_class(model, "DOG") == 1
    assert find_class(model, "3") == 3
    for wrong in ("4", "-1", "", "²", "dgo"):
        with pytest.raises(LayerError, match="no class"):
            find_class(model, wrong)


def test_a_whole_map_is_refused():
    with pytest.raises(LayerError, match="give max or ROW,COLUMN"):
        ask(make_plain(), PHOTO, "conv2", position="all")


def test_a_unit_that_sees_padding_only_is_refused():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=4), nn.ReLU())
    model = wrap(net, {"conv1": "1"})
    assert ask(model, PHOTO, "conv1", 0, (2, 2))[0].box == (0, 0, 1, 1)
    with pytest.raises(LayerError, match=r"position \(0, 1\) of layer 'conv1' sees padding only"):
        ask(model, PHOTO, "conv1", 0, (0, 1))


@pytest.mark.parametrize("given", [{"fill": "pink"}, {"steps": 0}, {"side": 0}, {"stride": "x"}])
def test_choices_are_checked(given):
    with pytest.raises(VizcnnError, match="needed"):
        AttributionSettings(**given)


def test_methods_have_names():
    assert [found.name for found in find_attributions([])] == list(ATTRIBUTIONS)
    with pytest.raises(VizcnnError, match="did you mean 'grad-cam'"):
        find_attributions(["gradcam"])


@pytest.mark.parametrize("name", ATTRIBUTIONS)
@pytest.mark.parametrize("layer", ["fc", "conv2"])
def test_every_method_has_its_shape_and_leaves_the_net_alone(name, layer):
    model = make_plain("in place")
    before = deepcopy(model.module.state_dict())
    flags = [parameter.requires_grad for parameter in model.module.parameters()]
    question, _ = ask(model, PHOTO, layer)
    maps = ATTRIBUTIONS[name].attribute(question.about(question.company))
    channels = 3 if ATTRIBUTIONS[name].colours else 1
    assert maps.shape == (len(question.company), channels, 24, 24)
    assert maps.dtype == torch.float32
    assert maps.abs().amax() > 0
    assert all(
        not part._forward_hooks and not part._forward_pre_hooks for part in model.module.modules()
    )
    assert all(parameter.grad is None for parameter in model.module.parameters())
    assert [parameter.requires_grad for parameter in model.module.parameters()] == flags
    after = model.module.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    # one unit alone is the same as in company
    alone = ATTRIBUTIONS[name].attribute(question)
    assert torch.allclose(alone, maps[:1], rtol=1e-4, atol=1e-6 * float(maps.abs().max()))


def test_classes_that_a_function_puts_out_are_found():
    class Averaging(nn.Sequential):
        def forward(self, x):
            return super().forward(x).mean((2, 3))

    net = Averaging(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1)).eval()
    model = vizcnn.wrap(net, input_size=PHOTO.shape[-1])
    assert search_class_layer(model, PHOTO) == "mean"
    question, value = ask(model, PHOTO, "mean")
    scores = net(model.preprocessing.normalise(PHOTO))[0]
    assert question.units.item() == scores.argmax().item()
    assert value == pytest.approx(scores.max().item(), rel=1e-5)
