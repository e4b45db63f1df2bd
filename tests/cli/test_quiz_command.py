"""``vizcnn quiz``: of photos, of galleries, and merged; what means nothing is refused."""

import json
import shlex
from pathlib import Path

import pytest

from tests.support.command_line import fail, run
from tests.support.quizzes import CONDITIONS, write_played
from tests.support.small_zoo import list_files
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.quiz.quiz_page import QuizResults

QUICK = ("--model", "lenet", "--layer", "conv2", "--count", 3, "--part", "whole", "--workers", 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quiz of the sample photos, in one line, and its galleries beside it."""
    folder = tmp_path_factory.mktemp("made") / "quiz"
    told = run("quiz", *QUICK, "--out", folder).stdout
    assert "3 questions about units of conv2: photos alone, with projections\n" in told
    assert f"its galleries: {folder}-galleries\n" in told
    assert told.endswith(f"gallery: {folder}/index.html\n")
    return folder


def test_the_command_of_a_quiz_of_photos_makes_it_again(made):
    manifest = read_manifest(made, QuizResults)
    before = list_files(made)
    galleries = Path(f"{made}-galleries")
    index = (galleries / "strongest.safetensors").stat().st_mtime_ns
    run(*shlex.split(manifest.command)[1:])
    assert list_files(made) == before
    # what was mined once is not mined again
    assert (galleries / "strongest.safetensors").stat().st_mtime_ns == index


def test_galleries_make_the_same_quiz_without_a_net(made, tmp_path):
    parts = sorted(path for path in Path(f"{made}-galleries").iterdir() if path.is_dir())
    assert [path.name for path in parts] == ["conv2-calm", "conv2-deconvnet-whole"]
    told = json.loads(run("quiz", *parts, "--count", 3, "--out", tmp_path / "q", "--json").stdout)
    assert (
        told["manifest"]["results"] == json.loads((made / "manifest.json").read_text())["results"]
    )
    command = told["manifest"]["command"]
    assert "--model" not in command and "--weights" not in command
    before = list_files(tmp_path / "q")
    run(*shlex.split(command)[1:])
    assert list_files(tmp_path / "q") == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("{gallery}", "--model", "lenet"), "--model means nothing for galleries: leave it out"),
        (("{gallery}", "--part", "own"), "--part means nothing for galleries"),
        (("{gallery}", "{photo}"), "'photo.png' is no gallery: give galleries alone"),
        (("{gallery}",), "shows no photos that do not excite its units"),
        (("{played}", "--merge", "--count", "3"), "--count means nothing with --merge"),
        (("--merge",), "no result files were given"),
        (("{gallery}", "--merge"), "can be used"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, told, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_played(tmp_path / "played.json", 1, {CONDITIONS[0]: [True]})
    (tmp_path / "photo.png").touch()
    places = {
        "gallery": Path(f"{made}-galleries", "conv2-deconvnet-whole"),
        "photo": "photo.png",
        "played": "played.json",
    }
    words = [argument.format(**places) for argument in arguments]
    assert told in fail("quiz", *words, "--out", "out")
    assert not (tmp_path / "out").exists()


def test_result_files_are_merged_into_a_table(tmp_path):
    alone, whole = CONDITIONS
    write_played(tmp_path / "hall" / "a.json", 1, {alone: [True, True], whole: [True, False]})
    write_played(tmp_path / "hall" / "b.json", 2, {alone: [True, False], whole: [False, False]})
    (tmp_path / "hall" / "c.json").write_text("{")
    words = ("quiz", "--merge", tmp_path / "hall", "--out", tmp_path / "out")
    found = run(*words)
    lines = [line.split() for line in found.stdout.splitlines()]
    assert lines[0] == ["2", "players"]
    assert ["all", "4", "of", "8", "50.0%", "15.7%", "to", "84.3%"] in lines
    assert ["shown", "alone", "3", "of", "4", "75.0%", "19.4%", "to", "99.4%"] in lines
    assert "shown deconvnet-whole: -50.0 percentage points against shown alone" in found.stdout
    assert "c.json" in found.stderr
    run(*words, "--strict", status=2)
    told = json.loads(run(*words, "--json").stdout)
    before = list_files(tmp_path / "out")
    run(*shlex.split(told["manifest"]["command"])[1:])
    assert list_files(tmp_path / "out") == before
