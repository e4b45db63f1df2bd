"""``vizcnn occlude``: move a square over photos, and see what a unit and a class lose."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vizcnn.basics.errors import VizcnnError
from vizcnn.cli.options import (
    GivenPath,
    WholeNumber,
    fitting_options,
    index_data_option,
    models_option,
    several_weights_option,
)
from vizcnn.cli.page_command import OneRun, Page, page_command
from vizcnn.cli.photo_arguments import find_given, photo_list_argument
from vizcnn.cli.reporting import bar

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.pages.occlude import OccludeResults


class Filling(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """What hidden squares are filled with."""

    name = "fill"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from vizcnn.attribution.filling import check_filling

        try:
            return check_filling(value)
        except VizcnnError as error:
            self.fail(str(error), param, ctx)


@page_command(
    out="MODELS-PHOTOS-occlude",
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
    short_help="Move a square over photos: what does a unit, or a class, lose?",
)
@photo_list_argument()
@fitting_options
@click.option(
    "--layer",
    help="Layer of the unit.  [default: the net's last stage, conv5 in most]",
)
@click.option(
    "--unit",
    type=WholeNumber(0),
    help="Number of the unit.  [default: the strongest of each photo]",
)
@click.option(
    "--position",
    default="max",
    show_default=True,
    metavar="PLACE",
    help="Position of the unit in the feature map: max (where it is strongest), or ROW,COLUMN.",
)
@click.option(
    "--class",
    "class_name",
    metavar="CLASS",
    help="Name or number of the class.  [default: the one that the photo's folder names, else the "
    "most probable, and it is said]",
)
@click.option(
    "--side",
    type=WholeNumber(1),
    help="Side of the square in pixels.  [default: an eighth of the photo's shorter side]",
)
@click.option(
    "--stride",
    type=WholeNumber(1),
    help="Pixels from one place of the square to the next.  [default: a quarter of its side]",
)
@click.option(
    "--fill",
    type=Filling(),
    default="grey",
    show_default=True,
    metavar="FILL",
    help="What the square is filled with: mean (the colour that the net's preprocessing maps to "
    "zero), grey or gray (127.5), blur (of the photo), black, white, or pixel values of 0 to 255, "
    "as in a file: VALUE or R,G,B.",
)
@click.option(
    "--index",
    type=GivenPath(dir_okay=False),
    help="Index that `vizcnn mine` or a gallery made (strongest.safetensors): the unit is "
    "projected in its other strongest photos as well.",
)
@index_data_option
@click.option(
    "--others",
    type=WholeNumber(0, 8),
    default=3,
    show_default=True,
    help="How many other photos from the index to show, at most.",
)
def occlude(
    page: Page,
    /,
    photos: tuple[str, ...],
    position: str,
    index: Path | None,
    data: tuple[Path, ...],
    **choices: object,
) -> None:
    """Move a square over photos, and see what a unit and a class lose.

    Figure 7 of Zeiler & Fergus: by the place of the square the summed activation of a unit's map
    and its value at one place, the probability of a class, and the most probable class; beside it
    the unit's projections. With numbers: the largest drop and where it is, and how far each
    method's projection foretells the drops. After an interruption, run the same command again to
    continue.
    """
    from vizcnn.pages.occlude import OccludeSettings, make_occlude_gallery
    from vizcnn.photos.stores import find_photos
    from vizcnn.projection.targets import parse_position

    files = find_photos(find_given(photos))
    settings = OccludeSettings(
        position=parse_position(position),
        figure_format=page.figure_format,
        **choices,  # type: ignore[arg-type]  # click has checked their kinds
    )

    def make(run: OneRun) -> "Manifest[OccludeResults]":
        return make_occlude_gallery(
            run.net, files, run.folder, settings, run.quote(), index, data, bar
        )

    manifest = page.make_each(make, resumed=True)
    page.report(manifest, summarise)


def summarise(manifest: "Manifest[OccludeResults]") -> str:
    """Say in a line for each photo what falls most."""
    from vizcnn.drawing.words import percent, show_number

    results = manifest.results
    lines = []
    for photo, found in zip(manifest.photos, results.photos, strict=True):
        rows, columns = found.places
        value, probability = found.value, found.probability
        least = percent(max(probability.whole - probability.drop, 0.0))
        falls = f"falls to {least} at the lowest" if probability.centre else "falls nowhere"
        lines.append(
            f"{photo.name}: {rows * columns} places; {results.layer} unit {found.unit} "
            f"{show_number(value.whole)}, falls by {show_number(value.drop)} at most; "
            f"p({found.class_name}, {found.class_basis}) {percent(probability.whole)}, {falls}"
        )
    return "\n".join(lines)
