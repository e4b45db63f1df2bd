"""``vizcnn index``: what ``vizcnn mine`` found, as a table, as CSV or as JSON."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vizcnn.cli.options import CarefulCommand, GivenPath, json_option
from vizcnn.cli.reporting import lay_out, say
from vizcnn.cli.unit_option import Unit, require_numbers, units_option
from vizcnn.mining.ranks import describe_order

if TYPE_CHECKING:
    from vizcnn.mining.index import StrongestIndex
    from vizcnn.mining.ranked_places import RangePlace, RankedPlace
    from vizcnn.mining.working_copies import IndexPlace

    Places = Sequence[RankedPlace] | Sequence[RangePlace]

HEADS = ("layer", "unit", "rank", "photo", "row", "column", "activation")
RANGE_HEADS = ("layer", "unit", "percentile", "photo", "row", "column", "activation", "silent")
NUMBERS = ("activation", "relevance", "silent")
"""Columns of numbers that are rounded for people."""
RANKED = "ranked_by"
"""Column of a CSV that says by what places are ranked, where that is not their activation."""


@click.command(
    cls=CarefulCommand, short_help="Print an index of strongest places as a table or CSV."
)
@click.argument("file", metavar="INDEX", type=GivenPath(remote=True, dir_okay=False))
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, or list of layers (conv1,conv3); may be repeated.  [default: all of the index]",
)
@units_option(
    "Number of a unit, list (3,5) or range (10..20) of them; may be repeated.  "
    "[default: every unit]"
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv"], case_sensitive=False),
    default="table",
    show_default=True,
    help="How to print it: for people, or for spreadsheets and programs.",
)
@click.option(
    "--range",
    "ranges",
    is_flag=True,
    help="Print each unit's range instead: the photos at percentiles of its maxima, and the share "
    "of photos in which it is above zero nowhere; of an index that was mined with --range.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Short for --format csv.")
@json_option
def index(
    file: "IndexPlace",
    layers: tuple[str, ...],
    units: tuple[Unit, ...],
    form: str,
    ranges: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Print what `vizcnn mine` found: the strongest places of every unit, a line each.

    The columns are layer, unit, rank, photo, row, column and activation; of an index of another
    --rank than activation also that rank, and with it the relevance. Rows and columns count places
    of the feature map from 0.
    """
    from vizcnn.mining.index import read_index
    from vizcnn.mining.machine_kinds import describe_kinds
    from vizcnn.mining.ranked_places import list_ranges, list_ranked_places
    from vizcnn.mining.working_copies import read_copies

    with read_copies([file]) as (here,):
        found = read_index(here)
    names = [name.strip() for text in layers for name in text.split(",")]
    numbers = require_numbers(units)
    places: Places = (
        list(list_ranges(found, names, numbers))
        if ranges
        else list(list_ranked_places(found, names, numbers))
    )
    heads = RANGE_HEADS if ranges else _choose_heads(found)
    if as_json:
        say(json.dumps(_describe(found, places, heads)))
    elif as_csv or form == "csv":
        say(*_write_csv(places, heads, found.identity.rank))
    else:
        say(f"{found.identity.model}, {found.identity.weights}")
        if ranges:
            say("percentiles of the maxima of all photos")
        elif found.identity.rank != "activation":
            say(f"ranked: {describe_order(found.identity.rank, found.identity.seed)}")
        if found.machines:
            say(describe_kinds(found.machines))
        shown = [head for head in heads if head != RANKED]
        rows = [tuple(_write_cell(place, head) for head in shown) for place in places]
        say(*lay_out([tuple(shown), *rows], left=("layer", "photo")))
    if not found.complete:
        say(f"note: mined so far: {found.done} of {len(found.photos)} photos", err=True)


def _choose_heads(index: "StrongestIndex") -> tuple[str, ...]:
    """Choose the columns: those of the strongest places, and what another rank adds to them."""
    rank = index.identity.rank
    if rank == "activation":
        return HEADS
    return (*HEADS, "relevance", RANKED) if rank == "relevance" else (*HEADS, RANKED)


def _describe(index: "StrongestIndex", places: "Places", heads: Sequence[str]) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "model": index.identity.model,
        "weights": index.identity.weights,
        "ranked_by": index.identity.rank,
        "photos": len(index.photos),
        "photos_without_class": index.unclassed,
        "machines": list(index.machines),
        "done": index.done,
        "places": [
            {name: value for name, value in asdict(place).items() if name in heads}
            for place in places
        ],
    }


def _write_csv(places: "Places", heads: Sequence[str], rank: str) -> list[str]:
    from vizcnn.drawing.tables import Table, write_table

    rows = tuple(
        tuple(rank if head == RANKED else getattr(place, head) for head in heads)
        for place in places
    )
    return write_table(Table("places", tuple(heads), rows), "csv").removesuffix("\n").split("\n")


def _write_cell(place: "RankedPlace | RangePlace", head: str) -> str:
    cell = getattr(place, head)
    if cell is None:
        return "-"
    return f"{cell:.6g}" if head in NUMBERS else str(cell)
