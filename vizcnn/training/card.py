"""The model card: what a net was trained on, how, and how good it is, as JSON and Markdown."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from vizcnn.filters import DEAD_SHARE, HIGH_FREQUENCY, measure_filters
from vizcnn.training.evaluation import Accuracy


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
class FilterSummary:
    """The first layer in numbers, by the definitions of :mod:`vizcnn.filters`.

    Attributes:
        count: Filters in the layer.
        dead: Filters whose RMS is at most 5 % of the median RMS.
        median_rms: Median root mean square of the filters.
        median_high_share: Median share of energy above 0.25 cycles/px of the filters alive.
        rms: Root mean square of each filter.
        high_share: Share of energy above 0.25 cycles/px of each filter.
    """

    count: int
    dead: int
    median_rms: float
    median_high_share: float
    rms: tuple[float, ...]
    high_share: tuple[float, ...]


def summarise_filters(weight: Tensor) -> FilterSummary:
    """Put the measures of a first layer's filters (F, C, kh, kw) into plain numbers."""
    measures = measure_filters(weight)
    return FilterSummary(
        count=len(weight),
        dead=int(measures.dead.sum()),
        median_rms=measures.rms.quantile(0.5).item(),
        median_high_share=measures.median_high_share,
        rms=tuple(round(value, 6) for value in measures.rms.tolist()),
        high_share=tuple(round(value, 6) for value in measures.high_share.tolist()),
    )


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
    filters: FilterSummary
    learning_curve: tuple[dict[str, float], ...]

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
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """Write the card for people."""
        parts = [
            f"# {self.model}: {_cell(self.data.name)}",
            _table(("", ""), _list_facts(self)),
            "## Accuracy on the validation photos",
            _describe_accuracy(self.accuracy),
            "## First layer",
            _describe_filters(self.filters),
            "## Recipe",
            _table(("setting", "value"), list(self.recipe.items())),
            "## Learning curve",
            _table(("epoch", "loss", "val top-1", "val top-5", "seconds"), _list_epochs(self)),
        ]
        return "\n\n".join(parts) + "\n"


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
    return [*facts, ("note", card.data.note)] if card.data.note else facts


def _describe_accuracy(accuracy: Accuracy) -> str:
    return (
        f"Top-1 {accuracy.top1:.1%}, top-5 {accuracy.top5:.1%}, mean of the classes' top-1 "
        f"{accuracy.mean_class_top1:.1%}; {accuracy.photos:,} photos, one centre crop each, "
        "the 16-bit weights of this file computed in 32 bits."
    )


def _describe_filters(filters: FilterSummary) -> str:
    return (
        f"{filters.count} filters, median RMS {filters.median_rms:.4f}; {filters.dead} dead (RMS "
        f"at most {DEAD_SHARE:.0%} of the median). Share of a filter's energy above "
        f"{HIGH_FREQUENCY} cycles per pixel: median {filters.median_high_share:.1%} "
        "(white noise: 80.4%; less is smoother)."
    )


def _list_epochs(card: ModelCard) -> list[tuple[Any, ...]]:
    return [
        (
            record["epoch"],
            f"{record['loss']:.3f}",
            f"{record['top1']:.1%}",
            f"{record['top5']:.1%}",
            f"{record['seconds']:.0f}",
        )
        for record in card.learning_curve
    ]


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    """Keep a value in one cell, and from being read as Markdown or HTML."""
    text = " ".join(str(value).split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
