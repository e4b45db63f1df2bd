"""The folder in which a gallery grows, so that a killed run goes on where it was."""

import json
import os
import shutil
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vizcnn.basics.errors import describe_changes, quote
from vizcnn.basics.files import flush_file
from vizcnn.basics.interrupts import hold_interrupts
from vizcnn.basics.output import explain_refused_folder, name_lock, open_folder, refuse_links
from vizcnn.mining.cluster import name_parts_folder
from vizcnn.mining.index import INDEX_NAME
from vizcnn.mining.maxima import name_maxima
from vizcnn.pages.layers.pieces import LIST_NAME, Ledger

Notice = Callable[[str], None]
"""Takes a line for the user."""

WORK_NAME = ".vizcnn-work.part"
"""Its name in the output folder."""


@dataclass(frozen=True)
class WorkFolder:
    """A working folder; what is in it belongs to one set of settings.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def index(self) -> Path:
        """The index, while photos are mined."""
        return self.path / INDEX_NAME

    @property
    def maxima(self) -> Path:
        """The maxima that go with the index, where they are kept."""
        return name_maxima(self.index)

    @property
    def has_parts(self) -> bool:
        """Whether a former run has begun to mine in parts, and their index is not there yet."""
        parts = name_parts_folder(self.index)
        return parts.is_dir() and any(parts.iterdir())

    @property
    def site(self) -> Path:
        """Files of the gallery that are done."""
        return self.path / "site"

    @property
    def spool(self) -> Path:
        """Projections that wait for their sheets."""
        return self.path / "spool"

    @property
    def has_begun(self) -> bool:
        """Whether a former run has come to its projections."""
        return (self.path / LIST_NAME).exists()

    @property
    def blocks(self) -> Path:
        """What the posters will show."""
        return self.path / "blocks"

    def begin(self, causes: Mapping[str, Any], notice: Notice) -> Ledger:
        """Find out what is finished of a run, and clear all else away, but for the index.

        Args:
            causes: All that the files depend on, as plain values.
            notice: Is told what is made anew.
        """
        ledger = Ledger(self.path, causes)
        finished = {self.path / name for name in ledger.files}
        unlisted = sum(_clear(folder, finished) for folder in (self.site, self.blocks))
        if ledger.former:
            self.clear_spool()
            changes = describe_changes(ledger.former, json.loads(json.dumps(causes)))
            notice(
                f"begun with other settings ({', '.join(changes)}): what was mined is kept, all "
                "projections are made anew"
            )
        elif ledger.lost or unlisted:
            notice(
                f"of what a dead run left in {str(self.path)!r}, {ledger.lost} piece(s) are "
                f"missing or damaged and {unlisted} file(s) unfinished: they are made anew"
            )
        return ledger

    def clear_spool(self, kept: Container[str] = ()) -> None:
        """Remove projections whose sheets are written, or whatever else is there.

        Args:
            kept: Beginnings of the names of the files that stay; plain ones, of which no other
                folder has a part, for they are written to.
        """
        for path in self.spool.glob("*"):
            plain = path.is_file() and path.stat().st_nlink == 1
            if not plain or path.name.rpartition("-")[0] not in kept:
                _remove(path)

    def name_file(self, path: Path) -> str:
        """Name a file as pieces do."""
        return path.relative_to(self.path).as_posix()

    def copy_site(self, ledger: Ledger, folder: Path) -> None:
        """Give another folder the gallery's files; those here stay, in case of a kill."""
        for name in ledger.files:
            source = self.path / name
            if source.is_relative_to(self.site):
                target = folder / source.relative_to(self.site)
                target.parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(source, target)


def _clear(folder: Path, kept: Container[Path]) -> int:
    """Remove everything in a folder but some files; gives how many files were removed."""
    removed = 0
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before it
        if not path.is_dir():
            if path not in kept:
                path.unlink()
                removed += 1
        elif not any(path.iterdir()):
            path.rmdir()
    return removed


def _link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, once the disk has it; most are there by then, without a wait."""
    flush_file(source)
    try:
        os.link(source, target)
    except OSError:  # not every file system has links
        shutil.copyfile(source, target)
        flush_file(target)


@contextmanager
def open_work(folder: Path, notice: Notice = lambda line: None) -> Iterator[WorkFolder]:
    """Open the working folder of an output folder, for this process alone.

    It is removed when the block succeeds, and stays after an exception or a kill, unless there is
    nothing in it yet.

    Args:
        folder: The output folder.
        notice: Is told what a dead run left that is of no use.

    Raises:
        VizcnnError: If the output folder holds files of others or cannot be written, a link is in
            the working folder, or another process is at work in it.
    """
    path = folder / WORK_NAME
    with open_folder(folder):
        try:
            refuse_links(folder, [Path(WORK_NAME)])
            with explain_refused_folder(folder):
                if path.exists() and not path.is_dir():
                    path.unlink()
                path.mkdir(exist_ok=True)
                refuse_links(path, [held.relative_to(path) for held in path.rglob("*")])
                _remove_unknown(path, notice)
            yield WorkFolder(path)
            with explain_refused_folder(folder), hold_interrupts():
                shutil.rmtree(path)
        finally:
            with suppress(OSError):
                path.rmdir()  # nothing is in it yet


def _remove_unknown(work: Path, notice: Notice) -> None:
    """Remove what is in the place of a file or folder, and what an older version left."""
    name_lock(work / INDEX_NAME).unlink(missing_ok=True)  # of a run that was killed as it mined
    files = (INDEX_NAME, name_maxima(Path(INDEX_NAME)).name, LIST_NAME)
    folders = ("site", "spool", "blocks", name_parts_folder(Path(INDEX_NAME)).name)
    unknown = sorted(
        path
        for path in work.iterdir()
        if not ((path.is_file() and path.name in files) or (path.is_dir() and path.name in folders))
    )
    for path in unknown:
        _remove(path)
    if unknown:
        names = ", ".join(quote(path.name) for path in unknown[:3])
        notice(f"removed {len(unknown)} leftover(s) of a dead run in {str(work)!r}: {names}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
