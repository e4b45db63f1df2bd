"""The command index: what an index holds, as a table, as CSV and as JSON."""

import csv
import io
import json

import pytest
from safetensors.torch import load_file

from tests.support.command_line import fail, run
from tests.support.small_zoo import paint_photo

pytestmark = pytest.mark.usefixtures("small_net")
HEADS = ["layer", "unit", "rank", "photo", "row", "column", "activation"]


@pytest.fixture
def index(tmp_path):
    for number, name in enumerate(("one.png", "two, of 3.png", "=four.png")):
        paint_photo(tmp_path / "photos" / name, seed=number)
    file = tmp_path / "index.safetensors"
    layers = ("--layer", "conv2,fc6", "--top", 2)
    run("mine", tmp_path / "photos", "--out", file, "--workers", 0, *layers)
    return file


def read_csv(*arguments):
    return list(csv.reader(io.StringIO(run("index", *arguments).stdout)))


def test_every_place_is_a_row_as_the_file_has_it(index):
    """Read from the tensors themselves: activations in full, photos by their sorted names."""
    rows = read_csv(index, "--csv")
    assert rows[0] == HEADS
    tensors = load_file(index)
    names = ["'=four.png", "one.png", "two, of 3.png"]  # no formula for a spreadsheet
    wanted = []
    for number, layer in enumerate(("conv2", "fc6")):
        values, photos, places = (
            tensors[f"layer-{number:03d}.{part}"].tolist()
            for part in ("values", "photos", "positions")
        )
        for unit, found in enumerate(zip(values, photos, places, strict=True)):
            for rank, (value, photo, place) in enumerate(zip(*found, strict=True), 1):
                where = ["", ""] if layer == "fc6" else [str(side) for side in place]
                wanted.append([layer, str(unit), str(rank), names[photo], *where, repr(value)])
    assert len(wanted) == 2 * (10 + 11)
    assert rows[1:] == wanted
    assert read_csv(index, "--format", "csv") == rows


def test_a_table_for_people(index):
    told = run("index", index, "--layer", "fc6", "--unit", 3).stdout.splitlines()
    assert told[0].startswith("tiny, random weights")
    assert told[1].startswith("computed by ")
    assert told[2].split() == HEADS
    assert [line.split()[:3] for line in told[3:]] == [["fc6", "3", "1"], ["fc6", "3", "2"]]
    assert all(line.split()[-3:-1] == ["-", "-"] for line in told[3:])


def test_layers_and_units_are_chosen(index):
    rows = read_csv(index, "--csv", "--layer", "conv2", "--unit", 9, "--unit", 0)[1:]
    assert [row[:3] for row in rows] == [["conv2", unit, rank] for unit in "09" for rank in "12"]
    # a unit that only one of the layers has
    assert {row[0] for row in read_csv(index, "--csv", "--unit", 10)[1:]} == {"fc6"}


def test_json_names_net_and_photos_as_they_are(index):
    told = json.loads(run("index", index, "--json", "--layer", "conv2").stdout)
    assert (told["model"], told["photos"], told["done"]) == ("tiny", 3, 3)
    assert len(told["places"]) == 20
    assert list(told["places"][0]) == HEADS
    assert {place["photo"] for place in told["places"]} <= {
        "one.png",
        "two, of 3.png",
        "=four.png",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--layer", "conv3"), "the index has no layer 'conv3': did you mean 'conv2'"),
        (("--unit", 11), "no unit 11 in conv2, fc6: there are 0..10"),
        (("--format", "xml"), "'table', 'csv'"),
    ],
)
def test_mistakes_are_one_line_that_helps(index, arguments, words):
    assert words in fail("index", index, *arguments)
    assert "no index 'missing'" in fail("index", "missing")
    assert "is a directory" in fail("index", index.parent)


@pytest.fixture
def ranked(tmp_path):
    for number in range(5):
        paint_photo(tmp_path / "photos" / "dog" / f"{number}.png", seed=number)
    paint_photo(tmp_path / "photos" / "holiday.png", seed=9)
    file = tmp_path / "ranked"
    choices = ("--layer", "conv2,fc6", "--top", 2, "--rank", "relevance", "--range")
    told = run("mine", tmp_path / "photos", "--out", file, "--workers", 0, *choices).stdout
    assert "ranked: by activation × gradient of the true class's logit" in told
    assert "1 photo(s) in folders that name no class left out" in told
    assert "--rank relevance --range --index" in told
    return file


def test_another_rank_is_told_and_has_columns_of_its_own(ranked):
    told = run("index", ranked, "--unit", 3).stdout.splitlines()
    assert told[1] == "ranked: by activation × gradient of the true class's logit"
    assert told[3].split() == [*HEADS, "relevance"]
    rows = read_csv(ranked, "--csv", "--unit", 3)
    assert rows[0] == [*HEADS, "relevance", "ranked_by"]
    assert {row[-1] for row in rows[1:]} == {"relevance"}
    relevances = load_file(ranked)["layer-000.values"][3].tolist()
    assert [float(row[-2]) for row in rows[1:3]] == relevances
    told = json.loads(run("index", ranked, "--json").stdout)
    assert (told["ranked_by"], told["photos_without_class"]) == ("relevance", 1)


def test_ranges_are_printed(ranked, index):
    rows = read_csv(ranked, "--csv", "--range", "--layer", "conv2", "--unit", 3)
    assert rows[0] == [*HEADS[:2], "percentile", *HEADS[3:], "silent"]
    assert [row[2] for row in rows[1:]] == ["0", "10", "25", "50", "75", "90", "99", "100"]
    values = [float(row[6]) for row in rows[1:]]
    assert values == sorted(values)
    assert values == load_file(ranked)["layer-000.range-values"][3].tolist()
    assert "percentiles of the maxima" in run("index", ranked, "--range").stdout
    assert len(json.loads(run("index", ranked, "--range", "--json").stdout)["places"]) == 8 * 21
    assert "the index has no ranges: mine with --range" in fail("index", index, "--range")


def test_parts_with_ranges_merge_by_the_command(tmp_path, ranked):
    choices = ("--layer", "conv2,fc6", "--top", 2, "--rank", "relevance", "--range")
    for part in ("1/2", "2/2"):
        out = tmp_path / part[0]
        run("mine", tmp_path / "photos", "--out", out, "--workers", 0, "--part", part, *choices)
    run("merge", tmp_path / "2", tmp_path / "1", "--out", tmp_path / "all")
    assert (tmp_path / "all").read_bytes() == ranked.read_bytes()
    (tmp_path / "1.maxima").unlink()
    error = fail("merge", tmp_path / "2", tmp_path / "1", "--out", tmp_path / "other")
    assert "no file of maxima" in error
