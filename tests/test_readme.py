"""The README says what is there: every net, every command, the bundled nets' own accuracies."""

import json
from pathlib import Path

import pytest

from vizcnn.measures.first_layer import find_first_layer
from vizcnn.measures.shares import measure_colours, measure_shares, predict_power
from vizcnn.measures.study import read_pixels
from vizcnn.photos.patches import read_samples
from vizcnn.zoo import load
from vizcnn.zoo.catalogue import CATALOGUE
from vizcnn.zoo.files import BUNDLE
from vizcnn.zoo.snapshots import SNAPSHOTS_SUFFIX

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CARDS = [path for path in sorted(BUNDLE.glob("*.json")) if path.name != "sha256.json"]


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_net_is_in_the_table(name):
    assert f"| `{name}` |" in README


@pytest.mark.parametrize("card", CARDS, ids=lambda path: path.stem)
def test_accuracies_are_those_of_the_cards(card):
    accuracy = json.loads(card.read_text("utf-8"))["accuracy"]
    rows = [line for line in README.splitlines() if line.startswith(f"| `{card.stem}` |")]
    for share in (accuracy["top1"], accuracy["top5"]):
        assert all(f"{share * 100:.1f}" in row for row in rows), f"{card.stem}: {share}"


def test_the_bundled_weights_are_small():
    files = list(BUNDLE.glob("*.safetensors"))
    weights = [file for file in files if not file.name.endswith(SNAPSHOTS_SUFFIX)]
    assert {file.stem for file in weights} == {"alexnet", "alexnet-7x7", "lenet", "zfnet"}
    assert sum(file.stat().st_size for file in files) < 65_000_000


def test_pictures_and_files_that_are_named_exist():
    for name in ("zfnet", "aliasing"):
        assert f"](docs/{name}.png)" in README
        assert (ROOT / "docs" / f"{name}.png").is_file()
    assert "make demo" in README
    assert "make test" in README


def test_alias_shares_are_those_of_the_bundled_nets():
    """The lab's table: its head names the nets, its row on theory is measured anew."""
    lab = README.split("<!-- lab -->")[1].split("<!-- /lab -->")[0].strip().splitlines()
    titles = [cell.strip() for cell in lab[0].strip("|").split("|")[1:]]
    (row,) = [line for line in lab if line.startswith("| alias share, theory |")]
    told = [cell.strip() for cell in row.strip("|").split("|")[1:]]
    names = [name for name, entry in CATALOGUE.items() if entry.title in titles]
    assert [CATALOGUE[name].title for name in names] == titles
    for name, share in zip(names, told, strict=True):
        model = load(name, weights="bundled")
        pixels, _, _ = read_pixels(model, read_samples())
        layer = find_first_layer(model)
        power = predict_power(layer, measure_colours(pixels))
        assert share == f"{measure_shares(power, layer.stride).layer_share * 100:.1f} %"
