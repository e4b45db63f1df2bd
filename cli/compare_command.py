"""``vizcnn compare``: photos -> one unit of each by every method."""

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from vizcnn.basics.errors import VizcnnError
from vizcnn.cli.options import (
    WholeNumber,
    compare_option,
    fitting_options,
    gates_option,
    make_fill_option,
    make_seed_option,
    models_option,
    save_arrays_option,
    several_weights_option,
    unruled_option,
)
from vizcnn.cli.page_command import OneRun, Page, page_command
from vizcnn.cli.photo_arguments import find_given, photo_list_argument
from vizcnn.cli.reporting import bar

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.pages.compare import CompareResults


class MethodName(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A method of attribution; completes in the shell, suggests the nearest name."""

    name = "method"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from vizcnn.attribution.attributions import find_attributions

        try:
            return find_attributions([value])[0].name
        except VizcnnError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from vizcnn.attribution.attributions import ATTRIBUTIONS

        return [CompletionItem(name) for name in ATTRIBUTIONS if name.startswith(incomplete)]


@page_command(
    out="MODELS-PHOTOS-compare",
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
    seed=make_seed_option("random weights, and for the shuffling"),
    short_help="Compare attribution methods on a unit or class.",
)
@photo_list_argument()
@fitting_options
@click.option(
    "--layer",
    help="Layer of the unit.  [default: the net's last, whose units are the classes]",
)
@click.option(
    "--unit",
    type=WholeNumber(0),
    help="Number of the unit.  [default: the strongest of each photo, of classes the predicted]",
)
@click.option(
    "--class",
    "class_name",
    metavar="CLASS",
    help="Name or number of a class, in the place of --layer and --unit.",
)
@click.option(
    "--position",
    default="max",
    show_default=True,
    metavar="PLACE",
    help="Position of the unit in the feature map: max (where it is strongest), or ROW,COLUMN.",
)
@click.option(
    "--method",
    "methods",
    type=MethodName(),
    multiple=True,
    help="Method, such as grad-cam; may be repeated.  [default: all that make sense for the layer]",
)
@compare_option(8)
@click.option(
    "--cam-layer",
    metavar="LAYER",
    help="Layer that class activation maps look at.  [default: the last with places below the "
    "unit's]",
)
@click.option(
    "--steps",
    type=WholeNumber(1, 10_000),
    default=32,
    show_default=True,
    help="Steps of integrated gradients.",
)
@click.option(
    "--side",
    type=WholeNumber(1),
    help="Side of the hidden squares in pixels.  [default: an eighth of what the unit sees]",
)
@click.option(
    "--stride",
    type=WholeNumber(1),
    help="Pixels from one hidden square to the next.  [default: half of the side]",
)
@make_fill_option("Colour of hidden squares, and of the image that integrated gradients start from")
@unruled_option
@gates_option
@save_arrays_option
def compare(
    page: Page,
    /,
    photos: tuple[str, ...],
    position: str,
    **choices: object,
) -> None:
    """Compare methods that say which pixels a unit, or a class, depends on.

    A row for each photo, a column for each method, and below each column what speaks for it: how
    selective its pictures are for the unit, what shuffled weights change, how far it agrees with
    hiding parts of the photo, and its time.
    """
    from vizcnn.pages.compare import CompareSettings, make_compare_page
    from vizcnn.photos.stores import find_photos
    from vizcnn.projection.targets import parse_position

    files = find_photos(find_given(photos))
    settings = CompareSettings(
        position=parse_position(position),
        seed=page.seed,
        figure_format=page.figure_format,
        **choices,  # type: ignore[arg-type]  # click has checked their kinds
    )

    def make(run: OneRun) -> "Manifest[CompareResults]":
        return make_compare_page(run.net, files, settings, run.folder, run.quote(), bar)

    manifest = page.make_each(make)
    page.report(manifest, summarise)


def summarise(manifest: "Manifest[CompareResults]") -> str:
    """Say how much was compared."""
    results = manifest.results
    left = f", {len(results.left_out)} left out" if results.left_out else ""
    return f"{len(manifest.photos)} photo(s), {len(results.methods)} methods{left}"
