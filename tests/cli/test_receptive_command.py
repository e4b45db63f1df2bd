"""``vizcnn receptive`` as a user meets it."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

import vizcnn
from tests.support.command_line import fail, run
from tests.support.small_zoo import LAYERS, list_files, paint_photo
from vizcnn.basics.errors import MissingWeightsError
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.receptive import ReceptiveResults

pytestmark = pytest.mark.usefixtures("small_net")


@pytest.mark.slow
def test_prints_a_table_and_writes_a_gallery():
    lines = run("receptive").stdout.splitlines()
    head = next(line for line in lines if line.startswith("layer"))
    assert head.split() == ["layer", "maps", "map", "size", "field", "stride", "offset", "seen"]
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[lines.index(head) + 1 :]}
    assert list(rows)[:-1] == list(LAYERS)
    assert rows["conv1"] == "12 32 x 32 3 x 3 1 x 1 -1,-1 0.9%"
    assert rows["conv5"] == "10 16 x 16 20 x 20 2 x 2 -9,-9 39.1%"
    assert rows["fc6"] == "11 - 50 x 50 - -9,-9 all"
    assert len({line.rindex(line.split()[-1]) + len(line.split()[-1]) for line in lines[1:-1]}) == 1
    assert rows["gallery:"] == "vizcnn-out/zfnet-chelsea-receptive/index.html"
    manifest = read_manifest(Path("vizcnn-out/zfnet-chelsea-receptive"), ReceptiveResults)
    assert manifest.photos[0].source == "sample chelsea"
    assert "middle of the image" in manifest.results.place


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "layers"),
    [
        (["--layer", "conv1..conv3,fc6", "--format", "svg"], ["conv1", "conv2", "conv3", "fc6"]),
        (["--layer", "conv2", "--layer", "4", "--position", "3, 9"], ["conv2", "4"]),
        (["photo $1.png", "--format", "pdf", "--device", "cpu"], list(LAYERS)),
    ],
)
def test_options_reach_the_gallery_and_the_recorded_command_repeats_it(arguments, layers, tmp_path):
    paint_photo(tmp_path / "photo $1.png")
    run("receptive", "--out", "out", *arguments)
    first = list_files(tmp_path / "out")
    manifest = json.loads(first["manifest.json"])
    assert [layer["name"] for layer in manifest["results"]["layers"]] == layers
    kind = "pdf" if "pdf" in arguments else "svg" if "svg" in arguments else "png"
    assert {f"fields.{kind}", f"corner.{kind}"} <= set(first)
    shutil.rmtree(tmp_path / "out")
    run(*shlex.split(manifest["command"])[1:])
    assert list_files(tmp_path / "out") == first


@pytest.mark.slow
def test_json_is_the_manifest():
    told = json.loads(run("receptive", "--json", "--layer", "conv5").stdout)
    assert told["index"] == "vizcnn-out/zfnet-chelsea-receptive/index.html"
    assert told["manifest"]["results"]["layers"][0]["size"] == [20, 20]
    assert told["manifest"]["kind"] == "receptive"


@pytest.mark.slow
def test_a_net_without_weights_is_measured_with_random_ones(monkeypatch):
    asked = []
    load = vizcnn.load

    def load_or_not(name, **options):
        asked.append(options["weights"])
        if options["weights"] == "auto":
            raise MissingWeightsError("no weights are at hand")
        return load(name)

    monkeypatch.setattr(vizcnn, "load", load_or_not)
    told = json.loads(run("receptive", "--layer", "conv5", "--json").stdout)
    assert asked == ["auto", None]
    assert "--weights random" in told["manifest"]["command"]
    run("receptive", "--layer", "conv5", "--weights", "bundled")
    assert asked[2:] == ["bundled"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layer", "conv9"], "no layer 'conv9': did you mean"),
        (["--layer", "conv5..conv1"], "is empty; needed: the lower layer first"),
        (["--position", "top"], "position 'top' is not known; needed: middle, or ROW,COLUMN"),
        (["--position", "16,0"], "'conv5' has no unit at (16, 0); needed: row 0..15"),
        (["missing.jpg"], "missing.jpg"),
        (["chelsae"], "did you mean 'chelsea'"),
        (["folder"], "'folder' holds 2 photos: give one"),
        ([""], "the name of a photo is empty"),
        (["--model", "zfent"], "did you mean 'zfnet'"),
        (["--format", "jpg"], "'png', 'svg', 'pdf'"),
        (["--out", "folder"], "holds files that are not vizcnn's"),
    ],
)
def test_mistakes_are_one_line_that_helps(arguments, words, tmp_path):
    for number in (1, 2):
        paint_photo(tmp_path / "folder" / f"{number}.png")
    assert words in fail("receptive", *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
