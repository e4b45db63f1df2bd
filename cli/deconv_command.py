"""``vizcnn deconv``: photos -> a gallery of projections."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vizcnn.basics.texts import name_files
from vizcnn.cli.default_folders import tell_photos_apart
from vizcnn.cli.options import (
    WholeNumber,
    compare_option,
    fitting_options,
    layers_option,
    methods_option,
    models_option,
    part_option,
    save_arrays_option,
    settle_way_back,
    several_weights_option,
    way_back_options,
)
from vizcnn.cli.page_command import OneRun, Page, page_command
from vizcnn.cli.photo_arguments import find_given, photo_list_argument
from vizcnn.cli.repeating import quote_python
from vizcnn.cli.reporting import bar
from vizcnn.cli.unit_option import choose_units, units_option

if TYPE_CHECKING:
    from vizcnn.cli.unit_option import Unit
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.pages.deconv import DeconvResults
    from vizcnn.photos.stored import PhotoFile
    from vizcnn.projection.active_units import Compare
    from vizcnn.projection.parts import Part


@page_command(
    out="MODELS-METHODS-PHOTOS",
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
)
@photo_list_argument()
@fitting_options
@layers_option
@units_option(
    "Number of a unit, list (3,5) or range (10..20) of them, or name of a class; may be repeated.  "
    "[default: the strongest]"
)
@click.option(
    "--top",
    type=WholeNumber(1),
    default=9,
    show_default=True,
    help="How many of each layer's strongest units to show, unless --unit is given.",
)
@methods_option
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
    type=click.Choice(["unit", "shared"], case_sensitive=False),
    default="unit",
    show_default=True,
    help="Contrast: stretched for each unit, or shared by all units of a layer.",
)
@way_back_options
@save_arrays_option
def deconv(
    page: Page,
    /,
    photos: tuple[str, ...],
    layers: tuple[str, ...],
    units: "tuple[Unit, ...]",
    top: int,
    methods: tuple[str, ...],
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
    from vizcnn.photos.stores import find_photos
    from vizcnn.projection.targets import parse_position

    files = find_photos(find_given(photos))
    told_apart = tell_photos_apart(files)
    place = parse_position(position)

    def make(run: OneRun) -> "Manifest[DeconvResults]":
        chosen = choose_units(run.net, layers, units)
        settings = DeconvSettings(
            layers=chosen.layers,
            method=run.method,
            part=part,
            compare=compare,
            units=chosen.units or None,
            top=top,
            position=place,
            scaling=scaling,  # type: ignore[arg-type]  # click has checked these two
            **settle_way_back(**way_back),
            figure_format=page.figure_format,
            save_arrays=save_arrays,
        )
        command = run.quote(**chosen.given)

        def repeat(photo: "PhotoFile", layer: str, unit: int) -> Repetition:
            if not isinstance(photo, Path):  # in an archive or a table: no word for it alone
                return Repetition()
            typed = find_sample_name(photo) or str(photo)
            names = (page.folder.name, run.name, told_apart[photo], *name_files([layer]))
            words = (*filter(None, names), str(unit))
            alone = {"out": page.folder.with_name("-".join(words)), "photos": (typed,)}
            again = run.quote(layers=(layer,), units=(str(unit),), **alone)
            return Repetition(
                again, quote_python(page, run.net, settings, typed, layer, unit, place)
            )

        return make_deconv_gallery(run.net, files, settings, run.folder, command, bar, repeat)

    manifest = page.make_each(make, methods)
    page.report(manifest, summarise(manifest))


def summarise(manifest: "Manifest[Any]") -> str:
    """Say how much was made."""
    from vizcnn.pages.deconv import DeconvResults

    results = manifest.results
    if not isinstance(results, DeconvResults):
        return f"{len(results.runs)} runs side by side"
    count = sum(len(layer.tiles) for photo in results.photos for layer in photo.layers)
    return f"{len(manifest.photos)} photo(s), {count} projections by {results.method}"
