"""Photos on a command line: words without an option, ``--photos``, and the names it had before."""

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import click

from vizcnn.cli.options import Command, complete_names_and_files
from vizcnn.photos.samples import SAMPLES

FORMER_NAMES = ("--image", "--images", "--data")
"""What ``--photos`` was called in one command or another; every command takes all of them."""

HOLDERS = "folders, lists (.txt), archives (.tar) or tables (.parquet, .arrow) of photos"
"""What holds photos, and may be given in their place (vizcnn.photos.stores)."""

SAMPLE_NAMES = f"name of a sample photo ({', '.join(SAMPLES)})"

_NAMED = f"{__name__}.named"
"""Under what a context holds the photos that were named by an option."""


class PhotosArgument(click.Argument):
    """The words of a command line that name photos, explained in its help.

    Args:
        told: What they may be, for the help.
        one: Whether the command takes one of them only; its value is a name then, or None.
        usual: What is taken where none is named.
        required: Whether there has to be one.
        first: What may stand before them.
    """

    def __init__(
        self,
        declarations: list[str],
        /,
        told: str = "",
        one: bool = False,
        usual: tuple[str, ...] = (),
        required: bool = False,
        first: str = "",
        **settings: Any,
    ) -> None:
        # not required for click: an option may name the photos
        super().__init__(declarations, required=False, nargs=-1, callback=self.join, **settings)
        self.help = told  # which click takes from 8.5 on
        self._one, self._required, self._usual, self._first = one, required, usual, first

    def join(
        self, context: click.Context, parameter: click.Parameter, words: tuple[str, ...]
    ) -> tuple[str, ...] | str | None:
        """Put the photos together that were named with and without an option.

        Raises:
            click.UsageError: If a name is empty, which Path would take for the current folder, or
                there are too many or too few.
        """
        names = (*words, *context.meta.get(_NAMED, ())) or self._usual
        what = (self.metavar or "PHOTOS").lower()
        if "" in names:
            raise click.UsageError(f"the name of a {what.removesuffix('s')} is empty", context)
        if self._required and not names:
            raise click.MissingParameter(
                param_type="argument", param_hint=self.make_metavar(context), ctx=context
            )
        if not self._one:
            return names
        if len(names) > 1:
            raise click.UsageError(f"{len(names)} {what}s are named: give one", context)
        return names[0] if names else None

    def make_metavar(self, ctx: click.Context | None = None) -> str:
        """Write it as in the line on usage."""
        word = self.metavar or "PHOTOS"
        word = word if self._required else f"[{word}]"
        first = f"[{self._first}] " if self._first else ""
        return first + (word if self._one else f"{word}...")

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Explain it in the help, also where click does not yet do so for arguments."""
        return self.make_metavar(ctx), self.help or ""


def keep_named(
    context: click.Context, parameter: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    """Keep the photos that an option names, for :class:`PhotosArgument`."""
    context.meta.setdefault(_NAMED, []).extend(names)
    return names


def photos_argument(
    told: str,
    *,
    keep: Callable[..., Any] = keep_named,
    cls: type[PhotosArgument] = PhotosArgument,
    **settings: Any,
) -> Callable[[Command], Command]:
    """Declare the photos of a command, which gets them as ``photos``.

    They are words without an option; ``--photos``, and hidden what it was called before, mean the
    same and may be repeated.

    Args:
        told: What they may be, for the help.
        keep: Keeps what an option names.
        cls: What the words are.
        **settings: For :class:`PhotosArgument`.
    """
    named = {
        "multiple": True,
        "expose_value": False,
        "is_eager": True,  # so that they are known when the argument is
        "callback": keep,
        "metavar": settings.get("metavar", "PHOTOS"),
        "shell_complete": complete_names_and_files(SAMPLES),
    }
    declared = (
        click.option(*FORMER_NAMES, "former_photos", hidden=True, help="As --photos.", **named),
        click.option(
            "--photos", "named_photos", help="The same, by an option; may be repeated.", **named
        ),
        click.argument(
            "photos",
            cls=cls,
            told=told,
            shell_complete=complete_names_and_files(SAMPLES),
            **settings,
        ),
    )

    def declare(command: Command) -> Command:
        for declaration in declared:  # the last that is declared stands first
            command = declaration(command)
        return command

    return declare


def photo_list_argument(
    told: str = "the sample motorcycle", usual: tuple[str, ...] = ("motorcycle",)
) -> Callable[[Command], Command]:
    """Declare photos that each are looked at; they may be left out.

    Args:
        told: What is looked at then, for the help.
        usual: The same as names of photos.
    """
    words = f"Photos, {HOLDERS}, or {SAMPLE_NAMES}.  [default: {told}]"
    return photos_argument(words, usual=usual)


def one_photo_argument(words: str, usual: str) -> Callable[[Command], Command]:
    """Declare the one photo of a command, which may be left out.

    Args:
        words: What it is for.
        usual: Name of the sample photo that is taken then.
    """
    told = f"{words}, or {SAMPLE_NAMES}.  [default: {usual}]"
    return photos_argument(told, one=True, usual=(usual,), metavar="PHOTO")


def photo_set_argument(keep: Callable[..., Any] = keep_named) -> Callable[[Command], Command]:
    """Declare photos that are looked through; they may be left out."""
    return photos_argument(
        f"Photos, or {HOLDERS}.  [default: patches of scikit-image's sample photos]",
        keep=keep,
    )


def find_given(names: tuple[str, ...]) -> list[PurePath]:
    """Find what photos were named: files, folders and whatever else holds photos, and samples.

    Every command that takes photos comes here with what it was given.

    Returns:
        Paths, and places in object stores (:class:`~vizcnn.basics.remote.RemotePath`).

    Raises:
        ImageError: If a name is nearly a sample's, or scikit-image is not installed.
        DataError: If a URL is of a kind that is not taken.
    """
    from vizcnn.basics.remote import is_url, read_place
    from vizcnn.photos.samples import find_file

    return [read_place(name) if is_url(name) else Path(find_file(name)) for name in names]


def find_local(names: tuple[str, ...]) -> list[Path]:
    """Find named photos that have to be on this machine.

    Raises:
        ImageError: As for :func:`find_given`.
        DataError: If a URL is given that is not of this machine.
    """
    from vizcnn.basics.remote import RemotePath, read_local_place

    found = find_given(names)
    return [
        read_local_place(str(path), "path") if isinstance(path, RemotePath) else Path(path)
        for path in found
    ]
