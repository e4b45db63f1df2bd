"""Gradient times input and integrated gradients: against Captum, and formulas without it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient, Saliency
from torch import nn

from tests.support.attributing import SIZE, make_photo, make_plain, run_plainly, wrap
from tests.support.projecting import relative_error
from vizcnn.attribution.attributions import ATTRIBUTIONS
from vizcnn.attribution.gradients import measure_completeness
from vizcnn.attribution.question import AttributionSettings, ask, find_fill

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")
PHOTO = make_photo()
WAYS = ("module", "in place", "function")


@pytest.mark.parametrize("way", WAYS)
def test_gradient_is_captums_at_the_pixels(way):
    model = make_plain(way)
    question, _ = ask(model, PHOTO, "fc", unit=2)
    forward = lambda pixels: run_plainly(model, pixels)["head"]  # noqa: E731
    wanted = Saliency(forward).attribute(PHOTO.clone(), target=2, abs=False)
    assert relative_error(ATTRIBUTIONS["gradient"].attribute(question), wanted) < 1e-5


@pytest.mark.parametrize("way", WAYS)
def test_gradient_times_input_is_captums_at_the_nets_own_input(way):
    model = make_plain(way)
    question, _ = ask(model, PHOTO, "fc", unit=2)
    inputs = model.preprocessing.normalise(PHOTO)
    plain = make_plain("module").module  # the same weights; Captum hooks nothing here
    wanted = InputXGradient(plain).attribute(inputs.requires_grad_(), target=2)
    got = ATTRIBUTIONS["gradient-x-input"].attribute(question)
    assert relative_error(got, wanted.sum(1, keepdim=True).detach()) < 1e-5


def test_gradient_times_input_adds_up_to_the_value_without_biases():
    model = make_plain()
    with torch.no_grad():
        for name, values in model.module.named_parameters():
            values.mul_(0 if name.endswith("bias") else 1)
    question, value = ask(model, PHOTO, "fc", unit=1)
    assert ATTRIBUTIONS["gradient-x-input"].attribute(question).sum().item() == pytest.approx(
        value, rel=1e-4
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("layer", "unit"), [("fc", 4), ("conv2", 3)])
def test_integrated_gradients_are_the_sum_along_the_path(way, layer, unit):
    model = make_plain(way)
    question, _ = ask(model, PHOTO, layer, unit)
    settings = AttributionSettings(steps=7, fill="black")
    places, weights = np.polynomial.legendre.leggauss(7)
    total = torch.zeros_like(PHOTO)
    name = {"fc": "head", "conv2": model.layers["conv2"]}[layer]
    for place, weight in zip((1 + places) / 2, weights / 2, strict=True):
        pixels = (PHOTO * place).float().requires_grad_()
        maps = run_plainly(model, pixels)[name]
        value = maps[0, unit] if maps.ndim == 2 else maps[(0, unit, *question.position)]
        total += float(weight) * torch.autograd.grad(value, pixels)[0]
    wanted = (total * PHOTO).sum(1, keepdim=True)
    got = ATTRIBUTIONS["integrated-gradients"].attribute(question, settings)
    assert relative_error(got, wanted) < 1e-4


def test_integrated_gradients_of_a_linear_net_are_complete_in_one_step():
    linear = nn.Linear(3 * SIZE**2, 5)
    model = wrap(nn.Sequential(nn.Flatten(), linear), {"fc": "1"})
    question, value = ask(model, PHOTO, "fc", unit=3)
    question = question.about(torch.arange(5))
    settings = AttributionSettings(steps=1)
    maps = ATTRIBUTIONS["integrated-gradients"].attribute(question, settings)
    bias = linear.bias[3].item()
    assert maps[3].sum().item() == pytest.approx(value - bias, rel=1e-4)
    assert measure_completeness(question, settings, maps) == pytest.approx([0] * 5, abs=1e-4)
    assert measure_completeness(question, settings, 2 * maps) == pytest.approx([1.0] * 5, rel=1e-3)


def test_more_steps_are_more_complete():
    question, _ = ask(make_plain(), PHOTO, "fc", unit=0)
    errors: list[Any] = []
    for steps in (2, 64):
        settings = AttributionSettings(steps=steps)
        maps = ATTRIBUTIONS["integrated-gradients"].attribute(question, settings)
        errors += measure_completeness(question, settings, maps)
    assert errors[1] < min(errors[0], 0.02)


def test_fills_are_colours_of_pixels():
    model = make_plain()
    zero = model.preprocessing.normalise(find_fill(model, "mean").expand(1, 3, 4, 4))
    assert zero.abs().max() < 1e-6
    fills: Any = (("black", 0), ("grey", 0.5), ("white", 1))
    for name, value in fills:
        assert find_fill(model, name).flatten().tolist() == [value] * 3


@pytest.mark.parametrize("method", ["deconvnet", "guided", "gradient"])
def test_own_parts_are_orthogonal_to_what_is_shared(method):
    question, _ = ask(make_plain(), PHOTO, "conv2")
    everyone = question.about(question.company)
    whole = ATTRIBUTIONS[method].attribute(everyone).flatten(1).double()
    own = ATTRIBUTIONS[f"own-{method}"].attribute(everyone).flatten(1).double()
    common = whole - own
    # all of the common parts are one picture, by an independent decomposition
    unit = whole[whole.norm(dim=1) > 0]
    _, _, vectors = torch.linalg.svd(unit / unit.norm(dim=1, keepdim=True), full_matrices=False)
    expected = (whole @ vectors[0])[:, None] * vectors[0]
    assert relative_error(common, expected) < 1e-5
    assert (own @ vectors[0]).abs().max() / whole.norm() < 1e-6
    alone = ATTRIBUTIONS[f"own-{method}"].attribute(question).flatten(1).double()
    assert relative_error(alone, own[:1]) < 1e-5


@pytest.mark.parametrize("method", ["deconvnet", "guided", "gradient"])
def test_of_a_unit_alone_all_is_its_own(method):
    """And not what rounding leaves of a picture minus itself."""
    question, _ = ask(make_plain(), PHOTO, "conv2")
    alone = replace(question, company=question.units, active=1)
    whole, own = (ATTRIBUTIONS[name].attribute(alone) for name in (method, f"own-{method}"))
    assert whole.any() and torch.equal(whole, own)
