"""The model card: what a net was trained on, how, and how good it is, as JSON and Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vizcnn.drawing.tables import escape_markdown
from vizcnn.measures.filters import DEAD_SHARE, HIGH_FREQUENCY, FilterMeasures
from vizcnn.training.evaluation import Accuracy
from vizcnn.training.recipe import complete_settings
from vizcnn.zoo.classification import read_class_folder

_CURVE = ("epoch", "loss", "val top-1", "val top-5", "seconds")
"""Head of the table of a learning curve."""
LARGEST_CARD = 1 << 26
"""Bytes of the largest model card that is read."""


@dataclass(frozen=True)
class DataSource:
    """Where the training photos come from; only the user knows.

    Attributes:
        name: Name of the data set.
        licence: Terms of the photos.
        note: What one should know beside.
    """

    name: str
    licence: str = "unknown"
    note: str = ""


@dataclass(frozen=True)
class ModelCard:
    """All that should be known about trained weights.

    Attributes:
        model: Name of the net.
        options: Arguments of the net's class.
        parameters: Number of weights.
        data: Name, licence and note of the photos.
        train_photos: Photos that it was trained on.
        val_photos: Photos that it was measured on.
        unreadable_photos: Files left out because they could not be read.
        classes: Class names in the order of the logits.
        recipe: The training settings.
        epochs: Epochs that were run.
        seed: Seed of the run.
        device: The hardware of the export.
        torch_version: The torch of the export.
        accuracy: Of the exported fp16 weights, computed in float32 on centre crops of val.
        filters: Measures of the exported first layer.
        learning_curve: A record per epoch.
        began_with: What is known of the weights that the run began with, as in
            :class:`~vizcnn.training.start.Start`; None for random ones.
        kept_epochs: Epochs whose nets the run kept beside this one.
    """

    model: str
    options: dict[str, Any]
    parameters: int
    data: DataSource
    train_photos: int
    val_photos: int
    unreadable_photos: int
    classes: tuple[str, ...]
    recipe: dict[str, Any]
    epochs: int
    seed: int
    device: str
    torch_version: str
    accuracy: Accuracy
    filters: FilterMeasures
    learning_curve: tuple[dict[str, float], ...]
    began_with: dict[str, Any] | None = None
    kept_epochs: tuple[int, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Give the few facts that travel inside the weight file."""
        return {
            "data": self.data.name,
            "licence": self.data.licence,
            "train_photos": self.train_photos,
            "val_photos": self.val_photos,
            "top1": round(self.accuracy.top1, 4),
            "top5": round(self.accuracy.top5, 4),
            "epochs": self.epochs,
            "seed": self.seed,
            "note": self.data.note,
        }

    def to_json(self) -> str:
        """Write the whole card as JSON."""
        values = asdict(self) | {"filters": _list_filters(self.filters)}
        if not self.kept_epochs:
            del values["kept_epochs"]
        return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """Write the card for people."""
        parts = [
            f"# {self.model}: {_cell(self.data.name)}",
            _table(("", ""), _list_facts(self)),
            "## Accuracy on the validation photos",
            f"Top-1 {self.accuracy.top1:.1%}, top-5 {self.accuracy.top5:.1%}, mean of the classes' "
            f"top-1 {self.accuracy.mean_class_top1:.1%}; {self.accuracy.photos:,} photos, one "
            "centre crop each, the 16-bit weights of this file computed in 32 bits.",
            "## First layer",
            _describe_filters(self.filters),
            "## Recipe",
            _table(("setting", "value"), list(self.recipe.items())),
            "## Learning curve",
            _table(_CURVE, _list_epochs(self.learning_curve)),
            *_describe_former_training(self),
        ]
        return "\n\n".join(parts) + "\n"


def name_classes(folders: Sequence[str]) -> tuple[str, ...]:
    """Make names for readers of class folders' names.

    Args:
        folders: Names such as ``n03394916_french_horn`` (a WordNet number first, as in ImageNet)
            or ``caltech_sea_horse``.

    Returns:
        The names in words, or the folders' own where two would become the same.

    Example:
        >>> name_classes(["n03394916_french_horn", "caltech_sea_horse"])
        ('french horn', 'sea horse')
    """
    names = tuple(map(read_class_folder, folders))
    return names if len(set(names)) == len(names) else tuple(folders)


