"""``vizcnn deconv``: photos -> a gallery of projections."""

from pathlib import Path

import click

from vizcnn.cli.options import (
    PASSES_OVER,
    complete_names_and_files,
    device_option,
    find_given_photos,
    format_option,
    json_option,
    layers_option,
    load_model,
    method_option,
    model_option,
    normalisation_option,
    out_option,
    quote_command,
    seed_option,
    unruled_option,
    weights_option,
)
from vizcnn.cli.progress import bar
from vizcnn.cli.report import SOME_FAILED, report_gallery
from vizcnn.photos.samples import SAMPLES


@click.command()
@model_option
@weights_option
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="PHOTO",
    shell_complete=complete_names_and_files(SAMPLES),
    help=f"Photo, folder of photos, or a sample's name ({', '.join(SAMPLES)}); may be repeated.  "
    "[default: the sample motorcycle]",
)
@layers_option
@click.option("--unit", "units", type=int, multiple=True, help="Unit number; may be repeated.")
@click.option(
    "--top",
    type=click.IntRange(1),
    default=9,
    show_default=True,
    help="How many of a layer's strongest units, where no --unit is given.",
)
@method_option
@click.option(
    "--position",
    default="max",
    show_default=True,
    metavar="PLACE",
    help="Where in the feature map: max, all, or ROW,COLUMN.",
)
@click.option(
    "--scale",
    "scaling",
    type=click.Choice(["unit", "shared"]),
    default="unit",
    show_default=True,
    help="Contrast: each unit's own, or one for all units of a layer.",
)
@normalisation_option
@unruled_option
@click.option("--save-arrays", is_flag=True, help="Keep the raw values too (arrays.npz).")
@device_option
@out_option("vizcnn-out/MODEL-METHOD")
@format_option
@seed_option
@json_option
@click.pass_context
def deconv(
    context: click.Context,
    /,
    model: str,
    weights: str,
    images: tuple[str, ...],
    layers: tuple[str, ...],
    units: tuple[int, ...],
    top: int,
    method: str,
    position: str,
    scaling: str,
    normalisation: str,
    unruled: str,
    save_arrays: bool,
    device: str,
    out: Path | None,
    figure_format: str,
    seed: int,
    as_json: bool,
) -> None:
    """Project what a net sees in photos back to pixels.

    For each layer the strongest units, each beside the patch of the photo in its receptive field.
    """
    from vizcnn.pages.deconv import DeconvSettings, make_deconv_gallery
    from vizcnn.projection.targets import parse_position
    from vizcnn.recording.layers import list_stages, select_layers

    given = images or ("motorcycle",)
    photos = find_given_photos(context, "--image", given)
    place = parse_position(position)
    net = load_model(model, weights, device, seed)
    wanted = layers or (list_stages(net),)
    settings = DeconvSettings(
        layers=select_layers(net, wanted),
        method=method,
        units=units or None,
        top=top,
        position=place,
        scaling=scaling,  # type: ignore[arg-type]  # click has checked these three
        passes_over_normalisation=PASSES_OVER[normalisation],
        unruled=unruled,  # type: ignore[arg-type]
        figure_format=figure_format,  # type: ignore[arg-type]
        save_arrays=save_arrays,
    )
    folder = out or Path("vizcnn-out") / f"{model}-{method}"
    command = quote_command(context, images=given, layers=wanted, out=folder)
    manifest = make_deconv_gallery(net, photos, settings, folder, command, bar)
    count = sum(len(layer.tiles) for photo in manifest.results.photos for layer in photo.layers)
    summary = f"{len(manifest.photos)} photo(s), {count} projections by {manifest.results.method}"
    report_gallery(manifest, folder, summary, as_json)
    for failure in manifest.failures:
        click.echo(f"left out: {failure.error}", err=True)
    if manifest.failures:
        context.exit(SOME_FAILED)
