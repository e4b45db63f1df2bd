"""Whole nets of a run after chosen epochs: which are there, which are still to come."""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from vizcnn.basics.codec import read_json
from vizcnn.basics.errors import DataError, VizcnnError, WeightsError
from vizcnn.basics.memory import format_bytes
from vizcnn.basics.output import read_list
from vizcnn.training.card import LARGEST_CARD, name_classes
from vizcnn.training.checkpoint import Checkpoint
from vizcnn.training.recipe import Recipe, complete_settings
from vizcnn.training.run_folder import name_list, name_outputs

BYTES_PER_WEIGHT = 2
"""Of a weight in the files that a run hands on."""


def find_kept(out: Path, state: Checkpoint) -> tuple[int, ...]:
    """Find the nets that a run has kept in its folder; those of an earlier run do not count.

    A kept net is the run's if its card tells of the run's recipe, classes and first epochs.

    Args:
        out: The folder of the run.
        state: The run's present state, at the kept epochs or later.

    Returns:
        The epochs, rising.

    Example:
        >>> find_kept(Path("missing"), Checkpoint({"model": "zfnet"}, ["ant"], {}, {}, 0))
        ()
    """
    model = state.recipe["model"]
    form = re.compile(re.escape(model) + r"\.epoch-([0-9]{3,9})\.safetensors")
    names = [path.as_posix() for path in read_list(out / name_list(model))]
    epochs = sorted(int(match[1]) for name in names if (match := form.fullmatch(name)))
    return tuple(epoch for epoch in epochs if _is_of_run(out, state, epoch))


def _is_of_run(out: Path, state: Checkpoint, epoch: int) -> bool:
    path = out / name_outputs(state.recipe["model"], epoch)["card_json"]
    try:
        card = read_json(path, "card", WeightsError, LARGEST_CARD)
        told = (complete_settings(card["recipe"]), card["classes"], card["learning_curve"])
    except (WeightsError, KeyError, TypeError):
        return False
    curve = state.history[:epoch]
    own = (complete_settings(state.recipe), list(name_classes(state.classes)), curve)
    return len(curve) == epoch and told == own


def plan_kept(
    asked: Iterable[int], recipe: Recipe, out: Path, state: Checkpoint, at_end_of_epoch: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tell which nets a run is still to keep, and which it no longer can.

    Args:
        asked: Epochs after which the net is to be kept; 0 is before the first.
        recipe: The run's settings.
        out: The folder of the run.
        state: The run's present state.
        at_end_of_epoch: Whether the state is that after its last finished epoch.

    Returns:
        The epochs that are still to come, the present one included, and those that are past and
        were not kept.

    Raises:
        DataError: If an epoch is beyond the run's end.
        VizcnnError: If the disk has no room for the nets.
    """
    wanted = sorted(set(asked))
    if wanted and wanted[-1] > recipe.epochs:
        raise DataError(
            f"there is no epoch {wanted[-1]} to keep: the run ends after {recipe.epochs} "
            "(--keep, --epochs)"
        )
    there = find_kept(out, state)
    done = len(state.history)
    missing = [epoch for epoch in wanted if epoch not in there]
    due = tuple(epoch for epoch in missing if epoch > done or (epoch == done and at_end_of_epoch))
    needed = len(due) * count_kept_bytes(state)
    free = shutil.disk_usage(out).free
    if needed > free:
        raise VizcnnError(
            f"{len(due)} nets to keep take {format_bytes(needed)} of disk, and "
            f"{format_bytes(free)} are free in {str(out)!r}: keep fewer (--keep)"
        )
    return due, tuple(epoch for epoch in missing if epoch not in due)


def count_kept_bytes(state: Checkpoint) -> int:
    """Give the size of the file of one net; its card is small.

    Example:
        >>> import torch
        >>> count_kept_bytes(Checkpoint({}, [], {"weight": torch.zeros(8, 3)}, {}, 0))
        48
    """
    return BYTES_PER_WEIGHT * sum(value.numel() for value in state.weights.values())


def carry(names: Iterable[str], out: Path, staging: Path) -> None:
    """Let files of a folder stand among those that are about to replace its own.

    Args:
        names: Of files in the folder.
        out: The folder.
        staging: Where its new files are collected.
    """
    for name in names:
        try:
            os.link(out / name, staging / name, follow_symlinks=False)
        except OSError:  # a file system without links
            shutil.copyfile(out / name, staging / name, follow_symlinks=False)
