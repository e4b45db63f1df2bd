"""``vizcnn filters``: filters as a grid, beside their numbers, of one net or of several."""

import click

from vizcnn.cli.options import PositiveNumber, models_option, several_weights_option
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.unit_option import Unit, require_numbers, units_option


@page_command(
    out="MODELS-filters",
    strict=None,
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
    short_help="Draw and measure the filters of nets.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="LAYER",
    help="Layer whose filters are drawn, those of deeper layers by input channel; once for all "
    "nets, or once for each.  [default: the first convolution]",
)
@units_option(
    "Number of a filter, list (3,5) or range (10..20) of them; may be repeated.  [default: all of "
    "the first layer, of a deeper one the 12 with the largest energy]"
)
@click.option(
    "--scale",
    "scaling",
    type=click.Choice(["unit", "shared", "zf"], case_sensitive=False),
    default="unit",
    show_default=True,
    help="Contrast: stretched for each filter, shared by all with zero as grey, or from the "
    "layer's smallest weight to its largest, as in Zeiler & Fergus.",
)
@click.option(
    "--part",
    type=click.Choice(["all", "luminance", "colour"], case_sensitive=False),
    default="all",
    show_default=True,
    help="Part of each filter to draw: all, what responds to grey images, or the rest.",
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(["index", "orientation", "frequency", "energy"], case_sensitive=False),
    default="index",
    show_default=True,
    help="Order of the filters.",
)
@click.option(
    "--clip",
    type=PositiveNumber(),
    metavar="RADIUS",
    help="Also show the effect of clipping filters to this root mean square (Zeiler & Fergus: "
    "0.1).",
)
def filters(
    page: Page,
    /,
    layers: tuple[str, ...],
    units: tuple[Unit, ...],
    scaling: str,
    part: str,
    order: str,
    clip: float | None,
) -> None:
    """Draw and measure the filters of a net, or of several nets side by side.

    Measured for each filter and net: peak frequency, orientation, bandwidth, energy, dead filters,
    and the shares of low, middle and high frequencies.
    """
    from vizcnn.pages.filters import FilterSettings, make_filter_gallery

    page.check_counts("--layer", layers)
    settings = FilterSettings(
        layers=layers,
        units=require_numbers(units) or None,
        scaling=scaling,  # type: ignore[arg-type]  # click has checked these three
        part=part,  # type: ignore[arg-type]
        order=order,  # type: ignore[arg-type]
        clip=clip,
        figure_format=page.figure_format,
    )
    manifest = make_filter_gallery(page.load(), page.folder, settings, page.quote())
    several = len(manifest.nets) > 1
    shown = [
        f"{net.name}: {net.shown} of {net.layer}" if several else f"{net.shown} of {net.layer}"
        for net in manifest.results.nets
    ]
    page.report(manifest, ("; " if several else ", ").join(shown))
