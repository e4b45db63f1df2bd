"""``vizcnn aliasing``: what the stride of the first layer folds, as a page with a story."""

from typing import TYPE_CHECKING

import click

from vizcnn.cli.options import (
    WholeNumber,
    models_option,
    several_weights_option,
)
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.photo_arguments import find_given, photo_list_argument
from vizcnn.cli.reporting import bar, lay_out, telling_to_continue

if TYPE_CHECKING:
    from vizcnn.measures.layer_folding import LayerFolding
    from vizcnn.pages.all_layers import AllLayersResults

FIRST_LAYER = {"layer": "--layer", "units": "--units", "shifts": "--shift"}
"""Options that say nothing about all layers, by parameter."""


@page_command(
    out="MODELS-PHOTOS-aliasing",
    nets=models_option(("alexnet", "alexnet-7x7", "zfnet")),
    weights=several_weights_option,
    short_help="Show and measure the aliasing of a first layer's stride.",
)
@photo_list_argument("patches of scikit-image's sample photos", usual=())
@click.option(
    "--all-layers",
    is_flag=True,
    help="Measure every convolution and pooling with a stride instead, of up to 24 nets: what it "
    "folds, and what is left of that by BlurPool and by FLC pooling.",
)
@click.option(
    "--oscillations",
    is_flag=True,
    help="With --all-layers: also how differently layers answer to two oscillations that fold onto "
    "each other.",
)
@click.option(
    "--layer",
    default="conv2",
    show_default=True,
    help="Layer whose strongest projections are searched for a grid pattern.",
)
@click.option(
    "--units",
    type=WholeNumber(1),
    default=64,
    show_default=True,
    help="How many units of that layer to use, evenly spread.",
)
@click.option(
    "--shift-photos",
    "most_photos",
    type=WholeNumber(1),
    default=16,
    show_default=True,
    help="How many photos, at most, to use for the shift test and the measured spectra, evenly "
    "spread.",
)
@click.option(
    "--shift",
    "shifts",
    type=WholeNumber(1),
    default=16,
    show_default=True,
    help="Largest shift of the photos, in pixels.",
)
def aliasing(
    page: Page,
    /,
    photos: tuple[str, ...],
    all_layers: bool,
    oscillations: bool,
    layer: str,
    units: int,
    most_photos: int,
    shifts: int,
) -> None:
    """Show and measure the aliasing that the stride of a net's first layer causes.

    The page sets nets side by side: filters and their spectra, zone plate and gratings, shifted
    photos, blurring as the cure, and the grid in projections of the second layer (Zeiler & Fergus,
    section 4.1 and Figure 6). With --all-layers it is about every step that leaves places out.
    """
    if all_layers:
        _measure_all_layers(page, photos, most_photos, oscillations)
        return
    if oscillations:
        raise click.UsageError("--oscillations goes with --all-layers", page.context)
    from vizcnn.measures.study import LabSettings
    from vizcnn.pages.aliasing import make_aliasing_page
    from vizcnn.photos.stores import find_photos

    files = find_photos(find_given(photos))
    settings = LabSettings(
        layer=layer,
        units=units,
        most_photos=most_photos,
        shifts=shifts,
        figure_format=page.figure_format,
    )
    nets = page.load()
    manifest = make_aliasing_page(nets, page.folder, files, settings, page.quote(), bar)
    heads = ("measure", *(net.title for net in manifest.nets))
    rows = [
        (row.name, *(_write(value, row.form) for value in row.values))
        for row in manifest.results.table
    ]
    page.report(manifest, "\n".join(lay_out([heads, *rows])))


def _measure_all_layers(
    page: Page, photos: tuple[str, ...], most_photos: int, oscillations: bool
) -> None:
    for parameter in page.context.command.params:
        flag = FIRST_LAYER.get(str(parameter.name))
        if flag and page.context.params[str(parameter.name)] != parameter.default:
            raise click.UsageError(
                f"{flag} is about the first layer's page: leave it out, or --all-layers",
                page.context,
            )
    from vizcnn.pages.all_layers import AllLayersSettings, make_all_layers_page
    from vizcnn.photos.stores import find_photos

    files = find_photos(find_given(photos))
    settings = AllLayersSettings(most_photos, oscillations, page.figure_format)
    nets = page.load()
    with telling_to_continue():
        manifest = make_all_layers_page(nets, page.folder, files, settings, page.quote(), bar)
    page.report(manifest, summarise(manifest.results))


HEADS = (
    *("net", "layer", "what", "stride", "folds", "blur 3", "blur 5"),
    *("off ideal", "blur 3", "blur 5"),
)


def summarise(results: "AllLayersResults") -> str:
    """Write the table of all layers of all nets."""
    rows = [_write_layer(net.title, layer) for net in results.nets for layer in net.layers]
    apart = [layer.apart for net in results.nets for layer in net.layers]
    if any(value is not None for value in apart):
        rows = [(*row, _write(value, "number")) for row, value in zip(rows, apart, strict=True)]
        return "\n".join(lay_out([(*HEADS, "aliases apart"), *rows]))
    return "\n".join(lay_out([HEADS, *rows]))


def _write_layer(net: str, layer: "LayerFolding") -> tuple[str, ...]:
    down, across = layer.step.stride
    return (
        net,
        layer.step.name,
        layer.step.kind,
        str(down) if down == across else f"{down},{across}",
        *(_write(share, "percent") for share in layer.shares),
        *(_write(distance, "number") for distance in layer.distances),
    )


def _write(value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return {"percent": f"{value:.1%}", "count": f"{value:.0f}"}.get(form, f"{value:.3g}")
