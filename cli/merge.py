"""``vizcnn merge``: indexes of disjoint photos -> the index of all of them."""

from pathlib import Path

import click

from vizcnn.cli.mine import report_index
from vizcnn.cli.options import json_option
from vizcnn.cli.report import SOME_FAILED, list_left_out


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="INDEX...",
    type=click.Path(path_type=Path),
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The joint index; one that is there is replaced.",
)
@json_option
@click.pass_context
def merge(context: click.Context, /, files: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Join indexes of disjoint photos, as several machines have mined them.

    The joint index is the same to the last byte as one run over all the photos makes.
    """
    from vizcnn.mining.index import read_index, write_index
    from vizcnn.mining.ranking import merge_indexes

    index = merge_indexes([read_index(file) for file in files], [repr(str(file)) for file in files])
    if out.exists():
        read_index(out)  # nothing else is written over
    write_index(index, out)
    report_index(index, out, as_json)
    list_left_out([why for _, why in index.failures])
    if index.failures:
        context.exit(SOME_FAILED)
