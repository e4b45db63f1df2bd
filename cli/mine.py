"""``vizcnn mine``: photos -> an index of every unit's strongest places."""

import json
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vizcnn.cli.cores import SharingCommand
from vizcnn.cli.options import (
    device_option,
    json_option,
    load_model,
    model_option,
    seed_option,
    weights_option,
)
from vizcnn.cli.progress import bar
from vizcnn.cli.report import SOME_FAILED, list_left_out

if TYPE_CHECKING:
    from vizcnn.mining.index import StrongestIndex
    from vizcnn.mining.run import MiningRun


@click.command(cls=SharingCommand)
@model_option
@weights_option
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of photos, with those in the folders in it; may be repeated.  "
    "[default: patches of scikit-image's photos]",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The index, such as strongest.safetensors; one that is there is gone on with.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list (conv1,conv3) or range (conv1..conv5); may be repeated.  "
    "[default: conv1..conv5, as far as the net has them]",
)
@click.option(
    "--top",
    type=click.IntRange(1),
    default=9,
    show_default=True,
    help="How many places to keep per unit.",
)
@click.option(
    "--per-photo",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many of them may be of one photo.",
)
@click.option(
    "--part",
    default="1/1",
    show_default=True,
    metavar="K/N",
    help="Mine every N-th photo from the K-th on, one part per machine; vizcnn merge joins them.",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes that read photos; changes nothing in the result.  [default: by the machine]",
)
@device_option
@seed_option
@json_option
@click.pass_context
def mine(
    context: click.Context,
    /,
    model: str,
    weights: str,
    data: tuple[Path, ...],
    out: Path,
    layers: tuple[str, ...],
    top: int,
    per_photo: int,
    part: str,
    workers: int | None,
    device: str,
    seed: int,
    as_json: bool,
) -> None:
    """Find the photos and places where each unit is strongest.

    One pass over any number of photos. Run the same command again to go on after a break: the
    index becomes the same to the last byte.
    """
    from vizcnn.basics.machine import prepare_cpu
    from vizcnn.mining.photo_sets import choose_part, open_photos
    from vizcnn.mining.run import MiningRun, MiningSettings
    from vizcnn.recording.layers import list_stages, select_layers

    prepare_cpu()
    net = load_model(model, weights, device, seed)
    settings = MiningSettings(
        layers=select_layers(net, layers or (list_stages(net),)),
        top=top,
        per_photo=per_photo,
        workers=workers,
    )
    photos = choose_part(open_photos(data, net.preprocessing), part)
    run = MiningRun(net, photos, out, settings)
    before, began = run.index.done, time.monotonic()
    _run_or_save(run)
    rate = (run.index.done - before) / (time.monotonic() - began)
    report_index(run.index, out, as_json, rate if before < run.index.done else None)
    list_left_out([why for _, why in run.index.failures])
    if run.index.failures:
        context.exit(SOME_FAILED)


def _run_or_save(run: "MiningRun") -> None:
    count = len(run.index.photos)
    if run.index.complete:
        click.echo(f"already complete: {count} photos", err=True)
    elif run.index.done:
        click.echo(f"going on at photo {run.index.done + 1} of {count}", err=True)
    try:
        run.run(bar)
    except KeyboardInterrupt:
        click.echo(
            f"stopped at photo {run.index.done} of {count}; saved in "
            f"{shlex.quote(click.format_filename(run.file))}: run the same command again to go on",
            err=True,
        )
        raise


def report_index(
    index: "StrongestIndex", file: Path, as_json: bool, rate: float | None = None
) -> None:
    """Say on stdout what an index holds and where it is.

    Args:
        index: What was written.
        file: Where it is.
        as_json: Whether to say it as JSON.
        rate: Photos per second, if some were mined.
    """
    units = {name: layer.units for name, layer in index.layers.items()}
    if as_json:
        facts = {
            "index": str(file),
            "photos": len(index.photos),
            "units": units,
            "photos_per_second": rate,
            "failures": [{"photo": name, "error": why} for name, why in index.failures],
        }
        click.echo(json.dumps(facts))
        return
    speed = "" if rate is None else f", {rate:.1f} photos/s"
    click.echo(f"{index.identity.model}, {index.identity.weights}")
    click.echo(
        f"{len(index.photos) - len(index.failures)} photo(s), {sum(units.values())} units of "
        f"{len(units)} layer(s){speed}"
    )
    click.echo(f"index: {click.format_filename(file)}")
