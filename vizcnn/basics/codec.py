"""Frozen dataclasses to JSON and back, checked against their type hints."""

import json
import math
import sys
import types
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from vizcnn.basics.errors import VizcnnError

T = TypeVar("T")

RelativeFile = Annotated[str, "relative file"]
"""A file beside the manifest, with forward slashes: neither absolute nor out of the folder."""

PLAIN = (str, int, float, bool, Any)
"""Kinds of values that JSON holds itself."""


class ManifestError(VizcnnError):
    """A manifest that cannot be read or written."""


def encode(record: Any) -> str:
    """Write a dataclass as JSON; the same values always give the same text.

    Fields stand in the order of the class, keys of plain dictionaries in alphabetical order.
    The text is plain ASCII, so that file names of any bytes survive.

    Args:
        record: A dataclass of strings, numbers, tuples, dictionaries and dataclasses.

    Raises:
        ManifestError: If a value cannot be written, or is not finite.

    Example:
        >>> from vizcnn.gallery.deconv_manifest import Failure
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
        kind: A dataclass.
        text: What :func:`encode` gave.

    Raises:
        ManifestError: If the text is not JSON, or a key or value is missing, unknown or of the
            wrong type.

    Example:
        >>> from vizcnn.gallery.deconv_manifest import Failure
        >>> decode(Failure, '{"source": "a.jpg", "error": 3}')
        Traceback (most recent call last):
        vizcnn.basics.codec.ManifestError: Failure.error is 3: needed is str
    """
    checked: T = _read(kind, parse(text), kind.__name__)
    return checked


def parse(text: str) -> Any:
    """Read JSON, with an error for the user where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the manifest is not JSON ({error}): write it again") from None


def _read(kind: Any, value: Any, where: str) -> Any:
    if kind in PLAIN:
        return _read_plain(kind, value, where)
    if is_dataclass(kind):
        return _read_record(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _read_file(value, where)
    if origin in (Union, types.UnionType):
        inner = [option for option in arguments if option is not type(None)]
        return None if value is None else _read(inner[0], value, where)
    if origin is Literal:
        return value if value in arguments else _refuse(value, where, arguments[0])
    if origin is tuple:
        return _read_tuple(arguments, value, where)
    if origin is dict:
        items = value.items() if isinstance(value, dict) else _refuse(value, where, "an object")
        return {key: _read(arguments[1], item, f"{where}[{key!r}]") for key, item in items}
    raise TypeError(f"{where} has a type hint that no manifest holds: {kind}")


def _read_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        _refuse(value, where, "an object")
    hints = _list_hints(kind)
    unknown = sorted(value.keys() - hints.keys())
    if unknown:
        raise ManifestError(f"{where} has an unknown key {unknown[0]!r}")
    missing = [name for name in _list_needed(kind) if name not in value]
    if missing:
        raise ManifestError(f"{where} lacks {missing[0]!r}")
    return kind(**{name: _read(hints[name], value[name], f"{where}.{name}") for name in value})


# a gallery holds tens of thousands of records of a few kinds
@cache
def _list_hints(kind: Any) -> dict[str, Any]:
    """List the type hints of a dataclass's fields, in their order."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


@cache
def _list_needed(kind: Any) -> list[str]:
    return [
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    ]


def _read_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        _refuse(value, where, "a list")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ManifestError(f"{where} holds {len(value)} values: needed are {len(kinds)}")
    return tuple(
        _read(kind, item, f"{where}[{index}]")
        for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _read_plain(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    # bool is a child of int
    if not isinstance(value, (int, float) if kind is float else kind) or (
        isinstance(value, bool) and kind is not bool
    ):
        _refuse(value, where, kind.__name__)
    if kind is not float:
        return value
    # JSON readers accept NaN, and an int of any length
    if not abs(value) <= sys.float_info.max:
        _refuse(value, where, "a finite number")
    return float(value)


def _read_file(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        _refuse(value, where, "the name of a file")
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value or "\0" in value:
        _refuse(value, where, "a file beside the manifest")
    return str(value)


def find_files(record: Any) -> list[str]:
    """List every file that a dataclass names, in order, each once.

    Example:
        >>> from vizcnn.gallery.records import PageFigure
        >>> find_files(PageFigure(title="a grid", file="grid.png", text="all filters"))
        ['grid.png']
    """
    return list(dict.fromkeys(_each_file(record)))


def _each_file(record: Any) -> Iterator[str]:
    kind: Any = type(record)
    for name, holds_files in _list_holders(kind).items():
        value = getattr(record, name)
        if holds_files:
            yield from [value] if isinstance(value, str) else value or ()
        elif isinstance(value, tuple):
            for item in value:
                if is_dataclass(item):
                    yield from _each_file(item)


@cache
def _list_holders(kind: Any) -> dict[str, bool]:
    """List the fields of a dataclass that may hold files, and whether each does itself."""
    return {name: "relative file" in str(hint) for name, hint in _list_hints(kind).items()}


def _refuse(value: Any, where: str, needed: Any) -> Any:
    shown = json.dumps(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    raise ManifestError(f"{where} is {shown}: needed is {needed}")
