"""Checkpoints of a training run: written atomically, read without unpickling code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vizcnn.basics.errors import DataError, WeightsError
from vizcnn.basics.files import replacing
from vizcnn.training.recipe import Recipe, complete_settings


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
    name = repr(str(path))
    try:
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise WeightsError(f"no checkpoint {name}: check the path") from None
    except OSError as error:
        raise WeightsError(f"the checkpoint {name} cannot be read ({error.strerror})") from None
    except Exception as error:  # torch.load raises a dozen kinds on a damaged file
        raise WeightsError(
            f"the checkpoint {name} is damaged or of another tool: delete it to start anew"
        ) from error


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


def describe_changes(former: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Say which settings differ.

    Args:
        former: Settings by name.
        wanted: The other settings; None stands for one that is missing.

    Example:
        >>> describe_changes({"crop": 128, "seed": 0}, {"crop": 128, "seed": 1, "hidden": 64})
        ['seed 0 -> 1', 'hidden None -> 64']
    """
    return [
        f"{name} {former.get(name)!r} -> {wanted.get(name)!r}"
        for name in {**former, **wanted}
        if former.get(name) != wanted.get(name)
    ]
