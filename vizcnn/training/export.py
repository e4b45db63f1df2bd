"""From a checkpoint to weights that one can hand on: fp16 safetensors and a model card."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vizcnn.basics.errors import WeightsError
from vizcnn.basics.files import write_text
from vizcnn.basics.machine import describe_device
from vizcnn.basics.output import read_list, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.filters import measure_filters
from vizcnn.training.card import DataSource, ModelCard, describe_beginning, name_classes
from vizcnn.training.checkpoint import Checkpoint
from vizcnn.training.evaluation import measure_accuracy
from vizcnn.training.kept_nets import carry, find_kept
from vizcnn.training.net import (
    find_trained,
    first_convolution,
    net_options,
    recipe_preprocessing,
)
from vizcnn.training.photos import PhotoFolder
from vizcnn.training.recipe import Recipe, complete_settings
from vizcnn.training.run_folder import name_list, name_outputs, open_run
from vizcnn.zoo.files import WeightMetadata, save_weights
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.snapshots import choose_epochs, save_first_layers


@dataclass(frozen=True)
class ExportedRun:
    """What :func:`export_run` wrote.

    Attributes:
        weights: The fp16 safetensors file.
        card_json: The model card as JSON.
        card_markdown: The model card as Markdown.
        card: The model card.
        first_layers: First layers of some epochs, for
            :func:`~vizcnn.zoo.snapshots.read_first_layers`; None if the run kept none.
        kept: Weight files of the nets that the run kept on the way, by epoch.
    """

    weights: Path
    card_json: Path
    card_markdown: Path
    card: ModelCard
    first_layers: Path | None = None
    kept: Mapping[int, Path] = field(default_factory=dict)


def export_run(
    state: Checkpoint,
    photos: PhotoFolder,
    validation: PhotoFolder,
    out: Path,
    data: DataSource,
    device: str = "cpu",
    progress: Progress = silent,
    began_with: Mapping[str, Any] | None = None,
    held: bool = False,
    kept: bool = False,
) -> ExportedRun:
    """Write ``out/<model>.safetensors``, ``.json``, ``.md`` and the first layers that a run kept.

    Nets of the same run that are kept in the folder stay there, those of another run go.

    Args:
        state: ``run.state()``, or :func:`~vizcnn.training.checkpoint.read_checkpoint` of a file.
        photos: Training photos, counted only.
        validation: Validation photos, loaded; the exported weights are measured on them.
        out: Folder to write to, made when it is missing; see
            :func:`~vizcnn.training.run_folder.open_run`.
        data: Where the photos come from.
        device: Where to measure.
        progress: Shows the validation.
        began_with: What is known of the weights that the run began with (see
            :class:`~vizcnn.training.start.Start`), for a state that does not tell.
        held: The caller has opened the folder already.
        kept: Keep the net of the state's epoch beside what else is there, as
            ``out/<model>.epoch-005.safetensors``, ``.json``, ``.md``, without first layers.

    Returns:
        The paths and the card. All files are moved into place together, or none.

    Raises:
        WeightsError: If a weight is not finite in 16 bits, the classes are not the photos', or
            the run did not begin with those weights.
        DataError: If a file cannot be written, the folder or a file in the way is of others, or
            another run is at work in it.
    """
    recipe = Recipe(**complete_settings(state.recipe))
    start = _recall_start(state, recipe, began_with)
    preprocessing = recipe_preprocessing(recipe)
    options = net_options(recipe, len(state.classes))
    net = find_trained(recipe.model).make(**options).eval()
    net.load_state_dict(halve_weights(state, validation))  # into float32 parameters
    accuracy = measure_accuracy(
        net.to(device), validation, preprocessing, recipe.crop, device, progress=progress
    )
    card = ModelCard(
        model=recipe.model,
        options=options,
        classes=name_classes(state.classes),
        recipe=recipe.to_dict(),
        epochs=len(state.history),
        seed=recipe.seed,
        learning_curve=tuple(state.history),
        train_photos=len(photos),
        val_photos=len(validation),
        unreadable_photos=len(photos.unreadable) + len(validation.unreadable),
        parameters=sum(value.numel() for value in net.parameters()),
        data=data,
        device=describe_device(device),
        torch_version=torch.__version__,
        accuracy=accuracy,
        filters=measure_filters(first_convolution(net).weight),
        began_with=start or None,
    )
    keep = (card.epochs,) if kept else ()
    with nullcontext() if held else open_run(out, card.model, keep):
        if kept:
            return _write(net, card, preprocessing, {}, out, name_outputs(card.model, card.epochs))
        card = replace(card, kept_epochs=find_kept(out, state))
        return _write(net, card, preprocessing, state.first_layers, out, name_outputs(card.model))


def _recall_start(
    state: Checkpoint, recipe: Recipe, given: Mapping[str, Any] | None
) -> dict[str, Any]:
    told = dict(state.began_with or given or {})
    if told and told.get("sha256") != recipe.start:
        begun = f"weights of sha256 {recipe.start[:16]}..." if recipe.start else "random weights"
        raise WeightsError(
            f"the run began with {begun}, not with those of sha256 "
            f"{str(told.get('sha256'))[:16]}...: give what is known of the former, or nothing"
        )
    return told


def _write_first_layers(path: Path, layers: Mapping[int, Tensor], card: ModelCard) -> None:
    start = str(card.recipe["start"])
    unknown = f"weights of sha256 {start[:16]}" if start and not card.began_with else None
    record = {
        "model": card.model,
        "data": card.data.name,
        "epochs": card.recipe["epochs"],
        "start": start,
        "top1": {int(row["epoch"]): round(row["top1"], 4) for row in card.learning_curve},
        "note": f"{card.data.name}; began with "
        + (unknown or describe_beginning(card.began_with or {})),
    }
    chosen = choose_epochs(layers)
    save_first_layers(path, {epoch: layers[epoch] for epoch in chosen}, record)


def _write(
    net: nn.Module,
    card: ModelCard,
    preprocessing: Preprocessing,
    first_layers: Mapping[int, Tensor],
    out: Path,
    names: Mapping[str, str],
) -> ExportedRun:
    with write_folder(out, name_list(card.model), held=True) as staging:
        carry(_list_carried(card, out, names), out, staging)
        write_text(staging / names["card_json"], card.to_json())
        write_text(staging / names["card_markdown"], card.to_markdown())
        if first_layers:
            _write_first_layers(staging / names["first_layers"], first_layers, card)
        metadata = WeightMetadata(
            card.model, card.options, preprocessing, card.classes, card.summary()
        )
        save_weights(staging / names["weights"], net, metadata)
    return ExportedRun(
        card=card,
        weights=out / names["weights"],
        card_json=out / names["card_json"],
        card_markdown=out / names["card_markdown"],
        first_layers=out / names["first_layers"] if first_layers else None,
        kept={
            epoch: out / name_outputs(card.model, epoch)["weights"] for epoch in card.kept_epochs
        },
    )


def _list_carried(card: ModelCard, out: Path, names: Mapping[str, str]) -> Iterable[str]:
    """List the files that stay: of a net kept on the way all others, of a run's end the kept.

    Somebody may have removed one of them, such as a card's Markdown.
    """
    there = {path.as_posix() for path in read_list(out / name_list(card.model))}
    if names != name_outputs(card.model):
        return there - set(names.values())
    kept = [name_outputs(card.model, epoch).values() for epoch in card.kept_epochs]
    return [name for outputs in kept for name in outputs if name in there]


def halve_weights(state: Checkpoint, validation: PhotoFolder) -> dict[str, Tensor]:
    """Round the weights of a state to 16 bits, in torch's usual memory layout.

    Raises:
        WeightsError: If a weight is not finite in 16 bits, or the classes are not the photos'.
    """
    if state.classes != validation.classes:
        raise WeightsError(
            f"the run has {len(state.classes)} classes that are not the {len(validation.classes)} "
            f"of {str(validation.root)!r}: give the photos that it was trained on"
        )
    weights = {name: value.cpu().half().contiguous() for name, value in state.weights.items()}
    broken = [name for name, value in weights.items() if not value.isfinite().all()]
    if broken:
        raise WeightsError(f"{broken[0]} holds values that are not finite in 16 bits: train anew")
    return weights
