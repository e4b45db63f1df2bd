"""Units as lists, ranges and names of classes."""

import shlex
from dataclasses import replace
from pathlib import Path

import click
import pytest

import vizcnn
from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.cli.unit_option import UnitList, write_units
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.deconv import DeconvResults
from vizcnn.pages.filters import FilterResults

LENET = ("--model", "lenet", "--compare", "none", "--out", "out")


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("3", (3,)),
        ("3,5,10..12", (3, 5, 10, 11, 12)),
        (" 4 , 2", (4, 2)),
        ("great white shark, white shark", ("great white shark, white shark",)),
        ("7a", ("7a",)),
    ],
)
def test_lists_and_ranges(text, units):
    assert UnitList().convert(text, None, None) == units


@pytest.mark.parametrize(
    "text", ["", "-1", "3..", "5..3", "1,,2", "1_0", "0..999999999", "９" * 20]
)
def test_what_cannot_be_units_is_one_short_line(text):
    with pytest.raises(click.BadParameter) as caught:
        UnitList().convert(text, None, None)
    assert len(caught.value.format_message()) < 200


def test_units_are_written_as_they_are_read():
    for units in ((1,), (3, 4), (9, 0, 1, 2, 3, 7), tuple(range(100))):
        (text,) = write_units(units)
        assert UnitList().convert(text, None, None) == units


def test_units_of_a_photo(tmp_path):
    paint_photo(tmp_path / "a.png")
    run("deconv", "a.png", *LENET, "--layer", "conv2", "--unit", "8,3..5", "--unit", "0")
    manifest = read_manifest(Path("out"), DeconvResults)
    (layer,) = manifest.results.photos[0].layers
    assert [tile.unit for tile in layer.tiles] == [8, 3, 4, 5, 0]
    words = shlex.split(manifest.command)
    assert words[words.index("--unit") + 1] == "8,3..5,0"
    first = list_files(tmp_path / "out")
    run(*words[1:])
    assert list_files(tmp_path / "out") == first


def test_a_class_by_its_name_is_a_unit_of_the_last_layer(tmp_path, monkeypatch):
    paint_photo(tmp_path / "a.png")
    classes = tuple("zero one two three four five six church eight nine".split())
    net = replace(vizcnn.load("lenet", weights="bundled"), classes=classes)
    monkeypatch.setattr(vizcnn, "load", lambda name, **options: net)
    run("deconv", "a.png", *LENET, "--unit", "Church")
    (layer,) = read_manifest(Path("out"), DeconvResults).results.photos[0].layers
    assert [(tile.unit, tile.name) for tile in layer.tiles] == [(7, classes[7])]
    assert layer.maps == len(classes)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--layer", "conv1", "--unit", "cat"), "layer 'conv1' has no unit 'cat'"),
        (("--unit", "unicorn"), "no class 'unicorn'"),
        (("--layer", "conv1", "--unit", "0..9"), "unit 6 does not exist"),
    ],
)
def test_units_that_do_not_exist(words, told, tmp_path):
    paint_photo(tmp_path / "a.png")
    assert told in fail("deconv", "a.png", *LENET, *words)


def test_filters_by_number(tmp_path):
    run("filters", "--model", "lenet", "--unit", "1..3", "--out", "out")
    (net,) = read_manifest(Path("out"), FilterResults).results.nets
    assert "3" in net.shown
    assert "has no name here: give its number" in fail(
        "filters", "--model", "lenet", "--unit", "cat"
    )
