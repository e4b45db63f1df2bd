"""``vizcnn gallery``: a net and a folder of photos -> a site of whole layers."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vizcnn.cli.cores import SharingCommand
from vizcnn.cli.options import (
    PASSES_OVER,
    device_option,
    json_option,
    layers_option,
    load_model,
    method_option,
    model_option,
    normalisation_option,
    out_option,
    per_photo_option,
    quote_command,
    seed_option,
    unruled_option,
    weights_option,
    workers_option,
)
from vizcnn.cli.progress import bar
from vizcnn.cli.report import SOME_FAILED, list_left_out, report_gallery

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.pages.layers.site import LayersResults


@click.command(
    cls=SharingCommand,
    short_help="Show what excites every unit of whole layers, over folders of photos.",
)
@model_option
@weights_option
@click.option(
    "--data",
    multiple=True,
    metavar="DIR",
    type=click.Path(),
    help="Folder of photos, with all folders in it; may be repeated.  [default: patches of the "
    "photos that scikit-image ships]",
)
@layers_option
@click.option(
    "--unit",
    "units",
    type=int,
    multiple=True,
    help="Unit number; may be repeated.  [default: every unit]",
)
@click.option(
    "--top",
    type=click.IntRange(1, 100),
    default=9,
    show_default=True,
    help="How many of the strongest places per unit.",
)
@per_photo_option
@method_option
@click.option(
    "--scale",
    "scaling",
    type=click.Choice(["unit", "shared"]),
    default="unit",
    show_default=True,
    help="Contrast: each projection's own, or one for all places of a unit.",
)
@normalisation_option
@unruled_option
@click.option(
    "--index",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Strongest places of these photos that `vizcnn mine` or an earlier gallery found "
    "(strongest.safetensors): spares the mining.",
)
@click.option(
    "--poster",
    is_flag=True,
    help="Draw each layer as a slide too (PDF, SVG and PNG), as Figure 2 of Zeiler & Fergus: some "
    "units, drawn by --seed.",
)
@click.option(
    "--poster-units",
    type=click.IntRange(1),
    help="How many units.  [default: 20, of small receptive fields 48]",
)
@workers_option
@device_option
@out_option("vizcnn-out/MODEL-gallery")
@seed_option
@json_option
@click.pass_context
def gallery(
    context: click.Context,
    /,
    model: str,
    weights: str,
    data: tuple[str, ...],
    layers: tuple[str, ...],
    units: tuple[int, ...],
    top: int,
    per_photo: int,
    method: str,
    scaling: str,
    normalisation: str,
    unruled: str,
    index: Path | None,
    poster: bool,
    poster_units: int | None,
    workers: int | None,
    device: str,
    out: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Show what excites every unit of whole layers, over folders of photos.

    One pass over the photos finds each unit's strongest places; the unit is projected back from
    each. The site has a page per layer and per unit. A run that was ended goes on when the same
    command is given again.
    """
    from vizcnn.basics.machine import prepare_cpu
    from vizcnn.mining.photo_sets import FolderPhotos, SamplePatches
    from vizcnn.pages.layers.gallery import make_top_gallery
    from vizcnn.pages.layers.job import TopSettings
    from vizcnn.pages.layers.work_folder import INDEX_NAME
    from vizcnn.recording.layers import list_stages, select_layers

    if "" in data:  # for Path, that is the current folder
        raise click.UsageError("--data is empty: give a folder of photos", context)
    prepare_cpu()
    started = time.monotonic()
    net = load_model(model, weights, device, seed)
    wanted = layers or (list_stages(net),)
    settings = TopSettings(
        layers=select_layers(net, wanted),
        units=units or None,
        top=top,
        per_photo=per_photo,
        method=method,
        scaling=scaling,  # type: ignore[arg-type]  # click has checked these two
        passes_over_normalisation=PASSES_OVER[normalisation],
        unruled=unruled,  # type: ignore[arg-type]
        poster=poster,
        poster_units=poster_units,
        seed=seed,
        workers=workers,
    )
    folder = out or Path("vizcnn-out") / f"{model}-gallery"
    paths = [Path(path) for path in data]
    photos = FolderPhotos(paths, net.preprocessing) if paths else SamplePatches(net.preprocessing)

    def repeat_unit(layer: str, unit: int) -> str:
        alone = folder.with_name(f"{folder.name}-{layer.replace('/', '-')}-{unit}")
        mined = index or folder / INDEX_NAME
        return quote_command(
            context, layers=(layer,), units=(unit,), index=mined, out=alone, poster=False
        )

    try:
        manifest = make_top_gallery(
            net,
            photos,
            settings,
            folder,
            index=index,
            command=quote_command(context, layers=wanted, out=folder),
            unit_command=repeat_unit,
            progress=bar,
            notice=lambda line: click.echo(line, err=True),
        )
    except KeyboardInterrupt:
        click.echo("stopped: run the same command again to go on from here", err=True)
        raise
    summary = summarise(manifest, time.monotonic() - started)
    report_gallery(manifest, folder, summary, as_json)
    list_left_out([failure.error for failure in manifest.failures])
    if manifest.failures:
        context.exit(SOME_FAILED)


def summarise(manifest: "Manifest[LayersResults]", seconds: float) -> str:
    """Say in a line per layer what was made."""
    results = manifest.results
    lines = [f"{results.data.count} photos mined: {results.data.describe}"]
    for layer in results.layers:
        places = sum(len(unit.places) for unit in layer.units)
        silent = sum(not unit.places for unit in layer.units)
        lines.append(
            f"{layer.name}: {len(layer.units)} units, {places} projections by {results.method} "
            f"(computed by {layer.computed})" + (f", {silent} silent" if silent else "")
        )
    return "\n".join([*lines, f"{seconds:.0f} s"])
