"""Texts of strangers: names of files, and what stands in them, made harmless to show."""

import unicodedata


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
