"""The lecture's claims as tables: all of them, and what does not hold."""

from functools import partial

from vizcnn.drawing.table_figure import draw_table
from vizcnn.drawing.tables import Table
from vizcnn.lecture.claims import LECTURE, Claim, count_verdicts, list_claims, say_verdicts
from vizcnn.lecture.studio import SECTIONS, Made, Studio, exhibit


@exhibit("claims", "claims", "All claims")
def make_claims(studio: Studio) -> Made:
    """Make the table of all claims, for the page and for files."""
    claims = list_claims()
    table = make_claims_table(claims, "The lecture’s numeric claims")
    return Made(f"{LECTURE}: {say_verdicts(claims)}.", table=table)


@exhibit("claims-slips", "claims", "What does not hold", in_tables=False)
@exhibit("claims-table-slips", "claims", "What does not hold in GoogLeNet’s table", in_tables=True)
def make_slips(studio: Studio, in_tables: bool) -> Made:
    """Draw what does not hold, in the lecture's tables or beside them."""
    claims = list_claims()
    table = make_slips_table(claims, in_tables)
    slips = count_verdicts(claims)["does not hold"]
    caption = (
        f"{len(table.rows)} of the {slips} that do not hold, of {LECTURE}; "
        f"{say_verdicts(claims)}. Why is told in the table of all claims."
    )
    return Made(caption, partial(draw_table, table, caption), table)


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
