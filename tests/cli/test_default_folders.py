"""Where results go without ``--out``: named after what they show, never over another photo's."""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.cli.default_folders import OUT, shorten_photos, shorten_word
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.deconv import DeconvResults

pytestmark = pytest.mark.usefixtures("small_net")
QUICK = ("--layer", "conv1", "--top", 1, "--compare", "none")


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["coffee"], "coffee"),
        (["holiday/beach day.JPG"], "beach_day"),
        (["holiday/"], "holiday"),
        (["a.b.png", "c.png"], "a.b-and-1-more"),
        (["..."], "_"),
        (["naïve-猫 #?%20;.PNG"], "naïve-猫_20"),
        (["caf\udce9.png"], "caf"),
        (["x" * 300 + ".png"], "x" * 40),
    ],
)
def test_names_that_every_system_takes(names, word):
    assert shorten_photos(names) == [word]


def test_a_folder_is_known_by_its_own_name(tmp_path):
    (tmp_path / "trip").mkdir()
    assert shorten_photos([str(tmp_path / "trip" / ".")]) == ["trip"]
    assert shorten_word("torchvision:resnet50:DEFAULT") == "torchvision_resnet50_DEFAULT"


def test_another_photo_of_the_name_is_not_replaced(tmp_path):
    paint_photo(tmp_path / "a" / "beach.png")
    paint_photo(tmp_path / "b" / "beach.png", seed=2)
    out = OUT / "zfnet-deconvnet-beach"
    assert f"gallery: {out}" in run("deconv", "a/beach.png", *QUICK).stdout
    first = list_files(tmp_path)
    told = fail("deconv", "b/beach.png", *QUICK)
    assert "holds the results of other photos ('a/beach.png')" in told
    assert "--out" in told and "--force" in told
    assert list_files(tmp_path) == first
    run("deconv", "a/beach.png", *QUICK)  # the same once more
    assert list_files(tmp_path) == first
    run("deconv", "a/beach.png", *QUICK[:2], "--top", 2, "--compare", "none")
    run("deconv", "b/beach.png", *QUICK, "--out", out)  # on the user's own word
    assert read_manifest(out, DeconvResults).photos[0].source == "b/beach.png"
    run("deconv", "a/beach.png", *QUICK, "--force")
    manifest = read_manifest(out, DeconvResults)
    assert manifest.photos[0].source == "a/beach.png"
    assert "--force" not in manifest.command


def test_the_same_photos_by_other_words_are_no_others(tmp_path):
    for name in ("a", "b"):
        paint_photo(tmp_path / name / "beach.png")
    run("deconv", "a/beach.png", "b/beach.png", *QUICK)
    again = run("deconv", "./b/beach.png", tmp_path / "a" / "beach.png", *QUICK)
    assert f"gallery: {OUT / 'zfnet-deconvnet-beach-and-1-more'}" in again.stdout
    assert "other photos" in fail("deconv", "b/beach.png", "c/beach.png", *QUICK)


def test_commands_of_single_units_never_write_over_each_other(tmp_path):
    long = "x" * 60
    names = (
        "a/beach.png",
        "b/beach.png",
        "coffee",
        "two*? {x}.png",
        f"{long}1.png",
        f"{long}2.png",
    )
    for seed, name in enumerate(names):
        if name != "coffee":
            paint_photo(tmp_path / name, seed=seed)
    methods = ("--method", "deconvnet", "--method", "guided")
    run("deconv", *names, *methods, *QUICK[:2], "--unit", 1, "--compare", "none", "--out", "page")
    outs = []
    for method in ("deconvnet", "guided"):
        manifest = read_manifest(tmp_path / "page" / f"zfnet-{method}", DeconvResults)
        assert len(manifest.results.photos) == len(names)
        for photo in manifest.results.photos:
            words = shlex.split(photo.layers[0].tiles[0].command)
            outs.append(words[words.index("--out") + 1])
    assert len(set(outs)) == len(outs) == 2 * len(names)
    assert all(re.fullmatch(r"[\w.-]+", out) and len(out) < 100 for out in outs)
    assert "page-zfnet-guided-a_beach-conv1-1" in outs


def test_nets_and_methods_have_folders_of_their_own(tmp_path):
    paint_photo(tmp_path / "a.png")
    for words in ((), ("--model", "alexnet"), ("--method", "guided")):
        run("deconv", "a.png", *QUICK, *words)
    names = {path.name for path in (tmp_path / OUT).iterdir()}
    assert names == {"zfnet-deconvnet-a", "alexnet-deconvnet-a", "zfnet-guided-a"}


def test_results_of_another_command_are_not_replaced(tmp_path):
    paint_photo(tmp_path / "receptive.png")
    out = OUT / "zfnet-chelsea-receptive"
    run("filters", "--out", out)
    assert "holds the results of vizcnn filters" in fail("receptive", "chelsea")
    assert Path(out, "manifest.json").is_file()


@pytest.mark.parametrize(
    "content", ["", "{}", '{"command": "vizcnn \\"x"}', '{"command": 3}', "[]"]
)
def test_a_manifest_that_says_nothing_is_nobodys(tmp_path, content):
    paint_photo(tmp_path / "a.png")
    run("deconv", "a.png", *QUICK)
    (tmp_path / OUT / "zfnet-deconvnet-a" / "manifest.json").write_text(content)
    run("deconv", "a.png", *QUICK)
