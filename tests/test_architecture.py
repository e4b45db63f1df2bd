"""The house that a stranger reads from the folder listing: its rooms say what they are for."""

import ast
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
(CONTRACT,) = SETTINGS["tool"]["importlinter"]["contracts"]
ROOMS: list[str] = CONTRACT["layers"]

COMMANDS = {"aliasing", "check", "deconv", "filters", "gallery", "invariance", "receptive"}
"""A command, the page that it writes, and what the page shows have one name in three rooms."""

SHARED_NAMES = COMMANDS | {
    "augmentation",  # training's random crops, and the lecture's figure of them
    "files",  # of the disk, and of weights
    "lenet",  # here and below: a net's own file, and the lecture's claims on it
    "alexnet",
    "zfnet",
    "vgg",
    "googlenet",
    "normalisation",  # the layer, and the lecture's curves of it
    "progress",  # what a long job takes, and the bar of the command line
    "run",  # of mining, and of a lecture
    "start",  # of a process, and of a training from other weights
}


def find_folder(room: str) -> Path:
    """The two rooms that lie beside the package are the same in a checkout without links."""
    beside = ROOT / room
    return beside if beside.is_dir() else ROOT / "vizcnn" / room


def list_modules() -> list[Path]:
    return sorted(file for room in ROOMS for file in find_folder(room).rglob("*.py"))


def test_the_contract_names_every_room_and_every_room_is_there():
    packages = {file.parent.name for file in (ROOT / "vizcnn").glob("*/__init__.py")}
    assert packages | {"cli", "gallery"} == set(ROOMS)
    assert CONTRACT["exhaustive"]


def test_only_the_package_itself_lies_loose():
    loose = {file.name for file in (ROOT / "vizcnn").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py"}


def test_every_room_says_what_comes_in_what_goes_out_and_where_to_add():
    silent = []
    for room in ROOMS:
        text = ast.get_docstring(ast.parse((find_folder(room) / "__init__.py").read_text("utf-8")))
        words = " ".join((text or "").split())
        if not all(word in words for word in ("In: ", "Out: ", "Add ")):
            silent.append(room)
    assert silent == []


def test_names_of_files_tell_their_content_apart():
    places = defaultdict(list)
    for file in list_modules():
        if file.stem != "__init__":
            places[file.stem].append(str(file.relative_to(ROOT)))
    twice = {name: files for name, files in places.items() if len(files) > 1}
    assert {name: twice[name] for name in twice.keys() - SHARED_NAMES} == {}


def test_every_test_lies_in_the_room_that_it_tests():
    folders = {file.parent.name for file in (ROOT / "tests").glob("*/__init__.py")}
    assert folders - {"support"} == set(ROOMS)


def test_lint_checks_the_imports():
    lint = (ROOT / "Makefile").read_text("utf-8").split("\nlint:")[1].split("\n\n")[0]
    assert "lint-imports" in lint
