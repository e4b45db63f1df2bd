"""The fuzz job sees what it looks for, and a few of its cases pass."""

import os
import time
from pathlib import Path

import click
import pytest

from tests.support.fuzzing import fuzz, run_case
from vizcnn.cli.main import commands


def raise_an_error():
    raise ValueError("unforeseen")


def leave_a_folder():
    Path(".vizcnn-1.part").mkdir()
    raise click.UsageError("refused")


def touch_a_file_of_others():
    Path("foreign.txt").write_text("gone")


def say_control_characters():
    click.echo("\x1b[2J", err=True)


def say_a_novel():
    click.echo("x" * 1000, err=True)


def say_nothing():
    os._exit(2)


def hang():
    time.sleep(60)


SEEN = {
    raise_an_error: "traceback",
    leave_a_folder: "left .vizcnn-1.part",
    touch_a_file_of_others: "touched foreign.txt",
    say_control_characters: "control characters",
    say_a_novel: "long line",
    say_nothing: "no word",
    hang: "hang",
}


@pytest.mark.parametrize("fault", SEEN)
def test_faults_are_seen(tmp_path, monkeypatch, fault):
    command = click.Command("faulty", callback=fault)
    monkeypatch.setitem(commands.commands, "faulty", command)
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "foreign.txt").write_text("of others")
    outcome = run_case(folder, ("faulty",), "", lambda: None, "out", patience=2)
    assert SEEN[fault] in outcome.faults


@pytest.mark.slow
def test_a_few_cases_pass():
    outcomes = list(fuzz(seconds=60, seed=1, count=20))
    assert outcomes
    assert [outcome for outcome in outcomes if outcome.faults] == []
