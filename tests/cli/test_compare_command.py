"""The command line of the comparison: one clear line, the right status, nothing lost."""

import json
import shlex
from pathlib import Path

import pytest

from tests.support.command_line import fail, run, start
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.attribution.attributions import ATTRIBUTIONS
from vizcnn.cli.compare_command import compare
from vizcnn.cli.main import commands
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.compare import CompareResults

QUICK = ("--side", "8", "--stride", "8", "--steps", "2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "gradcam"], "no method 'gradcam': did you mean 'grad-cam'"),
        (["--method", ""], "no method ''"),
        (["--layer", "conv"], "no layer 'conv': did you mean 'conv5'"),
        (["--layer", "conv1", "--unit", "12"], "unit 12 does not exist"),
        (["--unit", "4"], "unit 4 does not exist: the layer has units 0..3"),
        (["--class", "4"], "no class '4'"),
        (["--class", "dgo"], "did you mean 'dog'"),
        (["--class", "dog", "--unit", "1"], "give --class, or --layer and --unit"),
        (["--class", "dog", "--layer", "fc7"], "give --class, or --layer and --unit"),
        (["--position", "middle"], "needed: max, all, or ROW,COLUMN"),
        (["--layer", "conv5", "--position", "all"], "give max or ROW,COLUMN"),
        (["--layer", "conv5", "--position", "16,0"], "position (16, 0)"),
        (["--layer", "conv1", "--method", "grad-cam"], "choose a higher layer with --layer"),
        (["--cam-layer", "fc6", "--method", "layer-cam"], "below that one with --cam-layer"),
        (["--compare", "none"], "'none' is not a whole number from 1"),
        (["--steps", "0"], "--steps"),
        (["--side", "33"], "does not fit the net's 32 px"),
        (["--side", "3", "--stride", "4"], "never hidden"),
        (["--fill", "pink"], "'mean', 'grey', 'black', 'white'"),
        ([""], "the name of a photo is empty"),
        (["cofee"], "did you mean 'coffee'"),
    ],
)
def test_mistakes_are_one_line_that_helps(small_net, tmp_path, arguments, words):
    assert words in fail(
        "compare", *([] if {"--side", "--steps"} & {*arguments} else QUICK), *arguments
    )
    assert list_files(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_repeats_and_reports(small_net, tmp_path):
    photo = paint_photo(tmp_path / "a b.png")
    arguments = ["compare", *QUICK, photo, "--layer", "conv4", "--method", "guided"]
    told = run(*arguments, "--method", "occlusion", "--position", "3,4", "--save-arrays")
    assert told.stdout.splitlines()[-2:] == [
        "1 photo(s), 2 methods",
        "gallery: vizcnn-out/zfnet-a_b-compare/index.html",
    ]
    folder = Path("vizcnn-out/zfnet-a_b-compare")
    manifest = read_manifest(folder, CompareResults)
    assert (folder / "photo-001" / "arrays.npz").is_file()
    words = shlex.split(manifest.command)[1:]
    words[words.index("--out") + 1] = "again"
    report = json.loads(run(*words, "--json").stdout)
    assert report["index"] == "again/index.html"
    again = report["manifest"]["results"]["photos"][0]
    first = manifest.results.photos[0]
    assert again["unit"] == first.unit and again["position"] == [3, 4]
    assert again["maps"][1]["limit"] == first.maps[1].limit


@pytest.mark.slow
def test_left_out_methods_are_counted_and_bad_photos_end_with_a_status(small_net, tmp_path):
    good = paint_photo(tmp_path / "a.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no photo")
    options = (*QUICK, "--layer", "conv1", good, bad)
    result = run("compare", *options)
    assert "1 photo(s), 9 methods, 3 left out" in result.stdout
    assert "bad.png" in result.stderr


def test_methods_complete_in_the_shell():
    (option,) = (parameter for parameter in compare.params if parameter.name == "methods")
    shown = [item.value for item in option.type.shell_complete(None, option, "g")]
    assert shown == [name for name in ATTRIBUTIONS if name.startswith("g")]
    assert len(shown) == 5


@pytest.mark.slow
def test_captum_is_loaded_where_it_is_used_only():
    code = (
        "import sys, torch, vizcnn\n"
        "from vizcnn.attribution.attributions import ATTRIBUTIONS\n"
        "from vizcnn.attribution.question import AttributionSettings, ask\n"
        "net = vizcnn.load('lenet', weights=None)\n"
        "question, _ = ask(net, torch.rand(1, 3, 32, 32), 'fc5')\n"
        "settings = AttributionSettings(steps=2, side=16, stride=16)\n"
        "for name, method in ATTRIBUTIONS.items():\n"
        "    if name == 'integrated-gradients': continue\n"
        "    method.attribute(question, settings)\n"
        "print('captum' in sys.modules)\n"
        "ATTRIBUTIONS['integrated-gradients'].attribute(question, settings)\n"
        "print('captum' in sys.modules, 'torch._dynamo' in sys.modules)\n"
        "print('torchvision' in sys.modules)\n"
    )
    assert start("-c", code).communicate(timeout=60) == ("False\nTrue False\nFalse\n", "")


@pytest.mark.parametrize("name", ["compare", "correspond", "occlude"])
def test_gray_is_grey(name):
    (fill,) = (option for option in commands.commands[name].params if option.name == "fill")
    assert [fill.type.convert(word, fill, None) for word in ("gray", "GREY")] == ["grey", "grey"]
