"""What is read in is a plain file of bounded size, whatever lies in its place."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from vizcnn.basics.errors import DataError, quote
from vizcnn.basics.files import hash_file, open_plain_file, read_plain_file


def make_socket(path: Path) -> None:
    os.chdir(path.parent)  # the name of a socket may have a hundred bytes
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


IN_ITS_PLACE: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda path: None, "no card '.*': check the path"),
    "folder": (lambda path: path.mkdir(), "'.*' is a folder, not a card"),
    "pipe": (os.mkfifo, "'.*' is not a plain file: give a card"),
    "socket": (make_socket, "'.*' is not a plain file: give a card"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "'.*' is not a plain file: give a card"),
    "broken link": (lambda path: path.symlink_to("lost"), "'.*' is a link that leads nowhere: .*"),
    "loop": (lambda path: path.symlink_to(path), r"'.*' cannot be opened \(.*\): check the path"),
    "empty": (lambda path: path.touch(), r"'.*' is empty \(0 bytes\): copy it again"),
    "large": (lambda path: path.write_bytes(bytes(9)), "'.*' has 9 bytes, a card has at most 8:.*"),
}


@pytest.mark.parametrize("kind", IN_ITS_PLACE)
def test_whatever_lies_in_place_of_a_file_is_told_in_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "card.json"
    put, told = IN_ITS_PLACE[kind]
    put(path)
    with pytest.raises(DataError, match=f"^{told}$"):
        read_plain_file(path, "card", DataError, largest=8)
    if kind != "large":  # a checksum is read piece by piece
        with pytest.raises(DataError, match=f"^{told}$"):
            hash_file(path, "card", DataError)


@pytest.mark.parametrize("name", ["a\0b", "n" * 5000])
def test_names_that_no_file_can_have_are_told_in_one_line(name: str) -> None:
    told = r"^'.{1,200}' cannot be opened \(.*\): (check the path|choose a shorter name)$"
    with pytest.raises(DataError, match=told):
        open_plain_file(Path(name), "card", DataError)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(DataError, match=r"may not be read: check its permissions$"):
        open_plain_file(path, "card", DataError)


def test_a_plain_file_is_read_to_its_bound_and_through_links(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(b"12345678")
    link = tmp_path / "link"
    link.symlink_to(path)
    assert read_plain_file(link, "card", largest=8) == b"12345678"
    assert hash_file(link).startswith("ef797c8118f02dfb")


@pytest.mark.parametrize("value", ["x" * 10**6, 10**6000, [1] * 1000, Path("x/" * 900)], ids=type)
def test_whatever_is_quoted_takes_part_of_a_line(value: object) -> None:
    assert len(quote(value)) <= 200


def test_control_characters_are_not_quoted_as_such() -> None:
    assert quote("\x1b[31m\n") == r"'\x1b[31m\n'"
