"""``vizcnn probe``: linear classifiers on the features of each layer."""

from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.options import (
    GivenPath,
    PositiveNumber,
    WholeNumber,
    WholeNumbers,
    fitting_options,
    make_seed_option,
    models_option,
    several_weights_option,
)
from vizcnn.cli.page_command import OneRun, Page, page_command
from vizcnn.cli.photo_arguments import HOLDERS, find_given, photos_argument
from vizcnn.cli.reporting import bar, lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from vizcnn.gallery.manifest import Manifest
    from vizcnn.pages.probe import ProbeResults

CLASSIFIERS = ("svm", "softmax")
"""As in vizcnn.measures.linear_probes, which loads numpy."""
TRAINED_CLASSES = ("refuse", "leave-out", "mark")
"""As in vizcnn.measures.probe_photos, which loads torch."""


@page_command(
    out="MODELS-PHOTOS-probe",
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
    seed=make_seed_option("the draws of photos, the validation, and random weights"),
    short_help="Measure what each layer knows of other classes, by linear classifiers.",
)
@photos_argument(
    f"Folders that hold a folder of photos for each class, or {HOLDERS} with such folders.",
    required=True,
)
@fitting_options
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list of layers (conv1,conv3) or range (conv1..conv5); may be repeated.  [default: "
    "conv1..conv5 and the fully connected ones below the classes, as far as the net has them]",
)
@click.option(
    "--per-class",
    type=WholeNumbers(1),
    default="15,30",
    show_default=True,
    help="Training photos of each class, or several numbers of them (1,5,15,30).",
)
@click.option(
    "--folds",
    type=WholeNumber(1, 1000),
    default=5,
    show_default=True,
    help="How often training and test photos are drawn.",
)
@click.option(
    "--tested",
    type=WholeNumber(1, 10**6),
    default=50,
    show_default=True,
    help="Photos of a class that test at most.",
)
@click.option(
    "--classifier",
    "classifiers",
    type=click.Choice(CLASSIFIERS, case_sensitive=False),
    multiple=True,
    default=CLASSIFIERS,
    show_default=True,
    help="Linear SVM, or softmax (logistic regression); may be repeated.",
)
@click.option(
    "--trained-classes",
    type=click.Choice(TRAINED_CLASSES, case_sensitive=False),
    default="refuse",
    show_default=True,
    help="What to do about classes that the net was trained on, by their names: refuse them, leave "
    "them out, or probe and mark them.",
)
@click.option(
    "--training-photos",
    type=GivenPath(),
    multiple=True,
    metavar="FOLDER",
    help="Photos that the net was trained on, as folders or whatever else holds photos: their "
    "near-duplicates are removed; may be repeated.",
)
@click.option(
    "--correlation",
    type=PositiveNumber(),
    default=0.95,
    show_default=True,
    help="Normalised correlation, at most 1, from which on two photos count as one; of several the "
    "first stays.",
)
@click.option(
    "--places",
    type=WholeNumber(1, 1000),
    default=6,
    show_default=True,
    help="Rows and columns that feature maps are averaged down to at most.",
)
@click.option(
    "--no-baseline",
    is_flag=True,
    help="Leave out the same net with random weights, which is probed beside.",
)
def probe(
    page: Page,
    /,
    photos: tuple[str, ...],
    layers: tuple[str, ...],
    training_photos: "tuple[Path, ...]",
    no_baseline: bool,
    **chosen: Any,
) -> None:
    """Measure what each layer of a net knows of classes that it was not trained on.

    A linear SVM and softmax are trained on the features of each layer, with a few photos of each
    class, and tested on others: Zeiler & Fergus' Tables 4, 5 and 7 and Figure 9, whose numbers
    stand beside. A run that was stopped goes on where it was.
    """
    from vizcnn.measures.probe_photos import ProbeSettings
    from vizcnn.pages.probe import make_probe_gallery
    from vizcnn.recording.layers import select_layers

    paths = find_given(photos)
    chosen["classifiers"] = tuple(dict.fromkeys(chosen["classifiers"]))

    def make(run: OneRun) -> "Manifest[ProbeResults]":
        settings = ProbeSettings(
            layers=select_layers(run.net, layers),
            baseline=not no_baseline,
            seed=page.seed,
            figure_format=page.figure_format,
            **chosen,
        )
        return make_probe_gallery(
            run.net, paths, run.folder, settings, run.quote(), training_photos, bar
        )

    manifest = page.make_each(make, resumed=True)
    page.report(manifest, summarise)


def summarise(manifest: "Manifest[ProbeResults]") -> str:
    """Write the table of a net's layers."""
    from vizcnn.drawing.probe_plots import NAMES

    results = manifest.results
    rows = [("layer", "net", "classifier", "photos", "accuracy", "±")]
    for row in results.rows:
        net = "untrained" if row.untrained else manifest.nets[0].title
        told = "-" if row.deviation is None else f"{100 * row.deviation:.1f}"
        accuracy = f"{100 * row.accuracy:.1f} %"
        rows.append((row.layer, net, NAMES[row.classifier], str(row.per_class), accuracy, told))
    lines = [
        f"{len(results.classes)} classes, {results.tested} photos test in each draw, chance "
        f"{100 * results.chance:.1f} %",
        f"near-duplicates removed: {len(results.removed)}, compared with "
        + (results.training or "each other only: give --training-photos"),
    ]
    if results.marked:
        lines.append(f"the net was trained on {len(results.marked)} of them, by their names")
    if results.left_out:
        lines.append(f"classes left out: {', '.join(entry.name for entry in results.left_out)}")
    return "\n".join([*lines, *lay_out(rows, left=("net", "classifier"))])
