"""A gallery that was killed and whose working folder was damaged then: the same bytes, always."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.small_zoo import list_files
from tests.support.top_runs import (
    FEW,
    POSTED,
    SETTINGS,
    make,
    make_and_die,
    write_noise,
    write_photos,
)
from vizcnn.basics.errors import DataError, VizcnnError
from vizcnn.mining.index import INDEX_NAME
from vizcnn.pages.layers.pieces import LIST_NAME, Ledger, Piece
from vizcnn.pages.layers.work_folder import WORK_NAME, open_work

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

STAGES = [("mine", 33), ("project", 2), ("draw", 7), ("posters", 1), ("move", 15)]


@pytest.fixture(scope="module", params=STAGES, ids=lambda stage: stage[0])
def killed(request, tmp_path_factory):
    """Photos, settings, an output folder whose run was killed, and what a whole run gives."""
    label, count = request.param
    folder = tmp_path_factory.mktemp(label)
    photos = write_photos(folder / "photos")
    settings = POSTED if label == "posters" else FEW
    torch.set_num_threads(1)
    make(photos, folder / "whole", settings)
    make_and_die(photos, folder / "killed", label, count, settings)
    return photos, settings, folder / "killed", list_files(folder / "whole")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Change a bit in each tenth of a file."""
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 20, len(content), max(len(content) // 10, 1)):
        content[place] ^= 4
    path.write_bytes(content)


def replace_by(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    (path / "in it").mkdir(parents=True)
    (path / "file").write_text("x")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": cut,
    "bits": flip,
    "gone": Path.unlink,
    "empty": replace_by(b""),
    "ones": replace_by(b"\1" * 5000),
    "other types": replace_by(b'{"portions": [1], "lots": {"a": null}, "index": 3}'),
    "list": replace_by(b'[1, "x"]'),
    "deep": replace_by(b"[" * 100_000),
    "large": replace_by(b'"' + b"x" * 5_000_000),
    "folder": replace_by_folder,
    "pipe": replace_by_pipe,
}


def pick_files(work: Path) -> list[Path]:
    """One file of each kind: names that differ in their numbers alone are of one."""
    files = sorted(path.relative_to(work) for path in work.rglob("*") if path.is_file())
    return list({re.sub(r"\d+", "#", str(name)): name for name in files}.values())


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damaged_file_is_made_anew(killed, tmp_path, damage):
    """The damages take turns with the files, so that a run for each pair is not needed."""
    photos, settings, start, wanted = killed
    names = pick_files(start / WORK_NAME)
    for name in names[list(DAMAGES).index(damage) % 4 :: 4]:
        out = tmp_path / re.sub(r"\W", "-", str(name))
        shutil.copytree(start, out)
        held = any((out / WORK_NAME / name).read_bytes())  # else its loss may make no difference
        DAMAGES[damage](out / WORK_NAME / name)
        told: list[str] = []
        make(photos, out, settings, notice=told.append)
        assert list_files(out) == wanted, name
        assert told or not held, name
        assert all("\n" not in line for line in told)


@pytest.mark.parametrize("part", ["", "site", "spool", "blocks", "site/conv3", "site/photos", "*"])
def test_each_part_of_the_working_folder_may_be_removed(killed, tmp_path, part):
    photos, settings, start, wanted = killed
    out = tmp_path / "out"
    shutil.copytree(start, out)
    for path in (out / WORK_NAME).glob("*") if part == "*" else [out / WORK_NAME / part]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    make(photos, out, settings)
    assert list_files(out) == wanted


@pytest.mark.parametrize("killed", [("draw", 7)], ids=["draw"], indirect=True)
def test_pieces_of_another_run_are_not_taken_for_its_own(killed, tmp_path):
    photos, settings, start, wanted = killed
    other = write_photos(tmp_path / "others", 40)
    for number in range(20):
        write_noise(other / f"part {number % 3}" / f"photo {number}.png", 500 + number)
    make_and_die(other, tmp_path / "foreign", "draw", 7, FEW)
    foreign, out = tmp_path / "foreign" / WORK_NAME, tmp_path / "out"
    for names in ("site", "spool", LIST_NAME), ("site/conv3", "blocks"):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(start, out)
        for name in names:
            if (foreign / name).is_dir():
                shutil.copytree(foreign / name, out / WORK_NAME / name, dirs_exist_ok=True)
            elif (foreign / name).exists():
                shutil.copy(foreign / name, out / WORK_NAME / name)
        make(photos, out, settings)
        assert list_files(out) == wanted


@pytest.mark.parametrize("killed", [("draw", 7)], ids=["draw"], indirect=True)
def test_a_second_name_of_a_file_elsewhere_is_not_written_to(killed, tmp_path):
    photos, settings, start, wanted = killed
    names = pick_files(start / WORK_NAME)
    out = tmp_path / "out"
    shutil.copytree(start, out)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in names:
        (out / WORK_NAME / name).unlink()
        (out / WORK_NAME / name).hardlink_to(precious)
    make(photos, out, settings)
    assert precious.read_text() == "mine"
    assert list_files(out) == wanted


@pytest.mark.parametrize("killed", [("draw", 7)], ids=["draw"], indirect=True)
def test_what_others_put_into_the_working_folder_does_not_reach_the_site(killed, tmp_path):
    photos, settings, start, wanted = killed
    out = tmp_path / "out"
    shutil.copytree(start, out)
    for name in ("site/x.html", "site/conv3/.unit-0001-small.webp.part", "identity.json"):
        path = out / WORK_NAME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    told: list[str] = []
    make(photos, out, settings, notice=told.append)
    assert list_files(out) == wanted
    assert any("'identity.json'" in line for line in told)


def write_broken(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number in range(5):
        (folder / f"{number}.png").write_bytes(b"no photo" * 400)
    return folder


def test_photos_that_could_not_be_read_do_not_stand_in_the_way_of_others(tmp_path):
    settings, out = replace(SETTINGS, layers=("conv1",)), tmp_path / "out"
    with pytest.raises(DataError, match="none of 5 photos can be read"):
        make(write_broken(tmp_path / "broken"), out, settings)
    assert not out.exists()
    photos = write_photos(tmp_path / "photos", 6)
    make(photos, out, settings)
    with pytest.raises(DataError, match="none of 5 photos can be read"):
        make(tmp_path / "broken", tmp_path / "out", settings)
    assert [path.name for path in out.glob(".vizcnn-*")] == [".vizcnn-files.json"]


def test_an_index_in_which_nothing_is_does_not_stand_in_the_way(tmp_path):
    """Killed after photos that could not be read: the next run, of others, begins anew."""
    settings, out = replace(SETTINGS, layers=("conv1",)), tmp_path / "out"

    def stop(items, **options):
        for number, item in enumerate(items):
            if number == 3:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        make(write_broken(tmp_path / "broken"), out, settings, progress=stop)
    assert (out / WORK_NAME / INDEX_NAME).exists()
    told: list[str] = []
    photos = write_photos(tmp_path / "photos", 6)
    make(photos, out, settings, notice=told.append)
    make(photos, tmp_path / "whole", settings)
    assert list_files(out) == list_files(tmp_path / "whole")
    assert [line for line in told if "could read none of 5 photos" in line] == told


@pytest.mark.parametrize("put", [Path.touch, os.mkfifo, lambda path: path.write_bytes(b"x")])
def test_what_is_in_the_place_of_the_working_folder_does_not_stand_in_the_way(tmp_path, put):
    (tmp_path / "out").mkdir()
    put(tmp_path / "out" / WORK_NAME)
    with open_work(tmp_path / "out") as work:
        assert work.path.is_dir()
    assert not work.path.exists()


def test_a_lock_is_held_until_its_run_ends(tmp_path):
    with (
        open_work(tmp_path / "out") as work,
        pytest.raises(VizcnnError, match="another vizcnn is at work in"),
        open_work(tmp_path / "out"),
    ):
        pass
    assert not work.path.exists()
    with open_work(tmp_path / "out"):
        pass


CAUSES = {"index": "ab", "layers": ["conv1"]}


def make_ledger(folder: Path) -> Ledger:
    ledger = Ledger(folder, CAUSES)
    (folder / "a").write_text("a")
    ledger.add(Piece(name="unit 0 1", boxes=((1, 2, 3, 4),), corners=((5, 6),)), [folder / "a"])
    ledger.add(Piece(name="lot 0", digest="cd"))
    return ledger


def test_a_list_of_pieces_is_read_as_it_was_written(tmp_path):
    made = make_ledger(tmp_path)
    read = Ledger(tmp_path, CAUSES)
    assert read.find("unit 0 1") == made.find("unit 0 1")
    assert read.files == ["a"]
    assert (read.lost, read.former) == (0, {})
    read.forget("lot")
    assert [Ledger(tmp_path, CAUSES).find(name) is None for name in ("unit 0 1", "lot 0")] == [
        False,
        True,
    ]


def test_no_bit_of_a_list_can_change_unseen(tmp_path):
    made = make_ledger(tmp_path)
    content = (tmp_path / LIST_NAME).read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        (tmp_path / LIST_NAME).write_bytes(damaged)
        read = Ledger(tmp_path, CAUSES)
        for name in ("unit 0 1", "lot 0"):
            assert read.find(name) in (None, made.find(name))


def test_a_list_of_other_causes_names_no_pieces(tmp_path):
    make_ledger(tmp_path)
    other = Ledger(tmp_path, {**CAUSES, "index": "cd"})
    assert other.find("unit 0 1") is None
    assert other.former == json.loads(json.dumps(CAUSES))
    assert Ledger(tmp_path, CAUSES).find("unit 0 1") is None
