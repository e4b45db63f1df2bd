"""The folder in which a gallery grows, so that a killed run goes on where it was."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.files import write_text
from vizcnn.basics.interrupts import hold_interrupts
from vizcnn.basics.output import refuse_foreign, refuse_links
from vizcnn.training.checkpoint import describe_changes

WORK_NAME = ".vizcnn-work.part"
"""Its name in the output folder."""
INDEX_NAME = "strongest.safetensors"
"""The index's name, in the working folder and in the finished gallery."""


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
    def site(self) -> Path:
        """Files of the gallery that are done."""
        return self.path / "site"

    @property
    def spool(self) -> Path:
        """Projections that wait for their sheets."""
        return self.path / "spool"

    @property
    def facts(self) -> Path:
        """What the manifest will say of places and photos."""
        return self.path / "facts"

    @property
    def blocks(self) -> Path:
        """What the posters will show."""
        return self.path / "blocks"

    def begin(self, identity: Mapping[str, Any]) -> list[str]:
        """Make sure that what is here belongs to a run; else clear it away, but for the index.

        Args:
            identity: All that the files depend on, as plain values.

        Returns:
            What changed since the run before, in words; empty if nothing did, or nothing was here.
        """
        former = self._read("identity")
        wanted = json.loads(json.dumps(identity))
        if former == wanted:
            return []
        for folder in (self.site, self.spool, self.facts, self.blocks):
            if folder.exists():
                shutil.rmtree(folder)
        (self.path / "done.json").unlink(missing_ok=True)
        self._write("identity", wanted)
        return describe_changes(former, wanted) if former else []

    def read_done(self) -> tuple[int, int]:
        """Give the number of portions that are done, and of lots of photos of the next one."""
        done = self._read("done") or {}
        return int(done.get("portions", 0)), int(done.get("lots", 0))

    def write_done(self, portions: int, lots: int) -> None:
        """Note what is done, in one step."""
        self._write("done", {"portions": portions, "lots": lots})

    def drop_spool(self) -> None:
        """Remove projections whose sheets are written."""
        if self.spool.exists():
            shutil.rmtree(self.spool)

    def copy_site(self, folder: Path) -> None:
        """Give another folder all files of the gallery; those here stay, in case of a kill."""
        shutil.copytree(self.site, folder, copy_function=_link_or_copy, dirs_exist_ok=True)

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _write(self, name: str, values: Any) -> None:
        write_text(self.path / f"{name}.json", json.dumps(values, indent=1))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system has links
        shutil.copyfile(source, target)


@contextmanager
def open_work(folder: Path) -> Iterator[WorkFolder]:
    """Open the working folder of an output folder, for this process alone.

    It is removed when the block succeeds, and stays after an exception or a kill, unless there is
    nothing in it yet.

    Args:
        folder: The output folder.

    Raises:
        VizcnnError: If the output folder holds files of others or cannot be written, a link is in
            the working folder, or another process is at work in it.
    """
    refuse_foreign(folder)
    path = folder / WORK_NAME
    refuse_links(folder, [Path(WORK_NAME, "lock")])
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VizcnnError(
            f"cannot write to {str(folder)!r} ({error.strerror}): choose another --out"
        ) from None
    with _lock(path / "lock"):
        try:
            refuse_links(path, [held.relative_to(path) for held in path.rglob("*")])
            _remove_leftovers(folder)
            yield WorkFolder(path)
            with hold_interrupts():
                shutil.rmtree(path)
        finally:
            _remove_unused(path, made)


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    # neither emptied nor followed, should it have become a link since it was looked at
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with open(file, "r+", opener=lambda path, _: os.open(path, flags, 0o666)) as handle:
        try:
            # not flock, which processes that read photos would hold on to after a kill
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise VizcnnError(
                f"another vizcnn is at work in {str(file.parents[1])!r}: wait for it, or choose "
                "another --out"
            ) from None
        yield


def _remove_leftovers(folder: Path) -> None:
    """Remove what a run left that was killed while its files were moved into place."""
    for path in folder.glob(".vizcnn-*.part"):
        if path.name != WORK_NAME:
            shutil.rmtree(path, ignore_errors=True)


def _remove_unused(work: Path, made: list[Path]) -> None:
    """Remove a working folder that holds nothing yet, and what was made for it."""
    if [path.name for path in work.glob("*")] != ["lock"]:
        return
    (work / "lock").unlink()
    for folder in (work, *made):
        try:
            folder.rmdir()
        except OSError:  # there is something in it
            return
