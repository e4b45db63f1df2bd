"""``vizcnn train``: train AlexNet, ZFNet or LeNet-5 on a folder of photos."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.options import (
    LARGEST_SEED,
    CarefulCommand,
    GivenPath,
    OutFolder,
    PositiveNumber,
    WholeNumber,
    WholeNumbers,
    device_option,
    strict_option,
)
from vizcnn.cli.photo_arguments import photos_argument
from vizcnn.cli.reporting import (
    bar,
    count_others,
    describe_left_out,
    end_with_failures,
    list_failures,
    say,
)
from vizcnn.training.recipe import USUAL_SETTINGS, Recipe, usual_recipe

if TYPE_CHECKING:
    from vizcnn.training.export import ExportedRun
    from vizcnn.training.loop import TrainingRun
    from vizcnn.training.start import Start

DEFAULTS = Recipe("zfnet")


def _usual(name: str) -> str:
    """Say what a setting is if it is not given, in a help text."""
    others = [
        f"{model} {_say(settings[name])}"
        for model, settings in USUAL_SETTINGS.items()
        if name in settings
    ]
    return "; ".join([_say(getattr(DEFAULTS, name)), *others])


def _say(value: object) -> str:
    if value is None:
        return "fixed"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


@click.command(cls=CarefulCommand, short_help="Train AlexNet, ZFNet or LeNet-5 on your photos.")
@click.option(
    "--model",
    required=True,
    metavar="NAME",
    help="Net to train: alexnet, alexnet-7x7, zfnet or lenet.",
)
@click.option("--variant", metavar="FORM", help="Variant of the net, such as lenet's classic.")
@photos_argument(
    "Folder with train/ and val/, each with a folder of photos per class; or digits: "
    "scikit-learn's, written to OUT/digits first, unless there is a folder of that name.",
    one=True,
    required=True,
    metavar="FOLDER",
)
@click.option(
    "--out",
    required=True,
    type=OutFolder(),
    help="Folder for checkpoint, weights and model card; a checkpoint there is continued.",
)
@click.option(
    "--epochs",
    type=WholeNumber(1),
    show_default=_usual("epochs"),
    help="Passes over the training photos.",
)
@click.option(
    "--keep",
    type=WholeNumbers(0),
    metavar="N,N,...",
    default=(),
    help="Epochs after which the whole net is kept, with a card of its own; 0 is before the first.",
)
@click.option(
    "--crop",
    type=WholeNumber(1),
    show_default=_usual("crop"),
    help="Side of the net's input in pixels.",
)
@click.option(
    "--batch",
    type=WholeNumber(1),
    show_default=_usual("batch"),
    help="Photos per step.",
)
@click.option(
    "--learning-rate",
    type=PositiveNumber(),
    show_default=_usual("learning_rate"),
    help="Peak learning rate (warm-up, then half a cosine).",
)
@click.option(
    "--seed",
    type=WholeNumber(0, LARGEST_SEED),
    default=DEFAULTS.seed,
    show_default=True,
    help="Seed for weights, order, augmentation and dropout.",
)
@click.option(
    "--hidden",
    type=WholeNumber(1),
    show_default=_usual("hidden"),
    help="Width of fc6 and fc7.",
)
@click.option(
    "--without",
    metavar="LAYERS",
    help="Layers to leave out, each with its rectifier, such as conv3,conv4; pooling and "
    "normalisation stay.",
)
@click.option(
    "--widths",
    metavar="LAYER=N,...",
    help="Feature maps or units of layers where they are not the usual ones, such as "
    "conv3=512,fc6=2048.",
)
@click.option(
    "--flip/--no-flip",
    default=None,
    show_default=_usual("flip"),
    help="Mirror every second photo; not for digits or letters.",
)
@click.option(
    "--start",
    type=GivenPath(),
    metavar="FILE",
    help="Trained weights to start from, of the same net and classes (a .safetensors that vizcnn "
    "wrote).  [default: random weights]",
)
@click.option("--clip-first-layer", is_flag=True, help="Clip conv1's filters to an RMS of 0.1.")
@click.option(
    "--mixed-precision/--no-mixed-precision",
    default=None,
    show_default=_usual("mixed_precision"),
    help="Compute in bfloat16 where that is safe.",
)
@device_option
@click.option("--threads", type=WholeNumber(1, 1024), help="CPU threads.  [default: all cores]")
@click.option(
    "--data-name", help="Name of the data set in the model card.  [default: the folder's name]"
)
@click.option("--licence", help="Licence of the photos, for the model card.")
@click.option("--note", help="A remark for the model card.")
@strict_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@click.pass_context
def train(
    context: click.Context,
    /,
    photos: str,
    out: Path,
    device: str,
    threads: int | None,
    keep: tuple[int, ...],
    data_name: str | None,
    licence: str | None,
    note: str | None,
    start: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train AlexNet, ZFNet or LeNet-5 on your photos, and write weights and a model card.

    After an interruption, run the same command again to continue: at most the last minutes are
    lost.
    """
    from vizcnn.basics.devices import choose_device
    from vizcnn.basics.machine import prepare_cpu
    from vizcnn.basics.remote import read_local_place
    from vizcnn.training.digits import find_photos
    from vizcnn.training.export import export_run
    from vizcnn.training.loop import TrainingRun
    from vizcnn.training.photos import open_photos
    from vizcnn.training.run_folder import CHECKPOINT_NAME, open_run

    prepare_cpu(threads)
    recipe = usual_recipe(**settings)
    with open_run(out, recipe.model, keep):
        data, source = find_photos(read_local_place(photos, "folder of photos"), out)
        training, validation = open_photos(data, recipe.resize)
        path = out / CHECKPOINT_NAME
        recipe, begin = _find_start(start, recipe, training.classes, path)
        run = TrainingRun(recipe, training, validation, path, choose_device(device), start=begin)
        run.load_photos(bar)
        unreadable = training.unreadable + validation.unreadable
        list_failures(unreadable)  # now: it may be hours to the end
        told = {"name": data_name, "licence": licence, "note": note}
        source = replace(source, **{name: text for name, text in told.items() if text is not None})

        def export(kept: bool) -> "ExportedRun":
            state, device = run.state(), run.device
            return export_run(
                state, training, validation, out, source, device, bar, held=True, kept=kept
            )

        due = _plan_kept(keep, run, out)

        def keep_net() -> None:
            if len(run.history) in due:
                export(kept=True)

        _run_or_save(run, as_json, keep_net)
        exported = export(kept=False)
    left_out = [
        f"{half.root.name}/{name}" for half in (training, validation) for name in half.left_out
    ]
    _report_export(exported, as_json, unreadable, left_out)
    end_with_failures(context, unreadable, told=True)


