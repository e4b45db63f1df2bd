"""How figures look, by options of every command that draws some."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import deconv, fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.cli.main import commands

pytestmark = pytest.mark.usefixtures("small_net")

FLAGS = {"--style", "--theme", "--dpi", "--title", "--no-caption"}
DRAWING = (
    "ablate",
    "aliasing",
    "check",
    "compare",
    "correspond",
    "deconv",
    "evolve",
    "filters",
    "gallery",
    "invariance",
    "lecture",
    "occlude",
    "probe",
    "receptive",
    "zeiler-fergus",
)
CHOSEN = ("--style", "slide", "--theme", "dark", "--dpi", "60", "--title", "{}!", "--no-caption")


def read_manifest(folder: Path):
    return json.loads((folder / "manifest.json").read_text())


@pytest.mark.parametrize("name", DRAWING)
def test_every_command_that_draws_has_all_of_them(name):
    flags = {flag for option in commands.commands[name].params for flag in option.opts}
    assert flags >= FLAGS


def test_no_other_command_has_some():
    for name, command in commands.commands.items():
        flags = {flag for option in command.params for flag in option.opts}
        assert name in DRAWING or not flags & (FLAGS - {"--style"}), name


@pytest.mark.parametrize("name", ["deconv", "receptive", "filters"])
def test_they_are_heeded_recorded_and_repeated(name, tmp_path):
    photo = paint_photo(tmp_path / "a.png")
    given = {"deconv": ("--layer", "conv1", "--top", "2", photo), "receptive": (photo,)}.get(
        name, ()
    )
    run(name, *CHOSEN, "--out", "one", *given)
    manifest = read_manifest(Path("one"))
    assert manifest["settings"]["figures"] == {
        **{"style": "slide", "theme": "dark", "dpi": 60, "title": "{}!", "captions": False}
    }
    figures = [Path("one", figure["file"]) for figure in manifest["figures"]]
    figures += sorted(Path("one").rglob("summary.png"))
    assert figures
    for figure in figures:
        image = Image.open(figure)
        assert image.size == (800, 450)
        assert tuple(np.asarray(image.convert("RGB"))[0, 0]) == (23, 23, 23)
    before = list_files(Path("one"))
    words = shlex.split(manifest["command"])
    assert set(CHOSEN) <= set(words)
    run(*words[1:])
    pictures = {name: file for name, file in before.items() if name.endswith(".png")}
    after = list_files(Path("one"))
    assert pictures and {name: after[name] for name in pictures} == pictures
    assert read_manifest(Path("one"))["settings"] == manifest["settings"]


def test_without_them_all_is_as_it_was(tmp_path):
    deconv("--out", "usual")
    deconv("--out", "named", "--style", "page", "--theme", "light")
    usual, named = (read_manifest(Path(folder)) for folder in ("usual", "named"))
    settings = usual["settings"]["figures"]
    assert settings == {
        **{"style": "page", "theme": "light", "dpi": None, "title": None, "captions": True}
    }
    assert named["settings"] == usual["settings"]
    usual_files, named_files = (list_files(Path(folder)) for folder in ("usual", "named"))
    pictures = [name for name in usual_files if name.endswith(".png")]
    assert pictures and all(usual_files[name] == named_files[name] for name in pictures)


def read_texts(file: Path) -> str:
    return " ".join(re.findall("<!-- (.*?) -->", file.read_text()))


@pytest.mark.parametrize(
    ("title", "shown"), [("My net", "My net"), ("{} & mine", "ZFNet"), ("", "")]
)
def test_a_title_and_a_caption_are_what_was_asked_for(title, shown):
    deconv("--out", "own", "--title", title, "--no-caption", "--format", "svg")
    deconv("--out", "usual", "--format", "svg")
    own, usual = (
        read_texts(Path(folder, "photo-001", "conv1", "strip.svg")) for folder in ("own", "usual")
    )
    heading = "Tiny $net conv1: motorcycle"
    assert heading in usual and "zero is mid grey" in usual
    assert "zero is mid grey" not in own
    assert (heading in own) == ("{}" in title)
    if title == "My net":
        assert "My net" in own


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dpi", "0"], "'0' is not a whole number from 30 to 1200"),
        (["--dpi", "99999"], "from 30 to 1200"),
        (["--style", "poster"], "'page', 'slide', 'paper'"),
        (["--theme", "blue"], "'light', 'dark'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, words):
    assert words in fail("deconv", *arguments)
