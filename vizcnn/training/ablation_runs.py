"""The trainings of an ablation: each row with several seeds, resumable, and its errors measured."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vizcnn.basics.codec import Count, Share, Text, decode, encode
from vizcnn.basics.errors import DataError, VizcnnError
from vizcnn.basics.files import hash_file, read_plain_file, write_text
from vizcnn.basics.progress import Progress, silent
from vizcnn.training.ablations import Ablation
from vizcnn.training.card import DataSource
from vizcnn.training.evaluation import measure_accuracy
from vizcnn.training.export import export_run
from vizcnn.training.loop import TrainingRun
from vizcnn.training.photos import PhotoFolder
from vizcnn.training.recipe import Recipe
from vizcnn.training.run_folder import CHECKPOINT_NAME, name_outputs, open_run
from vizcnn.zoo.loading import load

RECORD_NAME = "errors.json"
"""Of the file that says that a training is done, and what it gave."""
_LARGEST_RECORD = 1 << 24
"""Bytes of such a file, at most."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class AblationRun:
    """What one training gave; errors are shares of photos, 0..1.

    Attributes:
        causes: Checksum of all that it depends on: recipe, classes, and names and sizes of photos.
        seed: Its seed.
        train_top1: Share of training photos, one centre crop each, whose likeliest class is wrong.
        train_top5: Share whose five likeliest classes are all wrong.
        top1: The same of the validation photos.
        top5: The same of the validation photos.
        curve: Top-1 error on the validation photos after each epoch.
        seconds: Time that the training took.
        sha256: Of the file of weights, which were measured.
    """

    causes: Text
    seed: Count
    train_top1: Share
    train_top5: Share
    top1: Share
    top5: Share
    curve: tuple[Share, ...]
    seconds: float
    sha256: Text


def name_run(row: Ablation, seed: int) -> str:
    """Name the folder of a training, in that of all.

    Example:
        >>> name_run(Ablation(name="no-7", title=""), 2)
        'no-7/seed-2'
    """
    return f"{row.name}/seed-{seed}"


def name_weights(model: str, row: Ablation, seed: int) -> str:
    """Name the file of a training's weights, in the folder of all."""
    return f"{name_run(row, seed)}/{name_outputs(model)['weights']}"


def train_rows(
    folder: Path,
    rows: Sequence[Ablation],
    seeds: Sequence[int],
    recipe: Recipe,
    photos: PhotoFolder,
    validation: PhotoFolder,
    data: DataSource,
    device: str = "cpu",
    progress: Progress = silent,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, tuple[AblationRun, ...]]:
    """Train every row with every seed, all by one recipe.

    Seed by seed, so that a first table is there early, and all rows see photos in the same order.

    Args:
        folder: Where their folders go; finished ones are not trained again.
        rows: What is left out or changed.
        seeds: Seeds.
        recipe: Of the whole net.
        photos: Training photos.
        validation: Validation photos.
        data: Where the photos come from.
        device: Where to compute.
        progress: Shows how far a training is.
        report: Told a line for each training that is done.

    Returns:
        What each row gave, by its name, in the order of the seeds.

    Raises:
        DataError: If a folder holds a training with other settings or on other photos, or files of
            others; or no photo can be read.
        WeightsError: If a checkpoint is damaged or of another run.
        ModelError: If a net cannot be built, or its training diverges.
    """
    for half in (photos, validation):
        half.load(progress)
    found: dict[str, list[AblationRun]] = {row.name: [] for row in rows}
    plan = [(row, seed) for seed in seeds for row in rows]
    seconds: list[float] = []
    for number, (row, seed) in enumerate(plan, 1):
        name = f"{number} of {len(plan)}: {row.name}, seed {seed}"
        home, settings = folder / name_run(row, seed), row.change(recipe, seed)
        causes = _find_causes(settings, photos, validation)
        run = _find_finished(home, causes)
        if run is None:
            began = time.monotonic()
            shown = _name_progress(progress, name)
            run = _train(home, settings, photos, validation, data, device, shown, causes)
            seconds.append(time.monotonic() - began)
            report(
                f"{name}: top-1 error {run.top1:.1%} on the validation photos, "
                f"{run.train_top1:.1%} on the training photos"
                + _tell_rest(seconds, len(plan) - number)
            )
        found[row.name].append(run)
    return {name: tuple(runs) for name, runs in found.items()}


def _train(
    folder: Path,
    recipe: Recipe,
    photos: PhotoFolder,
    validation: PhotoFolder,
    data: DataSource,
    device: str,
    progress: Progress,
    causes: str,
) -> AblationRun:
    """Train a net, from its checkpoint on if there is one; the record of it is written last."""
    with open_run(folder, recipe.model):
        checkpoint = folder / CHECKPOINT_NAME
        run = TrainingRun(recipe, photos, validation, checkpoint, device)
        run.run(progress)
        exported = export_run(
            run.state(), photos, validation, folder, data, device, progress, held=True
        )
        net = load(recipe.model, exported.weights, device=device)
        crop, accuracy = recipe.crop, exported.card.accuracy
        seen = measure_accuracy(
            net.module, photos, net.preprocessing, crop, device, progress=progress
        )
        found = AblationRun(
            causes=causes,
            seed=recipe.seed,
            train_top1=1 - seen.top1,
            train_top5=1 - seen.top5,
            top1=1 - accuracy.top1,
            top5=1 - accuracy.top5,
            curve=tuple(1 - record["top1"] for record in run.history),
            seconds=sum(record["seconds"] for record in run.history),
            sha256=hash_file(exported.weights, "weight file"),
        )
        write_text(folder / RECORD_NAME, encode(found))
        checkpoint.unlink(missing_ok=True)  # eight bytes a weight, of no further use
    return found


def _find_finished(folder: Path, causes: str) -> AblationRun | None:
    """Give what a training of a former run gave, if it was finished.

    Raises:
        DataError: If it was one with other settings, or on other photos.
    """
    try:
        text = read_plain_file(folder / RECORD_NAME, "record", largest=_LARGEST_RECORD).decode()
        former = decode(AblationRun, text)
    except (VizcnnError, UnicodeDecodeError):
        return None
    if former.causes != causes:
        raise DataError(
            f"{str(folder)!r} holds a training with other settings or on other photos: choose "
            "another --out, or remove that folder"
        )
    return former


def _find_causes(recipe: Recipe, *halves: PhotoFolder) -> str:
    """Compute a checksum of all that a training depends on; of photos names and sizes tell."""
    photos = [
        [(path.relative_to(half.root).as_posix(), path.stat().st_size) for path in half.paths]
        for half in halves
    ]
    told = json.dumps([recipe.to_dict(), photos]).encode(errors="replace")
    return hashlib.sha256(told).hexdigest()


def _name_progress(progress: Progress, name: str) -> Progress:
    def show(
        items: Iterable[T],
        *,
        label: str,
        total: int | None = None,
        unit: str = "it",
        initial: int = 0,
    ) -> Iterator[T]:
        told = f"{name}, {label}"
        return progress(items, label=told, total=total, unit=unit, initial=initial)

    return show


def _tell_rest(seconds: Sequence[float], left: int) -> str:
    """Say how long the trainings that are left will take, from those that were done."""
    rest = left * sum(seconds) / len(seconds)
    return f"; about {rest / 60:.0f} min to go" if rest > 90 else ""