def _find_start(
    file: Path | None, recipe: Recipe, classes: list[str], checkpoint: Path
) -> tuple[Recipe, "Start | None"]:
    """Read the weights to begin with; a run that has begun can do without their file."""
    from vizcnn.training.checkpoint import read_checkpoint
    from vizcnn.training.start import read_start

    if file is None:
        return recipe, None
    if checkpoint.exists() and not file.exists():
        begun = read_checkpoint(checkpoint).began_with
        if begun.get("file") == file.name:
            return replace(recipe, start=begun["sha256"]), None
    return recipe, read_start(file, recipe, classes)


def _plan_kept(keep: tuple[int, ...], run: "TrainingRun", out: Path) -> tuple[int, ...]:
    """Say what the nets to keep will take, and which cannot be kept any more."""
    from vizcnn.basics.memory import format_bytes
    from vizcnn.training.kept_nets import count_kept_bytes, plan_kept

    state = run.state()
    at_end_of_epoch = run.step == len(run.history) * run.steps_per_epoch
    due, missed = plan_kept(keep, run.recipe, out, state, at_end_of_epoch)
    if missed:
        epochs = ", ".join(map(str, missed))
        say(f"note: not kept, as the run is past it: the net after epoch {epochs}", err=True)
    if due:
        size = count_kept_bytes(state)
        say(
            f"{len(due)} net(s) to keep, {format_bytes(size)} each, "
            f"{format_bytes(len(due) * size)} of disk in all",
            err=True,
        )
    return due


def _run_or_save(run: "TrainingRun", as_json: bool, keep_net: Callable[[], None]) -> None:
    if len(run.history) >= run.recipe.epochs:
        say(f"already trained: {len(run.history)} epochs", err=True)
    elif run.step:
        say(f"continuing at step {run.step}, epoch {len(run.history) + 1}", err=True)

    def report(record: dict[str, float]) -> None:
        say(_describe_epoch(record, run.recipe.epochs, as_json))
        keep_net()

    keep_net()  # that before the first epoch, or what a run that was killed had not come to
    try:
        run.run(bar, report)
    except KeyboardInterrupt:
        say(
            "",
            f"stopped at step {run.step}; saved in {shlex.quote(str(run.path))}: "
            "run the same command again to continue",
            err=True,
        )
        raise


def _describe_epoch(record: dict[str, float], epochs: int, as_json: bool) -> str:
    if as_json:
        return json.dumps(record)
    return (
        f"epoch {record['epoch']}/{epochs}: loss {record['loss']:.3f}, "
        f"val top-1 {record['top1']:.1%}, top-5 {record['top5']:.1%}, {record['seconds']:.0f} s"
    )


def _report_export(
    exported: "ExportedRun", as_json: bool, unreadable: list[str], left_out: list[str]
) -> None:
    card, weights = exported.card, str(exported.weights)
    if as_json:
        paths = {"weights": weights, "card": str(exported.card_json)}
        if exported.first_layers:
            paths["first_layers"] = str(exported.first_layers)
        kept = {epoch: str(path) for epoch, path in exported.kept.items()}
        told = {
            "summary": card.summary(),
            **({"kept": kept} if kept else {}),
            "failures": unreadable,
            **describe_left_out(left_out),
        }
        say(json.dumps(paths | told))
        return
    if unreadable or left_out:
        say(
            f"left out: {len(unreadable)} photo(s) that cannot be read, "
            f"{count_others(len(left_out))}"
        )
    say(
        f"val top-1 {card.accuracy.top1:.1%}, top-5 {card.accuracy.top5:.1%}; "
        f"card: {exported.card_markdown}"
    )
    if exported.kept:
        say(f"kept: {', '.join(path.name for path in exported.kept.values())}")
    command = f"vizcnn deconv --model {card.model} --weights {shlex.quote(weights)}"
    say(f"use them: {command}")
