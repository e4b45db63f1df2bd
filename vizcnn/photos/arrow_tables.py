"""Photos in Parquet and Arrow tables, as Hugging Face writes them: listed, and read row by row."""

import copy
import os
import threading
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from vizcnn.basics.errors import DataError, ImageError, VizcnnError, quote
from vizcnn.basics.files import open_plain_file
from vizcnn.photos.stored import LARGEST_STORED, StoredPhoto

PARQUET_SUFFIX = ".parquet"
TABLE_SUFFIXES = (PARQUET_SUFFIX, ".arrow", ".feather")

MOST_ROWS = 1 << 26
"""Rows of a table: its file may claim any number."""

LARGEST_GROUP = 2 << 30
"""Bytes of the photos that a table keeps together: as many are unpacked for each of them."""

USUAL_COLUMNS = ("image", "img", "jpg", "png", "photo")
"""Names of columns, and keys of items, that hold photos."""


class _Rows(Protocol):
    """What a table keeps together: groups of rows, read one at a time."""

    schema: Any
    counts: list[int]

    def read(self, group: int, column: str) -> Any:
        """Give a column of a group, as an Arrow array in one piece or several."""
        ...

    def measure(self, group: int, column: str) -> int:
        """Give the bytes that this takes."""
        ...


class TablePhotos:
    """The photos of a Parquet or Arrow table, a row each.

    The column holds the bytes of image files, or structs ``{"bytes": ..., "path": ...}`` as those
    of Hugging Face. Photos are named by the table and their row, counted from 0:
    ``train-00000-of-00014/0000123``.

    Args:
        path: The table.

    Attributes:
        path: The table.
        names: Names of the photos.
        sizes: For each the bytes of the whole table: those of a photo are known when it is read.

    Raises:
        DataError: If pyarrow is not installed, the file is no table, or it is not clear which
            column holds photos.
    """

    left_out: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = _TableReader(path)
        total = self._reader.count
        digits = max(7, len(str(total)))
        self.names = tuple(f"{path.stem}/{row:0{digits}d}" for row in range(total))
        self.sizes = (path.stat().st_size,) * total
        self._rows: Sequence[int] = range(total)

    def locate(self, number: int) -> StoredPhoto:
        """Give a photo of the table."""
        name, row = self.names[number], self._rows[number]
        # a photo that is sent to another process does not take the table's names along
        return StoredPhoto(self.path, name, partial(self._reader.read, row, name))

    def take(self, numbers: Sequence[int]) -> "TablePhotos":
        """Give some of the photos alone, as another process needs them."""
        some = copy.copy(self)
        some.names = tuple(self.names[number] for number in numbers)
        some.sizes = self.sizes[: len(numbers)]
        some._rows = array("q", (self._rows[number] for number in numbers))
        return some

    def explain_none(self) -> str:
        """Say what there is instead of photos."""
        return "which has no rows"


class _TableReader:
    """Reads the photos of a table, in any process and thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        try:
            rows = self._open()
            self._column, self._is_struct = _find_column(rows.schema, path)
            self._firsts = [0, *accumulate(rows.counts)]
            if self.count > MOST_ROWS:
                raise DataError(
                    f"{quote(path)} has {self.count:,} rows; needed: at most {MOST_ROWS:,}"
                )
        except VizcnnError:
            raise
        except Exception as error:  # pyarrow raises classes of its own, and Python's
            raise DataError(_explain(path, error)) from None

    def __getstate__(self) -> dict[str, Any]:
        """Give what goes to another process, which opens the table itself."""
        return {name: value for name, value in vars(self).items() if name != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what came from another process."""
        vars(self).update(state, _local=threading.local())

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self._firsts[-1]

    def read(self, row: int, name: str) -> bytes:
        """Read the photo of a row, which is called so in errors."""
        name = quote(name)
        group = bisect_right(self._firsts, row) - 1
        try:
            value = self._read_group(group)[row - self._firsts[group]]
            if self._is_struct and value.is_valid:
                value = value["bytes"]
            size = value.as_buffer().size if value.is_valid else 0
            if size > LARGEST_STORED:
                raise ImageError(f"{name} has {size:,} bytes; needed: at most {LARGEST_STORED:,}")
            content: bytes = value.as_py() or b""
        except VizcnnError:
            raise
        except Exception as error:
            raise ImageError(f"{name}: {_explain(self.path, error)}") from None
        return content

    def _open(self) -> _Rows:
        with open_plain_file(self.path, "table", DataError):
            pass  # told in the same words as of every other file
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise DataError(
                f"{quote(self.path)} is a table: pip install 'vizcnn[parquet]'"
            ) from None
        if self.path.suffix.lower() == PARQUET_SUFFIX:
            return _ParquetRows(self.path)
        return _ArrowRows(self.path)

    def _read_group(self, group: int) -> Any:
        """Give the photos of a group; the last is kept, for each process and thread of its own."""
        local = self._local
        if getattr(local, "process", None) != os.getpid():
            local.rows, local.process, local.group = self._open(), os.getpid(), None
        if local.group != group:
            size = local.rows.measure(group, self._column)
            if size > LARGEST_GROUP:
                raise ImageError(
                    f"{quote(self.path)} keeps {size:,} bytes of photos together; needed: groups "
                    f"of rows of at most {LARGEST_GROUP:,}"
                )
            local.content, local.group = None, None  # two would take twice the memory
            found = local.rows.read(group, self._column)
            found.validate(full=True)  # offsets that lead out of the file would be followed
            local.content, local.group = found, group
        return local.content


