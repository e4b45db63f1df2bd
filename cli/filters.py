"""``vizcnn filters``: filters as a grid, beside their numbers, of one net or of several."""

from pathlib import Path

import click

from vizcnn.cli.options import (
    check_counts,
    device_option,
    format_option,
    json_option,
    load_models,
    models_option,
    out_option,
    quote_command,
    seed_option,
    several_weights_option,
)
from vizcnn.cli.report import report_gallery


@click.command(short_help="Draw and measure the filters of nets.")
@models_option(("zfnet",))
@several_weights_option
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="LAYER",
    help="Layer whose convolution is drawn, deeper ones by input channel; one for all nets, or "
    "repeated, one for each.  [default: the first convolution]",
)
@click.option(
    "--unit",
    "units",
    type=int,
    multiple=True,
    help="Number of a filter; may be repeated.  [default: all of the first layer, the 12 of "
    "largest energy of a deeper one]",
)
@click.option(
    "--scale",
    "scaling",
    type=click.Choice(["unit", "shared", "zf"]),
    default="unit",
    show_default=True,
    help="Contrast: each filter's own, one for all with zero as grey, or from the layer's smallest "
    "weight to its largest, as Zeiler & Fergus.",
)
@click.option(
    "--part",
    type=click.Choice(["all", "luminance", "colour"]),
    default="all",
    show_default=True,
    help="The whole filter, what answers to grey pictures, or the rest.",
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(["index", "orientation", "frequency", "energy"]),
    default="index",
    show_default=True,
    help="Order of the filters.",
)
@click.option(
    "--clip",
    type=float,
    metavar="RADIUS",
    help="Show also what feature scale clipping to this root mean square does (Zeiler & Fergus: "
    "0.1).",
)
@device_option
@out_option("vizcnn-out/MODEL-filters")
@format_option
@seed_option
@json_option
@click.pass_context
def filters(
    context: click.Context,
    /,
    models: tuple[str, ...],
    weights: tuple[str, ...],
    layers: tuple[str, ...],
    units: tuple[int, ...],
    scaling: str,
    part: str,
    order: str,
    clip: float | None,
    device: str,
    out: Path | None,
    figure_format: str,
    seed: int,
    as_json: bool,
) -> None:
    """Draw the filters of a net, or of several side by side, and put them into numbers.

    Per filter and net: peak frequency, orientation, bandwidth, energy, dead filters, and the
    shares of low, mid and high frequency.
    """
    from vizcnn.pages.filters import FilterSettings, make_filter_gallery

    check_counts(context, models, "--layer", layers)
    settings = FilterSettings(
        layers=layers,
        units=units or None,
        scaling=scaling,  # type: ignore[arg-type]  # click has checked these four
        part=part,  # type: ignore[arg-type]
        order=order,  # type: ignore[arg-type]
        clip=clip,
        figure_format=figure_format,  # type: ignore[arg-type]
    )
    nets = load_models(context, models, weights, device, seed)
    folder = out or Path("vizcnn-out") / f"{'-'.join(models)}-filters"
    command = quote_command(context, out=folder)
    manifest = make_filter_gallery(nets, folder, settings, command)
    shown = ", ".join(f"{net.shown} of {net.layer}" for net in manifest.results.nets)
    report_gallery(manifest, folder, shown, as_json)
