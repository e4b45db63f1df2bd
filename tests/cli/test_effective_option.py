"""``vizcnn receptive --effective`` as a user meets it."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

import vizcnn
from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.cli.receptive_command import list_epochs
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.effective import EffectiveResults
from vizcnn.zoo.files import find_bundled, read_metadata
from vizcnn.zoo.specs import find_net

EFFECTIVE = ("receptive", "--effective", "--model", "lenet", "--layer", "conv1,conv2")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        paint_photo(tmp_path / "photos" / f"{number}.png", seed=number)
    return Path("photos")


def copy_weights(*names):
    source = Path(str(find_bundled(find_net("lenet"))))
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        shutil.copy(source, name)


def test_it_prints_a_table_and_its_command_repeats_it(photos, tmp_path):
    told = run(*EFFECTIVE, photos, "--count", 2, "--seed", 3).stdout.splitlines()
    assert told[2].startswith("2 of 3 photos in")
    head, *rows = told[3:-1]
    assert head.split()[:4] == ["net", "layer", "field", "20%"]
    assert len(rows) == 4 and "untrained" in rows[-1]
    folder = Path("vizcnn-out/lenet-photos-receptive-effective")
    assert told[-1] == f"gallery: {folder}/index.html"
    manifest = read_manifest(folder, EffectiveResults)
    assert manifest.settings["seed"] == 3 and manifest.settings["count"] == 2
    first = list_files(folder)
    shutil.rmtree(folder)
    run(*shlex.split(manifest.command)[1:])
    assert list_files(folder) == first
    (field, _), *_ = [net.fields for net in manifest.results.nets]
    used = [photos / photo.name for photo in manifest.photos]
    (expected,) = vizcnn.measure_effective_fields(vizcnn.load("lenet"), used, ["conv1"])
    assert field.held == expected.held and field.peak == expected.peak


def test_both_pages_have_folders_of_their_own(photos):
    quick = (*EFFECTIVE[:4], "--layer", "conv1", photos / "0.png", "--no-untrained")
    run(*quick)
    run("receptive", "--model", "lenet", "--layer", "conv1", photos / "0.png")
    assert sorted(path.name for path in Path("vizcnn-out").iterdir()) == [
        "lenet-0-receptive",
        "lenet-0-receptive-effective",
    ]
    run(*quick)  # which replaces its own


KEPT = [f"run/lenet.epoch-{epoch}.safetensors" for epoch in ("005", "1000", "020")]


def test_the_nets_of_a_training_stand_side_by_side(photos):
    copy_weights(*KEPT, "run/lenet.safetensors")
    words = ("--weights", "run", "--layer", "conv1", "--count", "1", "--json")
    made = json.loads(run(*EFFECTIVE[:4], photos, *words).stdout)["manifest"]
    end = int(read_metadata(Path("run/lenet.safetensors")).card["epochs"])
    epochs = [f"LeNet-5, epoch {epoch}" for epoch in sorted([5, 20, 1000, end])]
    assert [net["title"] for net in made["nets"]] == [*epochs, "LeNet-5, untrained"]
    command = shlex.split(made["command"])
    assert command.count("--weights") == command.count("--model") == 4


def test_one_net_may_have_several_weights(photos):
    copy_weights(*KEPT, "other.safetensors")

    def spread(*names, weights, effective=True):
        given = {"effective": effective, "weights": weights}
        return list_epochs(names, given), given["weights"]

    kept = (KEPT[0], KEPT[2], KEPT[1])
    assert spread("lenet", weights=("a", "b")) == (("lenet",) * 2, ("a", "b"))
    assert spread("lenet", weights=("a", "run")) == (("lenet",) * 4, ("a", *kept))
    assert spread("vgg16", "lenet", weights=("a", "run"))[0] == ("vgg16", *("lenet",) * 3)
    assert spread("vgg16", "lenet", weights=("auto",)) == (("vgg16", "lenet"), ("auto", "auto"))
    # what does not go together is left for the command to complain of
    assert spread("a", "b", "c", weights=("1", "2")) == (("a", "b", "c"), ("1", "2"))
    assert spread("lenet", weights=("a", "b"), effective=False) == (("lenet",), ("a", "b"))
    told = fail(*EFFECTIVE, photos, "--weights", "photos")
    assert "holds no nets that a training of lenet kept" in told
    assert "2 --weights for 1 --model" in fail("receptive", "--weights", "a", "--weights", "b")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--count", "3"], "--count needs --effective: add it, or leave --count out"),
        (["--no-untrained", "--seed", "1"], "--no-untrained, --seed needs --effective"),
        (["--effective", "--position", "3,3"], "--position means nothing with --effective"),
        (["photos", "photos/0.png"], "2 photos are named: give one, or --effective"),
        (["--effective", "--layer", "conv9"], "no layer 'conv9'"),
        (["--effective", "--fit", "none"], "the net cannot take images of shape"),
        (["--effective", "missing.jpg"], "no folder 'missing.jpg'"),
        (["--effective", "--normalise", "max"], "'none', 'photo'"),
    ],
)
def test_mistakes_are_one_line_that_helps(photos, words, told):
    assert told in fail("receptive", "--model", "lenet", *words)
    assert not Path("vizcnn-out").exists()
