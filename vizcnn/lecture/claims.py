"""The numeric claims of :data:`LECTURE`: read from ``claims.csv``, computed anew, and judged.

A row of the file is a claim. Its columns:

* ``section``, ``quote``, ``what``, ``claimed``: where it stands, a few of its words, what it is
  on, and the value as the lecture writes it.
* ``measure``: the call of a measure (:data:`vizcnn.lecture.claim_measures.MEASURES`) that gives
  the value. What cannot be computed here has a ``source`` instead.
* ``note``: what one should know. Braces in it and in ``source`` hold calls of measures, as in an
  f-string.
* ``shown``: when the note is: ``always``, only beside a ``slip``, or, if empty, wherever the claim
  does not simply hold.
* ``k``: 1024 where the lecture's K may be that.
"""

import ast
import csv
import fnmatch
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any, Literal

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.texts import write_percent
from vizcnn.drawing.tables import show_cell
from vizcnn.lecture.claim_measures import MEASURES, NAMED
from vizcnn.lecture.studio import split_names

LECTURE = "J. C. Kao’s lecture on CNN architectures (UCLA ECE, winter 2024)"
"""Whose figures are made and whose claims are checked here."""

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
        computed: The computed value in full; empty if it is cited.
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


@cache
def list_claims() -> tuple[Claim, ...]:
    """Check every numeric claim of the lecture.

    What it says of its course (homework, dates) is left out.

    Returns:
        Claims in the order of the lecture.

    Example:
        >>> slips = [claim for claim in list_claims() if claim.verdict == "does not hold"]
        >>> any("356,816,512" in claim.claimed for claim in slips)
        True
    """
    return tuple(check_claim(row) for row in _read_rows())


@cache
def _read_rows() -> tuple[Mapping[str, str], ...]:
    text = files("vizcnn.lecture").joinpath("claims.csv").read_text("utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def check_claim(row: Mapping[str, str]) -> Claim:
    """Compute what a row of the file claims, and judge it.

    Args:
        row: The row by column; see this module for what each column holds.

    Example:
        >>> row = dict(section="vgg", quote="3.2M", what="CONV (64)", claimed="~3.2M", source="")
        >>> row |= dict(measure="count_outputs('vgg-d', 'conv1_1')", note="", shown="", k="")
        >>> claim = check_claim(row)
        >>> claim.computed, claim.verdict, claim.how
        ('3,211,264', 'holds when rounded', "count_outputs('vgg-d', 'conv1_1')")
    """
    claimed, kibi, note = row["claimed"], row["k"] == "1024", _Note().format(row["note"])
    words = (row["section"], row["quote"], row["what"], claimed)
    if not row["measure"]:
        return Claim(*words, "", _Note().format(row["source"]), "cited", note)
    call = ast.parse(row["measure"], mode="eval").body
    assert isinstance(call, ast.Call), row["measure"]
    value = _compute(call)
    how = f"{ast.unparse(call.func)}({', '.join(repr(_compute(part)) for part in call.args)})"
    verdict = compare(claimed, value, kibi)
    hidden = {"always": (), "slip": VERDICTS[:2], "": VERDICTS[:1]}[row["shown"]]
    why = "" if verdict in hidden else note
    if verdict == "does not hold" and isinstance(value, int | float):
        why = f"{describe_miss(claimed, value, kibi)} {why}".strip()
    return Claim(*words, _show(value), how, verdict, why)


class _Note(Formatter):
    """Fills the braces of a text with what measures give."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        return _compute(ast.parse(field_name, mode="eval").body), field_name


def _compute(node: ast.expr) -> Any:
    """Compute calls of measures, quotients of them, and plain values; nothing else."""
    match node:
        case ast.Call(func=ast.Name(id="read_claimed"), args=[ast.Constant(value=str(what))]):
            numbers = [
                parse_number(row["claimed"]) for row in _read_rows() if row["what"].endswith(what)
            ]
            return sum(number for number, _ in filter(None, numbers))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return MEASURES[name](*(_compute(argument) for argument in arguments))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _compute(left) / _compute(right)
        case ast.Name(id=name):
            return NAMED[name]
    return ast.literal_eval(node)


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
    share = f" ({write_percent(abs(off / value))})" if value else ""
    also = ""
    if kibi:
        actual = value * 1000 / 1024
        also = f"; with K = 1024 by {write_percent(abs(parsed[0] - actual) / actual)}"
    return f"Off by {_show(abs(off))}{share}{also}."


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.4g}"
    return show_cell(value)


def choose_claims(only: Sequence[str]) -> tuple[Claim, ...]:
    """Choose claims by the section of the lecture that makes them.

    Args:
        only: Keys of :data:`vizcnn.lecture.studio.SECTIONS`; all claims when empty.

    Raises:
        VizcnnError: If a name is no section with claims.

    Example:
        >>> {claim.section for claim in choose_claims(["vgg"])}
        {'vgg'}
    """
    claims = list_claims()
    sections = tuple(dict.fromkeys(claim.section for claim in claims))
    wanted = split_names(only) or sections
    for name in wanted:
        if not fnmatch.filter(sections, name):
            raise VizcnnError(
                f"no claims of a part {name!r}; those with claims: {', '.join(sections)}"
            )
    chosen = {section for name in wanted for section in fnmatch.filter(sections, name)}
    return tuple(claim for claim in claims if claim.section in chosen)


def count_verdicts(claims: tuple[Claim, ...]) -> dict[str, int]:
    """Count the claims of each verdict."""
    return {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in VERDICTS}


def say_verdicts(claims: tuple[Claim, ...]) -> str:
    """Say how many claims have which verdict.

    Example:
        >>> say_verdicts(())
        '0 claims: 0 hold, 0 hold when rounded, 0 do not hold, 0 are cited'
    """
    counts = count_verdicts(claims)
    words = ("hold", "hold when rounded", "do not hold", "are cited")
    told = ", ".join(
        f"{counts[verdict]} {word}" for verdict, word in zip(VERDICTS, words, strict=True)
    )
    return f"{len(claims)} claims: {told}"
