"""``vizcnn evolve``: what units see at the epochs of a training."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vizcnn.basics.errors import quote
from vizcnn.cli.options import (
    NetName,
    NetWords,
    WholeNumber,
    compare_option,
    fitting_options,
    load_model,
    make_seed_option,
    net_options,
    part_option,
    settle_way_back,
    take_words,
    way_back_options,
    workers_option,
)
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.photo_arguments import HOLDERS, find_given, photos_argument
from vizcnn.cli.reporting import bar, telling_to_continue
from vizcnn.cli.unit_option import find_units, units_option
from vizcnn.projection.methods import METHODS

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.mining.photo_sets import PhotoSet
    from vizcnn.pages.evolution_records import EvolveResults
    from vizcnn.training.moments import TrainedRun
    from vizcnn.zoo.model import ZooModel


class EpochWeights(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Weights of an epoch, ``EPOCH=FILE``; a file of vizcnn's own tells its epoch itself (None)."""

    name = "EPOCH=FILE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, str]:
        """Read it; what is none is told in one short line."""
        if not isinstance(value, str):
            epoch, file = value
            return epoch, file
        found = re.fullmatch(r"(?:([0-9]{1,9})=)?(.+)", value, re.DOTALL)
        if not found:
            self.fail(f"{quote(value)} names no weights; needed: for example 5=epoch-5.pt")
        return None if found[1] is None else int(found[1]), found[2]


def _write_weights(weights: Sequence[tuple[int | None, str]]) -> tuple[str, ...]:
    return tuple(file if epoch is None else f"{epoch}={file}" for epoch, file in weights)


@page_command(
    out="MODELS-PHOTOS-evolve",
    nets=None,
    seed=make_seed_option("the draw of units, and random weights"),
    short_help="Show what units see at the epochs of a training.",
)
@photos_argument(
    "First a run: a folder that `vizcnn train --keep` wrote, its .first_layers.safetensors, or "
    "lenet, zfnet, alexnet or alexnet-7x7, of which epochs come with vizcnn. Then photos, or "
    f"{HOLDERS}; or digits.  [default: lenet; the digits that it was trained on, of another run "
    "patches of scikit-image's sample photos]",
    first="RUN",
)
@click.option(
    "--model",
    type=NetName(),
    metavar="NET",
    help="Net of --weights, or of a run's folder that holds several; without either the run that "
    "comes with vizcnn.",
)
@click.option(
    "--weights",
    type=EpochWeights(),
    multiple=True,
    metavar="EPOCH=FILE",
    help="Weights of --model after an epoch, twice or more: files as for the other commands, or "
    "random. EPOCH= may be left out of a file that vizcnn train wrote.",
)
@net_options
@fitting_options
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list of layers (conv1,conv3) or range (conv1..conv5); may be repeated.  "
    "[default: conv1..conv5, as far as they were kept]",
)
@units_option(
    "Number of a unit, list (3,5) or range (10..20) of them, or name of a class; may be "
    "repeated.  [default: --count units of each layer, drawn by --seed]"
)
@click.option(
    "--count",
    type=WholeNumber(1, 50),
    default=6,
    show_default=True,
    help="How many units of each layer to draw.",
)
@click.option(
    "--method",
    type=click.Choice(list(METHODS), case_sensitive=False),
    default="deconvnet",
    show_default=True,
    help="How the signal is sent back to the pixels.",
)
@part_option
@compare_option(3, none=True)
@click.option(
    "--scale",
    "scaling",
    type=click.Choice(["cell", "row"], case_sensitive=False),
    default="cell",
    show_default=True,
    help="Contrast: stretched for each picture, or common to all epochs of a unit, so that growth "
    "is seen.",
)
@way_back_options
@workers_option
def evolve(
    page: Page,
    /,
    photos: tuple[str, ...],
    model: str | None,
    weights: tuple[tuple[int | None, str], ...],
    variants: tuple[str, ...],
    preprocessings: tuple[str, ...],
    class_lists: tuple[Path, ...],
    layers: tuple[str, ...],
    units: tuple[int | str, ...],
    count: int,
    method: str,
    part: str,
    compare: Any,
    scaling: str,
    workers: int | None,
    **way_back: str,
) -> None:
    """Show what units see at the epochs of a training, as in Figure 4 of Zeiler & Fergus.

    A row for each unit, a column for each epoch at which the net was kept: the strongest place
    over all photos with the net of that epoch, projected back to pixels, and the photo where it is
    another than before. With it, when each layer became what it stays.
    """
    from vizcnn.pages.evolve import EvolveSettings, make_evolve_gallery
    from vizcnn.recording.layers import select_layers

    said = {"variants": variants, "preprocessings": preprocessings, "class_lists": class_lists}
    words = take_words(page.context, (model or "",), said)[0]
    run, names = _find_run(page, photos, model, weights, words)
    last = run.moments[-1].load()
    found = _open_photos(names, run, last)
    chosen = select_layers(last, layers) if layers else ()
    settings = EvolveSettings(
        layers=chosen,
        units=find_units(last, chosen or (last.find_class_layer(),), units),
        count=count,
        seed=page.seed,
        scaling=scaling,  # type: ignore[arg-type]  # click has checked it, as those below
        method=method,
        part=part,  # type: ignore[arg-type]
        compare=compare,
        workers=workers,
        figure_format=page.figure_format,
        **settle_way_back(**way_back),
    )
    command = page.quote(weights=_write_weights(weights))
    with telling_to_continue():
        manifest = make_evolve_gallery(run, found, page.folder, settings, command, bar)
    page.report(manifest, summarise(manifest))


