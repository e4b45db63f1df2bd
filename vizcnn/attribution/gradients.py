"""Attributions from gradients at the pixels: times the input, and integrated along a path."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vizcnn.attribution.question import AttributionSettings, Question, find_fill
from vizcnn.attribution.readout import read_units
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.methods import METHODS, Method
from vizcnn.projection.parts import find_common, find_common_part
from vizcnn.projection.projection import Projection
from vizcnn.projection.windows import Windows, cut

AT_ONCE = 16
"""Images that go through the net as one batch."""
GRADIENT_X_INPUT = "gradient-x-input"
"""What users call the method of :func:`multiply_by_input`."""


def project_back(question: Question, settings: AttributionSettings, method: str) -> Tensor:
    """Send the units back by a method of :data:`~vizcnn.projection.methods.METHODS`.

    Returns:
        Pictures (R, 3, S, S), signed, with respect to RGB pixels 0..1.

    Raises:
        UnsupportedOperationError: If an operation on the way has no rule.
    """
    return _project(question, settings, method).pixels.float().cpu()


def _project(question: Question, settings: AttributionSettings, method: str) -> Projection:
    rule = METHODS[method]
    asks = isinstance(rule, Method) and rule.rule.needs_rules
    choices: dict[str, Any] = {"unruled": settings.unruled, "gates": settings.gates} if asks else {}
    projector = Projector(question.model, method, **choices)
    recording = projector.record(question.pixels, [question.layer])
    count = len(question.units)
    rows = torch.tensor(question.position).expand(count, 2)
    return projector.project_places(
        recording, question.layer, torch.zeros(count, dtype=torch.int64), question.units, rows
    )


def find_own_parts(question: Question, settings: AttributionSettings, method: str) -> Tensor:
    """Give the units' own parts: without what the active units of the place share.

    The common picture is found from the question's company; see
    :func:`~vizcnn.projection.parts.find_common`.

    Returns:
        Pictures (R, 3, S, S), as of :func:`project_back`.
    """
    company = project_back(question.about(question.company), settings, method)
    pictures = (
        company
        if torch.equal(question.units, question.company)
        else project_back(question, settings, method)
    )
    if not len(company):
        return pictures
    found = find_common(company, question.known, question.active)
    if not found.compares(is_one=question.known > 0):
        return pictures
    return torch.stack(
        [picture - find_common_part(picture, found.direction) for picture in pictures]
    )


def multiply_by_input(gradient: Projection, pixels: Tensor, reference: Tensor) -> Projection:
    """Multiply gradients with what photos differ from a colour by: gradient times input.

    Its sum over a part of the photo is how far the unit would fall, to first order, if that part
    had the colour; in a linear net it falls just so far. The net's own input is what the photo
    differs by from the colour that its preprocessing maps to zero.

    Args:
        gradient: Projections by the gradient, started with 1.
        pixels: The photos, (N, 3, S, S), RGB 0..1.
        reference: The colour, (3, 1, 1), RGB 0..1.
    """
    height, width = gradient.windows.shape[-2:]
    patches = cut(pixels, gradient.images, Windows(gradient.corners, (height, width)))
    windows = gradient.windows * (patches.to(gradient.windows) - reference.to(gradient.windows))
    return replace(gradient, windows=windows, method=GRADIENT_X_INPUT)


def multiply_by_own_input(question: Question, settings: AttributionSettings) -> Tensor:
    """Multiply the gradient with the net's own input, and add up the colours.

    In a net without biases and thresholds the sum of the map is the unit's value.

    Returns:
        Maps (R, 1, S, S), signed.
    """
    gradient = _project(question, settings, "gradient")
    zero = find_fill(question.model, "mean")
    found = multiply_by_input(gradient, question.pixels, zero).pixels
    return found.float().cpu().sum(dim=1, keepdim=True)


def integrate_gradients(question: Question, settings: AttributionSettings) -> Tensor:
    """Integrate gradients along the straight path from an image of one colour to the photo.

    Captum's, by the rule of Gauss and Legendre; it asks torch for gradients at the pixels and hangs
    no hook on the net. The sum of a map is the unit's value minus its value for the plain image,
    but for an error of the steps (:func:`measure_completeness`).

    Returns:
        Maps (R, 1, S, S), signed, colours added up.
    """
    from captum.attr import IntegratedGradients  # loads matplotlib's pyplot: only where needed

    def value(pixels: Tensor) -> Tensor:
        return read_units(question.model, pixels, question.layer, question.units, question.position)

    like = next(question.model.module.parameters())
    pixels = question.pixels.to(like.device, like.dtype)
    start = find_fill(question.model, settings.fill).to(pixels).expand_as(pixels)
    method = IntegratedGradients(value)
    maps = []
    with torch.inference_mode(False):
        for number in range(len(question.units)):
            found = method.attribute(
                pixels.clone(),
                start.clone(),
                target=number,
                n_steps=settings.steps,
                internal_batch_size=AT_ONCE,
            )
            maps.append(found.detach().sum(dim=1, keepdim=True)[0].float().cpu())
    return torch.stack(maps)


@torch.no_grad()
def measure_completeness(
    question: Question, settings: AttributionSettings, maps: Tensor
) -> list[float | None]:
    """Tell by how much sums of integrated gradients miss what they should be.

    Args:
        question: What was asked.
        settings: How.
        maps: The answer, (R, 1, S, S).

    Returns:
        For each unit |sum of the map - (value - value for the plain image)| as a share of that
        difference; None where there is none.
    """
    plain = find_fill(question.model, settings.fill).expand_as(question.pixels)
    both = torch.cat([question.pixels, plain.to(question.pixels)])
    value, start = (
        read_units(question.model, both, question.layer, question.units, question.position)
        .double()
        .cpu()
    )
    sums = maps.double().sum(dim=(1, 2, 3))
    return [
        abs(found - wanted) / abs(wanted) if wanted else None
        for found, wanted in zip(sums.tolist(), (value - start).tolist(), strict=True)
    ]
