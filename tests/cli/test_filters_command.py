"""``vizcnn filters`` as a user meets it."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.filters import FilterResults

pytestmark = pytest.mark.usefixtures("small_net")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["--scale", "zf", "--sort", "energy", "--format", "svg"], {"filters.svg", "numbers.svg"}),
        (["--part", "luminance", "--unit", 3, "--unit", 1], {"net-1/filter-0003.png"}),
        (["--clip", 0.1, "--format", "pdf"], {"clipping.pdf", "filters.pdf"}),
        (["--layer", "conv2", "--model", "alexnet", "--model", "zfnet"], {"net-2/filter-0009.png"}),
    ],
)
def test_options_reach_the_gallery_and_the_recorded_command_repeats_it(arguments, files, tmp_path):
    run("filters", "--out", "out", *arguments)
    first = list_files(tmp_path / "out")
    assert set(first) >= files
    words = shlex.split(json.loads(first["manifest.json"])["command"])
    shutil.rmtree(tmp_path / "out")
    run(*words[1:])
    assert list_files(tmp_path / "out") == first


@pytest.mark.slow
def test_several_nets_name_the_folder_and_are_all_reported():
    result = run("filters", "--model", "alexnet", "--model", "vgg16", "--weights", "random")
    nets = [line for line in result.stdout.splitlines() if "random weights (untrained)" in line]
    titles = [net.rpartition(", random")[0] for net in nets]
    assert [title.split(", ")[1] for title in titles] == ["1", "2"]  # both are the small net
    shown = [f"{title}: all 12 filters of the first layer" for title in titles]
    assert "; ".join(shown) in result.stdout.splitlines()
    manifest = read_manifest(Path("vizcnn-out/alexnet-vgg16-filters"), FilterResults)
    assert len(manifest.nets) == 2


@pytest.mark.slow
def test_default_is_the_first_layer_of_zfnet_alone():
    run("filters")
    manifest = read_manifest(Path("vizcnn-out/zfnet-filters"), FilterResults)
    assert [figure.file for figure in manifest.figures] == ["filters.png", "numbers.png"]
    assert manifest.command.split()[:4] == ["vizcnn", "filters", "--model", "zfnet"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sort", "size"], "'index', 'orientation', 'frequency', 'energy'"),
        (["--part", "red"], "'all', 'luminance', 'colour'"),
        (["--scale", "big"], "'unit', 'shared', 'zf'"),
        (["--unit", "12"], "filter 12 does not exist"),
        (["--clip", "nan"], "'nan' is not a number above 0"),
        (["--clip", "-1"], "'-1' is not a number above 0"),
        (["--layer", "fc6"], "is fully connected: it has no filters"),
        (["--layer", "conv2", "--part", "colour"], "has no colour part"),
        (["--model", "zfent"], "did you mean 'zfnet'"),
        (["--weights", "random", "--weights", "auto"], "2 --weights for 1 --model"),
        (["--layer", "conv1", "--layer", "conv2"], "2 --layer for 1 --model"),
    ],
)
def test_mistakes_are_one_line_that_helps(arguments, words, tmp_path):
    assert words in fail("filters", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_names_and_words_are_taken_in_any_case_and_told_as_they_are():
    words = ("--model", "ZFnet", "--layer", "CONV2", "--scale", "Shared", "--unit", 3)
    result = run("filters", "--out", "out", *words)
    assert "CONV2" not in result.stdout and "as asked for of conv2" in result.stdout
    manifest = read_manifest(Path("out"), FilterResults)
    assert manifest.settings["scaling"] == "shared"
    assert manifest.results.nets[0].layer == "conv2"
