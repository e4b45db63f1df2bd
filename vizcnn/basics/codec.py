"""Frozen dataclasses to JSON and back, checked against their type hints."""

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, field, fields, is_dataclass
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from vizcnn.basics.errors import VizcnnError

T = TypeVar("T")

_BESIDE = msgspec.Meta(pattern=r"^(?!/)(?!([\s\S]*/)?\.\.(/|\Z))[^\\\x00]+\Z")

RelativeFile = Annotated[str, _BESIDE, "file"]
"""A file beside the manifest, with forward slashes: neither absolute nor out of the folder."""

RelativeFolder = Annotated[str, _BESIDE, "folder"]
"""A folder beside the manifest, in the same way."""

_LARGEST = sys.float_info.max
_Finite = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]


class ManifestError(VizcnnError):
    """A manifest that cannot be read or written."""


def unwritten(default: Any = None) -> Any:
    """Declare a field that is not written, such as pixels that a figure is drawn from.

    Args:
        default: What the field holds in a record that was read back.
    """
    return field(default=default, repr=False, compare=False, metadata={"written": False})


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
        return {
            name: _to_plain(getattr(value, name), f"{where}.{name}") for name in _list_hints(kind)
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
    name = getattr(kind, "__name__", str(kind))
    raw = parse(text)
    try:
        msgspec.convert(raw, _be_strict(hint))
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        reason = reason[0].lower() + reason[1:]
        if "matching regex" in reason:
            reason = "needed is a file beside the manifest"
        raise ManifestError(f"{name}{where.rstrip('`')}: {reason}") from None


def parse(text: str) -> Any:
    """Read JSON, with an error for the user where it is none."""
    try:
        # the standard library's reader: it alone takes names of files that are not UTF-8
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the manifest is not JSON ({error}): write it again") from None


@cache
def _be_strict(hint: Any) -> Any:
    """Give a type that takes less: a dataclass ignores unknown keys, and a float may be NaN."""
    if hint is float:
        return _Finite
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
def _list_hints(kind: Any) -> dict[str, Any]:
    """List the type hints of the fields of a dataclass that are written, in their order."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        entry.name: hints[entry.name]
        for entry in fields(kind)
        if entry.metadata.get("written", True)
    }
