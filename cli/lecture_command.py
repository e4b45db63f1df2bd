"""``vizcnn lecture``: every figure, table and number of a lecture on CNN architectures."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vizcnn.cli.options import (
    complete_names_and_files,
    make_seed_option,
    part_option,
    refuse_empty,
    settle_device,
)
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.reporting import bar, say
from vizcnn.photos.samples import SAMPLES

if TYPE_CHECKING:
    from vizcnn.lecture.claims import Claim
    from vizcnn.projection.parts import Part


def figure_options(command: Any) -> Any:
    """Declare the formats of figures, and their style."""
    style = click.option(
        "--style",
        type=click.Choice(["slides", "paper"]),
        default="slides",
        show_default=True,
        help="Figures for slides, or half as large for a paper.",
    )
    formats = click.option(
        "--format",
        "formats",
        type=click.Choice(["png", "svg", "pdf"]),
        multiple=True,
        default=("png", "svg", "pdf"),
        show_default=True,
        help="File format of the figures; may be repeated.",
    )
    return style(formats(command))


@page_command(
    out="lecture",
    nets=None,
    figures=figure_options,
    seed=make_seed_option("everything random: crops, colours, masks, initial weights of trainings"),
    short_help="Make the figures, tables and checked claims of a CNN lecture.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="PART",
    help="Section (overview, lenet, alexnet, zfnet, vgg, googlenet, resnet, claims) or exhibit, "
    "such as vgg-memory or 'resnet-*'; several with commas, or repeated.  [default: everything]",
)
@click.option(
    "--claims",
    "only_claims",
    is_flag=True,
    help="Print the lecture's numeric claims with their verdicts and write nothing; with --only, "
    "those of some sections.",
)
@click.option(
    "--list",
    "only_list",
    is_flag=True,
    help="Print the names of all parts and write nothing; with --only, of some.",
)
@click.option(
    "--image",
    default="motorcycle",
    show_default=True,
    metavar="PHOTO",
    shell_complete=complete_names_and_files(SAMPLES),
    help="Photo that the nets look at: a file, or name of a sample photo.",
)
@click.option(
    "--weights",
    type=click.Choice(["auto", "bundled", "imagenet", "random"]),
    default="auto",
    show_default=True,
    help="Weights of AlexNet and ZFNet where they are shown at work: auto is ImageNet if "
    "downloaded, otherwise bundled.",
)
@part_option
def lecture(
    page: Page,
    /,
    only: tuple[str, ...],
    only_claims: bool,
    only_list: bool,
    image: str,
    weights: str,
    part: "Part",
    formats: tuple[str, ...],
    style: str,
) -> None:
    """Make every figure and table of a lecture on LeNet, AlexNet, ZFNet, VGG, GoogLeNet, ResNet.

    Everything is computed from the nets, light and dark, with a page that walks through the
    lecture and checks its numeric claims one by one. A lecture that is in the folder already is
    replaced: give parts of it (--only) a folder of their own.
    """
    if only_claims or only_list:
        _refuse_idle_options(page.context, "--list" if only_list else "--claims")
    if only_list:
        _print_parts(only, page.as_json)
        return
    if only_claims:
        _print_claims(only, page.as_json)
        return
    from vizcnn.lecture.run import LectureSettings, make_lecture
    from vizcnn.lecture.studio import Studio
    from vizcnn.photos.samples import find_sample

    refuse_empty(page.context, "--image", image)
    photo = find_sample(image) or Path(image)
    source = None if weights == "random" else weights
    device = settle_device(page.device, page.precision)
    studio = Studio(photo, device, page.seed, source, bar, part)
    settings = LectureSettings(
        only=only,
        formats=tuple(dict.fromkeys(formats)),  # type: ignore[arg-type]  # click has checked them
        style=style,  # type: ignore[arg-type]
    )
    manifest = make_lecture(page.folder, studio, settings, page.quote())
    made = ", ".join(f"{len(part.exhibits)} {part.title}" for part in manifest.results.sections)
    failures = [f"{failure.source}: {failure.error}" for failure in manifest.failures]
    page.report(manifest, f"figures and tables: {made}", failures, failed="could not be made")


def _refuse_idle_options(context: click.Context, flag: str) -> None:
    """Refuse options that what is printed does not depend on, rather than pass them over."""
    idle = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.opts[0] not in ("--only", "--json", flag)
        and context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    if idle:
        raise click.UsageError(f"{flag} only prints: leave {', '.join(idle)} out", context)


def _print_parts(only: tuple[str, ...], as_json: bool) -> None:
    """Print the names of parts: as JSON, or sections with their exhibits below."""
    from vizcnn.lecture.run import choose_exhibits
    from vizcnn.lecture.studio import SECTIONS

    chosen = choose_exhibits(only)
    if as_json:
        names = ("name", "section", "title")
        say(json.dumps([{name: getattr(part, name) for name in names} for part in chosen]))
        return
    width = max(len(part.name) for part in chosen)
    for section in dict.fromkeys(part.section for part in chosen):
        say(f"{section}: {SECTIONS[section]}")
        inside = [part for part in chosen if part.section == section]
        say(*(f"  {part.name:<{width}}  {part.title}" for part in inside))


def _print_claims(only: tuple[str, ...], as_json: bool) -> None:
    """Print claims: as JSON, or a line each with what does not hold told below."""
    from dataclasses import asdict

    from vizcnn.lecture.claims import LECTURE, choose_claims, say_verdicts

    claims = choose_claims(only)
    if as_json:
        told = [{**asdict(claim), "lecture": LECTURE} for claim in claims]
        say(json.dumps(told, ensure_ascii=False))
        return
    say(f"{LECTURE}: its numeric claims, computed anew", "")
    for claim in claims:
        say(*_write_claim(claim).splitlines())
    say("", f"{LECTURE}: {say_verdicts(claims)}")


def _write_claim(claim: "Claim") -> str:
    computed = claim.computed or claim.how
    line = f"{claim.verdict:<17} {claim.section:<9} {claim.what}: {claim.claimed} | {computed}"
    return f"{line}\n{'':<28}{claim.why}" if claim.why else line
