"""Frozen dataclasses to JSON and back, checked against their type hints."""

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, field, fields, is_dataclass
from functools import cache, reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from vizcnn.basics.errors import VizcnnError, quote, shorten
from vizcnn.basics.files import read_plain_file

T = TypeVar("T")

_BESIDE = msgspec.Meta(pattern=r"^(?!/)(?!([\s\S]*/)?\.\.(/|\Z))[^\\\x00]+\Z")

RelativeFile = Annotated[str, _BESIDE, "file"]
"""A file beside the manifest, with forward slashes: neither absolute nor out of the folder."""

RelativeFolder = Annotated[str, _BESIDE, "folder"]
"""A folder beside the manifest, in the same way."""

_LARGEST = sys.float_info.max
Finite = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
"""A number, neither NaN nor infinite."""

Positive = Annotated[float, msgspec.Meta(gt=0, le=_LARGEST)]

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

LARGEST_SIDE = 16384
"""Pixels of the largest side of a picture that a file may ask for."""

Side = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_SIDE)]
"""Pixels."""

Text = Annotated[str, msgspec.Meta(max_length=100_000)]
"""What a person may have written: a note, or a licence."""

LARGEST_JSON = 1 << 28
"""Bytes of the largest JSON file that is read; a gallery of all units of a net has a tenth."""

DEEPEST = 64
"""Lists and dictionaries within each other in JSON that is read; the manifests have ten."""


class ManifestError(VizcnnError):
    """A manifest that cannot be read or written."""


def unwritten(default: Any = None) -> Any:
    """Declare a field that is not written, such as pixels that a figure is drawn from.

    Args:
        default: What the field holds in a record that was read back.
    """
    return field(default=default, repr=False, compare=False, metadata={"written": False})


def if_given(default: Any = None) -> Any:
    """Declare a field that is written only where it differs from its default.

    So records that have no use for it are what they were before there was such a field.

    Args:
        default: What the field holds in a record that does not say.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Note:
        ...     text: str
        ...     colour: str = if_given("")
        >>> print(encode(Note("a")), end="")
        {
          "text": "a"
        }
        >>> decode(Note, encode(Note("a", "red"))), decode(Note, encode(Note("a"))).colour
        (Note(text='a', colour='red'), '')
    """
    return field(default=default, metadata={"unless": default})


def encode(record: Any) -> str:
    """Write a dataclass as JSON; the same values always give the same text.

    Fields stand in the order of the class, keys of plain dictionaries in alphabetical order.
    The text is plain ASCII, so that file names of any bytes survive.

    Args:
        record: A dataclass of strings, numbers, tuples, dictionaries and dataclasses.

    Raises:
        ManifestError: If a value cannot be written, or is not finite.

    Example:
        >>> from vizcnn.gallery.manifest import Failure
        >>> print(encode(Failure(source="a.jpg", error="empty")), end="")
        {
          "source": "a.jpg",
          "error": "empty"
        }
    """
    return _lay_out(_to_plain(record, type(record).__name__), "\n") + "\n"


_write_value = json.JSONEncoder(allow_nan=False).encode


def _lay_out(value: Any, line: str) -> str:
    """Write JSON with a line for each entry; a list of numbers, as a box is, has one for all."""
    if isinstance(value, dict) and value:
        entries = [
            f"{_write_value(key)}: {_lay_out(item, line + '  ')}" for key, item in value.items()
        ]
        return _lay_lines("{", entries, "}", line)
    if isinstance(value, list) and any(isinstance(item, list | dict | str) for item in value):
        return _lay_lines("[", [_lay_out(item, line + "  ") for item in value], "]", line)
    return _write_value(value)


def _lay_lines(start: str, entries: list[str], end: str, line: str) -> str:
    return f"{start}{line}  " + f",{line}  ".join(entries) + f"{line}{end}"


