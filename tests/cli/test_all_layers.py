"""``vizcnn aliasing --all-layers`` as a user meets it, on a small net."""

import json
import shlex
from pathlib import Path

import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo

pytestmark = pytest.mark.usefixtures("small_net")

ALL = ("aliasing", "--all-layers", "--model", "zfnet", "--shift-photos", "2")


def test_writes_a_page_and_a_table_and_repeats_itself(tmp_path):
    photo = paint_photo(tmp_path / "a.png")
    done = run(*ALL, photo, "--out", "out")
    head, row = (line.split() for line in done.stdout.splitlines()[1:3])
    assert head[:3] == ["net", "layer", "what"]
    assert row[:6] == ["Tiny", "$net", "2", "max", "pooling", "2"]
    before = list_files(Path("out"))
    manifest = json.loads(before["manifest.json"])
    share = manifest["results"]["nets"][0]["layers"][0]["shares"][0]
    assert row[6] == f"{share:.1%}"
    words = shlex.split(manifest["command"])
    assert "--all-layers" in words
    run(*words[1:])
    after = list_files(Path("out"))
    assert after["net-01.png"] == before["net-01.png"]
    assert json.loads(after["manifest.json"])["results"] == manifest["results"]


def test_several_nets_stand_on_one_page(tmp_path):
    photo = paint_photo(tmp_path / "a.png")
    done = run(*ALL, "--model", "alexnet", photo, "--out", "out", "--json")
    told = json.loads(done.stdout)["manifest"]
    assert [net["title"] for net in told["nets"]] == ["Tiny $net (1)", "Tiny $net (2)"]
    assert {figure["file"] for figure in told["figures"]} == {
        *("comparison.png", "net-01.png", "net-02.png")
    }


@pytest.mark.parametrize("option", [("--layer", "conv3"), ("--units", "3"), ("--shift", "4")])
def test_options_of_the_first_layer_are_refused(option, tmp_path):
    photo = paint_photo(tmp_path / "a.png")
    line = fail(*ALL, photo, *option, "--out", tmp_path / "out")
    assert f"{option[0]} is about the first layer's page" in line
    assert not (tmp_path / "out").exists()


def test_oscillations_are_measured_where_they_are_asked_for(tmp_path):
    photo = paint_photo(tmp_path / "a.png")
    done = run(*ALL, "--oscillations", photo, "--out", "out")
    head, row = done.stdout.splitlines()[1:3]
    assert head.split()[-2:] == ["aliases", "apart"]
    layer = json.loads(Path("out/manifest.json").read_text())["results"]["nets"][0]["layers"][0]
    assert layer["jump"] == 2 and row.split()[-1] == f"{layer['apart']:.3g}"
    assert "Aliases apart" in Path("out/index.html").read_text()
    line = fail("aliasing", "--model", "zfnet", "--oscillations", photo, "--out", "other")
    assert "--oscillations goes with --all-layers" in line
