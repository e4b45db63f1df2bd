"""``vizcnn check``: what pictures depend on, measured for one net or several."""

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from vizcnn.cli.options import (
    WholeNumber,
    compare_option,
    fitting_options,
    layers_option,
    make_seed_option,
    models_option,
    several_weights_option,
)
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.photo_arguments import find_given, keep_named, photo_set_argument
from vizcnn.cli.reporting import bar
from vizcnn.projection.methods import METHODS

if TYPE_CHECKING:
    from vizcnn.measures.bootstrap import Estimate
    from vizcnn.pages.check import CheckResults
    from vizcnn.projection.active_units import Compare

CHECKED_METHODS = (*METHODS, "gradient-x-input")
"""As in vizcnn.measures.method_pictures, which loads torch."""


_COUNT = f"{__name__}.count"
"""Under what a context holds how many photos ``--photos`` asked for."""


def keep_photos_or_count(
    context: click.Context, parameter: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    """Keep photos; ``--photos 24`` stays what it was before ``--count``: how many to draw."""
    counts = [name for name in names if parameter.name == "named_photos" and name.isdecimal()]
    context.meta[_COUNT] = [*context.meta.get(_COUNT, ()), *counts]
    return keep_named(context, parameter, tuple(name for name in names if name not in counts))


def take_former_count(context: click.Context, parameter: click.Parameter, count: int) -> int:
    """Give how many photos to draw, by whichever option that was said."""
    counts = [*context.meta.get(_COUNT, ())]
    if counts and context.get_parameter_source("count") is not ParameterSource.DEFAULT:
        counts.append(str(count))
    if len(counts) > 1:
        raise click.UsageError(f"{len(counts)} numbers of photos are given: give one", context)
    return int(parameter.type.convert(counts[0], parameter, context)) if counts else count


@page_command(
    out="MODELS-PHOTOS-check",
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
    seed=make_seed_option(
        "the photos that are drawn, the shuffling, the occlusion control, the bootstrap, and "
        "random weights"
    ),
    short_help="Measure what pictures depend on: the unit, the weights, or only the photo.",
)
@photo_set_argument(keep_photos_or_count)
@fitting_options
@click.option(
    "--count",
    type=WholeNumber(1, 10_000),
    default=24,
    callback=take_former_count,
    show_default=True,
    help="How many photos to draw.",
)
@layers_option
@click.option(
    "--method",
    "methods",
    type=click.Choice(CHECKED_METHODS, case_sensitive=False),
    multiple=True,
    default=CHECKED_METHODS,
    show_default=True,
    help="Method to check; may be repeated.",
)
@compare_option(63)
@click.option(
    "--top",
    metavar="LAYER",
    help="Layer that shuffling begins with and whose units are projected then.  [default: the "
    "last, for the predicted class]",
)
def check(
    page: Page,
    /,
    photos: tuple[str, ...],
    count: int,
    layers: tuple[str, ...],
    methods: tuple[str, ...],
    compare: "Compare",
    top: str | None,
) -> None:
    """Measure what pictures depend on: the unit, the weights, or only the photo.

    The page sets methods side by side: units of one place and their own parts; how many different
    pictures the units of a place make; pictures while layers lose their weights from the top down,
    with new switches and with the trained net's (Adebayo et al., Mahendran & Vedaldi); and whether
    a unit's picture foretells its drop under a grey square better than another unit's does.
    """
    from vizcnn.measures.checks import CheckSettings
    from vizcnn.pages.check import make_check_page

    paths = find_given(photos)
    settings = CheckSettings(
        layers=layers,
        methods=tuple(dict.fromkeys(methods)),
        photos=count,
        compare=compare,
        top=top,
        seed=page.seed,
        figure_format=page.figure_format,
    )
    manifest = make_check_page(page.load(), page.folder, paths, settings, page.quote(), bar)
    summary = summarise(manifest.results, [net.title for net in manifest.nets])
    page.report(manifest, summary)


def summarise(results: "CheckResults", titles: list[str]) -> str:
    """Say the numbers of each net, layer and method, a line each."""
    from vizcnn.pages.check import choose_step

    tables = results.tables
    lines = [f"{results.photos}, seed {results.seed}; medians"]
    for number, (net, title) in enumerate(zip(results.nets, titles, strict=True)):
        for row in tables.sameness:
            if row.net == number:
                told = "" if row.active is None else f", pictures {_write(row.effective)}"
                lines.append(f"{title} {row.layer} {row.method}: cosine {_write(row.cosine)}{told}")
        steps = [row for row in tables.cascade if row.net == number]
        shuffled = choose_step(max((row.shuffled for row in steps), key=len), net.layers)
        lines += [
            f"{title} {', '.join(row.shuffled)} shuffled, {row.switches} switches, {row.method}: "
            f"similarity {_write(row.similarity)}, rank correlation {_write(row.rank)}"
            for row in steps
            if row.shuffled == shuffled
        ]
        lines += [
            f"{title} {row.layer} under a grey square, {row.method}: own {_write(row.own)}, "
            f"another's {_write(row.other)}, own minus another's {_write(row.gap)}"
            for row in tables.control
            if row.net == number
        ]
    return "\n".join(lines)


def _write(estimate: "Estimate") -> str:
    return "-" if estimate.value is None else f"{estimate.value:.2f}"
