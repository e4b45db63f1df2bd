"""``vizcnn deconv``: photos -> a gallery of projections."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vizcnn.cli.options import (
    WholeNumber,
    compare_option,
    find_given_photos,
    fitting_options,
    images_option,
    layers_option,
    method_option,
    part_option,
    save_arrays_option,
    settle_way_back,
    way_back_options,
)
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.python_lines import write_lines
from vizcnn.cli.reporting import bar

if TYPE_CHECKING:
    from vizcnn.projection.active_units import Compare
    from vizcnn.projection.parts import Part


@page_command(out="MODEL-METHOD")
@images_option
@fitting_options
@layers_option
@click.option(
    "--unit", "units", type=WholeNumber(0), multiple=True, help="Number of a unit; may be repeated."
)
@click.option(
    "--top",
    type=WholeNumber(1),
    default=9,
    show_default=True,
    help="How many of each layer's strongest units to show, unless --unit is given.",
)
@method_option
@part_option
@compare_option(32, none=True)
@click.option(
    "--position",
    default="max",
    show_default=True,
    metavar="PLACE",
    help="Position in the feature map to project from: max, all, or ROW,COLUMN.",
)
@click.option(
    "--scale",
    "scaling",
    type=click.Choice(["unit", "shared"]),
    default="unit",
    show_default=True,
    help="Contrast: stretched for each unit, or shared by all units of a layer.",
)
@way_back_options
@save_arrays_option
def deconv(
    page: Page,
    /,
    images: tuple[str, ...],
    layers: tuple[str, ...],
    units: tuple[int, ...],
    top: int,
    method: str,
    part: "Part",
    compare: "Compare | None",
    position: str,
    scaling: str,
    save_arrays: bool,
    **way_back: str,
) -> None:
    """Project what a net sees in photos back to pixels.

    For each layer, the strongest units are shown, each beside the patch of the photo that lies in
    its receptive field.
    """
    from vizcnn.pages.deconv import DeconvSettings, make_deconv_gallery
    from vizcnn.pages.page import Repetition
    from vizcnn.photos.samples import find_sample_name
    from vizcnn.projection.targets import parse_position
    from vizcnn.recording.layers import list_stages, select_layers

    given = images or ("motorcycle",)
    photos = find_given_photos(page.context, "--image", given)
    place = parse_position(position)
    (net,) = page.load()
    wanted = layers or (list_stages(net),)
    settings = DeconvSettings(
        layers=select_layers(net, wanted),
        method=method,
        part=part,
        compare=compare,
        units=units or None,
        top=top,
        position=place,
        scaling=scaling,  # type: ignore[arg-type]  # click has checked these two
        **settle_way_back(**way_back),
        figure_format=page.figure_format,
        save_arrays=save_arrays,
    )
    command = page.quote(images=given, layers=wanted)

    def repeat(photo: Path, name: str, unit: int) -> Repetition:
        words = (page.folder.name, photo.stem, name.replace("/", "-"), str(unit))
        alone = page.folder.with_name("-".join(words))
        typed = find_sample_name(photo) or str(photo)
        again = page.quote(images=(typed,), layers=(name,), units=(unit,), out=alone)
        return Repetition(again, write_lines(page, settings, photo, name, unit, place))

    manifest = make_deconv_gallery(net, photos, settings, page.folder, command, bar, repeat)
    count = sum(len(layer.tiles) for photo in manifest.results.photos for layer in photo.layers)
    summary = f"{len(manifest.photos)} photo(s), {count} projections by {manifest.results.method}"
    page.report(manifest, summary, [failure.error for failure in manifest.failures])
