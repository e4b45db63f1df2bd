"""Relevance: how far each place speaks for the photo's true class, by activation times gradient."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from vizcnn.basics.errors import DataError, LayerError, ModelError, quote
from vizcnn.mining.passes import AlignRows, Forward, has_odd_columns, has_odd_rows
from vizcnn.mining.photo_sets import PartOfPhotos, PhotoSet
from vizcnn.photos.remote_photos import RemotePhoto
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.layers import LayerReference, parse_call
from vizcnn.recording.watch import evaluating, watch
from vizcnn.zoo.model import ZooModel, find_true_class

UNCLASSED = -1
"""Number of the class of a photo whose folder names none of the net."""

SHOWN_CLASSES = 3
"""Classes that an error names."""

See = Callable[[str, Tensor, Tensor], None]
"""Takes a layer's name, its output, and the relevance of each of its values."""

RelevancePass = Callable[[Tensor, Tensor, See], None]
"""Runs a net on inputs and back from a logit of each; shows each wanted layer."""


def find_classes(model: ZooModel, photos: PhotoSet) -> Callable[[int], int]:
    """Make the function that gives the class of a photo of a set by the photo's number.

    It looks at the folder in the photo's name; of one that has none, at the path to it. It gives
    :data:`UNCLASSED` where the folder names no class of the net.
    """
    find = cache(lambda folder: find_true_class(model, str(folder / "photo")))
    places = getattr(photos, "locate", None)

    def find_of(number: int) -> int:
        path = PurePath(photos.names[number])
        if len(path.parts) < 2 and places:
            place = places(number)
            place = place.path if isinstance(place, RemotePhoto) else place
            path = place if isinstance(place, PurePath) else path
        found = find(path.parent)
        return UNCLASSED if found is None else found

    return find_of


def list_true_classes(model: ZooModel, photos: PhotoSet) -> NDArray[np.int32]:
    """Give the number of each photo's class, by the folder that it lies in.

    Args:
        model: A net of the zoo.
        photos: The photos.

    Returns:
        (photos,), :data:`UNCLASSED` where the folder names no class of the net.

    Raises:
        DataError: If not a single one has a class, in the whole set that this may be a part of.
    """
    find = find_classes(model, photos)
    classes = np.array([find(number) for number in range(len(photos.names))], np.int32)
    if (classes == UNCLASSED).all() and not isinstance(photos, PartOfPhotos):
        some = ", ".join(map(quote, model.classes[:SHOWN_CLASSES]))
        raise DataError(
            f"no photo lies in a folder named after a class of {model.title}, such as {some}, and "
            "relevance is for a photo's true class: give folders of classes (CLASS/photo.jpg), or "
            "choose another --rank"
        )
    return classes


@contextmanager
def watch_relevance(
    module: nn.Module, layers: Mapping[str, str], classes: int
) -> Iterator[RelevancePass]:
    """Watch layers of a net through many passes forwards, and back from one logit of each photo.

    The relevance of a value is the value times the gradient of that logit with respect to it: what
    it adds to the logit, to first order. It is exact in the last layer before linear ones. As
    :func:`~vizcnn.mining.passes.watch_layers`, in evaluation mode and repeatable to the bit; on
    leaving, by success or by an exception, hooks and flags are as they were, and no parameter has a
    gradient that it had not.

    Args:
        module: The net; it puts out logits, (N, classes).
        layers: Names, and module paths, checked by :func:`~vizcnn.mining.passes.measure_layers`.
        classes: How many logits it has to put out, at least.

    Yields:
        The function that runs the net; it takes inputs, the number of a class for each, or
        :data:`UNCLASSED`, of which all relevances are zero, and what is shown the layers.
    """
    names: dict[LayerReference, list[str]] = {}
    for name, layer in layers.items():
        names.setdefault(parse_call(layer), []).append(name)
    seen: dict[LayerReference, tuple[Tensor, GradientEdge | None]] = {}

    def look(call: LayerReference, args: Any, output: Tensor) -> None:
        if call in names:
            # now: a later operation in place would make the tensor itself its own output
            edge = get_gradient_edge(output) if output.requires_grad else None
            seen[call] = output.detach().clone(), edge

    def run(inputs: Tensor, own: Tensor, see: See) -> None:
        seen.clear()
        with torch.enable_grad():
            # a net whose weights are frozen has a graph only for that; it may be written over
            logits = module(inputs.detach().requires_grad_().clone())
            value = _add_logits(logits, own, classes)
        missing = [name for call, called in names.items() if call not in seen for name in called]
        if missing:
            raise LayerError(f"layer {min(missing)!r} was not reached in a forward pass")
        edges = [edge for _, edge in seen.values() if edge is not None]
        found = iter(torch.autograd.grad(value, edges, allow_unused=True) if edges else ())
        for call, (maps, edge) in seen.items():
            gradient = None if edge is None else next(found)
            # what leads to no logit is of no relevance
            relevance = torch.zeros_like(maps) if gradient is None else maps * gradient
            for name in names[call]:
                see(name, maps, relevance)
        seen.clear()

    with ExitStack() as stack:
        stack.enter_context(evaluating(module))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(chosen_arithmetic())
        if has_odd_rows(module) or has_odd_columns(module):
            stack.enter_context(AlignRows(columns=True))
        stack.enter_context(watch(module, layers.values(), look))
        yield run


def show_outputs(back: RelevancePass) -> Forward:
    """Give the function that shows what layers put out, of :func:`watch_relevance`."""

    def forward(inputs: Tensor, see: Callable[[str, Tensor], None]) -> None:
        classes = torch.full((len(inputs),), UNCLASSED, device=inputs.device)
        back(inputs, classes, lambda name, maps, relevance: see(name, maps))

    return forward


def _add_logits(logits: Any, own: Tensor, classes: int) -> Tensor:
    """Add up the logits of the photos' classes; the gradient of each photo is that of its own.

    Raises:
        ModelError: If the net puts out no logits, or none of such a number.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.requires_grad:
        raise ModelError(
            "the net puts out no logits, (N, classes), that depend on the photo: relevance needs "
            "the logit of a photo's class"
        )
    if logits.shape[1] < classes:
        raise ModelError(
            f"the net puts out {logits.shape[1]} logits for {classes} classes: give the list of "
            "its own (--classes)"
        )
    found = logits.gather(1, own.clamp(min=0)[:, None])[:, 0]
    return (found * (own != UNCLASSED)).sum()
