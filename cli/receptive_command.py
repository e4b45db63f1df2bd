"""``vizcnn receptive``: what units can see, as a table and as boxes on a photo."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from vizcnn.cli.options import complete_names_and_files, find_given_photos, fitting_options
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.reporting import lay_out
from vizcnn.photos.samples import SAMPLES

if TYPE_CHECKING:
    from vizcnn.receptive import ReceptiveField
    from vizcnn.zoo.model import ZooModel

HEADS = ("layer", "maps", "map size", "field", "stride", "offset", "seen")


@page_command(
    out="MODEL-receptive",
    weights=click.option(
        "--weights",
        default="auto",
        show_default=True,
        metavar="SOURCE",
        help="As for the other commands, so that the net is seen at the size that they show; auto "
        "takes random ones where there are none. Receptive fields do not depend on weights.",
    ),
    seed=None,
    short_help="Measure and draw receptive fields.",
)
@click.option(
    "--image",
    default="chelsea",
    show_default=True,
    metavar="PHOTO",
    shell_complete=complete_names_and_files(SAMPLES),
    help=f"Photo, or name of a sample photo ({', '.join(SAMPLES)}).",
)
@fitting_options
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list of layers (conv1,conv3) or range (conv1..conv5); may be repeated.  [default: "
    "all in the table, conv1..conv5 on the photo]",
)
@click.option(
    "--position",
    default="middle",
    show_default=True,
    metavar="PLACE",
    help="Unit to draw: ROW,COLUMN in the feature map of the deepest layer, or middle.",
)
def receptive(page: Page, /, image: str, layers: tuple[str, ...], position: str) -> None:
    """Measure exactly what the units of a net can see, and draw it on a photo.

    For each layer: the size of the receptive field before the edge of the image cuts it, the
    stride from unit to unit, where the first field begins, and the share of the image that the
    middle unit sees.
    """
    from vizcnn.pages.receptive import ReceptiveSettings, make_receptive_gallery, parse_unit
    from vizcnn.recording.layers import select_layers

    unit = parse_unit(position)
    photos = find_given_photos(page.context, "--image", (image,))
    if len(photos) > 1:
        raise click.UsageError(
            f"--image {image!r} holds {len(photos)} photos: give one", page.context
        )
    page, net = _load(page)
    settings = ReceptiveSettings(
        layers=select_layers(net, layers),
        position=unit,
        figure_format=page.figure_format,
    )
    command = page.quote(weights=page.weights)
    manifest = make_receptive_gallery(net, photos[0], page.folder, settings, command)
    rows = [HEADS, *map(_write_row, manifest.results.layers)]
    page.report(manifest, "\n".join(lay_out(rows)))


def _load(page: Page) -> "tuple[Page, ZooModel]":
    """Load the net; where no trained weights are at hand with random ones, which serve as well."""
    from vizcnn.basics.errors import MissingWeightsError

    try:
        (net,) = page.load()
    except MissingWeightsError:
        if page.weights != ("auto",):
            raise
        page = replace(page, weights=("random",))
        (net,) = page.load()
    return page, net


def _write_row(layer: "ReceptiveField") -> tuple[str, ...]:
    share = "< 0.1%" if layer.share < 0.001 else f"{layer.share:.1%}"
    return (
        layer.name,
        str(layer.maps),
        _write_size(layer.map_size) if layer.map_size else "-",
        _write_size(layer.size) + ("" if layer.exact else " at most"),
        _write_size(layer.stride) if layer.stride else "-",
        f"{layer.offset[0]},{layer.offset[1]}",
        "all" if layer.sees_all else share,
    )


def _write_size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
