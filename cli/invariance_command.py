"""``vizcnn invariance``: how features and class follow when photos are moved, scaled, turned."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from vizcnn.basics.errors import VizcnnError
from vizcnn.cli.options import (
    Command,
    PositiveNumber,
    fitting_options,
    models_option,
    several_weights_option,
)
from vizcnn.cli.page_command import OneRun, Page, page_command
from vizcnn.cli.photo_arguments import find_given, photo_list_argument
from vizcnn.cli.reporting import bar, lay_out

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.pages.invariance import InvarianceResults

USUAL = ("motorcycle", "chelsea", "coffee", "rocket", "astronaut")
"""Sample photos that are transformed where none is named: five, as in the paper."""


class Amounts(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Amounts of a transform: FIRST..LAST:STEP, a list, or none.

    Args:
        kind: Of which transform.
    """

    name = "FIRST..LAST:STEP"

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check them, and keep their words; what cannot be done is told in one short line."""
        from vizcnn.photos.transforms import parse_amounts

        try:
            parse_amounts(value, self._kind)
        except VizcnnError as error:
            self.fail(str(error), param, ctx)
        return value


def amounts_option(kind: str, told: str, usual: str) -> Callable[[Command], Command]:
    """Declare the amounts of a transform.

    Args:
        kind: Which; also the option's name.
        told: What they are, for the help.
        usual: What is done where the option is not given.
    """
    return click.option(
        f"--{kind}", type=Amounts(kind), help=f"{told}, a list, or none.  [default: {usual}]"
    )


@page_command(
    out="MODELS-PHOTOS-invariance",
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
    short_help="Move, scale and turn photos: how features and class follow.",
)
@photo_list_argument(f"the samples {', '.join(USUAL)}", USUAL)
@fitting_options
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list of layers (conv1,fc7) or range (conv1..conv5); may be repeated.  [default: "
    "the first stage and the last hidden layer, as in the paper]",
)
@amounts_option(
    "shift",
    "Pixels of the net's input that photos are moved down",
    "as far as in the paper, 60 of 224, up and down",
)
@amounts_option("scale", "Factors that photos are enlarged by", "1..1.8:0.05")
@amounts_option("rotate", "Degrees that photos are turned, anticlockwise", "0..350:10")
@click.option(
    "--border",
    type=click.Choice(["photo", "reflect", "mask", "black", "wrap"], case_sensitive=False),
    default="photo",
    show_default=True,
    help="What comes in where a photo has moved out of the window: the rest of the photo as far as "
    "there is one, then its mirror image; the window's mirror image; the net's mean colour, hidden "
    "in the photo compared with too; black; or what has left on the other side.",
)
@click.option(
    "--window",
    type=PositiveNumber(),
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Share of its usual window's side that the net is shown, 0.05 to 1, so that there is more "
    "of the photo around it.",
)
def invariance(
    page: Page,
    /,
    photos: tuple[str, ...],
    **choices: Any,
) -> None:
    """Move, scale and turn photos, and measure how a net's features and class follow.

    Zeiler & Fergus' Figure 5: for each transform examples, the Euclidean distance of a low and a
    high layer's features from those of the photo itself, and the probability of its class. Beside
    it all layers on one scale, the distance of two photos, and the maps moved back: equivariance.
    """
    from vizcnn.pages.invariance import InvarianceSettings, make_invariance_gallery
    from vizcnn.photos.stores import find_photos
    from vizcnn.photos.transforms import KINDS, parse_amounts

    files = find_photos(find_given(photos))
    given: dict[str, Any] = {
        name: parse_amounts(value, name) if name in KINDS else value
        for name, value in choices.items()
        if value is not None
    }
    settings = InvarianceSettings(figure_format=page.figure_format, **given)

    def make(run: OneRun) -> "Manifest[InvarianceResults]":
        return make_invariance_gallery(run.net, files, run.folder, settings, run.quote(), bar)

    manifest = page.make_each(make, resumed=True)
    page.report(manifest, summarise)


def summarise(manifest: "Manifest[InvarianceResults]") -> str:
    """Write the table of a net's layers."""
    results = manifest.results
    rows = [
        (
            row.kind,
            row.layer,
            *map(_write, (row.largest, row.relative, row.returned, row.inside)),
        )
        for row in results.summarise()
    ]
    heads = ("transform", "layer", "largest", "mean", "moved back", "whole field")
    return "\n".join(
        [
            f"in units of the distance of two photos: {results.compared}",
            *lay_out([heads, *rows], left=("layer",)),
        ]
    )


def _write(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