class _ParquetRows:
    """A Parquet file; what it keeps together is a row group."""

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self._file = parquet.ParquetFile(path)
        facts = self._file.metadata
        self.schema = self._file.schema_arrow
        self.counts = [facts.row_group(group).num_rows for group in range(facts.num_row_groups)]

    def read(self, group: int, column: str) -> Any:
        # no threads: a worker is a copy of a process, and has none of that process's
        return self._file.read_row_group(group, columns=[column], use_threads=False).column(0)

    def measure(self, group: int, column: str) -> int:
        facts = self._file.metadata.row_group(group)
        parts = (facts.column(number) for number in range(facts.num_columns))
        return sum(
            part.total_uncompressed_size
            for part in parts
            if part.path_in_schema.split(".")[0] == column
        )


class _ArrowRows:
    """An Arrow file or stream, mapped into memory; what it keeps together is a record batch."""

    def __init__(self, path: Path) -> None:
        import pyarrow

        before = pyarrow.total_allocated_bytes()
        source = pyarrow.memory_map(str(path))
        self._batches: list[Any] = []
        try:
            reader = pyarrow.ipc.open_file(source)
            batches = map(reader.get_batch, range(reader.num_record_batches))
        except pyarrow.ArrowInvalid:
            source.seek(0)
            reader = batches = pyarrow.ipc.open_stream(source)
        for batch in batches:
            self._batches.append(batch)
            if pyarrow.total_allocated_bytes() - before > LARGEST_GROUP:
                raise DataError(
                    f"{quote(path)} is compressed, so that all of it would be unpacked: write it "
                    "as Parquet"
                )
        self.schema = reader.schema
        self.counts = [batch.num_rows for batch in self._batches]

    def read(self, group: int, column: str) -> Any:
        return self._batches[group].column(column)

    def measure(self, group: int, column: str) -> int:
        return 0  # it is in memory, or mapped


def _find_column(schema: Any, path: Path) -> tuple[str, bool]:
    """Find the column of photos, and whether it holds structs.

    Raises:
        DataError: If there is none, or several.
    """
    from pyarrow import types

    def holds_bytes(kind: Any) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    found = {}
    for field in schema:
        if holds_bytes(field.type):
            found[field.name] = False
        elif types.is_struct(field.type):
            parts = [part.type for part in field.type if part.name == "bytes"]
            if any(map(holds_bytes, parts)):
                found[field.name] = True
    usual = [name for name in USUAL_COLUMNS if name in found]
    if usual or len(found) == 1:
        name = usual[0] if usual else next(iter(found))
        return name, found[name]
    columns = ", ".join(found or schema.names)
    what = f"several columns of images ({columns:.200})"
    if not found:
        what = f"no column of images (it has {columns:.200})"
    raise DataError(
        f"{quote(path)} has {what}; needed: one of bytes, or of structs with bytes, named "
        f"{USUAL_COLUMNS[0]!r}"
    )


def _explain(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{quote(path)} cannot be read as a table ({reason:.200}): make or copy it again"
