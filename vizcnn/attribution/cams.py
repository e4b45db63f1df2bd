"""Class activation maps of a layer with places, for any unit above it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from vizcnn.attribution.gradients import project_back
from vizcnn.attribution.question import AttributionSettings, Question
from vizcnn.attribution.readout import pick_units, read_layers
from vizcnn.basics.errors import LayerError, quote
from vizcnn.recording.layers import find_layer

UPSAMPLING = "enlarged bilinearly, corners not aligned"
"""How a layer's map becomes one of the photo's pixels, in words."""


def find_cam_layer(question: Question, settings: AttributionSettings) -> str:
    """Find the layer that class activation maps look at.

    It is the one asked for, or the last of the net's named layers that has several places and that
    the unit depends on: for a class conv5, for a unit of conv5 conv4. Pooled and normalised maps
    (pool5, norm2) are not taken where there are layers named conv, as Grad-CAM's paper takes
    convolutional ones.

    Raises:
        LayerError: If there is none, or the one asked for has no places or is not below the unit.
    """
    paths: dict[str, str] = {}
    for name in [settings.cam_layer] if settings.cam_layer else question.model.layers:
        paths.setdefault(find_layer(question.model, name), name)
    paths.pop(find_layer(question.model, question.layer), None)
    fitting = _list_below(question, list(paths.values()))
    if settings.cam_layer and not fitting:
        raise LayerError(
            f"class activation maps cannot look at {quote(settings.cam_layer)}: it has no places, "
            f"or unit {int(question.units[0])} of {question.layer} does not depend on it; name a "
            "convolutional layer below that one with --cam-layer"
        )
    if not fitting:
        raise LayerError(
            f"class activation maps need a layer with places below {question.layer}, and there is "
            "none: choose a higher layer with --layer"
        )
    return ([name for name in fitting if name.startswith("conv")] or fitting)[-1]


def _list_below(question: Question, layers: list[str]) -> list[str]:
    """List those layers with places that the first unit in question depends on, as called."""
    with _with_gradients():
        read = read_layers(question.model, question.pixels, [*layers, question.layer])
        own = read.pop(question.layer).maps
        value = pick_units(own, question.units[:1], question.position)
        edges = {
            name: found.edge
            for name, found in read.items()
            if found.edge is not None
            and found.maps.ndim == 4
            and found.maps[0, 0].numel() > 1
            # the last part of a block puts out what the block does: there the unit is itself
            and not torch.equal(found.maps, own)
        }
        if not edges:
            return []
        slopes = torch.autograd.grad(value.sum(), list(edges.values()), allow_unused=True)
    return [name for name, slope in zip(edges, slopes, strict=True) if slope is not None]


@contextmanager
def _with_gradients() -> Iterator[None]:
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _read_gradients(question: Question, layer: str) -> tuple[Tensor, Tensor]:
    """Give a layer's maps A (C, h, w), and the units' gradients there (R, C, h, w)."""
    with _with_gradients():
        read = read_layers(question.model, question.pixels, [layer, question.layer])
        values = pick_units(read[question.layer].maps, question.units, question.position)[0]
        edge = read[layer].edge
        assert edge is not None  # find_cam_layer has seen it
        slopes = [torch.autograd.grad(value, edge, retain_graph=True)[0][0] for value in values]
    return read[layer].maps[0].detach(), torch.stack(slopes).detach()


def _enlarge(maps: Tensor, question: Question) -> Tensor:
    size = question.pixels.shape[-2:]
    wide = F.interpolate(maps.float(), size, mode="bilinear", align_corners=False)
    return wide.cpu()


def map_grad_cam(question: Question, settings: AttributionSettings) -> Tensor:
    """Grad-CAM: ReLU of the layer's maps, weighted by the means of the unit's gradient there.

    Captum's gives the same values for layers that are modules and are used once; this one takes
    every layer that has a name here.

    Returns:
        Maps (R, 1, S, S), zero or above, enlarged to the photo's pixels.

    Raises:
        LayerError: As of :func:`find_cam_layer`.
    """
    maps, slopes = _read_gradients(question, find_cam_layer(question, settings))
    weights = slopes.mean(dim=(2, 3), keepdim=True)
    return _enlarge((weights * maps).sum(dim=1, keepdim=True).relu(), question)


def map_layer_cam(question: Question, settings: AttributionSettings) -> Tensor:
    """LayerCAM: every place of the layer's maps weighted by the unit's positive gradient there.

    Returns:
        Maps (R, 1, S, S), zero or above, enlarged to the photo's pixels.

    Raises:
        LayerError: As of :func:`find_cam_layer`.
    """
    maps, slopes = _read_gradients(question, find_cam_layer(question, settings))
    return _enlarge((slopes.relu() * maps).sum(dim=1, keepdim=True).relu(), question)


def multiply_guided(question: Question, settings: AttributionSettings) -> Tensor:
    """Guided Grad-CAM: the picture by guided backprop times the enlarged Grad-CAM.

    Returns:
        Pictures (R, 3, S, S), signed.

    Raises:
        LayerError: As of :func:`find_cam_layer`.
        UnsupportedOperationError: If guided backprop has no rule for an operation.
    """
    cam = map_grad_cam(question, settings)
    return project_back(question, settings, "guided") * cam
