"""``vizcnn aliasing``: what the stride of the first layer folds, as a page with a story."""

from pathlib import Path

import click

from vizcnn.cli.options import (
    complete_names_and_files,
    device_option,
    find_given_photos,
    format_option,
    json_option,
    load_models,
    models_option,
    out_option,
    quote_command,
    seed_option,
    several_weights_option,
)
from vizcnn.cli.progress import bar
from vizcnn.cli.report import SOME_FAILED, report_gallery
from vizcnn.photos.samples import SAMPLES

DEFAULT_MODELS = ("alexnet", "alexnet-7x7", "zfnet")


@click.command(short_help="Show and measure what a first layer's stride folds.")
@models_option(DEFAULT_MODELS)
@several_weights_option
@click.option(
    "--images",
    "images",
    multiple=True,
    metavar="PHOTOS",
    shell_complete=complete_names_and_files(SAMPLES),
    help="Folder of photos, photo, or a sample's name; may be repeated.  [default: patches of the "
    "photos that scikit-image ships]",
)
@click.option(
    "--layer",
    default="conv2",
    show_default=True,
    help="Layer whose strongest projections are searched for the grid.",
)
@click.option(
    "--units",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="How many of its units, evenly spread.",
)
@click.option(
    "--shift-photos",
    "most_photos",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Photos for the shift test and the measured spectra, at most, evenly spread.",
)
@click.option(
    "--shift",
    "shifts",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Farthest that photos are moved, in pixels.",
)
@device_option
@out_option("vizcnn-out/MODELS-aliasing")
@format_option
@seed_option
@json_option
@click.pass_context
def aliasing(
    context: click.Context,
    /,
    models: tuple[str, ...],
    weights: tuple[str, ...],
    images: tuple[str, ...],
    layer: str,
    units: int,
    most_photos: int,
    shifts: int,
    device: str,
    out: Path | None,
    figure_format: str,
    seed: int,
    as_json: bool,
) -> None:
    """Show and measure what the stride of a net's first layer folds, of several side by side.

    Filters and their spectra, zone plate and gratings, photos that move, the cure by blurring, and
    the grid in the second layer's projections: Zeiler & Fergus, section 4.1 and Figure 6.
    """
    from vizcnn.measures.study import LabSettings
    from vizcnn.pages.aliasing import make_aliasing_page

    photos = find_given_photos(context, "--images", images) if images else []
    settings = LabSettings(
        layer=layer,
        units=units,
        most_photos=most_photos,
        shifts=shifts,
        figure_format=figure_format,  # type: ignore[arg-type]  # click has checked it
    )
    nets = load_models(context, models, weights, device, seed)
    folder = out or Path("vizcnn-out") / f"{'-'.join(models)}-aliasing"
    command = quote_command(context, out=folder)
    manifest = make_aliasing_page(nets, folder, photos, settings, command, bar)
    rows = (
        f"{row.name}: {', '.join(_write(value, row.form) for value in row.values)}"
        for row in manifest.results.table
    )
    report_gallery(manifest, folder, "\n".join(rows), as_json)
    for failure in manifest.failures:
        click.echo(f"left out: {failure.error}", err=True)
    if manifest.failures:
        context.exit(SOME_FAILED)


def _write(value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return {"percent": f"{value:.1%}", "count": f"{value:.0f}"}.get(form, f"{value:.3g}")
