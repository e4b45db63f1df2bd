"""Texts: those of strangers made harmless to show, names made fit for files, shares written out."""

import re
import unicodedata
from collections.abc import Iterable


def escape_controls(text: str) -> str:
    r"""Show what cannot be printed as escapes, as :func:`repr` does; line breaks become spaces.

    So a text has one line, and no power over a terminal: such characters colour it, move in it or
    turn the direction of writing.

    Example:
        >>> escape_controls("a\x1b[2Jb\nc")
        'a\\u001b[2Jb c'
    """
    if text.isprintable():
        return text
    return "".join(map(_escape, " ".join(text.splitlines())))


def _escape(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def name_files(layers: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Name a file or folder for each layer: safe on every disk, and no two alike even without case.

    Args:
        layers: Names of layers.
        taken: Names in small letters that none may get.

    Example:
        >>> name_files(["conv5", "features.3", "inception4a.branch1#2", "Conv5", "../x", "Жук"])
        ['conv5', 'features.3', 'inception4a.branch1-2', 'Conv5-2', 'x', 'layer']
    """
    named: list[str] = []
    used = set(taken)
    for layer in layers:
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", layer).strip("-._")[:60].rstrip("-._") or "layer"
        name, number = base, 2
        while name.casefold() in used:
            name, number = f"{base}-{number}", number + 1
        used.add(name.casefold())
        named.append(name)
    return named


def write_percent(share: float, digits: int = 1) -> str:
    """Write a share in 0..1 as a percentage, with so many digits after the point.

    Example:
        >>> write_percent(0.7281), write_percent(0.5, 0)
        ('72.8 %', '50 %')
    """
    return f"{share:.{digits}%}".replace("%", " %")
