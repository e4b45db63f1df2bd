"""What commands say on standard error: progress, and what could not be used."""

import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vizcnn.basics.errors import VizcnnError, VizcnnWarning, quote
from vizcnn.basics.memory import describe_shortage, find_shortage, require_memory_to_start
from vizcnn.basics.texts import escape_controls

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Failure

T = TypeVar("T")

SOME_FAILED = 2
"""Exit status of a strict command when some photos could not be used."""

STRICT = f"{__name__}.strict"
"""Under what a command's context holds whether it is strict; one without a choice is."""


def is_strict(context: click.Context) -> bool:
    """Tell whether a command is strict, as ``--strict`` says; one without a choice is."""
    return bool(context.meta.get(STRICT, True))


NAMED_FAILURES = 3
"""Unusable photos that a summary names."""

SHOWN_FAILURES = 20
"""Unusable photos that are named, one line each."""


def say(*lines: str, err: bool = False) -> None:
    """Print lines, each on one line of the terminal and without power over it.

    All that commands print for people goes through here. Names of files, and what stands in photos,
    weights and indexes, may hold line breaks, and characters that colour the terminal, move in it
    or turn the direction of writing: they are shown as escapes.

    Args:
        lines: The lines, without line breaks at their ends; one may be JSON, which stays it.
        err: Whether they go to standard error.
    """
    for line in lines:
        click.echo(escape_controls(line), err=err)


def bar(
    items: Iterable[T],
    *,
    label: str,
    total: int | None = None,
    unit: str = "it",
    initial: int = 0,
    delay: float = 0.5,
) -> Iterator[T]:
    """Show on standard error how far an iteration is; where that is no terminal, a line a minute.

    Args:
        items: What is iterated over.
        label: What is done.
        total: Number of items.
        unit: What one is called.
        initial: How many were done before.
        delay: Seconds before the bar appears: what is short shows none.
    """
    if not sys.stderr.isatty():
        return _tell_each_minute(items, label, total, unit, initial)
    from tqdm import tqdm  # costs a part of the 0.2 s that --help may take

    return iter(
        tqdm(
            items,
            desc=escape_controls(label),
            total=total,
            unit=unit,
            initial=initial,
            file=sys.stderr,
            delay=delay,
            leave=False,
            dynamic_ncols=True,
        )
    )


SECONDS_BETWEEN = 60.0
"""From one line of progress to the next, where no bar can be drawn: in a log, say."""


def _tell_each_minute(
    items: Iterable[T], label: str, total: int | None, unit: str, initial: int
) -> Iterator[T]:
    """Give items, and say how far they are when a minute has gone by since the last such line."""
    # of the command, not of the bar: many short bars are a long run too
    context = click.get_current_context(silent=True)
    told = context.meta if context else {}
    began = told.setdefault(_BEGAN, time.monotonic())
    for done, item in enumerate(items, initial):
        now = time.monotonic()
        if now - told.get(_SAID, began) >= SECONDS_BETWEEN:
            told[_SAID] = now
            of = f" of {total} ({done / total:.0%})" if total else ""
            what = "" if unit == "it" else f"{unit} "
            say(f"{label}: {what}{done}{of}, {(now - began) / 60:.0f} min", err=True)
        yield item


_BEGAN, _SAID = f"{__name__}.began", f"{__name__}.said"
"""Under what a command's context holds when it began, and when it last said how far it is."""


_NOTES = f"{__name__}.notes"
"""Under what a command's context holds what was said of photos."""


def list_notes() -> list[str]:
    """List what was said of photos while the present command ran, for its report as JSON."""
    context = click.get_current_context(silent=True)
    return list(context.meta.get(_NOTES, ())) if context else []


def describe_left_out(names: Sequence[str]) -> dict[str, Any]:
    """Describe what was found beside the photos and is not read, for a report as JSON."""
    from vizcnn.photos.folders import SHOWN_NAMES

    return {
        "left_out": len(names),
        "left_out_names": list(names[:SHOWN_NAMES]),
        "notes": list_notes(),
    }


