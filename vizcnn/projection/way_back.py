"""The way back by a rule: on windows where the graph allows it, else over the whole image."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from vizcnn.projection.cone import Cone
from vizcnn.projection.full_image import (
    Finish,
    find_body,
    project_full_image,
    project_head,
    unchanged,
)
from vizcnn.projection.methods import Method
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import Targets
from vizcnn.receptive.boxes import find_fields
from vizcnn.recording.backward import Way
from vizcnn.recording.graph import Node, refuse_rerouted, trace_nodes
from vizcnn.recording.operations import refuse_unruled
from vizcnn.recording.recording import Recording


def send_back(
    recording: Recording,
    layer: str,
    targets: Targets,
    method: Method,
    finish: Finish | None = None,
) -> Projection:
    """Send targets back through a recorded graph; as :func:`vizcnn.projection.projection.project`.

    The backward pass is seeded with the unit's activation at one place (or its whole map) and
    zero elsewhere, as ZF section 2.1 sets all other activations to zero.
    """
    input, output = recording.find_input(), recording.find_output(layer)
    nodes = trace_nodes(output, input)
    refuse_rerouted(nodes)
    rule = method.rule
    if rule.needs_rules and method.unruled != "gradient":
        refuse_unruled(
            recording.find_step(layer),
            nodes,
            rule.name,
            rectifies_smooth=method.unruled == "rectify",
            holds_gates=method.gates == "hold",
        )
    way = Way(
        rule.rectify,
        rule.needs_activity,
        method.passes_over_normalisation,
        rectifies_smooth=rule.needs_rules and method.unruled == "rectify",
        holds_gates=method.gates == "hold",
    )
    finish = finish or unchanged
    fields = find_fields(output, input, targets.positions)
    if (method.seed or rule.seed) == "one":
        targets = replace(targets, seeds=torch.ones_like(targets.seeds))
    cone = Cone(input, nodes, way)
    in_windows = len(targets) > 0 and cone.exists()
    if in_windows:
        windows, corners = cone.project(targets, fields.uncut, finish)
    else:
        with follow(recording, way):
            windows = _project_whole(output, input, targets, nodes, way, finish)
        corners = torch.zeros(len(targets), input.ndim - 2, dtype=torch.int64)
    return Projection(
        windows=windows,
        corners=corners,
        size=tuple(input.shape[2:]),
        images=targets.images,
        units=targets.units,
        activations=targets.activations,
        positions=targets.positions,
        boxes=fields.boxes,
        field=fields.size,
        layer=layer,
        method=method.name,
        seed=method.seed or rule.seed,
        computed="windows" if in_windows else "full image",
    )


def _project_whole(
    output: Tensor,
    input: Tensor,
    targets: Targets,
    nodes: list[Node],
    way: Way,
    finish: Finish,
) -> Tensor:
    """Project over the full image: by autograd down to the first maps, and by cones from there.

    Units of fully connected layers see the whole image, but from the last maps down the way is
    that of any other unit, and faster than backward passes.
    """
    number = find_body(nodes, len(input)) if input.ndim == 4 and len(targets) else None
    if number is None or not (body := Cone(input, nodes[number:], way)).exists():
        return finish(project_full_image(output, input, targets, nodes))

    def begin(rows: slice) -> Tensor:
        some = targets.take(torch.arange(rows.start, rows.stop, device=targets.units.device))
        with torch.enable_grad():
            return project_head(output, input, some, nodes[:number], nodes[number])

    image = torch.tensor([0, 0, *input.shape[2:]])
    return body.project_signals(targets.images, begin, image.expand(len(targets), -1), finish)


@contextmanager
def follow(recording: Recording, way: Way) -> Iterator[None]:
    """Let backward passes of a recording follow a way, then the former one again."""
    with recording.lock:
        former = vars(recording.way).copy()
        vars(recording.way).update(vars(way))
        try:
            yield
        finally:
            vars(recording.way).update(former)
