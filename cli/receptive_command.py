"""``vizcnn receptive``: what units can see, as a table and as boxes on a photo."""

from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.options import fitting_options, models_option
from vizcnn.cli.page_command import OneRun, Page, page_command
from vizcnn.cli.photo_arguments import find_given, one_photo_argument
from vizcnn.cli.reporting import lay_out

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.pages.receptive import ReceptiveResults
    from vizcnn.receptive import ReceptiveField

HEADS = ("layer", "maps", "map size", "field", "stride", "offset", "seen")


@page_command(
    out="MODELS-PHOTO-receptive",
    nets=models_option(("zfnet",)),
    strict=None,
    weights=click.option(
        "--weights",
        multiple=True,
        default=("any",),
        show_default=True,
        metavar="SOURCE",
        help="As for the other commands, or any: auto, and random ones where none are at hand. "
        "Receptive fields do not depend on weights, but the size of the input may.",
    ),
    seed=None,
    short_help="Measure and draw receptive fields.",
)
@one_photo_argument("Photo", "chelsea")
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
def receptive(page: Page, /, photos: str, layers: tuple[str, ...], position: str) -> None:
    """Measure exactly what the units of a net can see, and draw it on a photo.

    For each layer: the size of the receptive field before the edge of the image cuts it, the
    stride from unit to unit, where the first field begins, and the share of the image that the
    middle unit sees.
    """
    from vizcnn.pages.receptive import ReceptiveSettings, make_receptive_gallery, parse_unit
    from vizcnn.photos.stores import find_photos
    from vizcnn.recording.layers import select_layers

    unit = parse_unit(position)
    files = find_photos(find_given((photos,)))
    if len(files) > 1:
        raise click.UsageError(f"{photos!r} holds {len(files)} photos: give one", page.context)

    def make(run: OneRun) -> "Manifest[ReceptiveResults]":
        settings = ReceptiveSettings(
            layers=select_layers(run.net, layers),
            position=unit,
            figure_format=page.figure_format,
        )
        return make_receptive_gallery(run.net, files[0], run.folder, settings, run.quote())

    manifest = page.make_each(make)
    page.report(manifest, summarise(manifest))


def summarise(manifest: "Manifest[Any]") -> str:
    """Write the table of a net's layers; of several nets each page has its own."""
    from vizcnn.pages.receptive import ReceptiveResults

    if not isinstance(manifest.results, ReceptiveResults):
        return f"{len(manifest.results.runs)} nets side by side"
    return "\n".join(lay_out([HEADS, *map(_write_row, manifest.results.layers)]))


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
