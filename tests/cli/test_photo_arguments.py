"""Photos as users have them, through the command line."""

import json
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import deconv, fail
from tests.support.small_zoo import paint_photo
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
    line = fail("deconv", "--image", f"odd/{name}")
    assert words in line and name in line
    assert not (tmp_path / "vizcnn-out").exists()


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
    assert deconv("--image", name).stderr == ""
    page = Path("vizcnn-out/zfnet-deconvnet/index.html").read_text(encoding="utf-8")
    assert "<i>" not in page
    manifest = read_manifest(Path("vizcnn-out/zfnet-deconvnet"), DeconvResults)
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
    assert "gallery: " in deconv("--image", name, "--out", out).stdout
    assert read_manifest(tmp_path / out, DeconvResults).photos[0].source == name


@pytest.mark.slow
def test_a_folder_with_good_and_bad_photos(tmp_path):
    write_odd_photos(tmp_path / "odd")
    paint_photo(tmp_path / "odd" / "deep" / "second.jpg", seed=2)
    arguments = ["--image", "odd", "--image", "missing.jpg", "--image", "odd/none"]
    result = deconv(*arguments, "--json", status=2)
    manifest = json.loads(result.stdout)["manifest"]
    names = ["odd/deep/second.jpg", "odd/whole.png"]
    assert [photo["source"] for photo in manifest["photos"]] == names
    lines = result.stderr.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("left out: ") for line in lines)
    bad = ["odd/cut.png", "odd/empty.png", "odd/text.jpg", "missing.jpg", "odd/none"]
    assert [failure["source"] for failure in manifest["failures"]] == bad


def test_only_bad_photos_are_one_line_and_nothing_is_written(tmp_path):
    write_odd_photos(tmp_path / "odd")
    (tmp_path / "odd" / "whole.png").unlink()
    assert "none of 3 photos can be used" in fail("deconv", "--image", "odd")
    assert not (tmp_path / "vizcnn-out").exists()


@pytest.mark.slow
def test_what_is_guessed_or_passed_over_is_a_note_each(tmp_path):
    paint_photo(tmp_path / "mine" / "a.png")
    Image.fromarray(np.full((40, 40), 4000, np.uint16)).save(tmp_path / "mine" / "deep.png")
    (tmp_path / "mine" / "raw.nef").write_bytes(b"anything")
    lines = deconv("--image", "mine").stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["note", "note"]
    assert "1 other file ('raw.nef') in 'mine' left out" in lines[0]
    assert "'mine/deep.png' has grey values 4000..4000 in 16 bits: 0 is taken as black" in lines[1]
