"""``vizcnn index``: what ``vizcnn mine`` found, as a table, as CSV or as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vizcnn.cli.options import CarefulCommand, GivenPath, json_option
from vizcnn.cli.reporting import lay_out, say
from vizcnn.cli.unit_option import Unit, require_numbers, units_option

if TYPE_CHECKING:
    from vizcnn.mining.index import StrongestIndex
    from vizcnn.mining.ranked_places import RankedPlace

HEADS = ("layer", "unit", "rank", "photo", "row", "column", "activation")


@click.command(
    cls=CarefulCommand, short_help="Print an index of strongest places as a table or CSV."
)
@click.argument("file", metavar="INDEX", type=GivenPath(dir_okay=False))
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
@click.option("--csv", "as_csv", is_flag=True, help="Short for --format csv.")
@json_option
def index(
    file: Path,
    layers: tuple[str, ...],
    units: tuple[Unit, ...],
    form: str,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Print what `vizcnn mine` found: the strongest places of every unit, a line each.

    The columns are layer, unit, rank, photo, row, column and activation. Rows and columns count
    places of the feature map from 0.
    """
    from vizcnn.mining.index import read_index
    from vizcnn.mining.ranked_places import list_ranked_places

    found = read_index(file)
    names = [name.strip() for text in layers for name in text.split(",")]
    places = list(list_ranked_places(found, names, require_numbers(units)))
    if as_json:
        say(json.dumps(_describe(found, places)))
    elif as_csv or form == "csv":
        say(*_write_csv(places))
    else:
        say(f"{found.identity.model}, {found.identity.weights}")
        say(*lay_out([HEADS, *map(_write_row, places)], left=("layer", "photo")))
    if not found.complete:
        say(f"note: mined so far: {found.done} of {len(found.photos)} photos", err=True)


def _describe(index: "StrongestIndex", places: "Sequence[RankedPlace]") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "model": index.identity.model,
        "weights": index.identity.weights,
        "photos": len(index.photos),
        "done": index.done,
        "places": [asdict(place) for place in places],
    }


def _write_csv(places: "Sequence[RankedPlace]") -> list[str]:
    from vizcnn.drawing.tables import Table, write_table

    rows = tuple(tuple(getattr(place, head) for head in HEADS) for place in places)
    return write_table(Table("places", HEADS, rows), "csv").removesuffix("\n").split("\n")


def _write_row(place: "RankedPlace") -> tuple[str, ...]:
    cells = (getattr(place, head) for head in HEADS[:-1])
    return (*("-" if cell is None else str(cell) for cell in cells), f"{place.activation:.6g}")
