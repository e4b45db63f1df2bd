"""``vizcnn quiz``: which of two photos excites a unit? A page that asks, and everybody's scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.options import (
    PARTS,
    WholeNumber,
    fitting_options,
    list_given,
    make_methods_option,
    make_seed_option,
    settle_way_back,
    way_back_options,
    workers_option,
)
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.photo_arguments import HOLDERS, find_given, photos_argument
from vizcnn.cli.reporting import bar, lay_out, telling_to_continue

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.measures.quiz_scores import Score
    from vizcnn.pages.quiz.merged_answers import QuizScores
    from vizcnn.pages.quiz.quiz_page import QuizResults

SCORE_HEADS = ("shown", "right", "share", "95% interval")

_ALWAYS = ("photos", "merge", "out", "force", "opens", "as_json", "strict")
"""Parameters that mean something whatever is given."""
_OF_QUESTIONS = ("count", "seed")
"""Those that mean something where a quiz is made, of galleries too."""


def list_nets(names: tuple[str, ...], given: dict[str, Any]) -> tuple[str, ...]:
    """Give the net that is needed: none where galleries or result files are given."""
    needs_net = not given["merge"] and not _find_galleries(given["photos"])
    return names if needs_net else ()


def _find_galleries(names: tuple[str, ...]) -> list[Path]:
    """List galleries among what was named."""
    from vizcnn.pages.quiz.quiz_questions import is_gallery

    return [Path(name) for name in names if is_gallery(Path(name))]


@page_command(
    out="MODEL-PHOTOS-quiz",
    figures=None,
    seed=make_seed_option("the draw of units and photos, and for random weights"),
    modes=("merge",),
    list_nets=list_nets,
    short_help="Ask which of two photos excites a unit: do projections help?",
)
@photos_argument(
    f"Galleries of one net that vizcnn gallery wrote; or photos, {HOLDERS}, of which galleries are "
    "made first; with --merge result files, or folders of them.  [default: patches of "
    "scikit-image's sample photos]"
)
@fitting_options
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list of layers (conv1,conv3) or range (conv1..conv5) whose units are asked about; "
    "may be repeated.  [default: the deepest of conv1..conv5]",
)
@click.option(
    "--count",
    type=WholeNumber(1, 1000),
    default=20,
    show_default=True,
    help="How many units are asked about: a question for each.",
)
@make_methods_option("and each is shown in some of the questions")
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS, case_sensitive=False),
    multiple=True,
    default=("whole", "own"),
    show_default=True,
    callback=lambda context, parameter, names: tuple(dict.fromkeys(names)),
    help="Which part of the projections is shown in some of the questions; may be repeated.",
)
@way_back_options
@workers_option
@click.option(
    "--merge",
    is_flag=True,
    is_eager=True,
    help="Merge the result files of those who played: scores by what was shown, with intervals.",
)
def quiz(
    page: Page,
    /,
    photos: tuple[str, ...],
    layers: tuple[str, ...],
    count: int,
    methods: tuple[str, ...],
    parts: tuple[str, ...],
    workers: int | None,
    merge: bool,
    **way_back: str,
) -> None:
    """Make a quiz: nine photos that excite a unit, nine that do not; which of two new ones does?

    Some of the questions also show projections of the exciting photos, or their own parts: the
    score says whether they help. Made of galleries, or at once of photos: the galleries are then
    kept beside the quiz. The page opens from disk and from any web server; who has played saves a
    result file.
    """
    galleries = _find_galleries(photos)
    if merge:
        _refuse_idle(page.context, _ALWAYS, "with --merge")
        _merge(page, photos)
        return
    if galleries:
        if len(galleries) < len(photos):
            other = next(name for name in photos if Path(name) not in galleries)
            raise click.UsageError(
                f"{other!r} is no gallery: give galleries alone, or photos alone", page.context
            )
        _refuse_idle(page.context, (*_ALWAYS, *_OF_QUESTIONS), "for galleries")
    from vizcnn.basics.output import open_folder
    from vizcnn.pages.quiz.quiz_page import QuizSettings, make_quiz

    settings = QuizSettings(units=count, seed=page.seed)
    if galleries:
        manifest = make_quiz(galleries, page.folder, settings, _quote(page, _OF_QUESTIONS), bar)
        page.report(manifest, summarise)
        return
    from vizcnn.mining.photo_sets import open_photos
    from vizcnn.pages.page import MethodSettings
    from vizcnn.pages.quiz.quiz_galleries import PreparationSettings, make_quiz_galleries
    from vizcnn.recording.layers import list_stages, select_layers

    (net,) = page.load()
    wanted = select_layers(net, layers) if layers else select_layers(net, (list_stages(net),))[-1:]
    ways = [MethodSettings(method=method, **settle_way_back(**way_back)) for method in methods]
    preparation = PreparationSettings(
        layers=tuple(wanted),
        ways=tuple(ways),
        parts=parts,  # type: ignore[arg-type]  # click has checked them
        units=count,
        seed=page.seed,
        workers=workers,
    )
    command = page.quote(layers=wanted)
    beside = page.folder.with_name(f"{page.folder.name}-galleries")
    with telling_to_continue(), open_folder(page.folder):
        shown = open_photos(find_given(photos), net.preprocessing)
        made = make_quiz_galleries(net, shown, beside, preparation, command, bar)
        manifest = make_quiz(made, page.folder, settings, command, bar, held=True)
    page.report(manifest, lambda made: f"{summarise(made)}\nits galleries: {beside}")


def _merge(page: Page, names: tuple[str, ...]) -> None:
    from vizcnn.pages.quiz.merged_answers import merge_played

    manifest = merge_played([Path(name) for name in names], page.folder, _quote(page, ()))
    page.report(manifest, summarise_scores, named=False)


def _quote(page: Page, meant: tuple[str, ...]) -> str:
    """Write the command that repeats a run without a net: with the options that it heeds."""
    heeded = {*_ALWAYS, *meant}
    idle = [str(one.name) for one in page.context.command.params if one.name not in heeded]
    return page.quote(**dict.fromkeys(idle))


def _refuse_idle(context: click.Context, heeded: tuple[str, ...], where: str) -> None:
    """Refuse options that the page does not depend on, rather than pass them over."""
    idle = [item.opts[0] for item in list_given(context) if item.name not in heeded]
    if idle:
        raise click.UsageError(f"{', '.join(idle)} means nothing {where}: leave it out", context)


def summarise(manifest: "Manifest[QuizResults]") -> str:
    """Say in lines what is asked."""
    results = manifest.results
    layers = ", ".join(dict.fromkeys(unit.layer for unit in results.units))
    count = len(results.units)
    lines = [
        f"{count} question{'' if count == 1 else 's'} about units of {layers}: "
        + ", ".join(condition.title for condition in results.conditions)
    ]
    lines += [f"{number} units {reason}: not asked about" for reason, number in results.left_out]
    return "\n".join(lines)


def summarise_scores(manifest: "Manifest[QuizScores]") -> str:
    """Write the scores of everybody as a table, and what pictures add."""
    results = manifest.results
    rows = [("all", results.total), *((one.title, one.score) for one in results.conditions)]
    table = [
        (title, f"{score.right} of {score.answers}", _percent(score.share), _write_interval(score))
        for title, score in rows
    ]
    gains = [
        f"{one.title}: {100 * one.gain.value:+.1f} percentage points against "
        f"{results.conditions[0].title}"
        + (
            ""
            if one.gain.low is None or one.gain.high is None
            else f" ({100 * one.gain.low:+.1f} to {100 * one.gain.high:+.1f})"
        )
        for one in results.conditions
        if one.gain and one.gain.value is not None
    ]
    people = f"{results.players} player{'' if results.players == 1 else 's'}"
    return "\n".join([people, *lay_out([SCORE_HEADS, *table], left=("shown",)), *gains])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _write_interval(score: "Score") -> str:
    return f"{score.low:.1%} to {score.high:.1%}"
