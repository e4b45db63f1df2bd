"""Output folders: complete or untouched, files of others safe."""

import json
import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.small_zoo import list_files
from vizcnn.basics.errors import LeftoverWarning, VizcnnError
from vizcnn.basics.files import write_text
from vizcnn.basics.output import LIST_NAME, hold_output, open_folder, write_folder


def write(folder: Path, **files: str) -> None:
    """Write a folder of files; ``__`` in a name stands for a slash."""
    with write_folder(folder) as staging:
        for name, text in files.items():
            path = staging / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def read(folder: Path) -> dict[str, str]:
    files = list_files(folder)
    files.pop(LIST_NAME, None)
    return {name: content.decode() for name, content in files.items()}


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("given", ["out", "a/b/out", "a b/ü <out>"])
def test_a_new_folder_is_made_with_its_parents(tmp_path, given):
    write(tmp_path / given, index="1", photo__tile="2")
    assert read(tmp_path / given) == {"index": "1", "photo/tile": "2"}
    assert not [name for name in everything(tmp_path) if name.endswith(".part")]


def test_an_empty_folder_is_filled_and_a_relative_one_too(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", index="1")
    monkeypatch.chdir(tmp_path / "out")
    write(Path(), index="2")
    assert read(tmp_path / "out") == {"index": "2"}
    write(Path("in"), index="3")
    assert read(tmp_path / "out" / "in") == {"index": "3"}


def test_an_earlier_gallery_is_brought_up_to_date_beside_files_of_others(tmp_path):
    out = tmp_path / "out"
    write(out, index="old", p1__a="old", p1__b="old", p2__c__d="old")
    (out / "p1" / "mine.txt").write_text("mine")
    (out / "notes.txt").write_text("mine")
    write(out, index="new", p1__a="new", p3__e="new")
    assert read(out) == {
        "index": "new",
        "p1/a": "new",
        "p3/e": "new",
        "p1/mine.txt": "mine",
        "notes.txt": "mine",
    }
    assert "p2" not in everything(out)
    assert json.loads((out / LIST_NAME).read_text()) == ["index", "p1/a", "p3/e"]


def test_a_folder_behind_a_link_is_written_through_it(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", index="1")
    write(tmp_path / "link", index="2")
    assert read(tmp_path / "real") == {"index": "2"}
    assert (tmp_path / "link").is_symlink()


def test_a_folder_of_others_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(VizcnnError, match="not vizcnn's: choose another --out"):
        write(tmp_path, index="1")
    assert everything(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize("place", ["file", "file/out", "file/a/b", "broken"])
def test_a_file_in_the_way_is_refused_and_untouched(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    before = everything(tmp_path)
    with pytest.raises(VizcnnError, match="--out") as caught:
        write(tmp_path / place, index="1")
    assert len(str(caught.value).splitlines()) == 1
    assert everything(tmp_path) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_of_others_is_never_replaced(tmp_path):
    write(tmp_path / "out", index="old")
    (tmp_path / "out" / "p1").write_text("mine")
    for name in ("p1", "p1__a"):
        with pytest.raises(VizcnnError, match="choose another --out"):
            write(tmp_path / "out", **{"index": "new", name: "new"})
        assert read(tmp_path / "out") == {"index": "old", "p1": "mine"}
    assert everything(tmp_path / "out") == [LIST_NAME, "index", "p1"]


ERRORS = [RuntimeError("no"), KeyboardInterrupt(), SystemExit(3)]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("place", ["out", "a/b/out"])
def test_an_exception_leaves_no_new_folder(tmp_path, error, place):
    with pytest.raises(type(error)), write_folder(tmp_path / place) as staging:
        (staging / "index").write_text("half")
        raise error
    assert everything(tmp_path) == []


@pytest.mark.parametrize("error", ERRORS)
def test_an_exception_leaves_the_former_gallery(tmp_path, error):
    out = tmp_path / "out"
    write(out, index="old", p1__a="old")
    before = list_files(tmp_path)
    with pytest.raises(type(error)), write_folder(out) as staging:
        (staging / "index").write_text("half")
        raise error
    assert list_files(tmp_path) == before
    assert not [name for name in everything(tmp_path) if name.endswith(".part")]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", range(8))
def test_an_exception_while_files_move_brings_the_former_ones_back(
    tmp_path, monkeypatch, error, after
):
    out = tmp_path / "out"
    write(out, index="old", p1__a="old", p2__b="old")
    (out / "notes.txt").write_text("mine")
    before, folders, real, calls = list_files(out), everything(out), os.replace, []

    def replace(source, target):
        calls.append(source)
        if len(calls) == after + 1:
            raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    needed = VizcnnError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(needed):
        write(out, index="new", p1__c="new", p3__d="new")
    assert list_files(out) == before
    assert everything(out) == folders


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_parent_that_may_not_be_written_is_one_line(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(VizcnnError, match=r"cannot write to .*Permission denied"):
        write(closed / "out", index="1")


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", fail)
    with pytest.raises(VizcnnError, match="No space left on device"):
        write(tmp_path / "a" / "out", index="1")
    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["../precious", "p1/../../precious", "link/precious", "{absolute}"]
)
def test_a_tampered_list_reaches_nothing_outside(tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    for place in (tmp_path, outside):
        (place / "precious").write_text("mine")
    out = tmp_path / "out"
    write(out, index="old", p1__a="old")
    (out / "link").symlink_to(outside)
    absolute = str(tmp_path / "precious")
    (out / LIST_NAME).write_text(json.dumps([name.format(absolute=absolute), "index", "p1/a"]))
    write(out, index="new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (outside / "precious").read_text() == "mine"
    assert (out / "index").read_text() == "new"


@pytest.mark.parametrize("text", ["", "{}", "[1, null]", "not json", '["p1", "a\\u0000b"]', "[[]]"])
def test_a_damaged_list_deletes_nothing(tmp_path, text):
    out = tmp_path / "out"
    write(out, p1__a="old")
    (out / LIST_NAME).write_text(text)
    write(out, index="new")
    assert read(out) == {"index": "new", "p1/a": "old"}


def test_what_a_killed_run_left_is_not_of_others(tmp_path):
    (tmp_path / "out" / ".vizcnn-abc.part").mkdir(parents=True)
    write(tmp_path / "out", index="1")
    assert read(tmp_path / "out") == {"index": "1"}


@pytest.mark.parametrize("name", ["p1__a", "p1__deep__a"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_link_in_the_place_of_a_folder_is_not_written_through(tmp_path, name, listed):
    out, outside = tmp_path / "out", tmp_path / "outside"
    write(out, index="old", **({name: "old"} if listed else {}))
    (out / "p1").rename(outside) if listed else outside.mkdir()
    (out / "p1").symlink_to(outside)
    (outside / "precious").write_text("mine")
    before = list_files(tmp_path)
    with pytest.raises(VizcnnError, match=r"out/p1' is a link, and links .* not followed: remove"):
        write(out, index="new", **{name: "new"})
    assert list_files(tmp_path) == before
    write(out, index="new")
    assert (out / "index").read_text() == "new"
    assert (out / "p1").is_symlink()
    assert (outside / "precious").read_text() == "mine"


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(tmp_path):
    out = tmp_path / "out"
    write(out, index="old", p1__a="old")
    (tmp_path / "precious").write_text("mine")
    (out / "index").unlink()
    (out / "index").symlink_to(tmp_path / "precious")
    write(out, index="new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (out / "index").is_symlink()
    assert read(out) == {"index": "new"}


@pytest.mark.parametrize("hard", [True, False])
def test_a_temporary_name_that_is_a_link_is_not_written_through(tmp_path, hard):
    (tmp_path / "precious").write_text("mine")
    temporary = tmp_path / ".vizcnn-note.txt.part"
    if hard:
        os.link(tmp_path / "precious", temporary)
    else:
        temporary.symlink_to(tmp_path / "precious")
    write_text(tmp_path / "note.txt", "new")
    assert (tmp_path / "note.txt").read_text() == "new"
    assert (tmp_path / "precious").read_text() == "mine"
    assert everything(tmp_path) == ["note.txt", "precious"]


def test_a_second_run_into_a_folder_is_refused_and_the_first_ends(tmp_path):
    out = tmp_path / "out"
    with write_folder(out) as staging:
        (staging / "index").write_text("first")
        for _ in range(2):
            with pytest.raises(VizcnnError, match=r"another vizcnn is at work in .*/out': wait"):
                write(out, index="second")
    assert read(out) == {"index": "first"}
    write(out, index="third")
    assert read(out) == {"index": "third"}


def kill_in_child(work: Callable[[], object]) -> None:
    """Run a function in a process that is killed by it, or fails the test."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("former", [True, False])
@pytest.mark.parametrize("after", range(9))
def test_what_a_killed_run_left_is_told_and_undone(tmp_path, monkeypatch, former, after):
    out, real = tmp_path / "out", os.replace
    if former:
        write(out, index="old", p1__a="old", p2__b="old")
        (out / "notes.txt").write_text("mine")
    else:
        out.mkdir()
    before, folders, calls = list_files(out), everything(out), []

    def replace(source, target):
        calls.append(source)
        if len(calls) == after:
            kill()
        real(source, target)

    def run():
        monkeypatch.setattr(os, "replace", replace)
        write(out, index="new", p1__c="new", p3__d="new")
        kill()

    kill_in_child(run)
    [left] = [path.name for path in out.glob(".vizcnn-*.part")] or [None]
    with warnings.catch_warnings(record=True) as caught, open_folder(out):
        warnings.simplefilter("always")
        ended = (out / "p3" / "d").exists()
        if left and not ended:
            assert list_files(out) == before
            assert everything(out) == folders
    told = [str(warning.message) for warning in caught]
    assert told == (
        [f"removed what a killed run had left in {str(out)!r} ({left})"] if left else []
    )
    assert ended is (left is None or after == 9)
    write(out, index="new", p1__c="new", p3__d="new")
    assert read(out) == {
        "index": "new",
        "p1/c": "new",
        "p3/d": "new",
        **({"notes.txt": "mine"} if former else {}),
    }


def test_only_our_own_dead_leftovers_are_removed(tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    write(out, index="old")
    kept = [".vizcnn-work.part", ".vizcnn-abcdefgh.part.d", ".vizcnn-ABCDEFGH.part", "x.part"]
    for name in kept:
        (out / name).mkdir()
    (out / ".vizcnn-abcdefg2.part").mkdir()
    (outside / "former.part").mkdir(parents=True)
    (outside / "former.part" / "precious").write_text("mine")
    (out / ".vizcnn-abcdefg3.part").symlink_to(outside)
    (out / ".vizcnn-abcdefg4.part").write_text("mine")
    kept += [".vizcnn-abcdefg3.part", ".vizcnn-abcdefg4.part", LIST_NAME, "index"]
    with pytest.warns(LeftoverWarning, match=r"\(\.vizcnn-abcdefg2\.part\)$"):
        write(out, index="new")
    assert sorted(path.name for path in out.iterdir()) == sorted(kept)
    assert (outside / "former.part" / "precious").read_text() == "mine"


def test_a_file_of_a_long_run_is_held(tmp_path):
    file, precious = tmp_path / "new" / "index", tmp_path / "precious"
    precious.write_text("mine")
    with hold_output(file):
        with pytest.raises(VizcnnError, match="another vizcnn is writing"), hold_output(file):
            pass
        with hold_output(file.with_name("other")):
            write_text(file, "first")
        assert sorted(everything(file.parent)) == [".vizcnn-index.lock.part", "index"]
    assert everything(file.parent) == ["index"]

    def run():
        with hold_output(file):
            kill()

    kill_in_child(run)
    (tmp_path / "new" / ".vizcnn-linked.lock.part").symlink_to(precious)
    with hold_output(file), hold_output(file.with_name("linked")):
        pass
    assert everything(tmp_path) == ["new", "new/index", "precious"]
    assert precious.read_text() == "mine"
    with pytest.raises(RuntimeError), hold_output(tmp_path / "a" / "b" / "index"):
        raise RuntimeError
    assert everything(tmp_path) == ["new", "new/index", "precious"]


def test_leftovers_of_a_living_run_stay(tmp_path):
    out = tmp_path / "out"
    with write_folder(out) as staging:
        (staging / "index").write_text("first")
        with pytest.raises(VizcnnError, match="at work"):
            write(out, index="second")
        assert staging.is_dir()
