"""One claim of the lecture beside what was computed, and how the two are judged."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from vizcnn.drawing.tables import show_cell

Verdict = Literal["holds", "holds when rounded", "does not hold", "cited"]
VERDICTS: tuple[Verdict, ...] = ("holds", "holds when rounded", "does not hold", "cited")

_FACTORS = {"": 1.0, "K": 1e3, "k": 1e3, "M": 1e6, "%": 1.0, "x": 1.0}
_NUMBER = re.compile(r"^~?\s*([\d,]*\.?\d+)\s*([KkM%x]?)")


@dataclass(frozen=True)
class Claim:
    """A numeric claim of the lecture and its verdict.

    Attributes:
        section: Part of the lecture.
        quote: Where it stands: a few of the lecture's words.
        what: What is claimed.
        claimed: The claimed value as the lecture writes it.
        computed: The computed value in full; of a cited claim, the paper's.
        how: The function that computed it with its arguments, or the source.
        verdict: How the two compare.
        why: By how much it is off and why, where that is known; or what one should know.
    """

    section: str
    quote: str
    what: str
    claimed: str
    computed: str
    how: str
    verdict: Verdict
    why: str = ""


def judge(
    section: str,
    quote: str,
    what: str,
    claimed: str,
    compute: Callable[..., Any],
    *arguments: Any,
    why: str = "",
    kibi: bool = False,
) -> Claim:
    """Compute a value and compare a claim with it.

    Args:
        section: Part of the lecture.
        quote: A few of its words.
        what: What is claimed.
        claimed: The value as it writes it, a number (``"34,944"``, ``"~3.2M"``, ``"138M"``,
            ``"12x"``, ``"30%"``) or a text.
        compute: Gives the value: a number, or what is compared as text.
        *arguments: Arguments of ``compute``.
        why: What one should know; kept only if the claim does not simply hold, or always when it
            begins with ``"!"``.
        kibi: Whether the lecture's K may be 1024.

    Example:
        >>> judge("vgg", "~ 3.2M", "CONV (64)", "~3.2M", math.prod, (224, 224, 64)).verdict
        'holds when rounded'
        >>> judge("vgg", "= 1,728", "weights", "1,728", math.prod, (3, 3, 3, 64)).verdict
        'holds'
    """
    value = compute(*arguments)
    verdict = compare(claimed, value, kibi)
    always = why.startswith("!")
    told = why.removeprefix("!") if always or verdict != "holds" else ""
    if verdict == "does not hold" and isinstance(value, int | float):
        told = f"{describe_miss(claimed, value, kibi)} {told}".strip()
    return Claim(
        section,
        quote,
        what,
        claimed,
        _show(value),
        describe_call(compute, arguments),
        verdict,
        told,
    )


def compare(claimed: str, value: Any, kibi: bool = False) -> Verdict:
    """Compare a claim with a value.

    A number holds when rounded if it is the value to as many digits as it is written with, to
    the nearest or downwards; zeros at its end are no digits of its own after a ``~``, nor after
    the second before a K or M.

    Example:
        >>> compare("49", 49), compare("~150K", 150_528), compare("122M", 123_633_664)
        ('holds', 'holds when rounded', 'does not hold')
    """
    parsed = parse_number(claimed)
    if parsed is None or isinstance(value, str):
        return "holds" if claimed == str(value) else "does not hold"
    number, step = parsed
    actuals = (float(value), float(value) * 1000 / 1024) if kibi else (float(value),)
    if any(math.isclose(number, actual, rel_tol=1e-9) for actual in actuals):
        return "holds"
    for actual in actuals:
        if step and (abs(number - actual) <= step / 2 or 0 <= actual - number < step):
            return "holds when rounded"
    return "does not hold"


def parse_number(text: str) -> tuple[float, float] | None:
    """Read a number and the size of its last digit; None of what is no number.

    Example:
        >>> parse_number("~3.2M"), parse_number("34,944"), parse_number("55×55×96")
        ((3200000.0, 100000.0), (34944.0, 0.0), None)
    """
    match = _NUMBER.match(text)
    if not match or match.end() != len(text):
        return None
    digits, suffix = match[1].replace(",", ""), match[2]
    factor = _FACTORS[suffix]
    number = float(digits) * factor
    if "." in digits:
        return number, factor * 10.0 ** -len(digits.split(".")[1])
    if not suffix and not text.startswith("~"):
        return number, 0.0  # written in full: meant in full
    zeros = len(digits) - len(digits.rstrip("0"))
    least = 1 if text.startswith("~") else 2
    return number, factor * 10.0 ** max(min(zeros, len(digits) - least), 0)


def read_number(text: str) -> float:
    """Read a number that is known to be one.

    Example:
        >>> read_number("1072K")
        1072000.0
    """
    parsed = parse_number(text)
    assert parsed is not None, text
    return parsed[0]


def describe_miss(claimed: str, value: float, kibi: bool = False) -> str:
    """Say by how much a claim is off; also with 1024 for a K that may be meant so.

    Example:
        >>> describe_miss("356,816,512", 346_816_512)
        'Off by 10,000,000 (2.9 %).'
    """
    parsed = parse_number(claimed)
    if parsed is None:
        return ""
    off = parsed[0] - float(value)
    share = f" ({abs(off / value):.1%})".replace("%", " %") if value else ""
    also = ""
    if kibi:
        actual = value * 1000 / 1024
        also = f"; with K = 1024 by {abs(parsed[0] - actual) / actual:.1%}".replace("%", " %")
    return f"Off by {_show(abs(off))}{share}{also}."


def cite(section: str, quote: str, what: str, claimed: str, source: str, why: str = "") -> Claim:
    """Give a claim that cannot be computed here, with its source."""
    return Claim(section, quote, what, claimed, "", source, "cited", why)


def describe_call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    """Write a call as one would type it.

    Example:
        >>> describe_call(math.prod, ((3, 3), ))
        'prod((3, 3))'
    """
    name = str(getattr(function, "__name__", function))
    return f"{name}({', '.join(repr(value) for value in arguments)})"


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.4g}"
    return show_cell(value)
