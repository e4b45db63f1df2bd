"""Locks, and files that are made for one run alone."""

import os
import signal
from pathlib import Path

import pytest

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.files import replacing, write_text
from vizcnn.basics.locks import create_file, hold_folder

TEMPORARY = ".vizcnn-note.part"


def test_a_lock_goes_with_its_process_and_not_with_those_it_forked(tmp_path):
    ends = os.pipe()
    holder = os.fork()
    if holder == 0:
        with hold_folder(tmp_path):
            worker = os.fork()
            if worker == 0:
                signal.pause()
            os.write(ends[1], str(worker).encode())
            signal.pause()
        os._exit(0)
    worker = int(os.read(ends[0], 20))
    try:
        with pytest.raises(VizcnnError, match="at work in"), hold_folder(tmp_path):
            pass
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        with hold_folder(tmp_path) as held:
            assert held
    finally:
        os.kill(worker, signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_a_file_do_not_mix(tmp_path):
    path = tmp_path / "note"
    with replacing(path) as temporary:
        temporary.write_text("first")
        with pytest.raises(VizcnnError, match="another vizcnn is writing"):
            write_text(path, "second")
        assert temporary.read_text() == "first"
    assert path.read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["note"]


def make_link(place: Path, precious: Path) -> None:
    place.symlink_to(precious)


def make_hard_link(place: Path, precious: Path) -> None:
    os.link(precious, place)


def make_broken_link(place: Path, precious: Path) -> None:
    place.symlink_to(precious.with_name("new"))


def make_pipe(place: Path, precious: Path) -> None:
    os.mkfifo(place)


def make_leftover(place: Path, precious: Path) -> None:
    place.write_text("half")


@pytest.mark.parametrize("name", ["note", TEMPORARY])
@pytest.mark.parametrize(
    "make", [make_link, make_hard_link, make_broken_link, make_pipe, make_leftover]
)
def test_nothing_outside_is_written_through_a_name(tmp_path, name, make):
    precious, folder = tmp_path / "precious", tmp_path / "out"
    precious.write_text("mine")
    folder.mkdir()
    make(folder / name, precious)
    write_text(folder / "note", "new")
    assert precious.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name == "new"] == []
    assert [path.name for path in folder.iterdir()] == ["note"]
    assert not (folder / "note").is_symlink()
    assert (folder / "note").read_text() == "new"


def test_a_temporary_file_that_was_taken_away_is_not_put_in_place(tmp_path):
    path, precious = tmp_path / "note", tmp_path / "precious"
    path.write_text("old")
    precious.write_text("mine")
    with pytest.raises(VizcnnError, match="taken away"), replacing(path) as temporary:
        temporary.unlink()
        temporary.symlink_to(precious)
    assert path.read_text() == "old"
    assert precious.read_text() == "mine"


def test_a_file_is_gone_in_the_end_unless_it_was_moved(tmp_path):
    path = tmp_path / TEMPORARY
    with create_file(path):
        pass
    assert list(tmp_path.iterdir()) == []
    with create_file(path):
        path.rename(tmp_path / "moved")
        path.write_text("of others")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [TEMPORARY, "moved"]
