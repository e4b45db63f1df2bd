"""Trained weights that a run begins with, in place of random ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from torch import Tensor

from vizcnn.basics.codec import Finite, Text, check, read_json
from vizcnn.basics.errors import WeightsError, describe_changes
from vizcnn.basics.files import hash_file
from vizcnn.training.card import LARGEST_CARD, name_classes
from vizcnn.training.checkpoint import EpochRecord
from vizcnn.training.net import net_options
from vizcnn.training.recipe import Recipe
from vizcnn.zoo.files import WeightMetadata, read_metadata
from vizcnn.zoo.state_dicts import check_file, read_state

_TOLD = ("data", "top1", "top5", "epochs")
"""What is taken over from the weight file's own record."""
_CURVE = {"epoch", "loss", "top1", "top5", "seconds"}
"""What each record of a learning curve must have to be shown."""


@dataclass(frozen=True)
class Start:
    """Weights that a run begins with.

    Attributes:
        weights: State of the net by name, float32.
        sha256: Checksum of the file that they were read from.
        began_with: What is known of them, in plain values: ``file`` (its name), ``sha256``; from
            the file's own record ``data``, ``top1``, ``top5`` (0..1) and ``epochs``; from the
            model card beside it ``recipe`` and ``learning_curve``. What is unknown is left out.
    """

    weights: dict[str, Tensor]
    sha256: str
    began_with: dict[str, Any]

    def complete(self, recipe: Recipe) -> Recipe:
        """Write down in a recipe that it begins with these weights.

        Raises:
            WeightsError: If the recipe begins with others.

        Example:
            >>> Start({}, "7487c4", {}).complete(Recipe("zfnet")).start
            '7487c4'
        """
        if recipe.start not in ("", self.sha256):
            raise WeightsError(
                f"the recipe begins with the weights of sha256 {recipe.start[:16]}..., given are "
                f"those of {self.sha256[:16]}...: give the former, or leave the recipe's start out"
            )
        return replace(recipe, start=self.sha256)


def read_start(path: Path, recipe: Recipe, classes: Sequence[str]) -> Start:
    """Read the weights that a run is to begin with.

    Args:
        path: A ``.safetensors`` file that vizcnn wrote: bundled, or exported by a run.
        recipe: The settings of the new run.
        classes: Names of the class folders of its photos.

    Returns:
        The weights, with what their file and the model card beside it tell of them.

    Raises:
        WeightsError: If the file is missing, damaged or not vizcnn's own, or holds another net,
            the same net with other options, or one for other classes.

    Example:
        >>> read_start(Path("missing.safetensors"), Recipe("zfnet"), ["ant", "bee"])
        Traceback (most recent call last):
        vizcnn.basics.errors.WeightsError: no weight file 'missing.safetensors': check the path
    """
    check_file(path)
    metadata = read_metadata(path) if path.suffix == ".safetensors" else None
    if metadata is None:
        raise WeightsError(
            f"{str(path)!r} was not written by vizcnn; needed to begin a training: a .safetensors "
            "file that vizcnn train wrote, or a bundled one"
        )
    _require_same_net(path, metadata, recipe, classes)
    sha256 = hash_file(path, "weight file", WeightsError)
    told = {name: metadata.card[name] for name in _TOLD if metadata.card.get(name) is not None}
    began_with = {"file": path.name, "sha256": sha256, **told, **_read_card(path, metadata)}
    return Start(read_state(path), sha256, began_with)


def _require_same_net(
    path: Path, metadata: WeightMetadata, recipe: Recipe, classes: Sequence[str]
) -> None:
    name = repr(str(path))
    if metadata.model != recipe.model:
        raise WeightsError(
            f"{name} holds weights of {metadata.model!r}, not of {recipe.model!r}: train "
            f"{metadata.model!r}, or begin with other weights"
        )
    wanted = name_classes(classes)
    if metadata.classes != wanted:
        raise WeightsError(
            f"{name} knows other classes than the photos ({_compare(metadata.classes, wanted)}): "
            "give photos of the same classes, or begin with other weights"
        )
    changes = describe_changes(metadata.options, net_options(recipe, len(classes)))
    if changes:
        raise WeightsError(
            f"{name} holds {recipe.model} with other options ({', '.join(changes)}): set them as "
            "in the file, or begin with other weights"
        )


def _compare(known: Sequence[str], wanted: Sequence[str]) -> str:
    """Name the first class that differs, or the numbers of classes."""
    if len(known) != len(wanted):
        return f"{len(known)} in the file, {len(wanted)} in the photos"
    one, other = next(pair for pair in zip(known, wanted, strict=True) if pair[0] != pair[1])
    return f"{one!r} in the file, {other!r} in the photos"


@dataclass(frozen=True)
class _Card:
    """What is taken from a model card, with the bounds of every value."""

    accuracy: dict[str, Finite]
    classes: tuple[Text, ...]
    recipe: dict[Text, float | int | bool | str | None]
    learning_curve: Annotated[tuple[EpochRecord, ...], Meta(max_length=10**6)]


def _read_card(path: Path, metadata: WeightMetadata) -> dict[str, Any]:
    """Take recipe and learning curve from the card beside a weight file, if it is that file's."""
    try:
        card = read_json(path.with_suffix(".json"), "card", WeightsError, LARGEST_CARD)
        check(_Card, card, "card", WeightsError)
        accuracy = {name: round(card["accuracy"][name], 4) for name in ("top1", "top5")}
        facts = {"data": card["data"]["name"], **accuracy}
        facts |= {name: card[name] for name in ("epochs", "seed", "train_photos", "val_photos")}
        same = all(metadata.card.get(name) == value for name, value in facts.items())
        net = (card["model"], card["recipe"]["model"], tuple(card["classes"]))
        own = net == (metadata.model, metadata.model, metadata.classes)
        curve = [dict(record) for record in card["learning_curve"]]
        told = {"recipe": dict(card["recipe"]), "learning_curve": curve}
    except (WeightsError, KeyError, TypeError, AttributeError):
        return {}  # the card is a help: the weights can do without it
    return told if same and own and all(record.keys() >= _CURVE for record in curve) else {}
