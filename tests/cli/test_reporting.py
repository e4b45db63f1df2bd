"""What reaches the terminal: nothing that moves in it, colours it or turns the writing."""

import ast
import io
import json
import sys
import time
import unicodedata
import warnings
from pathlib import Path

import click
import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn import cli
from vizcnn.basics.errors import PhotoWarning
from vizcnn.basics.texts import escape_controls
from vizcnn.cli.reporting import bar, list_failures, say, telling_warnings

HOSTILE = [
    *("\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x08\x08", "\r", "\n", "\x00", "\x7f", "\x85"),
    *("\u202e", "\u2066", "\u200f", "\u2028", "\ufeff", "\U000e0041", "\udc9b"),
]


def is_harmless(text: str) -> bool:
    return all(c.isprintable() or unicodedata.category(c) == "Zs" for c in text.removesuffix("\n"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("text", HOSTILE)
def test_every_way_to_the_terminal_is_harmless(text, monkeypatch):
    name, terminal = f"a{text}b", Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(warnings, "showwarning", lambda message, *rest: terminal.write(message))
    say(name, err=True)
    list_failures([name])
    with telling_warnings():
        warnings.warn(name, PhotoWarning, stacklevel=1)
        warnings.warn(name, UserWarning, stacklevel=1)
    lines = terminal.getvalue().split("\n")
    assert len(lines) == 4
    assert all(line.endswith("b") and is_harmless(line) for line in lines)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_progress_bar_is_harmless(text, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    list(bar([1, 2], label=f"a{text}b", delay=0))
    assert "b: " in terminal.getvalue()
    assert all(is_harmless(part) for part in terminal.getvalue().split("\r"))


def test_what_is_printable_stays():
    for text in ("Ångström, 漢字, 🦊, a\u00a0b", "", r"C:\photos\new"):
        assert escape_controls(text) == text
    assert json.loads(escape_controls(json.dumps("a\x7f\x1b", ensure_ascii=False))) == "a\x7f\x1b"


@pytest.mark.parametrize("text", [text for text in HOSTILE if text not in ("\x00", "\udc9b")])
def test_names_of_files_are_harmless_in_errors_and_notes(tmp_path, text):
    folder = tmp_path / f"a{text}b"
    folder.mkdir()
    (folder / f"c{text}d.jpg").write_bytes(b"no photo")
    common = ["deconv", "--model", "lenet", "--layer", "conv1", "--top", "1"]
    common += ["--out", folder / "out"]
    for image in (folder, folder / f"c{text}d.jpg", folder / f"missing{text}.jpg"):
        assert is_harmless(fail(*common, image))
    paint_photo(folder / "good.png")
    outcome = run(*common, folder)
    assert "left out: " in outcome.stderr
    assert "gallery: " in outcome.stdout
    assert all(is_harmless(line) for line in outcome.output.split("\n"))


def test_commands_print_through_one_door():
    for file in Path(str(cli.__file__)).parent.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if is_echo(node)]
        # the door, what click itself puts together, the last line before anything is loaded and
        # the end of a line
        known = {"reporting.py": 1, "main.py": 1, "start.py": 2}
        assert len(calls) == known.get(file.name, 0), file.name


def is_echo(node: ast.AST) -> bool:
    doors = ("click.echo", "print", "sys.stderr.write", "sys.stdout.write")
    return isinstance(node, ast.Call) and ast.unparse(node.func) in doors


def walk(clock, monkeypatch, seconds, **options):
    """Iterate with a clock that moves on by some seconds an item."""
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for _ in bar(range(8), label="mine", **options):
        clock[0] += seconds


def test_without_a_terminal_a_line_a_minute_says_how_far_it_is(monkeypatch, capsys):
    clock = [1000.0]
    with click.Context(click.Command("mine")):
        walk(clock, monkeypatch, 25, total=8, unit="photo")
        told = capsys.readouterr().err.splitlines()
        assert told == ["mine: photo 3 of 8 (38%), 1 min", "mine: photo 6 of 8 (75%), 2 min"]
        # short bars add up to a long run; what was done before counts
        walk(clock, monkeypatch, 1, total=18, unit="photo", initial=10)
        assert capsys.readouterr().err.splitlines() == []
        walk(clock, monkeypatch, 9)
        assert capsys.readouterr().err.splitlines() == ["mine: 1, 4 min"]


def test_short_runs_say_nothing_where_there_is_no_terminal(monkeypatch, capsys):
    walk([0.0], monkeypatch, 1, total=8)
    assert capsys.readouterr().err == ""


def test_one_bad_photo_is_a_warning_and_with_strict_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paint_photo(tmp_path / "photos" / "good.png")
    (tmp_path / "photos" / "bad.png").write_bytes(b"no photo")
    words = ("deconv", "photos", "--model", "lenet", "--layer", "conv1", "--top", 1)
    told = run(*words, "--compare", "none", "--out", "out")
    assert "left out: 'photos/bad.png'" in told.stdout
    lines = told.stderr.splitlines()
    assert lines[0].startswith("left out: ") and len(lines) == 2
    assert lines[1] == "warning: 1 left out, named above; the rest is done"
    first = list_files(tmp_path / "out")
    run(*words, "--compare", "none", "--out", "out", "--strict", status=2)
    assert list_files(tmp_path / "out") == first
    words = ("mine", "photos", "--model", "lenet", "--layer", "conv1", "--workers", 0)
    assert "warning: 1 left out" in run(*words, "--out", "index").stderr
    run(*words, "--out", "index", "--strict", status=2)
    assert "warning: 1 left out" in run("merge", "index", "--out", "joined").stderr
    run("merge", "index", "--out", "joined", "--strict", status=2)