def describe_beginning(began_with: Mapping[str, Any]) -> str:
    """Say in a line what weights a run began with.

    Args:
        began_with: As in :class:`~vizcnn.training.start.Start`; empty for random weights.

    Example:
        >>> describe_beginning({"file": "a.safetensors", "data": "toys", "top1": 0.5, "epochs": 24})
        'a.safetensors (toys, top-1 50.0 %), 24 epochs'
    """
    if not began_with:
        return "random weights"
    data, top1, epochs = (began_with.get(name) for name in ("data", "top1", "epochs"))
    told = [data, None if top1 is None else f"top-1 {100 * top1:.1f} %"]
    known = ", ".join(str(fact) for fact in told if fact is not None)
    length = "" if epochs is None else f", {epochs} epochs"
    return str(began_with["file"]) + (f" ({known})" if known else "") + length


def _describe_former_training(card: ModelCard) -> list[str]:
    """Show how the weights that a run began with had been trained, as far as that is known."""
    told = card.began_with or {}
    if "learning_curve" not in told:
        return []
    former = complete_settings(told["recipe"])
    differing = [
        f"{name} {former[name] or 'random weights' if name == 'start' else former[name]}"
        for name, value in card.recipe.items()
        if former[name] != value
    ]
    return [
        "## Learning curve of the weights it began with",
        _table(_CURVE, _list_epochs(told["learning_curve"])),
        "Recipe of that training: "
        + (_cell(f"as above, but {', '.join(differing)}.") if differing else "as above."),
    ]


def _list_facts(card: ModelCard) -> list[tuple[Any, ...]]:
    options = ", ".join(f"{name}={value}" for name, value in card.options.items())
    facts = [
        ("net", f"{card.model} ({options})"),
        ("parameters", f"{card.parameters:,}"),
        ("photos", f"{card.train_photos:,} to train on, {card.val_photos:,} to validate"),
        ("photos left out as unreadable", card.unreadable_photos),
        ("classes", len(card.classes)),
        ("licence of the photos", card.data.licence),
        ("epochs", card.epochs),
        ("seed", card.seed),
        ("measured with", f"torch {card.torch_version} on {card.device}"),
    ]
    if card.began_with:
        facts.append(("began with", describe_beginning(card.began_with)))
    if card.kept_epochs:
        facts.append(("nets kept after epochs", ", ".join(map(str, card.kept_epochs))))
    return [*facts, ("note", card.data.note)] if card.data.note else facts


def _list_filters(filters: FilterMeasures) -> dict[str, Any]:
    return {
        "count": len(filters.rms),
        "dead": int(filters.dead.sum()),
        "median_rms": filters.rms.quantile(0.5).item(),
        "median_high_share": filters.median_high_share,
        "rms": [round(value, 6) for value in filters.rms.tolist()],
        "high_share": [round(value, 6) for value in filters.high_share.tolist()],
    }


def _describe_filters(filters: FilterMeasures) -> str:
    told = _list_filters(filters)
    return (
        f"{told['count']} filters, median RMS {told['median_rms']:.4f}; {told['dead']} dead (RMS "
        f"at most {DEAD_SHARE:.0%} of the median). Share of a filter's energy above "
        f"{HIGH_FREQUENCY} cycles per pixel: median {told['median_high_share']:.1%} "
        "(white noise: 80.4%; less is smoother)."
    )


def _list_epochs(curve: Iterable[Mapping[str, float]]) -> list[tuple[Any, ...]]:
    return [
        (
            record["epoch"],
            f"{record['loss']:.3f}",
            f"{record['top1']:.1%}",
            f"{record['top5']:.1%}",
            f"{record['seconds']:.0f}",
        )
        for record in curve
    ]


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    """Keep a value in one cell, and from being read as Markdown or HTML."""
    return escape_markdown(" ".join(str(value).split()))
