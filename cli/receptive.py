"""``vizcnn receptive``: what units can see, as a table and as boxes on a photo."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vizcnn.cli.options import (
    complete_names_and_files,
    device_option,
    find_given_photos,
    format_option,
    json_option,
    load_model,
    model_option,
    out_option,
    quote_command,
)
from vizcnn.cli.report import report_gallery
from vizcnn.photos.samples import SAMPLES

if TYPE_CHECKING:
    from vizcnn.receptive import ReceptiveField

HEADS = ("layer", "maps", "map size", "field", "stride", "offset", "seen")


@click.command(short_help="Measure and draw receptive fields.")
@model_option
@click.option(
    "--weights",
    default="random",
    show_default=True,
    metavar="SOURCE",
    help="Receptive fields do not depend on weights, but some files bring another form of the net; "
    "as of the other commands.",
)
@click.option(
    "--image",
    default="chelsea",
    show_default=True,
    metavar="PHOTO",
    shell_complete=complete_names_and_files(SAMPLES),
    help=f"Photo, or a sample's name ({', '.join(SAMPLES)}).",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list (conv1,conv3) or range (conv1..conv5); may be repeated.  [default: all in "
    "the table, conv1..conv5 on the photo]",
)
@click.option(
    "--position",
    default="middle",
    show_default=True,
    metavar="PLACE",
    help="Unit that is drawn: ROW,COLUMN in the map of the deepest layer, or the middle.",
)
@device_option
@out_option("vizcnn-out/MODEL-receptive")
@format_option
@json_option
@click.pass_context
def receptive(
    context: click.Context,
    /,
    model: str,
    weights: str,
    image: str,
    layers: tuple[str, ...],
    position: str,
    device: str,
    out: Path | None,
    figure_format: str,
    as_json: bool,
) -> None:
    """Measure what the units of a net can see, exactly, and draw it on a photo.

    Per layer: the size of the receptive field before the image's edge cuts it, the stride from
    unit to unit, where the first one begins, and the share of the image that the middle unit sees.
    """
    from vizcnn.pages.receptive import ReceptiveSettings, make_receptive_gallery, parse_unit
    from vizcnn.recording.layers import select_layers

    unit = parse_unit(position)
    photos = find_given_photos(context, "--image", (image,))
    if len(photos) > 1:
        raise click.UsageError(f"--image {image!r} holds {len(photos)} photos: give one", context)
    net = load_model(model, weights, device, seed=0)
    settings = ReceptiveSettings(
        layers=select_layers(net, layers),
        position=unit,
        figure_format=figure_format,  # type: ignore[arg-type]  # click has checked it
    )
    folder = out or Path("vizcnn-out") / f"{model}-receptive"
    command = quote_command(context, out=folder)
    manifest = make_receptive_gallery(net, photos[0], folder, settings, command)
    report_gallery(manifest, folder, "\n".join(lay_out_table(manifest.results.layers)), as_json)


def lay_out_table(layers: "tuple[ReceptiveField, ...]") -> list[str]:
    """Lay layers out as lines of text in columns."""
    rows = [HEADS, *map(_write_row, layers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


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
