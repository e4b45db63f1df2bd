"""Folders for results where none is given: named after what is in them, and never another's."""

import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vizcnn.basics.errors import VizcnnError, quote
from vizcnn.basics.files import read_plain_file

if TYPE_CHECKING:
    from vizcnn.photos.stored import PhotoFile

OUT = Path("vizcnn-out")
"""Folder of all results that have none of their own."""

LONGEST_WORD = 40
"""Characters of a net, method or photo in a folder's name."""


def name_folder(pattern: str, chosen: Mapping[str, Sequence[str]]) -> str:
    """Name a folder after what was chosen.

    Args:
        pattern: Words with ``-`` between them; MODEL, METHOD and PHOTO, or the plural of one, stand
            for what was chosen, and fall out where nothing was.
        chosen: Names by these words.

    Example:
        >>> name_folder("MODEL-PHOTOS-check", {"MODEL": ["zfnet"], "PHOTO": ["a"]})
        'zfnet-a-check'
    """
    words = [
        "-".join(chosen.get(word.removesuffix("S"), ())) if word.isupper() else word
        for word in pattern.split("-")
    ]
    return "-".join(filter(None, words))


def shorten_photos(names: Sequence[str]) -> list[str]:
    """Give a word for photos that is fit for a folder's name; none for no photos.

    Example:
        >>> shorten_photos(["my trip/a?.jpg", "b.jpg", "c.jpg"]), shorten_photos([])
        (['a-and-2-more'], [])
    """
    from vizcnn.photos.formats import PHOTO_SUFFIXES

    if not names:
        return []
    path = Path(os.path.normpath(Path.cwd() / names[0]))  # a folder may be given as "."
    word = shorten_word(path.stem if path.suffix.lower() in PHOTO_SUFFIXES else path.name)
    return [word if len(names) == 1 else f"{word}-and-{len(names) - 1}-more"]


def tell_photos_apart(photos: "Sequence[PhotoFile]") -> "dict[PhotoFile, str]":
    """Give each photo of a run a word of its own that is fit for a folder's name.

    Example:
        >>> list(tell_photos_apart([Path("a/1.jpg"), Path("b/1.jpg"), Path("x y?.jpg")]).values())
        ['a_1', 'b_1', 'x_y']
    """
    from vizcnn.photos.samples import name_distinctly

    words = {
        photo: shorten_word(os.path.splitext(name)[0])  # noqa: PTH122  # "." has no suffix for Path
        for photo, name in name_distinctly(photos).items()
    }
    count = Counter(words.values())
    return {
        photo: word if count[word] == 1 else f"{word}-photo-{number}"
        for number, (photo, word) in enumerate(words.items(), 1)
    }


def shorten_word(text: str) -> str:
    """Give what is left of a name that may stand in a folder's on every system.

    Example:
        >>> shorten_word("hub:owner/net@1"), shorten_word("???")
        ('hub_owner_net_1', '_')
    """
    return re.sub(r"[^\w.-]+", "_", text)[:LONGEST_WORD].strip("._-") or "_"


def refuse_others(context: click.Context, folder: Path, pattern: str) -> None:
    """Make sure that a folder of a name that was not asked for holds no other photos' results.

    The same photos replace their own, and the same nets and methods where the folder is named after
    them.

    Args:
        context: The running command's.
        folder: Where its results are to go.
        pattern: As for :func:`name_folder`.

    Raises:
        VizcnnError: If they would replace those of other photos, nets or methods.
    """
    former = _read_former(context, folder)
    if former is None:
        return
    if former["command"] != context.command.name:
        raise VizcnnError(
            f"{str(folder)!r} holds the results of vizcnn {former['command']}: give this run a "
            "folder of its own with --out, or replace them with --force"
        )
    for name, what in {"photos": "photos", "models": "nets", "methods": "methods"}.items():
        counts = name == "photos" or name.removesuffix("s").upper() in pattern
        told, now = former.get(name), context.params.get(name)
        if name == "photos":
            told, now = map(_locate, (told, now))
        if counts and told != now:
            told = former.get(name) or ()
            names = [told] if isinstance(told, str) else [str(word) for word in told]
            raise VizcnnError(
                f"{str(folder)!r} holds the results of other {what} "
                f"({quote(', '.join(names) or 'the sample photos')}): give this run a folder of "
                "its own with --out, or replace them with --force"
            )


def _locate(photos: str | Sequence[str] | None) -> set[str]:
    """Say where photos lie, in whatever words and order they are named."""
    names = [photos] if isinstance(photos, str) else photos or ()
    return {os.path.abspath(name) for name in names}  # noqa: PTH100  # follows no links


def _read_former(context: click.Context, folder: Path) -> dict[str, Any] | None:
    """Give the parameters of the run whose results a folder holds; None if there are none."""
    from vizcnn.basics.codec import LARGEST_JSON

    try:
        file = read_plain_file(folder / "manifest.json", "manifest", largest=LARGEST_JSON)
        words = shlex.split(str(json.loads(file)["command"]))[1:]
        if words[0] != context.command.name:
            return {"command": words[0]}
        read = context.command.make_context(words[0], words[1:], resilient_parsing=True)
        return {**read.params, "command": words[0]}
    except (VizcnnError, ValueError, LookupError, TypeError, RecursionError):
        return None
