"""Nets as torch modules: without weights, with random ones, or with those of a file."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vizcnn.basics.codec import LARGEST_SIDE
from vizcnn.basics.errors import ModelError, WeightsError, nearest_names, quote, shorten
from vizcnn.basics.memory import format_bytes, require_memory
from vizcnn.zoo.catalogue import name_layers
from vizcnn.zoo.files import Weights
from vizcnn.zoo.likeness import describe_likeness
from vizcnn.zoo.model import ZooModel, find_last_layer
from vizcnn.zoo.naming import look_at
from vizcnn.zoo.preprocessing import Preprocessing, variant_preprocessing
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.registry import IMAGENET_CLASSES, Entry, Variant
from vizcnn.zoo.torchvision_nets import imagenet_classes

LARGEST_OPTIONS = {"classes": 10**6, "input_size": LARGEST_SIDE}
"""Bounds of the options that every net has, which weight files can state as they like."""


def build_module(entry: Entry, options: Mapping[str, Any]) -> nn.Module:
    """Make a net without weights (on torch's meta device, which takes no memory).

    Args:
        entry: The net.
        options: Arguments of vizcnn's own class; ``classes`` and ``input_size`` for torchvision's.

    Raises:
        ModelError: If an option is unknown or its value impossible.
    """
    known = inspect.signature(entry.make).parameters
    for name in options:
        if name not in known:
            raise ModelError(
                f"{entry.name} has no option {quote(name)}: {nearest_names(name, known)}"
            )
    for name, largest in LARGEST_OPTIONS.items():
        value = options.get(name, 1)
        if type(value) is not int or not 1 <= value <= largest:
            raise ModelError(
                f"{entry.name} cannot have {name} {quote(value)}; needed: a whole number, 1 to "
                f"{largest}"
            )
    try:
        with torch.device("meta"):
            return entry.make(**options).eval()
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        reason = shorten(str(error).splitlines()[0], 160)
        given = quote(dict(options), 200)
        raise ModelError(f"{entry.name} cannot be built with {given}: {reason}") from None


def fill_randomly(module: nn.Module, seed: int) -> nn.Module:
    """Give a net without weights random ones: He et al. 2015 (arXiv 1502.01852), zero biases.

    Args:
        module: A net on the meta device.
        seed: Equal seeds give equal weights; torch's own random state is not touched.

    Returns:
        The net on the CPU.

    Raises:
        VizcnnError: If it cannot be held in memory.
    """
    size = count_bytes(module)
    require_memory(size, f"a net of {format_bytes(size)}", "take a smaller one")
    # not to_empty, which loads sympy
    places = {
        name: torch.empty(place.shape, dtype=place.dtype)
        for name, place in module.state_dict().items()
    }
    module.load_state_dict(places, assign=True)
    draw_weights(module, seed)
    return module


def draw_weights(module: nn.Module, seed: int) -> list[str]:
    """Draw a net's weights anew, in place: He et al. 2015 (arXiv 1502.01852), zero biases.

    Statistics of batch normalisation are those that it begins with; other layers draw their weights
    as they do when they are made.

    Args:
        module: A net on the CPU.
        seed: Equal seeds give equal weights; torch's own random state is not touched.

    Returns:
        Names of the parameters that no layer knows how to draw: they stay as they are.
    """
    generator = torch.Generator().manual_seed(seed)
    left: list[str] = []
    with seeded(seed), torch.no_grad():
        for path, part in module.named_modules():
            reset = getattr(part, "reset_parameters", None)
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(part.weight, nonlinearity="relu", generator=generator)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
            elif callable(reset):
                reset()
            else:
                own = part.named_parameters(recurse=False)
                left += [".".join(filter(None, [path, name])) for name, _ in own]
    return left


def untrain(model: ZooModel, seed: int = 0) -> ZooModel:
    """Give a net with random weights in the place of its own; all else stays as it is.

    What its weights have learnt is seen beside it.

    Args:
        model: The net; it is not changed.
        seed: As for :func:`draw_weights`, which says how they are drawn.

    Raises:
        ModelError: If a part has weights of its own that it cannot reset.

    Example:
        >>> from vizcnn.zoo import load
        >>> untrained = untrain(load("lenet"), seed=0)
        >>> untrained.provenance.describe(), untrained.input_size
        ('random weights (untrained)', 32)
    """
    place = next(model.module.parameters()).device
    module = deepcopy(model.module).to("cpu")  # whose random numbers are the same everywhere
    if left := draw_weights(module, seed):
        raise ModelError(
            f"{model.title} cannot be made an untrained net: its {quote(left[0])} is no part that "
            "torch can draw anew"
        )
    provenance = Provenance("random", data="none", licence="none", note=f"seed {seed}")
    return replace(model, module=module.to(place), provenance=provenance)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from a seed; its own state is as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def count_bytes(module: nn.Module) -> int:
    """Count the bytes of a net's weights, wherever they are."""
    return sum(value.nbytes for value in (*module.parameters(), *module.buffers()))


def assemble(entry: Entry, weights: Weights) -> ZooModel:
    """Build a net and put weights into it.

    Args:
        entry: The net.
        weights: What was read.

    Raises:
        WeightsError: If the weights are another net's.
        ModelError: If the options make no net.
    """
    form = entry.find_variant(weights.variant)
    options = dict(weights.options)
    module = build_module(entry, options)
    preprocessing = weights.preprocessing or variant_preprocessing(form, options)
    size = options.get("input_size", preprocessing.input_size)
    if size != preprocessing.input_size:
        preprocessing = preprocessing.at_size(size)
    state = entry.adapt(weights.state)
    location = weights.provenance.location
    is_foreign = weights.classes is None  # our own files say which net they are of
    complaint = f"the weights in {location!r} are not {entry.name}'s"
    check_state(module, state, complaint, location if is_foreign else "")
    load_weights(module, state)
    count = _count_outputs(entry, module, preprocessing)
    if weights.classes is not None and len(weights.classes) != count:
        raise WeightsError(
            f"{quote(weights.provenance.location)} names {len(weights.classes)} classes, its net "
            f"has {count}: export it anew"
        )
    return ZooModel(
        name=entry.name,
        title=entry.title,
        module=module,
        preprocessing=preprocessing,
        layers=name_layers(module) or entry.layers(module),
        classes=weights.classes
        or (imagenet_classes() if count == IMAGENET_CLASSES else number_classes(count)),
        provenance=weights.provenance,
        options=options,
    )


def assemble_random(entry: Entry, variant: Variant, options: dict[str, Any], seed: int) -> ZooModel:
    """Build a net with random weights, whose classes are numbered."""
    if entry.whole:
        with seeded(seed):
            module = build_module(entry, options)
    else:
        module = fill_randomly(build_module(entry, options), seed)
    preprocessing = variant_preprocessing(variant, options)
    return ZooModel(
        name=entry.name,
        title=entry.title,
        module=module,
        preprocessing=preprocessing,
        layers=name_layers(module) or entry.layers(module),
        classes=number_classes(_count_outputs(entry, module, preprocessing)),
        provenance=Provenance("random", data="none", licence="none", note=f"seed {seed}"),
        options=options,
    )


def number_classes(count: int) -> tuple[str, ...]:
    """Name classes that have no names: class 0, class 1, ..."""
    return tuple(f"class {number}" for number in range(count))


def _count_outputs(entry: Entry, module: nn.Module, preprocessing: Preprocessing) -> int:
    """Count a net's logits, by a run where the last layer need not be the last listed."""
    if entry.whole:
        return look_at(module, preprocessing).output[0]
    return count_classes(module)


def count_classes(module: nn.Module) -> int:
    """Count the logits of a net of the catalogue."""
    return int(find_last_layer(module)[1].weight.shape[0])


def infer_options(
    entry: Entry, state: Mapping[str, Tensor], options: dict[str, Any]
) -> dict[str, Any]:
    """Read the number of classes off the last layer of a state dict, unless it was given."""
    path, _ = find_last_layer(build_module(entry, {}))
    weight = state.get(f"{path}.weight")
    if weight is None or "classes" in options:
        return options
    return {**options, "classes": int(weight.shape[0])}


def load_weights(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a state dict into a net on the meta device.

    Counts of batches, which evaluation does not need, are zero where there are none, as in files
    from before torch 0.4.1.
    """
    counts = {
        name: torch.zeros(place.shape, dtype=place.dtype)
        for name, place in module.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    # some parts ask of what version their tensors are, and files of plain tensors do not say
    values = module.state_dict()
    values.update(counts)
    values.update(state)
    module.load_state_dict(values, strict=False, assign=True)


def check_state(
    module: nn.Module,
    state: Mapping[str, Tensor],
    complaint: str,
    location: str = "",
    advice: str = "give the options that the net was trained with",
) -> None:
    """Make sure that a state dict fits a net.

    Args:
        module: The net.
        state: Tensors by name.
        complaint: Beginning of the error.
        location: The file, if the error is to name the net that it looks like.
        advice: What to do if it looks like none.

    Raises:
        WeightsError: If a tensor is missing, left over, of another shape, or of whole numbers where
            weights belong.
    """
    places = module.state_dict()
    # files from before torch 0.4.1 do not count batches, which evaluation does not need
    missing = [
        name for name in places if name not in state and not name.endswith("num_batches_tracked")
    ]
    left_over = [name for name in state if name not in places]
    wrong = [
        f"{name} is {shorten(str(tuple(state[name].shape)), 60)}, needed {tuple(place.shape)}"
        for name, place in places.items()
        if name in state and state[name].shape != place.shape
    ]
    rounded = [
        f"{name} is of {str(state[name].dtype).removeprefix('torch.')}, needed {kind}"
        for name, place in places.items()
        for kind in ["floating-point numbers" if place.is_floating_point() else "whole numbers"]
        if name in state and state[name].is_floating_point() != place.is_floating_point()
    ]
    faults = [
        *_summarise("missing", missing),
        *_summarise("left over", [repr(name)[1:-1] for name in left_over]),  # the file's own
        *_summarise("", wrong),
        *_summarise("", rounded),
    ]
    if faults:
        if len(faults) == 1 and rounded:
            way_out = "save the weights as float32, of a quantised net those from before it was"
        else:
            likeness = describe_likeness(module, state, location) if location else ""
            way_out = likeness or advice
        raise WeightsError(f"{complaint}: {'; '.join(faults)}; {way_out}")


def _summarise(what: str, names: list[str]) -> Iterable[str]:
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{what} {shorten(names[0], 160)}{more}".strip()
