"""``vizcnn ablate``: a net without layers, trained anew; or without single units, as it is."""

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vizcnn.cli.options import (
    PositiveNumber,
    WholeNumber,
    fitting_options,
    make_seed_option,
    models_option,
    save_arrays_option,
    settle_device,
    several_weights_option,
)
from vizcnn.cli.page_command import OneRun, Page, page_command
from vizcnn.cli.photo_arguments import HOLDERS, find_given, photos_argument
from vizcnn.cli.reporting import bar, lay_out, say, telling_to_continue
from vizcnn.cli.unit_option import Unit, find_units, units_option, write_units

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.measures.seed_bands import SeedBand
    from vizcnn.pages.ablate import AblateResults
    from vizcnn.pages.ablate_units import AblateUnitsResults

OF_LAYERS = (
    *("rows", "without", "widths", "seeds"),
    *("epochs", "crop", "batch", "learning_rate", "hidden"),
)
"""Parameters of trainings, which make no sense where units are removed."""
OF_UNITS = (
    *("by", "class_name", "count", "save_arrays"),
    *("weights", "preprocessings", "class_lists", "fit", "size"),
)
"""Parameters of a trained net's units, which make no sense where nets are trained anew."""


@page_command(
    out="MODELS-PHOTOS-ablate",
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
    seed=make_seed_option(
        "the first training, the others following it; of units for the photos that are drawn, and "
        "random weights"
    ),
    short_help="Leave layers out and train anew, or remove single units.",
)
@photos_argument(
    "Without --layer and --unit: a folder with train/ and val/, each with a folder of photos per "
    "class, or digits: scikit-learn's, written to OUT/digits first. With one of them: photos, or "
    f"{HOLDERS}.  [default: of units patches of scikit-image's sample photos]"
)
@fitting_options
@click.option(
    "--row",
    "rows",
    multiple=True,
    metavar="NAME",
    help="Layers: row of the table to train, such as no-3-4, no-6-7, half-6-7, wide-3-5; may be "
    "repeated; the whole net always is.  [default: all of the net's]",
)
@click.option(
    "--without",
    multiple=True,
    metavar="LAYERS",
    help="Layers: a row of your own that leaves layers out, such as conv3,conv4; may be repeated.",
)
@click.option(
    "--widths",
    multiple=True,
    metavar="LAYER=N,...",
    help="Layers: other widths of your own row, such as fc6=2048,fc7=2048; once for all --without, "
    "or once for each.",
)
@click.option(
    "--seeds",
    type=WholeNumber(1, 1000),
    default=3,
    show_default=True,
    help="Layers: how many trainings each row has.",
)
@click.option(
    "--epochs",
    type=WholeNumber(1),
    help="Layers: passes over the training photos.  [default: as vizcnn train has it]",
)
@click.option(
    "--crop",
    type=WholeNumber(1),
    help="Layers: side of the net's input in pixels.  [default: as vizcnn train has it]",
)
@click.option(
    "--batch",
    type=WholeNumber(1),
    help="Layers: photos per step.  [default: as vizcnn train has it]",
)
@click.option(
    "--learning-rate",
    type=PositiveNumber(),
    help="Layers: peak learning rate.  [default: as vizcnn train has it]",
)
@click.option(
    "--hidden",
    type=WholeNumber(1),
    help="Layers: width of fc6 and fc7 of the whole net.  [default: as vizcnn train has it]",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Units: layer, list of layers (conv4,conv5) or range (conv3..conv5) whose units are "
    "removed; may be repeated.  [default: with --unit the last of conv1..conv5]",
)
@units_option(
    "Units: number, list (3,5) or range (10..20) of the units to remove, one at a time; may be "
    "repeated.  [default: with --layer all of it]"
)
@click.option(
    "--by",
    type=click.Choice(["zero", "mean"], case_sensitive=False),
    default="zero",
    show_default=True,
    help="Units: what a unit is set to: zero, or its mean over photos and places.",
)
@click.option(
    "--class",
    "class_name",
    metavar="CLASS",
    help="Units: name or number of the class that units are ranked for.  [default: each photo's "
    "own]",
)
@click.option(
    "--count",
    type=WholeNumber(1, 1_000_000),
    default=96,
    show_default=True,
    help="Units: how many photos to draw.",
)
@save_arrays_option
def ablate(
    page: Page,
    /,
    photos: tuple[str, ...],
    layers: tuple[str, ...],
    units: tuple[Unit, ...],
    **given: Any,
) -> None:
    """Leave layers out and train anew, or remove single units of a trained net.

    Layers, as in Table 3 of Zeiler & Fergus: a net without some layers, or with others' widths, is
    trained with one recipe and several seeds; errors on training and validation photos are shown
    with bands over the seeds, beside the paper's. After an interruption, run the same command again
    to continue.

    Units, with --layer or --unit: a feature map is set to zero or to its mean, and the change of
    every class's score and of accuracy is measured; only what comes after the layer is run again.
    """
    settle_device(page.device, page.precision)
    if layers or units:
        _refuse(page, OF_LAYERS, "goes with trainings: leave out --layer and --unit, or this")
        _ablate_units(page, photos, layers, units, given)
        return
    _refuse(page, OF_UNITS, "goes with units of a trained net: name some (--layer, --unit)")
    _ablate_layers(page, photos, given)


