"""``vizcnn filters``: the first layer's filters as a grid."""

from pathlib import Path

import click

from vizcnn.cli.options import (
    device_option,
    format_option,
    json_option,
    load_model,
    model_option,
    out_option,
    quote_command,
    seed_option,
    weights_option,
)
from vizcnn.cli.report import report_gallery


@click.command(short_help="Draw the filters of a net's first layer.")
@model_option
@weights_option
@click.option(
    "--scale",
    "scaling",
    type=click.Choice(["unit", "shared"]),
    default="unit",
    show_default=True,
    help="Contrast: each filter's own, or one for all.",
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
    model: str,
    weights: str,
    scaling: str,
    device: str,
    out: Path | None,
    figure_format: str,
    seed: int,
    as_json: bool,
) -> None:
    """Draw the filters of a net's first layer and measure how trained they look."""
    from vizcnn.filter_gallery import make_filter_gallery

    net = load_model(model, weights, device, seed)
    folder = out or Path("vizcnn-out") / f"{model}-filters"
    manifest = make_filter_gallery(
        net,
        folder,
        scaling=scaling,  # type: ignore[arg-type]  # click has checked both
        figure_format=figure_format,  # type: ignore[arg-type]
        command=quote_command(context, out=folder),
    )
    summary = f"{len(manifest.filters)} filters of {manifest.layer}"
    report_gallery(manifest, folder, summary, as_json)
