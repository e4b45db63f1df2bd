"""``vizcnn zeiler-fergus``: the figures and tables of the paper, in one command."""

import json
from typing import TYPE_CHECKING

import click

from vizcnn.cli.options import (
    GivenPath,
    WholeNumber,
    make_seed_option,
    models_option,
    several_weights_option,
)
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.photo_arguments import HOLDERS, find_given, photos_argument
from vizcnn.cli.reporting import bar, say, telling_to_continue

if TYPE_CHECKING:
    from pathlib import Path

    from vizcnn.lecture.paper_items import PaperItem
    from vizcnn.lecture.zeiler_fergus import PaperResults


@page_command(
    out="zeiler-fergus",
    nets=models_option(("zfnet", "alexnet")),
    weights=several_weights_option,
    seed=make_seed_option("draws of units, photos and squares, trainings, and random weights"),
    short_help="Make the figures and tables of Zeiler & Fergus' paper.",
)
@photos_argument(
    f"Photos to look at, or {HOLDERS}.  [default: scikit-image's sample photos]",
)
@click.option(
    "--only",
    multiple=True,
    metavar="ITEM",
    help="Figure or table, such as figure-5 or table-3; several with commas, or repeated.  "
    "[default: all]",
)
@click.option(
    "--list", "only_list", is_flag=True, help="Print the paper's items and write nothing."
)
@click.option(
    "--train",
    type=GivenPath(file_okay=False),
    metavar="FOLDER",
    help="Folder with train/ and val/ of class folders: train the nets of Table 3 on it, and the "
    "classifiers of Tables 4, 5 and 7 and Figure 9.",
)
@click.option(
    "--epochs",
    type=WholeNumber(1, 10_000),
    help="Epochs of the trainings of Table 3.  [default: the recipe's]",
)
@click.option(
    "--seeds",
    type=WholeNumber(1, 100),
    default=1,
    show_default=True,
    help="How many trainings of each row of Table 3.",
)
def zeiler_fergus(
    page: Page,
    /,
    photos: tuple[str, ...],
    only: tuple[str, ...],
    only_list: bool,
    train: "Path | None",
    epochs: int | None,
    seeds: int,
) -> None:
    """Make every figure and table of Zeiler & Fergus 2013 that can be made here.

    Each stands beside what the paper prints, with why they differ: weights, photos, scale. The
    first --model stands for the paper's net, the second for that of Krizhevsky et al. A run that
    was stopped goes on with the next item.
    """
    from vizcnn.lecture.paper_items import find_items, name_label

    items = find_items(only)
    if only_list:
        if page.as_json:
            say(json.dumps([_describe(item) for item in items]))
            return
        for item in items:
            names = ", ".join(map(name_label, item.labels))
            say(f"{names}: {item.title}" + (" (--train)" if item.trains else ""))
        return
    from vizcnn.lecture.zeiler_fergus import PaperSettings, make_zeiler_fergus_gallery

    settings = PaperSettings(
        only=only,
        epochs=epochs,
        seeds=seeds,
        seed=page.seed,
        figure_format=page.figure_format,
    )
    nets = page.load()
    with telling_to_continue():
        manifest = make_zeiler_fergus_gallery(
            nets,
            page.folder,
            settings,
            page.quote(),
            find_given(photos),
            train,
            lambda name: page.quote(only=(name,)),
            bar,
        )
    page.report(manifest, summarise(manifest.results), "not made", named=True)


def _describe(item: "PaperItem") -> dict[str, object]:
    return {"labels": item.labels, "title": item.title, "trains": item.trains}


def summarise(results: "PaperResults") -> str:
    """Say of each item whether it was made."""
    return "\n".join(
        f"{', '.join(item.labels)}: {item.status}" + (f" ({item.reason})" if item.reason else "")
        for item in results.items
    )
