"""Checkpoints of a training run: written atomically, read without unpickling code."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta

from vizcnn.basics.codec import Count, Finite, Share, Text, check
from vizcnn.basics.errors import (
    DataError,
    VizcnnError,
    WeightsError,
    describe_changes,
    quote,
    shorten,
)
from vizcnn.basics.files import open_plain_file, replacing
from vizcnn.training.recipe import Recipe, complete_settings
from vizcnn.zoo.state_dicts import LARGEST_FILE, check_archive


@dataclass
class Checkpoint:
    """Everything that a run needs to go on where it was.

    A field with a default may be missing in the file of an older version.

    Attributes:
        recipe: The settings, as written by :meth:`Recipe.to_dict`.
        classes: Class names in the order of the logits.
        weights: State of the net.
        optimizer: State of the optimizer.
        step: Steps done.
        history: A record per finished epoch.
        running: Sum of losses and number of steps of the unfinished epoch.
        seconds: Time spent in the unfinished epoch.
        photos: Photos in the training folder, which fix the steps of an epoch; 0 is unknown.
        first_layers: The first layer's weights in 16 bits after every epoch, 0 before the first.
        began_with: What is known of the weights that the run began with (see
            :class:`~vizcnn.training.start.Start`); empty for random ones.
    """

    recipe: dict[str, Any]
    classes: list[str]
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    step: int
    history: list[dict[str, float]] = field(default_factory=list)
    running: tuple[float, int] = (0.0, 0)
    seconds: float = 0.0
    photos: int = 0
    first_layers: dict[int, torch.Tensor] = field(default_factory=dict)
    began_with: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint under a temporary name and move it into place.

    Raises:
        DataError: If it cannot be written; a former checkpoint is then still there.
    """
    with replacing(path, DataError) as temporary, temporary.open("wb") as file:
        try:
            torch.save(vars(checkpoint), file)
        except RuntimeError as error:  # torch's writer hides why a write failed
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of any run.

    Raises:
        WeightsError: If the file is missing, damaged, or not a checkpoint.

    Example:
        >>> read_checkpoint(Path("missing.pt"))
        Traceback (most recent call last):
        vizcnn.basics.errors.WeightsError: no checkpoint 'missing.pt': check the path
    """
    with open_plain_file(path, "checkpoint", WeightsError, LARGEST_FILE) as file:
        check_archive(path, file)
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
            return _check_content(content)
        except MemoryError:
            raise
        except VizcnnError as error:
            reason = str(error)
        except Exception as error:  # torch.load raises a dozen kinds on a damaged file
            reason = shorten((str(error).splitlines() or [type(error).__name__])[0], 120)
            if reason.startswith("Weights only"):  # torch goes on to advise to trust it
                reason = "it holds more than plain tensors"
    raise WeightsError(
        f"the checkpoint {quote(path)} is damaged or of another tool ({reason}): delete it to "
        "start anew"
    )


@dataclass(frozen=True)
class EpochRecord:
    """What is used of the record of an epoch, with the bounds of every value."""

    epoch: Count
    loss: Finite
    top1: Share
    top5: Share
    seconds: Annotated[float, Meta(ge=0, le=1e12)]


@dataclass(frozen=True)
class _Beginning:
    """What is used of the weights that a run began with."""

    file: Text = ""
    sha256: Text = ""
    data: Text | None = None
    top1: Share | None = None
    top5: Share | None = None
    epochs: Count | None = None
    learning_curve: tuple[EpochRecord, ...] = ()


@dataclass(frozen=True)
class _Saved:
    """What a checkpoint may hold, with the bounds of every value."""

    recipe: dict[str, Any]
    classes: Annotated[list[Text], Meta(min_length=1, max_length=10**6)]
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    step: Count
    history: list[EpochRecord] = field(default_factory=list)
    running: tuple[Finite, Count] = (0.0, 0)
    seconds: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    photos: Count = 0
    first_layers: dict[Count, torch.Tensor] = field(default_factory=dict)
    began_with: _Beginning = field(default_factory=_Beginning)


def _check_content(content: Any) -> Checkpoint:
    check(_Saved, content, "checkpoint", WeightsError, own=torch.Tensor)
    recipe = check(Recipe, complete_settings(content["recipe"]), "recipe", WeightsError)
    unknown = content["recipe"].keys() - recipe.to_dict().keys() or content.keys() - _FIELDS
    if unknown:
        raise WeightsError(f"it holds {quote(min(unknown, key=str))}, which is not known")
    if len(content.get("history", ())) > recipe.epochs:
        raise WeightsError(f"it holds more than the {recipe.epochs} epochs of its recipe")
    for name, value in content["weights"].items():
        if value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise WeightsError(f"its {quote(name)} is no plain tensor")
    return Checkpoint(**content)


_FIELDS = {entry.name for entry in fields(Checkpoint)}


def load_checkpoint(path: Path, recipe: Recipe, classes: list[str]) -> Checkpoint:
    """Read a checkpoint and make sure that it belongs to this run.

    Raises:
        WeightsError: If the file is damaged, or was made by another recipe or other classes.
    """
    checkpoint = read_checkpoint(path)
    changes = describe_changes(complete_settings(checkpoint.recipe), recipe.to_dict())
    if checkpoint.classes != classes:
        changes.append("other classes")
    if changes:
        raise WeightsError(
            f"the checkpoint {str(path)!r} is of another run ({', '.join(changes)}): "
            "use the same settings, or another folder for this run"
        )
    return checkpoint
