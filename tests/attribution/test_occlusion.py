"""Occlusion: against a loop, and Captum where squares fit."""

import pytest
import torch
from captum.attr import Occlusion

from tests.support.attributing import make_photo, make_plain, run_plainly
from tests.support.projecting import relative_error
from vizcnn.attribution.attributions import ATTRIBUTIONS
from vizcnn.attribution.occlusion import choose_squares
from vizcnn.attribution.question import AttributionSettings, ask
from vizcnn.basics.errors import ImageError

PHOTO = make_photo()
OCCLUSION = ATTRIBUTIONS["occlusion"]


def read_plainly(model, pixels, question, unit):
    maps = run_plainly(model, pixels)[{"fc": "head"}.get(question.layer, "relu2")]
    return (maps[0, unit] if maps.ndim == 2 else maps[(0, unit, *question.position)]).item()


@pytest.mark.parametrize("layer", ["fc", "conv2"])
@pytest.mark.parametrize(("side", "stride"), [(5, 4), (24, 3), (1, 1), (4, 4)])
def test_occlusion_is_the_loop_over_squares(layer, side, stride):
    model = make_plain("in place")
    question, value = ask(model, PHOTO, layer)
    settings = AttributionSettings(side=side, stride=stride, fill="white")
    got = OCCLUSION.attribute(question.about(question.company), settings)
    starts = sorted({*range(0, 24 - side + 1, stride), 24 - side})
    for unit, found in zip(question.company.tolist()[:2], got, strict=False):
        total, hits = torch.zeros(24, 24), torch.zeros(24, 24)
        whole = read_plainly(model, PHOTO, question, unit)
        for top in starts:
            for left in starts:
                hidden = PHOTO.clone()
                hidden[0, :, top : top + side, left : left + side] = 1.0
                drop = whole - read_plainly(model, hidden, question, unit)
                total[top : top + side, left : left + side] += drop
                hits[top : top + side, left : left + side] += 1
        assert hits.min() > 0
        error = (found[0] - total / hits).abs().max().item()
        assert error < 1e-5 * max(abs(value), (total / hits).abs().max().item())


@pytest.mark.parametrize(("side", "stride"), [(6, 6), (8, 4)])
def test_occlusion_is_captums(side, stride):
    model = make_plain()
    question, _ = ask(model, PHOTO, "fc", unit=2)
    forward = lambda pixels: run_plainly(model, pixels)["head"]  # noqa: E731
    with torch.no_grad():
        wanted = Occlusion(forward).attribute(
            PHOTO, (3, side, side), (3, stride, stride), baselines=0.5, target=2
        )
    settings = AttributionSettings(side=side, stride=stride, fill="grey")
    assert relative_error(OCCLUSION.attribute(question, settings), wanted[:, :1]) < 1e-4


def test_what_lies_out_of_sight_has_no_part():
    question, _ = ask(make_plain(), PHOTO, "conv2")
    found = OCCLUSION.attribute(question, AttributionSettings(side=2, stride=1))[0, 0]
    top, left, bottom, right = question.box
    assert (bottom - top) < 24
    inside = torch.zeros(24, 24, dtype=torch.bool)
    inside[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = True
    assert found[inside].abs().max() > 0
    assert found[~inside].abs().max() == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"side": 25}, "does not fit the net's 24 px"), ({"side": 3, "stride": 4}, "never hidden")],
)
def test_squares_that_make_no_sense_are_refused(settings, words):
    question, _ = ask(make_plain(), PHOTO, "fc")
    with pytest.raises(ImageError, match=words):
        OCCLUSION.attribute(question, AttributionSettings(**settings))


def test_squares_are_as_large_as_what_is_seen():
    model = make_plain()
    for layer, squares in (("fc", (3, 2)), ("conv2", (1, 1))):
        question, _ = ask(model, PHOTO, layer)
        assert choose_squares(question, AttributionSettings()) == squares
