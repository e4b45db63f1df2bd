"""All claims, as a table."""

import fnmatch
from collections.abc import Sequence
from functools import cache

from vizcnn.basics.errors import VizcnnError
from vizcnn.drawing.tables import Table
from vizcnn.lecture.claims import alexnet, googlenet, lenet, overview, vgg, zfnet
from vizcnn.lecture.claims.record import VERDICTS, Claim
from vizcnn.lecture.studio import SECTIONS, split_names

_PARTS = (overview, lenet, alexnet, zfnet, vgg, googlenet)
"""Modules in the order of the lecture. What it says of its course (homework, dates) is left out."""


@cache
def list_claims() -> tuple[Claim, ...]:
    """Check every numeric claim of the lecture.

    Returns:
        Claims in the order of the lecture.

    Example:
        >>> slips = [claim for claim in list_claims() if claim.verdict == "does not hold"]
        >>> any("356,816,512" in claim.claimed for claim in slips)
        True
    """
    return tuple(claim for part in _PARTS for claim in part.list_claims())


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


def make_claims_table(claims: tuple[Claim, ...], title: str) -> Table:
    """Make a table of claims."""
    return Table(
        title,
        (
            "section",
            "quote",
            "what",
            "claimed",
            "computed",
            "verdict",
            "how",
            "note",
        ),
        tuple(
            (
                SECTIONS[claim.section],
                f"“{claim.quote}”",
                claim.what,
                claim.claimed,
                claim.computed or None,
                claim.verdict,
                claim.how,
                claim.why or None,
            )
            for claim in claims
        ),
    )


_SHORT = {**SECTIONS, "overview": "by year"}
"""Sections' titles, short enough for a slide."""
TABLE_ROW = "table row"
"""How claims begin that are rows of a table."""


def make_slips_table(claims: tuple[Claim, ...], in_tables: bool) -> Table:
    """Make a short table of what does not hold, for a slide.

    Args:
        claims: All claims.
        in_tables: Only the rows of the lecture's tables; else only what is said beside.
    """
    slips = tuple(
        claim
        for claim in claims
        if claim.verdict == "does not hold" and claim.what.startswith(TABLE_ROW) == in_tables
    )
    title = "What does not hold" + (" in GoogLeNet’s table" if in_tables else "")
    rows = tuple((_SHORT[c.section], c.what, c.claimed, c.computed or None) for c in slips)
    return Table(title, ("section", "what", "claimed", "computed"), rows)
