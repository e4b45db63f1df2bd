"""``vizcnn lecture``: every figure, table and number of a lecture on CNN architectures."""

import json
from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.options import (
    FORMATS,
    list_given,
    make_format_option,
    make_seed_option,
    part_option,
    settle_device,
)
from vizcnn.cli.page_command import Page, make_figure_options, page_command
from vizcnn.cli.photo_arguments import find_local, one_photo_argument
from vizcnn.cli.reporting import bar, say

if TYPE_CHECKING:
    from vizcnn.lecture.claims import Claim
    from vizcnn.projection.parts import Part


class LectureWeights(click.Choice):  # type: ignore[type-arg, unused-ignore]
    """One of a few sources of weights, perhaps with the checksum that they have to have."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from vizcnn.zoo.pinned_weights import split_pin

        super().convert(split_pin(value)[0], param, ctx)
        return value


@page_command(
    out="lecture",
    strict=None,
    nets=None,
    figures=make_figure_options(
        make_format_option("formats", FORMATS), ("slide", "paper"), ("both", "light", "dark")
    ),
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
@one_photo_argument("Photo that the nets look at: a file", "motorcycle")
@click.option(
    "--weights",
    "sources",
    type=LectureWeights(["auto", "bundled", "imagenet", "random"]),
    multiple=True,
    default=("auto",),
    show_default=True,
    help="Weights of AlexNet and ZFNet where they are shown at work: auto is ImageNet if "
    "downloaded, otherwise bundled; SOURCE@sha256:DIGITS takes only those with that "
    "checksum; once for both, or once for each.",
)
@part_option
def lecture(
    page: Page,
    /,
    only: tuple[str, ...],
    only_claims: bool,
    only_list: bool,
    photos: str,
    sources: tuple[str, ...],
    part: "Part",
    formats: tuple[str, ...],
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
    from vizcnn.basics.devices import name_device
    from vizcnn.lecture.run import LectureSettings, make_lecture
    from vizcnn.lecture.studio import TRAINED, Studio
    from vizcnn.zoo.pinned_weights import pin_weights

    (photo,) = find_local((photos,))
    if len(sources) not in (1, len(TRAINED)):
        raise click.UsageError(f"{len(sources)} --weights for {len(TRAINED)} nets", page.context)
    given = dict(zip(TRAINED, sources * len(TRAINED), strict=False))
    weights = {name: None if source == "random" else source for name, source in given.items()}
    device = settle_device(page.device, page.precision)
    studio = Studio(photo, device, page.seed, weights, bar, part)

    def repeat() -> str:
        pinned = [pin_weights(net, given[net.name]) for net in studio.trained] or sources
        return page.quote(sources=list(dict.fromkeys(pinned)), device=name_device(device))

    settings = LectureSettings(
        only=only,
        formats=formats,  # type: ignore[arg-type]  # click has checked them
        style="paper" if page.style == "paper" else "slides",
        themes=("light", "dark") if page.theme == "both" else (page.theme,),  # type: ignore[arg-type]
    )
    manifest = make_lecture(page.folder, studio, settings, repeat)
    made = ", ".join(f"{len(part.exhibits)} {part.title}" for part in manifest.results.sections)
    page.report(manifest, f"figures and tables: {made}", failed="could not be made", named=True)


def _refuse_idle_options(context: click.Context, flag: str) -> None:
    """Refuse options that what is printed does not depend on, rather than pass them over."""
    heeded = ("--only", "--json", flag)
    idle = [item.opts[0] for item in list_given(context) if item.opts[0] not in heeded]
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
