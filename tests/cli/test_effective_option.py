"""``vizcnn receptive --effective`` as a user meets it."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

import vizcnn
from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.effective import EffectiveResults
from vizcnn.zoo.files import find_bundled
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
    run(*EFFECTIVE, photos / "0.png", "--no-untrained")
    run("receptive", "--model", "lenet", photos / "0.png")
    assert sorted(path.name for path in Path("vizcnn-out").iterdir()) == [
        "lenet-0-receptive",
        "lenet-0-receptive-effective",
    ]
    run(*EFFECTIVE, photos / "0.png", "--no-untrained")  # which replaces its own


def test_one_net_may_have_several_weights_or_the_nets_of_a_training(photos):
    names = [f"run/lenet.epoch-{epoch}.safetensors" for epoch in ("005", "1000", "020")]
    copy_weights(*names, "other.safetensors")
    made = json.loads(run(*EFFECTIVE, photos, "--weights", "run", "--json").stdout)["manifest"]
    titles = [net["title"] for net in made["nets"]]
    epochs = [f"LeNet-5, epoch {epoch}" for epoch in (5, 20, 1000)]
    assert titles == [*epochs, "LeNet-5, untrained"]
    again = json.loads(run(*shlex.split(made["command"])[1:], "--json").stdout)["manifest"]
    assert again["results"] == made["results"]
    weights = ("--weights", names[0], "--weights", "other.safetensors")
    made = json.loads(run(*EFFECTIVE, photos, *weights, "--json", "--out", "two").stdout)
    assert len(made["manifest"]["nets"]) == 3
    nets = ("--model", "lenet", "--weights", "other.safetensors", "--weights", "run")
    made = json.loads(run(*EFFECTIVE, photos, *nets, "--json", "--out", "four").stdout)
    assert [net["title"] for net in made["manifest"]["nets"]][1:4] == epochs
    assert "holds no nets that a training of lenet kept" in fail(
        *EFFECTIVE, photos, "--weights", "photos"
    )


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
