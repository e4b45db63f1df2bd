"""``--open``: the page comes up in the user's browser when it is written."""

import json
import webbrowser

import pytest

from tests.support.command_line import run
from vizcnn.cli.main import commands

pytestmark = pytest.mark.usefixtures("small_net")
COMMAND = ("filters", "--layer", "conv1")


@pytest.fixture
def opened(monkeypatch):
    urls = []
    monkeypatch.setattr(webbrowser, "open", lambda url: urls.append(url) or True)
    return urls


def test_the_page_is_opened_from_disk_and_not_in_a_repeat(opened, tmp_path):
    told = json.loads(run(*COMMAND, "--out", "my page", "--open", "--json").stdout)
    assert opened == [(tmp_path / "my page" / "index.html").as_uri()]
    assert "--open" not in told["manifest"]["command"]
    run(*COMMAND, "--out", "other")
    assert len(opened) == 1


def test_without_a_browser_the_run_succeeds_and_says_so(monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    told = run(*COMMAND, "--out", "out", "--open")
    assert told.stderr == "note: no browser could be started: open out/index.html\n"
    assert told.stdout.endswith("gallery: out/index.html\n")


def test_every_command_with_a_page_has_it():
    having = {
        name
        for name, command in commands.commands.items()
        if any("--open" in parameter.opts for parameter in command.params)
    }
    pages = {"deconv", "gallery", "check", "compare", "filters", "aliasing", "lecture", "receptive"}
    pages |= {"ablate", "correspond", "evolve", "explore", "invariance", "occlude", "probe"}
    pages |= {"quiz", "zeiler-fergus"}
    assert having == pages