def lay_out(rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> list[str]:
    """Lay a table out as lines of text in columns.

    Args:
        rows: The head first; as many cells each.
        left: Heads of the columns that are set flush left, beside the first; the others, which
            hold numbers, are set flush right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    flush = [place == 0 or head in left for place, head in enumerate(rows[0])]
    return [
        "  ".join(
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(row, widths, flush, strict=True)
        ).rstrip()
        for row in rows
    ]


def count_others(count: int) -> str:
    """Say how much was found beside the photos and is not read."""
    return f"{count} other file(s) or folder(s)"


@contextmanager
def telling_warnings() -> Iterator[None]:
    """Say every :class:`VizcnnWarning` in one line on standard error, once."""
    told: dict[str, None] = {}
    if context := click.get_current_context(silent=True):
        context.meta[_NOTES] = told
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, VizcnnWarning):
                usual(escape_controls(str(message)), category, *place, **more)
            elif str(message) not in told:
                told[str(message)] = None
                say(f"note: {message}", err=True)

        warnings.simplefilter("always", VizcnnWarning)
        warnings.showwarning = show
        yield


@contextmanager
def telling_to_continue() -> Iterator[None]:
    """Say of an interrupted job, whose parts are kept, how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        say("stopped: run the same command again to continue from here", err=True)
        raise


SMALLER: Mapping[str, str] = {
    "ablate": "fewer photos (--count), layers (--layer) or units (--unit), a smaller --batch, "
    "--crop or --hidden, a smaller net",
    "deconv": "fewer photos, layers (--layer) or units (--top, --unit), a smaller net",
    "check": "fewer layers (--layer) or methods (--method), a smaller --compare, a smaller net",
    "compare": "fewer methods (--method), a smaller --compare, a smaller net",
    "occlude": "a smaller net, fewer nets at a time",
    "gallery": "fewer units (--unit) or layers (--layer), fewer --workers, a smaller net",
    "evolve": "fewer units (--count, --unit) or layers (--layer), fewer --workers, a smaller net",
    "explore": "fewer layers (--layer) or units (--top, --own), a smaller --compare, fewer or "
    "smaller nets",
    "filters": "fewer units (--unit), fewer nets at a time, a smaller net",
    "aliasing": "fewer units (--units), fewer --shift-photos, fewer nets at a time",
    "lecture": "fewer parts at a time (--only)",
    "correspond": "fewer layers (--layer), fewer --draws, a smaller net",
    "invariance": "fewer layers (--layer), a smaller net",
    "receptive": "fewer layers (--layer), a smaller net",
    "zeiler-fergus": "fewer items at a time (--only), a smaller net",
    "probe": "fewer --per-class or --places, fewer layers (--layer), a smaller net",
    "quiz": "fewer units (--count) or layers (--layer), fewer --workers, a smaller net",
    "mine": "fewer places (--top) or layers (--layer), fewer --workers, a smaller net",
    "merge": "smaller indexes (mine with fewer --top)",
    "index": "fewer layers (--layer) or units (--unit)",
    "train": "a smaller --batch or --crop, fewer or smaller photos",
}
"""What makes each command take less memory."""


@contextmanager
def telling_of_memory(context: click.Context) -> Iterator[None]:
    """Let a command whose memory does not do end in one line, and not begin without any.

    Raises:
        VizcnnError: With what was asked for, what there is, and what makes the command smaller.
    """
    require_memory_to_start()
    try:
        yield
    except Exception as error:
        shortage = find_shortage(error)
        if shortage is None:
            raise
        try:
            told = describe_shortage(shortage)
        except MemoryError:
            told = "not enough memory"
        # what the command held is let go: the line itself takes some memory
        traceback.clear_frames(error.__traceback__)
        on_device = type(shortage).__name__ == "OutOfMemoryError"
        smaller = SMALLER.get(context.invoked_subcommand or "", "")
        ways = ["--device cpu"] * on_device + [smaller] * bool(smaller)
        ways.append("a machine with more memory free")
        raise VizcnnError(f"{told}; use {', or '.join(ways)}") from None


def name_failures(failures: "Sequence[Failure]") -> str:
    """Name what could not be used, or made; of many the first."""
    names = [quote(failure.source) for failure in failures]
    more = f" and {len(names) - NAMED_FAILURES} more" if len(names) > NAMED_FAILURES else ""
    return ", ".join(names[:NAMED_FAILURES]) + more


def list_failures(failures: Sequence[str], what: str = "left out") -> None:
    """Say on standard error which photos could not be used, or what else failed.

    Args:
        failures: Why, a line for each.
        what: What happened to them.
    """
    for failure in failures[:SHOWN_FAILURES]:
        say(f"{what}: {failure}", err=True)
    if len(failures) > SHOWN_FAILURES:
        say(f"{what}: {len(failures) - SHOWN_FAILURES} more", err=True)


def end_with_failures(
    context: click.Context, failures: Sequence[str], what: str = "left out", told: bool = False
) -> None:
    """Say what failed, and end a command that is strict about it with a status of its own.

    Args:
        context: The running command's.
        failures: Why, a line for each.
        what: What happened to them.
        told: Whether they were listed already.
    """
    if not failures:
        return
    if not told:
        list_failures(failures, what)
    if is_strict(context):
        context.exit(SOME_FAILED)
    say(f"warning: {len(failures)} {what}, named above; the rest is done", err=True)
