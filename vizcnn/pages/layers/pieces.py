"""Finished pieces of a gallery: what is done is known by checksums of what is there."""

import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vizcnn.basics.codec import ManifestError, RelativeFile, decode, parse
from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.files import explain_refused_file, hash_file, read_plain_file, write_text
from vizcnn.pages.layers.spool import EVIDENCE

LIST_NAME = "finished.txt"
"""The list's name in the working folder."""
MOST_BYTES = 1 << 30
"""Of the list: a larger file is none."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Something that is finished, and how to know that it is still there.

    Attributes:
        name: What it is, such as ``"unit 0 17"``.
        files: SHA-256 of its files, by their names in the working folder.
        digest: SHA-256 of what is no file of its own: a lot's numbers in the spool, or a photo's
            pixels.
        boxes: Receptive fields of a unit's places, in pixels of the input.
        corners: Top and left of their windows.
        evidence: What their projections are compared with, as
            :data:`~vizcnn.pages.layers.spool.EVIDENCE` names it; None where there is none.
        machine: Kind of the machine that made it, where a pool did; else empty.
    """

    name: str
    files: dict[RelativeFile, str] = field(default_factory=dict)
    digest: str = ""
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    corners: tuple[tuple[int, int], ...] = ()
    evidence: tuple[tuple[float | None, ...], ...] = ()
    machine: str = ""

    def read_evidence(self, rank: int) -> dict[str, Any]:
        """Give what is said of a place's projection as the fields of a record."""
        named = dict(zip(EVIDENCE, self.evidence[rank], strict=True))
        counts = {name: named[name] for name in ("compared", "active")}
        return {**named, **{name: None if n is None else int(n) for name, n in counts.items()}}


class Ledger:
    """The list of a run's finished pieces, which outlives the run.

    Each line begins with its checksum, into which the run's causes go: a line that is damaged, or
    of another run, is none. Of those that are left, only the pieces count whose files are as they
    were. So a piece that is missing here is one to be made, whatever became of the former.

    Args:
        folder: The working folder.
        causes: All that the pieces depend on, as plain values.

    Attributes:
        lost: How many pieces that the list names are missing or damaged, or were of others.
        former: The causes of the run before, if those were others.
    """

    def __init__(self, folder: Path, causes: Mapping[str, Any]) -> None:
        self._folder, self._file = folder, folder / LIST_NAME
        self._adding = threading.Lock()
        self._head = json.dumps(causes, sort_keys=True)
        self._key = _hash(self._head)
        try:
            content = read_plain_file(self._file, "list", largest=MOST_BYTES)
        except VizcnnError:  # whatever it is, it names no pieces
            content = b""
        head, *lines = content.decode("utf-8", errors="replace").split("\n")
        self.former = self._read_other_causes(head)
        read = [] if self.former else [self._read_piece(line) for line in lines if line]
        self._pieces = {piece.name: piece for piece in read if piece}
        self.lost = read.count(None)
        self._rewrite()

    @property
    def files(self) -> list[str]:
        """The files of all finished pieces, by their names in the working folder."""
        return [name for piece in self._pieces.values() for name in piece.files]

    def find(self, name: str) -> Piece | None:
        """Find a piece that is finished."""
        return self._pieces.get(name)

    def need(self, name: str) -> Piece:
        """Give a piece that is known to be finished."""
        return self._pieces[name]

    def add(self, piece: Piece, files: Sequence[Path] = ()) -> None:
        """Note that a piece is finished; threads may call it at the same time.

        Args:
            piece: The piece.
            files: Files of which it does not hold the checksums yet; they are read for them.

        Raises:
            VizcnnError: If it cannot be written down.
        """
        for path in files:
            piece.files[path.relative_to(self._folder).as_posix()] = hash_file(path)
        with self._adding:
            self._pieces[piece.name] = piece
            line = self._write_piece(piece).encode()
            flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            with (
                explain_refused_file(self._file),
                os.fdopen(os.open(self._file, flags), "wb") as file,
            ):
                file.write(line)

    def forget(self, kind: str) -> None:
        """Strike out all pieces whose names begin with a word."""
        self._pieces = {
            name: piece for name, piece in self._pieces.items() if name.split(" ")[0] != kind
        }
        self._rewrite()

    def _rewrite(self) -> None:
        lines = [f"{self._key} {self._head}\n", *map(self._write_piece, self._pieces.values())]
        write_text(self._file, "".join(lines))

    def _write_piece(self, piece: Piece) -> str:
        text = json.dumps(asdict(piece))
        return f"{_hash(self._key + text)} {text}\n"

    def _read_other_causes(self, line: str) -> dict[str, Any]:
        checksum, _, text = line.partition(" ")
        if checksum == self._key or checksum != _hash(text):
            return {}
        try:
            causes = parse(text)
        except ManifestError:
            return {}
        return causes if isinstance(causes, dict) else {}

    def _read_piece(self, line: str) -> Piece | None:
        checksum, _, text = line.partition(" ")
        if checksum != _hash(self._key + text):
            return None
        try:
            piece = decode(Piece, text)
        except ManifestError:  # of a version that noted other things
            return None
        files = piece.files.items()
        if not all(_is_as_written(self._folder / name, wanted) for name, wanted in files):
            return None
        return piece


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _is_as_written(file: Path, checksum: str) -> bool:
    try:
        return hash_file(file) == checksum
    except VizcnnError:  # it is gone, or something else is in its place
        return False
