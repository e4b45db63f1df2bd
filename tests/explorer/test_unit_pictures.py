"""Pictures of units: the numbers and tiles of ``vizcnn deconv``, whatever else was asked for."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.explorer_answers import make_small_explorer, open_picture, read_array
from vizcnn.drawing.tiles import robust_limit
from vizcnn.pages.deconv import DeconvSettings, measure
from vizcnn.projection.deconvnet import Projector

LAYERS = ("conv1", "conv3", "fc6")


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    return make_small_explorer(tmp_path_factory.mktemp("photos"), LAYERS, compare=4, own=3)


def ask(explorer, layer, method, units=None, place=None, photo=0):
    about = {"net": 0, "photo": photo, "layer": layer, "method": method}
    return explorer.ask({"ask": "pictures", **about, "units": units, "place": place})


def take_image(answer, unit):
    start, length = unit["image"]
    return answer.content[start : start + length]


def without_image(unit):
    return {name: value for name, value in unit.items() if name != "image"}


@pytest.mark.parametrize("position", ["max", (5, 2), (0, 15), (12, 12)])
def test_numbers_and_tiles_are_those_of_the_command(explorer, position):
    place = None if position == "max" else list(position)
    net, units = explorer.nets[0].net, tuple(range(10))
    settings = DeconvSettings(
        layers=("conv3",), units=units, position=position, compare=4, part="own"
    )
    compared = 0
    for number, photo in enumerate(explorer.photos):
        section = measure(settings.attach(net), net, Path(photo.word), settings).layers[0]
        answer = ask(explorer, 1, "deconvnet-own", list(units), place, number)
        tiles = zip(section.section.tiles, section.projections, strict=True)
        for unit, (tile, drawn) in zip(answer.fields["units"], tiles, strict=True):
            assert unit["unit"] == tile.unit
            assert unit["box"] == list(tile.box)
            assert (unit["compared"], unit["active"]) == (tile.compared, tile.active)
            assert unit["activation"] == np.float32(tile.activation)
            assert (unit["selectivity"] is None) == (tile.selectivity is None)
            if tile.selectivity is not None:
                assert unit["selectivity"] == pytest.approx(tile.selectivity, rel=1e-4, abs=1e-6)
                compared += 1
            assert unit["place"] == (list(tile.position or ()) if place is None else place)
            shown = open_picture(answer, unit["image"])
            assert shown.shape == drawn.shape
            assert np.abs(shown - drawn * 255).max() <= 1  # small ones are encoded without loss
    assert compared > 5


def test_fifty_units_at_their_places_by_torch_alone(explorer):
    draw = random.Random(0)
    net = explorer.nets[0].net
    for _ in range(50):
        photo, layer, unit = draw.randrange(2), draw.randrange(2), draw.randrange(10)
        place = [draw.randrange(16), draw.randrange(16)]
        answer = ask(explorer, layer, "deconvnet", [unit], place, photo)
        (told,) = answer.fields["units"]
        pixels = net.preprocessing.normalise(net.read(explorer.photos[photo].read()))
        with torch.no_grad():
            maps = net.module[: int(net.layers[LAYERS[layer]]) + 1](pixels)[0]
        assert told["place"] == place
        assert told["activation"] == pytest.approx(float(maps[unit, *place]), rel=1e-4, abs=1e-6)
        (projected,) = Projector(net, "deconvnet").project(
            explorer.photos[photo].read(), LAYERS[layer], unit, tuple(place)
        )
        values = net.preprocessing.to_visible(projected.cut(0)).numpy()
        assert told["limit"] == pytest.approx(robust_limit(values), rel=1e-4, abs=1e-12)


def test_boxes_are_where_a_gradient_reaches(explorer):
    """Through a net of the same geometry whose weights are all one, nothing cancels."""
    plain = nn.Sequential(
        nn.Conv2d(3, 1, 3, padding=1, bias=False),
        nn.AvgPool2d(2),
        nn.Conv2d(1, 1, 3, padding=1, bias=False),
        nn.Conv2d(1, 1, 3, padding=1, bias=False),
    )
    for part in plain.parameters():
        nn.init.ones_(part)
    for row, column in ((0, 0), (5, 2), (15, 15), (8, 0)):
        (unit,) = ask(explorer, 1, "deconvnet", [3], [row, column]).fields["units"]
        image = torch.zeros(1, 3, 32, 32, requires_grad=True)
        plain(image)[0, 0, row, column].backward()
        assert image.grad is not None
        reached = image.grad[0, 0].nonzero()
        first, last = reached.amin(0).tolist(), (reached.amax(0) + 1).tolist()
        assert unit["box"] == [*first, *last]


@pytest.mark.parametrize("method", ["deconvnet", "deconvnet-own"])
@pytest.mark.parametrize("layer", range(len(LAYERS)))
def test_a_unit_alone_has_the_bytes_that_it_has_among_all(explorer, layer, method):
    together = ask(explorer, layer, method)
    units = together.fields["units"]
    assert [unit["unit"] for unit in units] == sorted(unit["unit"] for unit in units)
    for unit in units:
        alone = ask(explorer, layer, method, [unit["unit"]])
        (told,) = alone.fields["units"]
        assert without_image(told) == without_image(unit)
        assert take_image(alone, told) == take_image(together, unit)


def test_all_are_of_the_strongest_that_the_settings_name(explorer):
    whole, own = (ask(explorer, 1, method) for method in ("deconvnet", "deconvnet-own"))
    assert [unit["unit"] for unit in whole.fields["units"]] == list(range(10))
    assert whole.fields["left_out"] == []
    maps = explorer.ask({"ask": "maps", "net": 0, "photo": 0, "layer": 1})
    peaks = read_array(maps, maps.fields["values"], "f4")
    strongest = np.argsort(-peaks, kind="stable")
    assert [unit["unit"] for unit in own.fields["units"]] == sorted(strongest[:3].tolist())
    (left,) = own.fields["left_out"]
    assert left["units"] == sorted(strongest[3:].tolist())
    assert "3 strongest units" in left["why"]


def test_a_silent_unit_has_no_place_and_a_grey_picture(explorer):
    maps = explorer.ask({"ask": "maps", "net": 0, "photo": 0, "layer": 1})
    silent = np.flatnonzero(read_array(maps, maps.fields["values"], "f4") == 0).tolist()
    assert silent
    answer = ask(explorer, 1, "deconvnet", silent)
    for unit in answer.fields["units"]:
        assert (unit["place"], unit["activation"], unit["limit"]) == ([], 0, 0)
        assert (open_picture(answer, unit["image"]) == 128).all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"method": "x"}, "got 'x' as a method; needed: deconvnet, deconvnet-own"),
        ({"units": [12]}, "got [12] as units; needed: numbers 0..9"),
        ({"units": []}, "got [] as units"),
        ({"units": "3"}, "got '3' as units"),
        ({"place": [1]}, "got [1] as place; needed: row and column"),
        ({"place": [16, 0]}, "is not in the 16 x 16 feature map"),
        ({"place": [0, 0.5]}, "got [0, 0.5] as place"),
    ],
)
def test_what_there_is_no_picture_of_is_told_in_a_line(explorer, words, told):
    about = {"net": 0, "photo": 0, "layer": 1, "method": "deconvnet"}
    assert told in explorer.answer({"ask": "pictures", **about, **words}).fields["error"]


def test_others_are_answered_between_the_pictures_of_a_whole_layer(explorer):
    told = []
    explorer.breathe = lambda: told.append(ask(explorer, 0, "deconvnet", [1]).fields)
    try:
        own = ask(explorer, 1, "deconvnet-own")
        assert len(told) == 3  # units that have own parts
        ask(explorer, 1, "deconvnet-own", [2])
        assert len(told) == 3  # a click is answered in one breath
    finally:
        explorer.breathe = lambda: None
    assert own == ask(explorer, 1, "deconvnet-own")
