"""Every public function, with every argument of a wrong kind: accepted, or refused in one line."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import vizcnn
from tests.support.odd_values import ODD
from vizcnn.basics.errors import quote
from vizcnn.basics.progress import silent
from vizcnn.projection.methods import METHODS
from vizcnn.projection.rules import RULES

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def build_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3)).eval()


NET = build_net()
MODEL = vizcnn.load("lenet", weights=None)
PIXELS = torch.full((1, 3, MODEL.input_size, MODEL.input_size), 0.5)
PROJECTOR = vizcnn.Projector(NET, "guided")
RECORDING = PROJECTOR.record(IMAGES)
MAPS = RECORDING.find_output("1").detach()
TARGETS = vizcnn.strongest(MAPS, 2)
PROJECTION = vizcnn.project(RECORDING, "1", TARGETS, "deconvnet", compare="all")
ZEROS = torch.zeros(1, dtype=torch.int64)


@dataclass(frozen=True)
class Call:
    """A valid call, whose arguments are replaced one by one.

    Attributes:
        function: What is called.
        given: Its arguments.
        free: Those that are for others to check: what a user's own function or record holds.
    """

    function: Callable[..., Any]
    given: dict[str, Any]
    free: tuple[str, ...] = field(default=())


def record_it(model: Any, layers: Any, stops: Any) -> None:
    with vizcnn.record(model, layers, stops):
        pass


WAYS: dict[str, Any] = {"passes_over_normalisation": True, "unruled": "refuse", "gates": "refuse"}
ASKED: dict[str, Any] = {
    **{"layer": "1", "unit": 0, "position": "max", "count": 2},
    "compare": "all",
}
PLACES: dict[str, Any] = {"images": ZEROS, "units": ZEROS, "positions": torch.zeros(1, 2).long()}
CALLS: dict[str, list[Call]] = {
    "Deconvnet": [Call(vizcnn.Deconvnet, {"model": NET, **WAYS})],
    "Gradient": [
        Call(
            vizcnn.Gradient,
            {"model": NET, "passes_over_normalisation": True, "gates": "refuse"},
        )
    ],
    "GuidedBackprop": [Call(vizcnn.GuidedBackprop, {"model": NET, **WAYS})],
    "Projector": [
        Call(vizcnn.Projector, {"model": NET, "method": "guided", **WAYS, "seed": "one"}),
        Call(PROJECTOR.find_path, {"layer": "1"}),
        Call(PROJECTOR.project, {"images": IMAGES, **ASKED}),
        Call(PROJECTOR.forward, {"images": IMAGES, **ASKED}),
        Call(PROJECTOR.record, {"images": IMAGES, "layers": ["1"]}),
        Call(PROJECTOR.project_recording, {"recording": RECORDING, **ASKED}),
        Call(
            PROJECTOR.project_places, {"recording": RECORDING, "layer": "1", **PLACES, "compare": 2}
        ),
        Call(
            PROJECTOR.project_targets,
            {"recording": RECORDING, "layer": "1", "targets": TARGETS, "compare": 1},
        ),
        Call(PROJECTOR.mirror, {"images": IMAGES, "layer": "1"}),
        Call(PROJECTOR.describe, {}),
        Call(vizcnn.Deconvnet(MODEL).project, {"images": PIXELS, "layer": "conv1", "unit": 0}),
    ],
    "Method": [
        Call(vizcnn.Method, {"rule": RULES["guided"], **WAYS, "seed": "one"}),
        Call(
            METHODS["guided"].project,
            {"recording": RECORDING, "layer": "1", "targets": TARGETS, "finish": None},
            free=("finish",),
        ),
    ],
    "project": [
        Call(
            vizcnn.project,
            {
                **{"recording": RECORDING, "layer": "1", "targets": TARGETS},
                **{"method": "guided", "finish": None, "compare": "all"},
            },
            free=("finish",),
        )
    ],
    "record": [Call(record_it, {"model": NET, "layers": ["1"], "stops": False})],
    "Recording": [
        Call(RECORDING.find_output, {"layer": "1"}),
        Call(RECORDING.find_step, {"layer": "1"}),
        Call(RECORDING.find_input, {}),
    ],
    "Projection": [
        Call(PROJECTION.cut, {"row": 0}),
        Call(PROJECTION.take_part, {"part": "own"}),
        Call(PROJECTION.__getitem__, {"rows": 0}),
    ],
    "Targets": [Call(TARGETS.take, {"rows": ZEROS})],
    "strongest": [Call(vizcnn.strongest, {"maps": MAPS, "count": 2, "position": "max"})],
    "units_at": [Call(vizcnn.units_at, {"maps": MAPS, "units": 0, "position": "max"})],
    "places": [Call(vizcnn.places, {"maps": MAPS, **PLACES})],
    "explore": [
        Call(
            vizcnn.explore,
            {
                **{"model": MODEL, "photos": PIXELS, "layers": ["conv1"], "methods": "guided"},
                **{"compare": 4, "indexes": (), "data": (), "galleries": ()},
            },
        )
    ],
    "find_layer": [Call(vizcnn.find_layer, {"model": NET, "name": "1"})],
    "measure_effective_fields": [
        Call(
            vizcnn.measure_effective_fields,
            {
                **{"model": MODEL, "photos": PIXELS, "layers": ["conv1"], "normalise": "none"},
                "progress": silent,
            },
            free=("progress",),
        )
    ],
    "measure_fields": [
        Call(
            vizcnn.measure_fields,
            {"model": NET, "layers": ["1"], "input_size": 16, "channels": 3},
        )
    ],
    "load": [
        Call(
            vizcnn.load,
            {
                **{"name": "lenet", "weights": None, "variant": None, "device": "cpu", "seed": 0},
                **{"classes": 10, "input_size": 32, "preprocessing": "std=0.5"},
            },
        ),
        Call(vizcnn.load, {"name": "lenet", "weights": "bundled"}),
        Call(vizcnn.load, {"name": "zfnet", "weights": None, "hidden": 8, "classes": 3}),
    ],
    "wrap": [
        Call(
            vizcnn.wrap,
            {
                **{"module": MODEL.module, "preprocessing": "mean=0.5,size=32", "input_size": 32},
                **{"classes": list("0123456789"), "name": "mine", "title": "Mine"},
                **{"layers": dict(MODEL.layers), "provenance": MODEL.provenance},
            },
        )
    ],
    "Net": [
        Call(MODEL, {"photos": PIXELS}),
        Call(
            MODEL.deconv,
            {"photos": PIXELS, **ASKED, "layer": "conv1", "position": "max"},
        ),
    ],
    "ZooModel": [
        Call(MODEL.logits, {"pixels": PIXELS}),
        Call(MODEL.classify, {"pixels": PIXELS, "count": 2}),
        Call(MODEL.to, {"device": "cpu", "dtype": torch.float32}),
        Call(MODEL.read, {"photo": Image.new("RGB", (40, 40))}),
    ],
    "Provenance": [Call(MODEL.provenance.describe, {}), Call(MODEL.provenance.to_record, {})],
}
"""By public name: valid calls of it or of what it is."""

NO_CALLS = {"METHODS", "RULES", "__version__", "VizcnnError", "ReceptiveField", "EffectiveField"}
"""Values, and records without functions that take anything."""

CASES = [(name, call) for name, calls in CALLS.items() for call in calls]


def name_case(value: object) -> str:
    return getattr(value.function, "__qualname__", "") if isinstance(value, Call) else ""


def test_every_public_name_is_here():
    assert {*CALLS, *NO_CALLS} == {*vizcnn.__all__}
    assert {*vizcnn.__all__, "callbacks"} == {*dir(vizcnn)}  # what a notebook completes
    for name, calls in CALLS.items():
        public = getattr(vizcnn, name)
        if inspect.isfunction(public) and name != "record":
            given = {argument for call in calls for argument in call.given}
            expected = inspect.signature(public).parameters.keys() - {"options", "given", "named"}
            assert given >= expected, name


def describe_given(value: Any) -> list[str]:
    """What of a value an error may name it by."""
    parts = [quote(value)[:16], type(value).__name__]
    if isinstance(value, nn.Module):
        parts.append("no layer '1'")  # it is a net, but not one with this layer
    if inspect.isgenerator(value):
        parts += ["got 0", "got int (0)"]
    if value is None:
        parts.append("is not known")
    if isinstance(value, Tensor | np.ndarray):
        parts += [str(tuple(value.shape)), str(value.dtype)]
        parts += [str(tuple(value.shape))[1:]] if value.ndim == 2 else []  # a grey photo: a batch
        value = None if isinstance(value, Tensor) and _has_no_values(value) else value.tolist()
        parts.append(quote(value))
    if isinstance(value, list | tuple | set | dict):
        items = list(value)[:10]
        parts += [quote(item) for item in items]
        parts += [f"got int ({item[0]})" for item in items if isinstance(item, list)]
    if isinstance(value, str):
        parts.append(value[:20] if value.isprintable() and value else repr(value)[:8])
    return parts


def _has_no_values(value: Tensor) -> bool:
    return value.is_meta or value.layout != torch.strided


def is_told(error: vizcnn.VizcnnError, value: Any) -> bool:
    text = str(error)
    assert len(text) < 600, text
    assert text.isprintable(), repr(text)
    return any(part in text for part in describe_given(value))


def try_odd_values(call: Call, names: Iterable[str]) -> list[str]:
    wrong = []
    for argument in call.given:
        for name in names:
            value = ODD[name]()
            try:
                call.function(**{**call.given, argument: value})
            except vizcnn.VizcnnError as error:
                if not is_told(error, value):
                    wrong.append(f"{argument} = {name}: not told: {error}")
            except BaseException as error:
                if argument not in call.free:
                    wrong.append(f"{argument} = {name}: {type(error).__name__}: {str(error)[:90]}")
    return wrong


def read_state() -> tuple[object, ...]:
    parts = [*NET.modules(), *MODEL.module.modules()]
    hooks = [(p.training, len(p._forward_hooks), len(p._forward_pre_hooks)) for p in parts]
    values = [v.detach().numpy().tobytes() for v in (*NET.parameters(), *MODEL.module.parameters())]
    return hooks, values, torch.is_grad_enabled(), torch.get_rng_state().tolist()


@pytest.mark.parametrize(("name", "call"), CASES, ids=name_case)
def test_odd_values_are_accepted_or_refused_in_one_line(name: str, call: Call):
    before = read_state()
    call.function(**call.given)
    wrong = try_odd_values(call, ODD)
    assert not wrong, "\n".join([f"{len(wrong)} of {name}:", *wrong])
    call.function(**call.given)
    assert read_state() == before
