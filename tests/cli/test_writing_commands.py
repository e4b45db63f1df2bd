"""Every command that writes: nothing of others is replaced, and no second run comes between."""

import pytest

from tests.support.class_photos import paint_classes
from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from tests.support.training_data import make_data
from vizcnn.basics.locks import hold_folder
from vizcnn.basics.output import hold_output
from vizcnn.cli.main import commands
from vizcnn.pages.layers.work_folder import WORK_NAME

LENET = ("--model", "lenet", "--layer", "conv1")
FOLDERS = {
    "deconv": (*LENET, "--top", "1", "{photo}"),
    "compare": (*LENET, "--method", "gradient", "{photo}"),
    "occlude": (*LENET, "--stride", "4", "{photo}"),
    "gallery": (*LENET, "{photos}", "--workers", "0"),
    "filters": LENET,
    "aliasing": ("--model", "lenet", "{photo}"),
    "check": (*LENET, "{photos}", "--method", "gradient"),
    "evolve": ("--layer", "conv1", "--unit", "0", "{photos}", "--workers", "0"),
    "explore": (*LENET, "{photo}", "--compare", "none"),
    "receptive": LENET,
    "probe": (*LENET, "{classes}", "--per-class", "1", "--folds", "1", "--no-baseline"),
    "correspond": (*LENET, "--draws", "1"),
    "invariance": (*LENET, "--shift", "0,2", "--scale", "none", "--rotate", "none", "{photo}"),
    "ablate": (*LENET, "{photo}", "--unit", "0"),
    "quiz": (*LENET, "{photos}", "--workers", "0"),
    "zeiler-fergus": ("--only", "figure-3"),
    "lecture": ("--only", "overview"),
    "train": ("--model", "alexnet", "{data}"),
}
"""Commands whose --out is a folder, with their shortest run."""
FILES = {
    "mine": (*LENET, "{photos}", "--workers", "0"),
    "merge": ("{index}",),
}
"""Commands whose --out is a file."""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    home = tmp_path_factory.mktemp("given")
    photos = home / "photos"
    places = {"photos": photos, "photo": paint_photo(photos / "a.png")}
    places["classes"] = paint_classes(home / "classes", count=3)
    places |= {"data": make_data(home / "data"), "index": home / "index.safetensors"}
    run("mine", *fill(FILES["mine"], places), "--out", places["index"])
    return places


def fill(arguments, places):
    return [argument.format(**places) for argument in arguments]


def test_no_command_that_writes_is_missing_here():
    printing = {"models", "index"}
    fetching = {"weights"}  # into the cache: tests/zoo/test_zoo_fetch.py
    assert {*FOLDERS, *FILES, *printing, *fetching} == set(commands.commands)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_others_stays_as_it_is(places, tmp_path, name):
    (tmp_path / "thesis.txt").write_text("years")
    line = fail(name, *fill(FOLDERS[name], places), "--out", tmp_path)
    assert "holds files that are not vizcnn's: choose another --out" in line
    assert list_files(tmp_path) == {"thesis.txt": b"years"}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_second_run_into_a_folder_is_refused(places, tmp_path, name):
    with hold_folder(tmp_path):
        line = fail(name, *fill(FOLDERS[name], places), "--out", tmp_path)
    assert "another vizcnn is at work in" in line
    # the working folder of a gallery stays, so that the same command goes on where it was
    assert [path.name for path in tmp_path.iterdir() if path.name != WORK_NAME] == []


@pytest.mark.parametrize("name", FILES)
def test_a_second_run_into_a_file_is_refused(places, tmp_path, name):
    file = tmp_path / "index.safetensors"
    with hold_output(file):
        line = fail(name, *fill(FILES[name], places), "--out", file)
    assert "another vizcnn is writing" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_others_stays_as_it_is(places, tmp_path, name):
    file = tmp_path / "thesis.txt"
    file.write_text("years")
    fail(name, *fill(FILES[name], places), "--out", file)
    assert list_files(tmp_path) == {"thesis.txt": b"years"}


def test_what_a_killed_run_left_is_told_in_a_line(places, tmp_path):
    (tmp_path / ".vizcnn-abcdefgh.part").mkdir()
    told = run("deconv", *fill(FOLDERS["deconv"], places), "--out", tmp_path).stderr
    assert told == (
        f"note: removed what a killed run had left in {str(tmp_path)!r} (.vizcnn-abcdefgh.part)\n"
    )
