"""Two hundred requests a second, for three seconds: all answered, and the memory stays."""

import importlib
import os
import sys
from pathlib import Path

import pytest

import vizcnn
from tests.support.explorer_clients import make_pictures
from vizcnn.explorer.explored import ExploredNet, explore_image
from vizcnn.explorer.explorer import Explorer
from vizcnn.explorer.server import serve
from vizcnn.pages.explore_live import list_files

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # they are scripts: each finds the others beside itself
serving = importlib.import_module("serving")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc, for the memory")
def test_all_is_answered_and_the_memory_stays(one_thread):
    net = vizcnn.load("lenet", weights="bundled")
    photos = [
        explore_image(picture, str(number)) for number, picture in enumerate(make_pictures(4))
    ]
    explorer = Explorer([ExploredNet("lenet", net, ("conv1", "conv2"))], photos)
    with serve(explorer, list_files("Explorer")) as server:
        done = serving.load(os.getpid(), server.server_port, server.token, rate=200, seconds=3)
    assert done.failed == []
    assert sum(map(len, done.seconds.values())) == 600
    assert min(map(len, done.seconds.values())) > 5
    before, after = done.memory
    assert after - before < 16  # MB; 40 kB a request would be as much
