"""A unit's command and its lines of Python give what its page shows."""

import json
import shlex

import numpy as np
import pytest

from tests.support.command_line import run
from tests.support.small_zoo import list_files, paint_photo

pytestmark = pytest.mark.usefixtures("small_net")


def make_page(*options):
    told = run("deconv", "--out", "page", "--save-arrays", "--json", *options).stdout
    return json.loads(told)["manifest"]["results"]["photos"][0]["layers"]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ((), "pixels"),
        (("--method", "guided", "--position", "2,3", "--gates", "hold"), "pixels"),
        (("--method", "gradient", "--start", "activation", "--position", "all"), "pixels"),
        (("--part", "own", "--compare", "all"), "own"),
    ],
)
def test_the_lines_give_the_raw_values_of_the_page(tmp_path, options, part):
    photo = paint_photo(tmp_path / "it's a photo.png")
    (layer,) = make_page(photo.name, "--layer", "conv3", "--top", 2, *options)
    with np.load(f"page/{layer['arrays']}") as archive:
        arrays = dict(archive)
    for row, tile in enumerate(layer["tiles"]):
        names = {}
        exec(tile["python"], names)
        seen = names["seen"]
        assert seen.units.tolist() == [tile["unit"]]
        wanted = arrays[part][row]  # of several units at a time, which rounds otherwise
        atol = 1e-5 * np.abs(wanted).max()
        np.testing.assert_allclose(seen.pixels[0].numpy(), wanted, rtol=0, atol=atol)


def test_the_command_makes_a_page_of_the_unit_alone(tmp_path):
    paint_photo(tmp_path / "a.png")
    (layer,) = make_page("a.png", "--layer", "conv3", "--top", 2)
    tile = layer["tiles"][1]
    words = shlex.split(tile["command"])
    assert words[words.index("--out") + 1] == f"page-a-conv3-{tile['unit']}"
    run(*words[1:])
    alone = list_files(tmp_path / words[words.index("--out") + 1])
    together = list_files(tmp_path / "page")
    for picture in (tile["projection"], tile["patch"]):
        assert alone[picture] == together[picture]


def test_a_sample_photo_is_named(tmp_path):
    (layer,) = make_page("coffee", "--layer", "conv1", "--top", 1)
    tile = layer["tiles"][0]
    assert shlex.split(tile["command"])[:3] == ["vizcnn", "deconv", "coffee"]
    names = {}
    exec(tile["python"], names)
    assert names["seen"].units.tolist() == [tile["unit"]]
    assert "site-packages" not in tile["python"]
