"""A tiny data set and a tiny run, for the tests of training."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vizcnn.training.checkpoint import Checkpoint
from vizcnn.training.loop import TrainingRun
from vizcnn.training.photos import open_photos
from vizcnn.training.recipe import Recipe

COUNTS = {"train": {"ant": 8, "bee": 4, "cat": 2}, "val": {"ant": 2, "bee": 2, "cat": 3}}
CROP = 64
RECIPE = Recipe("alexnet", epochs=2, crop=CROP, hidden=16, batch=4, seed=3)
"""Three steps and one batch of validation in each of two epochs."""


def make_data(root: Path) -> Path:
    """Write noise of a colour per class as an ImageFolder."""
    generator = np.random.default_rng(0)
    for part, counts in COUNTS.items():
        for number, (name, count) in enumerate(counts.items()):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                values = generator.integers(0, 120, (RECIPE.resize, RECIPE.resize, 3))
                values[..., number] += 120
                Image.fromarray(values.astype(np.uint8)).save(folder / f"{index}.png")
    return root


def make_run(data: Path, checkpoint: Path, recipe: Recipe = RECIPE, **options: Any) -> TrainingRun:
    """Make a run, going on from the checkpoint if it exists."""
    photos, validation = open_photos(data, recipe.resize)
    return TrainingRun(recipe, photos, validation, checkpoint, **options)


def cut_after(count: int, stop: Callable[[], Any]) -> Callable[..., Iterator[Any]]:
    """Make a progress that lets so many steps and batches of validation pass, then stops."""
    left = [count]

    def progress(
        items: Iterable[Any],
        *,
        label: str,
        total: int | None = None,
        unit: str = "it",
        initial: int = 0,
    ) -> Iterator[Any]:
        for item in items:
            if not label.startswith("read"):
                if left[0] == 0:
                    stop()
                left[0] -= 1
            yield item

    return progress


def interrupt_step(patch: pytest.MonkeyPatch, number: int) -> None:
    """Let Ctrl-C meet a training at the beginning of one of its steps, counted from 1."""
    begun: list[object] = []
    zero_grad = torch.optim.Optimizer.zero_grad

    def count(optimizer: Any, *arguments: Any, **options: Any) -> None:
        begun.append(optimizer)
        if len(begun) == number:
            raise KeyboardInterrupt
        zero_grad(optimizer, *arguments, **options)

    patch.setattr(torch.optim.Optimizer, "zero_grad", count)


def fingerprint(state: Checkpoint) -> str:
    """Hash all that a run has become, except for the time that it took."""
    entries = state.optimizer["state"]
    momentum = [entries[index]["momentum_buffer"] for index in sorted(entries)]
    history = [{k: v for k, v in record.items() if k != "seconds"} for record in state.history]
    numbers = repr((history, state.step, state.running, state.classes, state.recipe))
    digest = hashlib.sha256(numbers.encode())
    for tensor in [*state.weights.values(), *momentum]:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def run_until_killed_while_saving(data: Path, checkpoint: Path, saves: int) -> None:
    """Run with a save after every step, and die by SIGKILL in the middle of one."""
    import os
    import signal

    whole_save, left = torch.save, [saves]

    def save(content: object, file: Any) -> None:
        if left[0] == 0:
            file.write(b"half of a checkpoint")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        whole_save(content, file)

    torch.set_num_threads(1)
    torch.save = save  # type: ignore[assignment]
    make_run(data, checkpoint, checkpoint_seconds=0).run()


if __name__ == "__main__":
    run_until_killed_while_saving(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