def _to_plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if is_dataclass(value):
        kind: Any = type(value)
        unsaid = _list_unsaid(kind)
        return {
            name: _to_plain(getattr(value, name), f"{where}.{name}")
            for name in _list_hints(kind)
            if name not in unsaid or getattr(value, name) != unsaid[name]
        }
    if isinstance(value, dict):
        return {
            str(key): _to_plain(value[key], f"{where}[{key!r}]") for key in sorted(value, key=str)
        }
    if isinstance(value, list | tuple):
        return [_to_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ManifestError(f"{where} is {value}: a manifest holds finite numbers only")
        return value
    raise ManifestError(
        f"{where} is a {type(value).__name__}: needed are text, numbers, lists and dictionaries"
    )


def decode(kind: type[T], text: str) -> T:
    """Read a dataclass from JSON and check every value against the class's type hints.

    Args:
        kind: A dataclass, with its arguments where it is generic.
        text: What :func:`encode` gave.

    Raises:
        ManifestError: If the text is not JSON, or a key or value is missing, unknown, of the
            wrong type or not finite, or a file lies outside the manifest's folder.

    Example:
        >>> from vizcnn.gallery.manifest import Failure
        >>> decode(Failure, '{"source": "a.jpg", "error": 3}')
        Traceback (most recent call last):
        vizcnn.basics.codec.ManifestError: Failure.error: expected `str`, got `int`
    """
    hint: Any = kind
    raw, name = parse(text), getattr(kind, "__name__", str(kind))
    check(_be_strict(hint), raw, name)
    return check(kind, raw, name)


def check(
    kind: type[T], raw: Any, name: str, failure: type[VizcnnError] = ManifestError, own: Any = ()
) -> T:
    """Make a record of plain values, each checked against the type and the bounds of its field.

    Args:
        kind: A dataclass; keys that it lacks are passed over.
        raw: Dictionaries, lists, text and numbers, as from JSON.
        name: What to call the record in errors.
        failure: What to raise.
        own: Further classes whose instances are values, such as tensors.

    Raises:
        VizcnnError: ``failure``, with the field, in one line of bounded length.

    Example:
        >>> from vizcnn.gallery.manifest import Failure
        >>> check(Failure, {"source": "a.jpg"}, "the list")
        Traceback (most recent call last):
        vizcnn.basics.codec.ManifestError: the list: object missing required field `error`
    """

    def take(wanted: type, value: Any) -> Any:
        if isinstance(value, own):
            return value
        raise TypeError(f"Expected `{wanted.__name__}`, got `{type(value).__name__}`")

    try:
        return msgspec.convert(raw, kind, dec_hook=take)
    except (msgspec.ValidationError, OverflowError) as error:  # of a number that no float holds
        reason, _, where = str(error).partition(" - at `$")
        reason = reason[0].lower() + reason[1:]
        if "matching regex" in reason:
            reason = "needed is a file beside the manifest"
        if repr(_LARGEST) in reason:
            reason = "needed is a finite number"
        place = shorten(where.rstrip("`"), 80)
        raise failure(f"{name}{place}: {shorten(reason, 120)}") from None


def parse(text: str) -> Any:
    """Read JSON, with an error for the user where it is none.

    Raises:
        ManifestError: If it is not JSON, or nested deeper than :data:`DEEPEST`.
    """
    try:
        # the standard library's reader: it alone takes names of files that are not UTF-8
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"it is not JSON ({shorten(str(error), 60)}): write it again") from None
    level, depth = [raw], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ManifestError(f"it is nested deeper than {DEEPEST}: write it again")
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return raw


def read_json(
    path: Path, what: str, failure: type[VizcnnError] = ManifestError, largest: int = LARGEST_JSON
) -> Any:
    """Read a JSON file, whatever lies in its place; for :func:`check`.

    Args:
        path: The file.
        what: What it should be, for the error: ``"card"``.
        failure: What to raise.
        largest: Bytes that it may have.

    Raises:
        VizcnnError: ``failure``, if the file cannot be read or is not JSON; one line.

    Example:
        >>> read_json(Path("missing.json"), "card")
        Traceback (most recent call last):
        vizcnn.basics.codec.ManifestError: no card 'missing.json': check the path
    """
    content = read_plain_file(path, what, failure, largest=largest)
    try:
        return parse(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise failure(f"{quote(path)} is not text: needed is JSON") from None
    except ManifestError as error:
        raise failure(f"{quote(path)}: {error}") from None


@cache
def _be_strict(hint: Any) -> Any:
    """Give a type that takes less: a dataclass ignores unknown keys, and a float may be NaN."""
    if hint is float:
        return Finite
    origin, arguments = get_origin(hint), get_args(hint)
    kind: Any = origin or hint
    if hasattr(kind, "__dataclass_fields__"):
        meant = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=True))
        given = {entry.name for entry in fields(kind) if not _is_needed(entry)}
        members = [
            (name, _be_strict(meant.get(part, part)), *([None] if name in given else []))
            for name, part in _list_hints(kind).items()
        ]
        return msgspec.defstruct(kind.__name__, members, kw_only=True, forbid_unknown_fields=True)
    if origin in (None, Annotated, Literal):
        return hint
    parts = tuple(part if part is Ellipsis else _be_strict(part) for part in arguments)
    return reduce(or_, parts) if origin in (Union, UnionType) else origin[parts]


def _is_needed(entry: Field[Any]) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def find_files(record: Any) -> list[str]:
    """List every file that a dataclass names, in order, each once.

    Example:
        >>> from vizcnn.gallery.manifest import PageFigure
        >>> find_files(PageFigure(title="a grid", file="grid.png", text="all filters"))
        ['grid.png']
    """
    return list(dict.fromkeys(_each_file(record)))


def _each_file(record: Any) -> Iterator[str]:
    kind: Any = type(record)
    for name, hint in _list_hints(kind).items():
        value = getattr(record, name)
        for item in value if isinstance(value, tuple) else (value,):
            if is_dataclass(item):
                yield from _each_file(item)
            elif isinstance(item, str) and _holds_files(hint):
                yield item


@cache
def _holds_files(hint: Any) -> bool:
    return hint == RelativeFile or any(map(_holds_files, get_args(hint)))


# a gallery holds tens of thousands of records of a few kinds
@cache
def _list_unsaid(kind: Any) -> dict[str, Any]:
    """List what fields hold where they are not written (:func:`if_given`)."""
    return {
        entry.name: entry.metadata["unless"] for entry in fields(kind) if "unless" in entry.metadata
    }


@cache
def _list_hints(kind: Any) -> dict[str, Any]:
    """List the type hints of the fields of a dataclass that are written, in their order."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        entry.name: hints[entry.name]
        for entry in fields(kind)
        if entry.metadata.get("written", True)
    }
