"""``vizcnn aliasing``: what the stride of the first layer folds, as a page with a story."""

import click

from vizcnn.cli.options import (
    WholeNumber,
    models_option,
    several_weights_option,
)
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.photo_arguments import find_given, photo_list_argument
from vizcnn.cli.reporting import bar, lay_out


@page_command(
    out="MODELS-PHOTOS-aliasing",
    nets=models_option(("alexnet", "alexnet-7x7", "zfnet")),
    weights=several_weights_option,
    short_help="Show and measure the aliasing of a first layer's stride.",
)
@photo_list_argument("patches of scikit-image's sample photos", usual=())
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
    layer: str,
    units: int,
    most_photos: int,
    shifts: int,
) -> None:
    """Show and measure the aliasing that the stride of a net's first layer causes.

    The page sets nets side by side: filters and their spectra, zone plate and gratings, shifted
    photos, blurring as the cure, and the grid in projections of the second layer (Zeiler & Fergus,
    section 4.1 and Figure 6).
    """
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


def _write(value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return {"percent": f"{value:.1%}", "count": f"{value:.0f}"}.get(form, f"{value:.3g}")
