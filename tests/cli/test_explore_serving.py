"""``vizcnn explore --serve`` as a process: who learns its address, how it ends, what it leaves."""

import json
import re
import signal
import socket
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command_line import fail, start
from tests.support.explorer_clients import Client

SERVE = ["-m", "vizcnn", "explore", "coffee", "--model", "lenet", "--layer", "conv1", "--serve"]

NOTING = """#!{python}
import os, pathlib, sys, time
given = sys.argv[1].removeprefix("file://")
noted = pathlib.Path({noted!r})
parts = [sys.argv[1], open(given).read(), oct(os.stat(given).st_mode & 0o777),
         oct(os.stat(os.path.dirname(given)).st_mode & 0o777)]
noted.with_suffix(".part").write_text("\\n--\\n".join(parts))
noted.with_suffix(".part").rename(noted)
"""
"""A browser that notes what it is given, and how that is protected."""


class Address:
    """Where a server is, as :class:`Client` takes it."""

    def __init__(self, address):
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/", address)
        self.server_port, self.token = int(found[1]), found[2]


@contextmanager
def serving(folder, *options, **environment):
    """A server in a folder of its own; gives the process and the lines until its address."""
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {"TMPDIR": str(temporary), "OMP_NUM_THREADS": "1", **environment}
    process = start(*SERVE, *options, cwd=folder, environment=environment.items())
    try:
        lines = []
        while not (lines and ("Ctrl-C" in lines[-1] or lines[-1].startswith("{"))):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            lines.append(line.rstrip("\n"))
        yield process, lines
    finally:
        process.kill()
        process.communicate()


def find_address(lines):
    (address,) = [line.removeprefix("explorer: ") for line in lines if line.startswith("explorer")]
    return Address(address)


def list_left(folder):
    return sorted(path.name for path in folder.rglob("*"))


def list_commands():
    """What every user of the machine can see of every process."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_bytes().decode(errors="replace")
        except OSError:
            continue


def test_the_browser_is_led_there_unseen_and_ctrl_c_leaves_nothing(tmp_path):
    browser, noted = tmp_path / "browser", tmp_path / "noted"
    browser.write_text(NOTING.format(python=sys.executable, noted=str(noted)))
    browser.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    with serving(home, BROWSER=f"{browser} %s", SSH_CONNECTION="") as (process, lines):
        server = find_address(lines)
        assert lines[0].startswith("LeNet")
        wait_for(noted.is_file)
        given, page, mode, folder_mode = noted.read_text().split("\n--\n")
        assert given.startswith((home / "tmp").as_uri())
        assert server.token not in given
        assert f"http://127.0.0.1:{server.server_port}/{server.token}/" in page
        assert (mode, folder_mode) == ("0o600", "0o700")
        if Path("/proc/self/cmdline").exists():
            assert [told for told in list_commands() if server.token in told] == []
        assert list_left(home / "tmp") != []
        with Client(server) as client:
            shown = client.send("GET", "")
            assert (shown.status, b"vizcnn-explorer" in shown.body) == (200, True)
            wait_for(lambda: list_left(home) == ["tmp"])  # as soon as the page is there
            fields = client.ask(ask="start").fields
            assert [photo["name"] for photo in fields["photos"]] == ["coffee"]
            asked = {"ask": "pictures", "net": 0, "photo": 0, "layer": 0, "method": "deconvnet"}
            (picture,) = client.ask(**asked, units=[3], place=[2, 5]).fields["units"]
            assert (picture["unit"], picture["place"]) == (3, [2, 5])
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (told, errors) == ("", "error: interrupted: nothing is left half-written\n")
    assert list_left(home) == ["tmp"]


def wait_for(is_true):
    for _ in range(600):
        if is_true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_over_ssh_the_tunnel_is_told_no_browser_opened_and_a_request_to_end_heard(tmp_path):
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\ntouch opened\n")
    browser.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    came = {"BROWSER": f"{browser} %s", "SSH_CONNECTION": "10.0.0.2 5000 10.0.0.9 2222"}
    with serving(home, "--json", "no such photo.jpg", **came) as (process, lines):
        told = json.loads(lines[-1])
        assert len(lines) == 1
        port = told["port"]
        server = Address(told["address"])
        pattern = rf"ssh -N -L {port}:127\.0\.0\.1:{port} -p 2222 \S+@10\.0\.0\.9"
        assert re.fullmatch(pattern, told["tunnel"])
        assert server.server_port == port
        with Client(server) as client:
            assert client.ask(ask="start").status == 200
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "no such photo.jpg" in errors
    assert "Traceback" not in errors
    assert list_left(home) == ["tmp"]


@pytest.mark.usefixtures("small_net")
def test_options_of_the_one_life_are_refused_with_the_other():
    for words in (["--port", 1], ["--no-open"]):
        assert f"{words[0]}: it goes with --serve" in fail("explore", *words)
    for words in (["--out", "x"], ["--force"], ["--open"]):
        assert f"{words[0]}: --serve writes no folder" in fail("explore", "--serve", *words)
    assert "--port" in fail("explore", "--serve", "--port", 65536)
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("small_net")
def test_a_port_that_is_taken_is_told_in_a_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = fail("explore", "coffee", "--layer", "conv1", "--serve", "--port", port)
    assert f"port {port} of 127.0.0.1 cannot be had" in told
    assert "choose another --port" in told
