"""A lock is held by a living run alone, whatever a dead one left in its place."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.locks import hold_lock

HOLD = """
import sys
from pathlib import Path
from vizcnn.basics.locks import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "in it").touch()


LEFT: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "of a dead run": Path.touch,
    "text": lambda path: path.write_text("4711"),
    "pipe": os.mkfifo,
    "folder": make_folder,
}


@pytest.mark.parametrize("left", LEFT)
def test_what_a_dead_run_left_holds_nothing(tmp_path, left):
    LEFT[left](tmp_path / "lock")
    with hold_lock(tmp_path / "lock"):
        assert (tmp_path / "lock").is_file()
    with hold_lock(tmp_path / "lock"):
        pass


def test_a_second_run_is_refused_until_the_first_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        for _ in range(2):
            with (
                pytest.raises(VizcnnError, match="another vizcnn is at work in"),
                hold_lock(tmp_path / "lock"),
            ):
                pass
        other.kill()
        other.wait()
        with hold_lock(tmp_path / "lock"):
            pass


def test_threads_and_other_names_of_the_folder_share_it(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    refused = []

    def hold(path):
        try:
            with hold_lock(path):
                pass
        except VizcnnError as error:
            refused.append(str(error))

    with hold_lock(tmp_path / "folder/lock"):
        for name in ("folder", "link"):
            thread = threading.Thread(target=hold, args=(tmp_path / name / "lock",))
            thread.start()
            thread.join()
    assert len(refused) == 2
    hold(tmp_path / "link/lock")
    assert len(refused) == 2


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(VizcnnError, match="cannot be locked"), hold_lock(tmp_path / "lock"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"
    with pytest.raises(VizcnnError), hold_lock(tmp_path / "lock"):  # nor is it held since
        pass
    (tmp_path / "lock").unlink()
    with hold_lock(tmp_path / "lock"):
        pass


def test_a_folder_that_is_gone_is_one_line(tmp_path):
    with pytest.raises(VizcnnError), hold_lock(tmp_path / "gone" / "lock"):
        pass
