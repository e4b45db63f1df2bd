"""The engine's answers, by numbers that are computed another way."""

import json

import numpy as np
import pytest

import vizcnn
from tests.support.small_zoo import paint_photo
from vizcnn.explorer.explored import ExploredNet, explore_file
from vizcnn.explorer.explorer import Explorer, name_answer
from vizcnn.recording.layers import select_stages


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    photo = paint_photo(tmp_path_factory.mktemp("photos") / "a.png")
    net = vizcnn.load("lenet", weights="bundled")
    return Explorer([ExploredNet("lenet", net, select_stages(net))], [explore_file(photo)])


def read(answer, place, kind):
    return np.frombuffer(answer.content, np.dtype(kind).newbyteorder("<"), *count(place, kind))


def count(place, kind):
    return place[1] // np.dtype(kind).itemsize, place[0]


def test_everything_that_is_asked_ahead_is_answered_and_named_apart(explorer):
    asked = explorer.list_questions()
    names = [name_answer(question) for question in asked]
    assert len(set(names)) == len(names) == 1 + 3 + 2 + 3 + 3 * 2
    for question in asked:
        assert json.loads(json.dumps(explorer.ask(question).fields))


def test_maps_are_those_of_a_hook(explorer):
    net = explorer.nets[0].net
    answer = explorer.ask({"ask": "maps", "net": 0, "photo": 0, "layer": 1})
    found: dict[str, np.ndarray] = {}
    module = dict(net.module.named_modules())[net.layers["conv2"]]
    hook = module.register_forward_hook(lambda _, __, output: found.update(maps=output[0].numpy()))
    net.logits(net.read(explorer.photos[0].read()))
    hook.remove()
    maps = found["maps"]
    fields = answer.fields
    units, (height, width) = fields["units"], fields["size"]
    assert maps.shape == (units, height, width)
    low, high = (read(answer, fields[name], "f4")[:, None] for name in ("lows", "highs"))
    shown = low + read(answer, fields["bytes"], "u1").reshape(units, -1) / 255 * (high - low)
    np.testing.assert_allclose(shown, maps.reshape(units, -1), atol=(high - low).max() / 500)


def test_what_is_wrong_is_told_in_a_line(explorer):
    for question in ({}, {"ask": "x"}, {"ask": "photo", "net": 0, "photo": 1}, None):
        (line,) = explorer.answer(question).fields.values()
        assert line.startswith("got ") and "needed: " in line
