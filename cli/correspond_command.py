"""``vizcnn correspond``: whether hiding a part of photos changes their features alike."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.options import (
    WholeNumber,
    fitting_options,
    make_fill_option,
    make_seed_option,
    models_option,
    several_weights_option,
)
from vizcnn.cli.page_command import OneRun, Page, page_command
from vizcnn.cli.photo_arguments import photos_argument
from vizcnn.cli.reporting import bar, lay_out

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.pages.correspond import CorrespondResults


@page_command(
    out="MODELS-PHOTO-correspond",
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
    seed=make_seed_option("the random squares, the permutations, and random weights"),
    strict=None,
    short_help="Hide eyes and noses: do features change alike from photo to photo?",
)
@photos_argument(
    "JSON file of photos with boxes of their parts.  [default: eyes and nose of four faces]",
    one=True,
    metavar="FILE",
)
@fitting_options
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list of layers (conv1,fc7) or range (conv1..conv5); may be repeated.  [default: "
    "the last stage and the last hidden layer, as in the paper]",
)
@make_fill_option("Colour of what is hidden")
@click.option(
    "--draws",
    type=WholeNumber(1, 1000),
    default=16,
    show_default=True,
    help="Random squares of each part's area that are hidden in each photo, to compare with.",
)
@click.option(
    "--permutations",
    type=WholeNumber(1, 10**6),
    default=9999,
    show_default=True,
    help="Permutations of each score's test.",
)
def correspond(page: Page, /, photos: str | None, **choices: Any) -> None:
    """Hide the same part of several photos, and measure whether features change alike.

    Zeiler & Fergus' section 4.3, Figure 8 and Table 1: for each part and layer the Hamming distance
    of the signs of what hiding it changes in two photos, mean and deviation over all pairs, beside
    that of random squares of equal area, with a permutation test.
    """
    from vizcnn.pages.correspond import CorrespondSettings, make_correspond_gallery
    from vizcnn.photos.part_boxes import SHIPPED, read_parts

    marked = read_parts(Path(photos) if photos else SHIPPED)
    settings = CorrespondSettings(seed=page.seed, figure_format=page.figure_format, **choices)

    def make(run: OneRun) -> "Manifest[CorrespondResults]":
        return make_correspond_gallery(run.net, marked, run.folder, settings, run.quote(), bar)

    manifest = page.make_each(make, resumed=True)
    page.report(manifest, summarise)


def summarise(manifest: "Manifest[CorrespondResults]") -> str:
    """Write the table of scores."""
    results = manifest.results
    rows = [
        (
            score.layer,
            score.part,
            f"{score.mean:.3f} +- {score.deviation:.3f}",
            f"{score.squares:.3f} +- {score.squares_deviation:.3f}",
            f"{score.p:.2g}",
            f"{score.zeros:.0%}",
        )
        for score in results.scores
    ]
    heads = ("layer", "hidden", "signs differ", "random squares", "p", "unchanged")
    return "\n".join(lay_out([heads, *rows], left=("hidden",)))
