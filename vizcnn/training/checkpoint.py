"""Checkpoints of a training run: written atomically, read without unpickling code."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vizcnn.errors import WeightsError
from vizcnn.training.recipe import Recipe


@dataclass
class Checkpoint:
    """Everything that a run needs to go on where it was.

    Attributes:
        recipe: The settings, as written by :meth:`Recipe.to_dict`.
        classes: Class names in the order of the logits.
        weights: State of the net.
        optimizer: State of the optimizer.
        step: Steps done.
        history: A record per finished epoch.
        running: Sum of losses and number of steps of the unfinished epoch.
    """

    recipe: dict[str, Any]
    classes: list[str]
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    step: int
    history: list[dict[str, float]] = field(default_factory=list)
    running: tuple[float, int] = (0.0, 0)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint under a temporary name and move it into place."""
    temporary = path.with_name(path.name + ".part")
    torch.save(vars(checkpoint), temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path, recipe: Recipe, classes: list[str]) -> Checkpoint:
    """Read a checkpoint and make sure that it belongs to this run.

    Raises:
        WeightsError: If the file is damaged, or was made by another recipe or other classes.
    """
    try:
        checkpoint = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise WeightsError(f"the checkpoint {str(path)!r} cannot be read ({error}): delete it to start anew") from None
    wanted = recipe.to_dict()
    changed = [f"{name} {checkpoint.recipe.get(name)!r} -> {value!r}" for name, value in wanted.items() if checkpoint.recipe.get(name) != value]
    if changed or checkpoint.classes != classes:
        what = ", ".join(changed) or "other classes"
        raise WeightsError(f"the checkpoint {str(path)!r} is of another run ({what}): use another --out, or the same settings")
    return checkpoint