def _refuse(page: Page, names: tuple[str, ...], reason: str) -> None:
    """Refuse what is only of the other kind of ablation.

    Raises:
        click.UsageError: If one is given.
    """
    for parameter in page.context.command.params:
        name = parameter.name or ""
        source = page.context.get_parameter_source(name)
        if name in names and source is not ParameterSource.DEFAULT:
            raise click.UsageError(f"{parameter.opts[0]} {reason}", page.context)


def _ablate_layers(page: Page, photos: tuple[str, ...], given: dict[str, Any]) -> None:

    from vizcnn.basics.remote import read_local_place
    from vizcnn.pages.ablate import AblateSettings, make_ablate_gallery

    if len(page.models) > 1:
        raise click.UsageError(
            f"{len(page.models)} nets are named, and one is trained at a time: run "
            f"{page.context.command_path} once for each",
            page.context,
        )
    if len(photos) != 1:
        raise click.UsageError(
            f"{len(photos) or 'no'} folders to train on are named: give one with train/ and val/, "
            "or digits; or units of a trained net (--layer, --unit)",
            page.context,
        )
    settings = AblateSettings(
        **{name: given[name] for name in OF_LAYERS},
        seed=page.seed,
        variant=page.words[0].variant,
        figure_format=page.figure_format,
    )
    folder = read_local_place(photos[0], "folder of photos")
    with telling_to_continue():
        manifest = make_ablate_gallery(
            *(page.models[0], folder, page.folder, settings),
            page.quote(**dict.fromkeys(OF_UNITS)),
            device=settle_device(page.device, page.precision),
            progress=bar,
            report=lambda line: say(line, err=True),
        )
    page.report(manifest, summarise_layers(manifest.results))


def summarise_layers(results: "AblateResults") -> str:
    """Write the table: errors in percent, means and ranges over seeds."""
    head = ["net", "train top-1", "val top-1", "val top-5", "change"]
    head += ["paper val top-1", "paper change"] if results.source else []
    rows = [head]
    for row in results.rows:
        change = "-" if row.change is None else f"{100 * row.change.mean:+.1f}"
        told = "" if row.change is None or row.change.is_told else " ?"
        cells = [row.name, *map(_write_band, (row.train_top1, row.top1, row.top5)), change + told]
        if results.source and row.printed:
            other = "" if row.printed.model == results.model else " (AlexNet)"
            cells += [f"{row.printed.top1:.1f}{other}", f"{row.printed.change:+.1f}"]
        elif results.source:
            cells += ["-", "-"]
        rows.append(cells)
    notes = [
        f"errors in %, mean of {len(results.seeds)} seed(s), in brackets the smallest and largest; "
        "change of val top-1 in points, ? where the seeds do not tell the two apart (95 %, Welch)"
    ]
    if results.source:
        notes.append(f"paper: {results.source}: {results.scale}; {results.differences}")
    return "\n".join([*lay_out(rows), *notes])


def _write_band(band: "SeedBand") -> str:
    mean = f"{100 * band.mean:.1f}"
    return mean if band.seeds == 1 else f"{mean} ({100 * band.least:.1f}-{100 * band.most:.1f})"


def _ablate_units(
    page: Page,
    photos: tuple[str, ...],
    layers: tuple[str, ...],
    units: tuple[Unit, ...],
    given: dict[str, Any],
) -> None:
    from vizcnn.pages.ablate_units import AblateUnitsSettings, make_ablate_units_gallery
    from vizcnn.recording.layers import select_layers, select_stages

    paths = find_given(photos)

    def make(run: OneRun) -> "Manifest[AblateUnitsResults]":
        chosen = select_layers(run.net, layers) or select_stages(run.net)[-1:]
        numbers = find_units(run.net, chosen, units)
        settings = AblateUnitsSettings(
            layers=chosen,
            units=numbers,
            by=given["by"],
            class_name=given["class_name"],
            count=given["count"],
            seed=page.seed,
            save_arrays=given["save_arrays"],
            figure_format=page.figure_format,
        )
        settled = {**dict.fromkeys(OF_LAYERS), "layers": chosen, "units": write_units(numbers)}
        command = run.quote(**settled)
        return make_ablate_units_gallery(run.net, paths, run.folder, settings, command, bar)

    manifest = page.make_each(make, resumed=True)
    page.report(manifest, summarise_units)


TOLD = 10
"""Units of a ranking that are printed."""


def summarise_units(manifest: "Manifest[AblateUnitsResults]") -> str:
    """Write the first units of the ranking of each layer."""
    results = manifest.results
    lines = [f"{results.photos}; units set to {results.by}; {results.ranking}"]
    for layer in results.layers:
        rows = [["unit", "change", "accuracy", "other answer", "falls most"]]
        for unit in layer.units[:TOLD]:
            change = unit.class_logit
            told = f"{100 * unit.answer:+.2f} points" if change is None else f"{change:+.3f}"
            accuracy = "-" if unit.accuracy is None else f"{100 * unit.accuracy:+.1f}"
            falls = ", ".join(f"{found.name} {found.logit:+.2f}" for found in unit.lowered[:2])
            rows.append([str(unit.unit), told, accuracy, f"{unit.changed:.1%}", falls])
        more = len(layer.units) - TOLD
        lines += [f"{layer.name}:", *lay_out(rows, left=("falls most",))]
        lines += [f"and {more} more units on the page"] if more > 0 else []
        lines.append(layer.note)
    return "\n".join(lines)
