"""Photos as users have them, through the command line."""

import json
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import deconv, fail, run
from tests.support.small_zoo import paint_photo
from vizcnn.cli.main import commands
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.deconv import DeconvResults

pytestmark = pytest.mark.usefixtures("small_net")


def write_odd_photos(folder: Path) -> dict[str, Path]:
    folder.mkdir()
    (folder / "text.jpg").write_text("I am no photo")
    (folder / "empty.png").touch()
    whole = paint_photo(folder / "whole.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "none").mkdir()
    (folder / "none" / "readme.txt").write_text("no photo here")
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.jpg", "no file"),
        ("text.jpg", "not an image"),
        ("empty.png", "empty"),
        ("cut.png", "cut off"),
        ("none", "folder"),
    ],
)
def test_a_bad_photo_is_one_line(tmp_path, name, words):
    write_odd_photos(tmp_path / "odd")
    line = fail("deconv", f"odd/{name}")
    assert words in line and name in line
    assert not (tmp_path / "vizcnn-out").exists()


def test_a_name_that_begins_with_a_dash_is_told_the_way(tmp_path):
    paint_photo(tmp_path / "-day.png")
    told = fail("deconv", "-day.png")
    assert "'-day.png' begins with a dash" in told and "give it as './-day.png'" in told
    assert "No such option" in fail("deconv", "-night.png")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "with space.png",
        "qu'o\"te<i>&amp;.png",
        "naïve-猫 #?%20;.PNG",
        "-$1_$2^.png",
        "a" * 240 + ".png",
    ],
)
def test_photos_with_any_name(tmp_path, name):
    paint_photo(tmp_path / name)
    assert deconv("--photos", name).stderr == ""
    (folder,) = Path("vizcnn-out").iterdir()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "<i>" not in page
    manifest = read_manifest(folder, DeconvResults)
    assert manifest.photos[0].source == name
    assert name in shlex.split(manifest.command)


@pytest.mark.slow
def test_a_name_that_is_not_utf_8(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        paint_photo(tmp_path / "a.png").rename(tmp_path / name)
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    out = os.fsdecode(b"out-\xe9")
    assert "gallery: " in deconv(name, "--out", out).stdout
    assert read_manifest(tmp_path / out, DeconvResults).photos[0].source == name


@pytest.mark.slow
def test_a_folder_with_good_and_bad_photos(tmp_path):
    write_odd_photos(tmp_path / "odd")
    paint_photo(tmp_path / "odd" / "deep" / "second.jpg", seed=2)
    arguments = ["odd", "missing.jpg", "odd/none"]
    result = deconv(*arguments, "--json")
    manifest = json.loads(result.stdout)["manifest"]
    names = ["odd/deep/second.jpg", "odd/whole.png"]
    assert [photo["source"] for photo in manifest["photos"]] == names
    lines = result.stderr.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("left out: ") for line in lines[:-1])
    assert lines[-1] == "warning: 5 left out, named above; the rest is done"
    bad = ["odd/cut.png", "odd/empty.png", "odd/text.jpg", "missing.jpg", "odd/none"]
    assert [failure["source"] for failure in manifest["failures"]] == bad


def test_only_bad_photos_are_one_line_and_nothing_is_written(tmp_path):
    write_odd_photos(tmp_path / "odd")
    (tmp_path / "odd" / "whole.png").unlink()
    assert "none of 3 photos can be used" in fail("deconv", "odd")
    assert not (tmp_path / "vizcnn-out").exists()


@pytest.mark.slow
def test_what_is_guessed_or_passed_over_is_a_note_each(tmp_path):
    paint_photo(tmp_path / "mine" / "a.png")
    Image.fromarray(np.full((40, 40), 4000, np.uint16)).save(tmp_path / "mine" / "deep.png")
    (tmp_path / "mine" / "raw.nef").write_bytes(b"anything")
    lines = deconv("mine").stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["note", "note"]
    assert "1 other file ('raw.nef') in 'mine' left out" in lines[0]
    assert "'mine/deep.png' has grey values 4000..4000 in 16 bits: 0 is taken as black" in lines[1]


def test_photos_are_words_of_their_own_or_named_by_any_of_the_options(tmp_path):
    for name in ("a.png", "b.png", "-c.png", "d.png"):
        paint_photo(tmp_path / name)
    words = ["a.png", "--photos", "b.png", "--image", "d.png", "--data", "a.png", "--", "-c.png"]
    deconv("--images", "d.png", "--compare", "none", "--out", "out", *words)
    manifest = read_manifest(tmp_path / "out", DeconvResults)
    sources = [photo.source for photo in manifest.photos]
    assert sorted(sources) == ["-c.png", "a.png", "b.png", "d.png"]
    first = (tmp_path / "out" / "manifest.json").read_bytes()
    words = shlex.split(manifest.command)
    assert words[-7:].count("--") == 1 and "--photos" not in words and "--image" not in words
    run(*words[1:])
    assert (tmp_path / "out" / "manifest.json").read_bytes() == first


def test_photos_stand_first_in_the_command_that_repeats_a_run(tmp_path):
    paint_photo(tmp_path / "a b.png")
    deconv("--image", "a b.png", "--compare", "none", "--out", "out")
    command = read_manifest(tmp_path / "out", DeconvResults).command
    assert command.startswith("vizcnn deconv 'a b.png' --model zfnet ")


@pytest.mark.parametrize("command", ["receptive", "lecture"])
def test_commands_for_one_photo_refuse_a_second(command):
    told = fail(command, "a.png", "--photos", "b.png")
    assert "2 photos are named: give one" in told


@pytest.mark.parametrize(
    "name", sorted(set(commands.commands) - {"models", "weights", "merge", "index"})
)
def test_every_command_with_photos_takes_them_by_the_same_names(name):
    flags = {flag for option in commands.commands[name].params for flag in option.opts}
    takes_photos = name != "filters"
    wanted = {"photos", "--photos", "--image", "--images", "--data"}
    assert (wanted & flags) == (wanted if takes_photos else set())
    shown = run(name, "--help").stdout
    assert ("--photos" in shown) == takes_photos
    assert "--image" not in shown and "--data " not in shown