def _find_run(
    page: Page,
    photos: tuple[str, ...],
    model: str | None,
    weights: tuple[tuple[int | None, str], ...],
    words: NetWords,
) -> "tuple[TrainedRun, tuple[str, ...]]":
    """Find the run that is meant, and the words that are left for photos."""
    from vizcnn.cli.options import settle_device
    from vizcnn.training.moments import SHIPPED, find_run, is_run, list_moments, read_epoch

    device = settle_device(page.device, page.precision)
    runs = [word for word in photos if is_run(word)]
    if weights:
        if model is None or runs:
            raise click.UsageError(
                "--weights are of a net: name it (--model)"
                if model is None
                else f"{quote(runs[0])} is a run, and --weights make another: give one of them",
                page.context,
            )

        def make_load(file: str) -> Any:
            own = NetWords(file, words.variant, words.preprocessing, words.classes)
            return lambda: load_model(model, own, device, page.seed, page.precision)

        loads = {}
        for epoch, file in weights:
            number = read_epoch(Path(file)) if epoch is None else epoch
            if number in loads:
                raise click.UsageError(f"two --weights are of epoch {number}", page.context)
            loads[number] = make_load(file)
        run = list_moments(model, model, loads)
    else:
        if len(runs) > 1:
            raise click.UsageError(
                f"{len(runs)} runs are named ({', '.join(map(quote, runs))}): give one, and run "
                f"{page.context.command_path} once for each",
                page.context,
            )
        if any((words.variant, words.preprocessing, words.classes)):
            raise click.UsageError(
                "--variant, --preprocess and --classes go with --weights: a run knows its own",
                page.context,
            )
        run = find_run(runs[0] if runs else model or SHIPPED, model)
    fitted = run.change(lambda net: net.to(device).fit_photos(page.fit, page.size))
    return fitted, tuple(word for word in photos if word not in runs)


def _open_photos(names: tuple[str, ...], run: "TrainedRun", model: "ZooModel") -> "PhotoSet":
    """Open the photos that are named; by default the digits, for a net that was trained on them."""
    from vizcnn.mining.photo_sets import open_photos
    from vizcnn.training.digit_photos import DigitPhotos
    from vizcnn.training.digits import DIGITS, DIGITS_SOURCE

    if names == (DIGITS,) and not Path(DIGITS).exists():
        return DigitPhotos(model.preprocessing)
    if not names and run.data == DIGITS_SOURCE.name:
        return DigitPhotos(model.preprocessing)
    return open_photos(find_given(names), model.preprocessing)


def summarise(manifest: "Manifest[EvolveResults]") -> str:
    """Say in a line per layer how it went."""
    from vizcnn.pages.evolution_figures import describe_course

    results = manifest.results
    lines = [
        f"{results.run} at epochs {', '.join(map(str, results.epochs))}: "
        f"{results.data.count:,} photos ({results.data.describe})"
    ]
    lines += [describe_course(layer, results.epochs) for layer in results.layers]
    if results.note:
        lines.append(results.note)
    if results.needed:
        lines.append(f"deeper layers: {results.needed}")
    return "\n".join(lines)
