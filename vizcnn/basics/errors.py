"""What went wrong, in one line: what was got, what is needed, what to do."""

import difflib
import errno
import operator
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from types import UnionType
from typing import Any


class VizcnnError(Exception):
    """Base of every error that vizcnn raises on purpose; the text is for the user."""


class ImageError(VizcnnError):
    """A photo that cannot be read or used."""


class VizcnnWarning(UserWarning):
    """Something that is no error but has to be known, in one line."""


class PhotoWarning(VizcnnWarning):
    """Something about photos that is no error but has to be known, in one line."""


class LeftoverWarning(VizcnnWarning):
    """What a killed run left was removed, in one line."""


class ModelError(VizcnnError):
    """A net that is unknown, or that the asked method cannot treat."""


class LayerError(VizcnnError):
    """A layer, unit or position that the net does not have."""


class WeightsError(VizcnnError):
    """Weights that are missing, damaged, of another net, or unsafe to read."""


class MissingWeightsError(WeightsError):
    """Weights that are not at hand, of a net that can be had without them."""


class UnsupportedOperationError(ModelError):
    """An operation of the net has no rule for the asked projection."""


class DataError(VizcnnError):
    """A folder of photos that cannot be used for training or mining."""


_ADVICE = {
    ("EMFILE", "ENFILE"): "let it open more files (ulimit -n), or use fewer --workers",
    ("ENOSPC", "EDQUOT"): "free some space, or choose another folder",
    ("EFBIG",): "let files grow larger (ulimit -f), or choose another folder",
    ("EACCES", "EPERM", "EROFS"): "choose a folder that you may write to",
    ("ENOMEM",): "free some memory",
    ("ENAMETOOLONG",): "choose a shorter name",
}


def advise(error: Exception, usual: str = "check the disk and the permissions") -> str:
    """Say what to do about what the operating system refuses.

    Args:
        error: What it said.
        usual: What to do about all that has no advice of its own.

    Example:
        >>> import errno
        >>> advise(OSError(errno.EMFILE, "Too many open files"))
        'let it open more files (ulimit -n), or use fewer --workers'
    """
    found = errno.errorcode.get(getattr(error, "errno", None) or 0)
    return next((advice for names, advice in _ADVICE.items() if found in names), usual)


def is_of_the_process(error: BaseException) -> bool:
    """Tell whether a file was refused because this process, or the machine, has too many open."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


SHOWN = 60
"""Characters of a wrong value that an error shows."""


def quote(value: object, most: int | None = None) -> str:
    """Quote what was given for an error: whatever it is, it becomes a few plain characters.

    Args:
        value: A path, which may take a line, or anything else.
        most: Characters to show; by default 200 of a path, :data:`SHOWN` of all else.

    Returns:
        What Python writes it as, control characters escaped, cut in its middle if it is longer.

    Example:
        >>> print(quote("zfent"), quote("7" * 5000))
        'zfent' '777777777777777777777777777...777777777777777777777777777'
    """
    is_path = isinstance(value, PurePath)
    most = most or (200 if is_path else SHOWN)
    try:
        text = repr(str(value) if is_path else value)
    except ValueError:  # a whole number of thousands of digits
        text = "a number of thousands of digits"
    except Exception:  # of a class of others, whose own description fails
        text = f"a {type(value).__name__}"
    return shorten(" ".join(text.split()), most)


def check_kind(
    name: str,
    value: object,
    kinds: type | UnionType,
    needed: str,
    error: type[VizcnnError] = VizcnnError,
) -> None:
    """Make sure that an argument is of the kind that is needed.

    Args:
        name: What it is called.
        value: What was given.
        kinds: Types that it may have.
        needed: What is needed, in words.
        error: What to raise.

    Raises:
        VizcnnError: If it is of another kind.

    Example:
        >>> check_kind("layers", 7, list, "a list of names")
        Traceback (most recent call last):
        VizcnnError: got 7 as layers; needed: a list of names
    """
    if not isinstance(value, kinds):
        raise error(f"got {quote(value)} as {name}; needed: {needed}")


def as_number(value: Any) -> int | None:
    """Give a whole number of Python, numpy or torch as Python's; None for anything else.

    Example:
        >>> as_number(3), as_number(True), as_number(3.0)
        (3, None, None)
    """
    truth = isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")
    try:
        return None if truth else operator.index(value)
    except Exception:  # what has no index says so in many ways
        return None


def check_number(
    name: str, value: Any, least: int, most: int, error: type[VizcnnError] = VizcnnError
) -> int:
    """Give a whole number of Python, numpy or torch as Python's, if it lies between bounds.

    Raises:
        VizcnnError: If it is none, or lies outside.

    Example:
        >>> check_number("count", 3, 0, 9)
        3
    """
    number = as_number(value)
    if number is None or not least <= number <= most:
        raise error(f"got {quote(value)} as {name}; needed: a whole number, {least} to {most}")
    return number


def shorten(text: str, most: int) -> str:
    """Leave the middle of a text out that is longer than a number of characters."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def describe_changes(former: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Say which settings differ.

    Args:
        former: Settings by name.
        wanted: The other settings; None stands for one that is missing.

    Example:
        >>> describe_changes({"crop": 128, "seed": 0}, {"crop": 128, "seed": 1, "hidden": 64})
        ['seed 0 -> 1', 'hidden None -> 64']
    """
    return [
        f"{shorten(name, 60)} {quote(former.get(name), 80)} -> {quote(wanted.get(name), 80)}"
        for name in {**former, **wanted}
        if former.get(name) != wanted.get(name)
    ]


def nearest_names(name: str, known: Iterable[str], count: int = 3) -> str:
    """Describe the known names nearest to a mistyped one.

    Args:
        name: What the user wrote.
        known: The valid names.
        count: How many suggestions at the most.

    Returns:
        ``"did you mean 'conv1'?"``, or the list of valid names when none is near.

    Example:
        >>> nearest_names("zfent", ["alexnet", "zfnet"])
        "did you mean 'zfnet'?"
    """
    names = list(known)
    name = name[:SHOWN]  # the comparison takes the square of the length
    near = difflib.get_close_matches(name, names, n=count, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(repr(match) for match in near) + "?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"there are: {shown}" if names else "there are none"
