"""The folder of a training: checkpoint, weights and card in it are one run's, and no one else's."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vizcnn.basics.errors import DataError, VizcnnError
from vizcnn.basics.files import PREFIX, write_text
from vizcnn.basics.locks import BusyError
from vizcnn.basics.output import open_folder, read_list
from vizcnn.training.checkpoint import read_checkpoint
from vizcnn.zoo.snapshots import SNAPSHOTS_SUFFIX

CHECKPOINT_NAME = "checkpoint.pt"
"""Of the file in the folder that a run goes on from."""


def name_outputs(model: str, epoch: int | None = None) -> dict[str, str]:
    """Name the files that a run hands on: ``weights``, ``card_json``, ..., the weights last.

    Args:
        model: Name of the net.
        epoch: That of a net that is kept on the way; None for the run's end.

    Example:
        >>> name_outputs("zfnet", 5)["weights"]
        'zfnet.epoch-005.safetensors'
    """
    if epoch is not None:
        model = f"{model}.epoch-{epoch:03d}"
        return {
            "card_json": f"{model}.json",
            "card_markdown": f"{model}.md",
            "weights": f"{model}.safetensors",
        }
    return {
        "card_json": f"{model}.json",
        "card_markdown": f"{model}.md",
        "first_layers": f"{model}{SNAPSHOTS_SUFFIX}",
        "weights": f"{model}.safetensors",
    }


def name_list(model: str) -> str:
    """Name the list of the files that trainings of a net wrote into a folder.

    It is another than that of galleries, so that neither kind takes a folder of the other for its
    own and replaces what is in it.
    """
    return f"{PREFIX}train-{model}.json"


@contextmanager
def open_run(folder: Path, model: str, keep: Iterable[int] = ()) -> Iterator[None]:
    """Keep a folder for one training; it is made, and gone again if nothing comes into it.

    Args:
        folder: The folder: missing, empty, or of an earlier training. One that an older version
            wrote is known by its checkpoint.
        model: Name of the net.
        keep: Epochs whose nets are to be kept in it.

    Raises:
        DataError: If it holds files of others, or files of others have the names of what the run
            will write; if it cannot be written, or another run is at work in it.
        WeightsError: If its checkpoint is damaged or of another tool.
    """
    file = folder / name_list(model)
    try:
        with open_folder(folder, file.name, own=_is_of_training(folder)):
            _claim(file, model, keep)
            try:
                yield
            finally:
                if [path.name for path in folder.iterdir()] == [file.name]:
                    file.unlink()
    except VizcnnError as error:
        if type(error) not in (VizcnnError, BusyError):
            raise
        raise DataError(str(error)) from None


def _is_of_training(folder: Path) -> bool:
    return (folder / CHECKPOINT_NAME).is_file() or any(folder.glob(name_list("*")))


def _claim(file: Path, model: str, keep: Iterable[int]) -> None:
    """Make sure that what is there under the names of outputs was written by a training."""
    outputs = [
        file.with_name(name)
        for epoch in (*keep, None)  # the weights of the run's end last
        for name in name_outputs(model, epoch).values()
    ]
    there = [path.name for path in outputs if os.path.lexists(path)]
    if not file.exists():
        # an older version kept no list; it wrote the weights last
        checkpoint = file.with_name(CHECKPOINT_NAME)
        # read even if nothing else is there: it may be another tool's, and so may the folder
        trained = read_checkpoint(checkpoint).recipe["model"] if checkpoint.is_file() else None
        ended = outputs[-1].exists() and trained == model
        write_text(file, json.dumps(there if ended else []))
    foreign = set(there) - {path.as_posix() for path in read_list(file)}
    if foreign:
        raise DataError(
            f"{str(file.with_name(min(foreign)))!r} is in the way and not of a training: move it, "
            "or choose another --out"
        )
