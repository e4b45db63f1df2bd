"""The README says what is there: every net, every command, the bundled nets' own accuracies."""

import json
from pathlib import Path

import pytest

from vizcnn.zoo.bundle import BUNDLE
from vizcnn.zoo.catalogue import CATALOGUE
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
