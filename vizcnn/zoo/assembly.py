"""Put weights into a net: every tensor must have its place, and every place its tensor."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.building import build_module, fill_randomly, make_preprocessing
from vizcnn.zoo.catalogue import IMAGENET_CLASSES, Entry, Variant
from vizcnn.zoo.files import Weights
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.naming import name_layers
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.sources import imagenet_classes

_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Side branches of GoogLeNet and Inception v3 that only training uses."""
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
"""torchvision's files of DenseNet write ``norm.1`` where its class says ``norm1``."""


def assemble(entry: Entry, weights: Weights) -> ZooModel:
    """Build a net and put weights into it.

    Args:
        entry: The net.
        weights: What was read.

    Raises:
        WeightsError: If the weights are another net's.
        ModelError: If the options make no net.
    """
    state = adapt_names(entry, weights.state)
    options = dict(weights.options)
    module = build_module(entry, options)
    check_state(
        module, state, f"the weights in {weights.provenance.location!r} are not {entry.name}'s"
    )
    module.load_state_dict(state, strict=False, assign=True)
    count = count_classes(module)
    return ZooModel(
        name=entry.name,
        title=entry.title,
        module=module,
        preprocessing=_choose_preprocessing(weights, entry.find_variant(weights.variant)),
        layers=name_layers(module),
        classes=weights.classes or _guess_classes(count),
        provenance=weights.provenance,
        options=options,
    )


def assemble_random(entry: Entry, variant: Variant, options: dict[str, Any], seed: int) -> ZooModel:
    """Build a net with random weights, whose classes are numbered."""
    module = fill_randomly(build_module(entry, options), seed)
    return ZooModel(
        name=entry.name,
        title=entry.title,
        module=module,
        preprocessing=variant_preprocessing(variant, options),
        layers=name_layers(module),
        classes=number_classes(count_classes(module)),
        provenance=Provenance("random", data="none", licence="none", note=f"seed {seed}"),
        options=options,
    )


def variant_preprocessing(variant: Variant, options: Mapping[str, Any]) -> Preprocessing:
    """Make the preprocessing of a net's form."""
    return make_preprocessing(variant.style, options.get("input_size", variant.input_size))


def _choose_preprocessing(weights: Weights, variant: Variant) -> Preprocessing:
    told = weights.preprocessing
    if told is None:
        return variant_preprocessing(variant, weights.options)
    size = weights.options.get("input_size", told.input_size)
    return told if size == told.input_size else told.at_size(size)


def number_classes(count: int) -> tuple[str, ...]:
    """Name classes that have no names: class 0, class 1, ..."""
    return tuple(f"class {number}" for number in range(count))


def count_classes(module: nn.Module) -> int:
    """Count a net's logits."""
    return int(_last_layer(module)[1].weight.shape[0])


def infer_options(
    entry: Entry, state: Mapping[str, Tensor], options: dict[str, Any]
) -> dict[str, Any]:
    """Read the number of classes off the last layer of a state dict, unless it was given."""
    path, _ = _last_layer(build_module(entry, {}))
    weight = state.get(f"{path}.weight")
    if weight is None or "classes" in options:
        return options
    return {**options, "classes": int(weight.shape[0])}


def adapt_names(entry: Entry, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring the names in torchvision's files to those of its classes as they are used here."""
    if entry.own:
        return dict(state)
    return {
        _OLD_DENSENET.sub(r"\1\2.", name): value
        for name, value in state.items()
        if not (entry.builder in ("googlenet", "inception_v3") and name.startswith(_AUXILIARY))
    }


def check_state(module: nn.Module, state: Mapping[str, Tensor], complaint: str) -> None:
    """Make sure that a state dict fits a net.

    Args:
        module: The net.
        state: Tensors by name.
        complaint: Beginning of the error.

    Raises:
        WeightsError: If a tensor is missing, left over or of another shape.
    """
    places = module.state_dict()
    # files from before torch 0.4.1 do not count batches, which evaluation does not need
    missing = [
        name for name in places if name not in state and not name.endswith("num_batches_tracked")
    ]
    left_over = [name for name in state if name not in places]
    wrong = [
        f"{name} is {tuple(state[name].shape)}, needed {tuple(places[name].shape)}"
        for name in places
        if name in state and state[name].shape != places[name].shape
    ]
    faults = [
        *_summarise("missing", missing),
        *_summarise("left over", left_over),
        *_summarise("", wrong),
    ]
    if faults:
        raise WeightsError(
            f"{complaint}: {'; '.join(faults)}; give the options that the net was trained with"
        )


def _summarise(what: str, names: list[str]) -> Iterable[str]:
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{what} {names[0]}{more}".strip()


def _guess_classes(count: int) -> tuple[str, ...]:
    """Name the classes of a file that does not; a thousand are taken for ImageNet's."""
    return imagenet_classes() if count == IMAGENET_CLASSES else number_classes(count)


def _last_layer(module: nn.Module) -> tuple[str, nn.Conv2d | nn.Linear]:
    layers = [
        (path, part)
        for path, part in module.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    ]
    return layers[-1]
