"""Graphs with the layers of a net, but joined, pooled or shaped otherwise: refused.

The oracle is onnxruntime on the graphs themselves: a change that changes its result is a net of its
own, whatever the list of layers says.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.loading import load_entry
from vizcnn.zoo.registry import Entry, Variant

onnx = pytest.importorskip("onnx", reason="the extra vizcnn[onnx] is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

SIDE, CLASSES = 12, 5


class Forked(nn.Module):
    """Two branches of equal width, which can be exchanged without a shape telling it."""

    def __init__(self, *, classes: int = CLASSES, input_size: int = SIDE) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.one = nn.Conv2d(4, 4, 1)
        self.two = nn.Conv2d(4, 4, 1)
        self.pool = nn.AvgPool2d(2)
        self.mix = nn.Conv2d(8, 6, 1)
        self.relu2 = nn.ReLU()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(6, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        x = self.relu2(self.mix(self.pool(torch.cat([self.one(x), self.two(x)], dim=1))))
        logits: Tensor = self.fc(torch.flatten(self.mean(x), 1))
        return logits


FORKED = Entry(
    name="forked",
    title="Forked",
    paper="none",
    kind="tests",
    make=Forked,
    variants={"usual": Variant("as it is", {}, SIDE, "imagenet")},
    layers=lambda module: {"conv1": "relu"},
)

Nodes = dict[str, Any]


def make_nodes() -> Nodes:
    make = onnx.helper.make_node
    return {
        "stem": make("Conv", ["image", "stem.weight", "stem.bias"], ["a"], pads=[1, 1, 1, 1]),
        "relu": make("Relu", ["a"], ["b"]),
        "one": make("Conv", ["b", "one.weight", "one.bias"], ["c"]),
        "two": make("Conv", ["b", "two.weight", "two.bias"], ["d"]),
        "join": make("Concat", ["c", "d"], ["e"], axis=1),
        "pool": make("AveragePool", ["e"], ["f"], kernel_shape=[2, 2], strides=[2, 2]),
        "mix": make("Conv", ["f", "mix.weight", "mix.bias"], ["g"]),
        "relu2": make("Relu", ["g"], ["g2"]),
        "mean": make("GlobalAveragePool", ["g2"], ["h"]),
        "flat": make("Flatten", ["h"], ["i"]),
        "fc": make("Gemm", ["i", "fc.weight", "fc.bias"], ["j"], transB=1),
    }


def make_graph(nodes: Nodes, state: dict[str, Tensor], output: str = "j") -> Any:
    value = onnx.helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    constants = [onnx.numpy_helper.from_array(v.numpy(), name) for name, v in state.items()]
    wide = np.array([1, 8, SIDE // 2, 2 * SIDE])
    constants.append(onnx.numpy_helper.from_array(wide, "wide"))
    graph = onnx.helper.make_graph(
        list(nodes.values()),
        "forked",
        [value("image", kind, [1, 3, SIDE, SIDE])],
        [value(output, kind, [1, CLASSES])],
        constants,
    )
    opset = [onnx.helper.make_opsetid("", 13)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)


@pytest.fixture
def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(value.shape, generator=generator) / 2
        for name, value in Forked().state_dict().items()
    }


def run(model: Any, image: Tensor) -> np.ndarray:
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"image": image.numpy()})[0])


def insert(nodes: Nodes, before: str, kind: str, **attributes: Any) -> None:
    """Put a node in front of another one."""
    (source, *_) = nodes[before].input
    nodes[before].input[0] = f"before {before}"
    extra = ["wide"] if kind == "Reshape" else []
    node = onnx.helper.make_node(kind, [source, *extra], [f"before {before}"], **attributes)
    rest = {name: nodes.pop(name) for name in list(nodes)[list(nodes).index(before) :]}
    nodes[f"before {before}"] = node
    nodes.update(rest)


def take(nodes: Nodes, name: str, *sources: str) -> None:
    nodes[name].input[: len(sources)] = sources


def keep_all(nodes: Nodes) -> None:
    insert(nodes, "pool", "AveragePool", kernel_shape=[1, 1], strides=[1, 1])
    insert(nodes, "fc", "Identity")


def mean_by_window(nodes: Nodes) -> None:
    make = onnx.helper.make_node
    nodes["mean"] = make("AveragePool", ["g2"], ["h"], kernel_shape=[SIDE // 2] * 2)


@pytest.mark.parametrize("change", [lambda nodes: None, keep_all, mean_by_window])
@pytest.mark.parametrize("softmax", [False, True])
def test_the_same_net_loads(
    tmp_path: Path, state: dict[str, Tensor], change: Callable[[Nodes], None], softmax: bool
) -> None:
    nodes = make_nodes()
    change(nodes)
    image = torch.randn(1, 3, SIDE, SIDE)
    expected = run(make_graph(nodes, state), image)
    if softmax:
        nodes["softmax"] = onnx.helper.make_node("Softmax", ["j"], ["k"])
    onnx.save(make_graph(nodes, state, "k" if softmax else "j"), tmp_path / "net.onnx")
    module = load_entry(FORKED, tmp_path / "net.onnx", None, {}).module
    with torch.no_grad():
        np.testing.assert_allclose(module(image).numpy(), expected, rtol=1e-4, atol=1e-4)


def skip_pooling(nodes: Nodes) -> None:
    del nodes["pool"]
    take(nodes, "mix", "e")


CHANGES: dict[str, tuple[Callable[[Nodes], None], str]] = {
    "joined in reverse": (
        lambda nodes: take(nodes, "join", "d", "c"),
        "its layer 5 ('pool') gets joined ('two', 'one'), needed: joined ('one', 'two')",
    ),
    "joined twice": (
        lambda nodes: take(nodes, "join", "c", "c"),
        "its layer 5 ('pool') gets joined ('one', 'one'), needed: joined ('one', 'two')",
    ),
    "in a row": (
        lambda nodes: take(nodes, "two", "c"),
        "its layer 4 ('two') gets 'one', needed: 'relu'",
    ),
    "before the rectifier": (
        lambda nodes: take(nodes, "two", "a"),
        "its layer 4 ('two') gets 'stem', needed: 'relu'",
    ),
    "one average pooling more": (
        lambda nodes: insert(
            nodes, "mix", "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1]
        ),
        "its layer 6 is average pooling, needed for 'mix': convolution",
    ),
    "one average pooling less": (
        skip_pooling,
        "its layer 5 is convolution, needed for 'pool': average pooling",
    ),
    "another average pooling": (
        lambda nodes: nodes.update(
            pool=onnx.helper.make_node(
                "AveragePool", ["e"], ["f"], kernel_shape=[3, 3], strides=[2, 2]
            )
        ),
        "its layer 5 is average pooling with window 3 x 3, needed for 'pool': window 2 x 2",
    ),
    "a softmax inside": (
        lambda nodes: insert(nodes, "mix", "Softmax", axis=1),
        "its layer 6 ('mix') gets softmax ('pool'), needed: 'pool'",
    ),
    "another shape": (
        lambda nodes: insert(nodes, "pool", "Reshape"),
        "onnxruntime computes from it logits that are ",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_net_is_refused(tmp_path: Path, state: dict[str, Tensor], name: str) -> None:
    change, message = CHANGES[name]
    image = torch.randn(1, 3, SIDE, SIDE)
    nodes = make_nodes()
    usual = run(make_graph(nodes, state), image)
    change(nodes)
    model = make_graph(nodes, state)
    assert np.linalg.norm(run(model, image) - usual) > 1e-3 * np.linalg.norm(usual)
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(WeightsError) as caught:
        load_entry(FORKED, tmp_path / "net.onnx", None, {})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_the_runtime_tells_is_a_figure(
    tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = make_nodes()
    insert(nodes, "pool", "Reshape")
    onnx.save(make_graph(nodes, state), tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match=r"logits that are [0-9.e+]+ % off the net's"):
        load_entry(FORKED, tmp_path / "net.onnx", None, {})
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # then layers and wiring decide
    assert load_entry(FORKED, tmp_path / "net.onnx", None, {}).name == "forked"


def test_what_the_runtime_prints_never_reaches_the_terminal(
    tmp_path: Path,
    state: dict[str, Tensor],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*given: Any) -> None:
        raise ValueError("a name \x1b[31m of the file")

    monkeypatch.setattr(runtime.InferenceSession, "_create_inference_session", fail)
    onnx.save(make_graph(make_nodes(), state), tmp_path / "net.onnx")
    assert load_entry(FORKED, tmp_path / "net.onnx", None, {}).name == "forked"
    assert capsys.readouterr() == ("", "")
