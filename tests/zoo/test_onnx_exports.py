"""Graphs that torch's own exporters write, with values beside the file or within.

The oracle is the net that was exported: what is loaded computes what it computes.
"""

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.loading import load_entry
from vizcnn.zoo.normalisation import ContrastNormalisation
from vizcnn.zoo.registry import Entry, Variant

onnx = pytest.importorskip("onnx", reason="the extra vizcnn[onnx] is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

pytestmark = pytest.mark.slow

SIDE, CLASSES = 16, 5
HAS_SCRIPT = importlib.util.find_spec("onnxscript") is not None
EXPORTERS = [
    pytest.param(False, id="torchscript"),
    pytest.param(
        True,
        id="dynamo",
        marks=pytest.mark.skipif(not HAS_SCRIPT, reason="onnxscript is not installed"),
    ),
]


class Normalised(nn.Module):
    """Torch's own contrast normalisation, equal biases, a linear layer without any."""

    def __init__(self, *, classes: int = CLASSES, input_size: int = SIDE) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.norm1 = nn.LocalResponseNorm(5, alpha=5e-3, beta=0.75, k=2.0)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.relu2 = nn.ReLU()
        self.norm2 = nn.LocalResponseNorm(4, alpha=1e-2, beta=0.5)
        self.conv3 = nn.Conv2d(8, 8, 3, padding=1)
        self.pool2 = nn.AvgPool2d(4)
        self.fc1 = nn.Linear(32, 8, bias=False)
        self.drop = nn.Dropout()
        self.fc2 = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.norm1(self.relu1(self.conv1(x))))
        x = self.pool2(F.relu(self.conv3(self.norm2(self.relu2(self.conv2(x))))))
        logits: Tensor = self.fc2(self.drop(F.relu(self.fc1(torch.flatten(x, 1)))))
        return logits


class OwnNormalised(Normalised):
    """The zoo's own contrast normalisation, which is computed otherwise."""

    def __init__(self, *, classes: int = CLASSES, input_size: int = SIDE) -> None:
        super().__init__(classes=classes, input_size=input_size)
        self.norm1 = ContrastNormalisation(5, alpha=5e-3)  # type: ignore[assignment]
        self.norm2 = ContrastNormalisation(4, 1e-2, 0.5, 1.0)  # type: ignore[assignment]


class Residual(nn.Module):
    """Batch normalisation, ReLU6 and a sum, as ResNet and MobileNet v2 have them."""

    def __init__(self, *, classes: int = CLASSES, input_size: int = SIDE) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8, eps=1e-3)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(8)
        self.act = nn.ReLU6()
        self.bn3 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn1(self.conv1(x)))
        x = x + self.act(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(x))
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def make_entry(kind: type[nn.Module]) -> Entry:
    return Entry(
        name="exported",
        title="Exported",
        paper="none",
        kind="tests",
        make=kind,
        variants={"usual": Variant("as it is", {}, SIDE, "imagenet")},
        layers=lambda module: {"conv1": "conv1"},
    )


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(level)


def make_net(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    net = kind().eval()
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape) + 0.5 if "var" in name else value + 0.1)
    return net


def export(net: nn.Module, path: Path, dynamo: bool, **settings: Any) -> None:
    image = torch.rand(1, 3, SIDE, SIDE)
    if dynamo:
        settings = {"external_data": False, "verbose": False} | settings
    torch.onnx.export(net, (image,), str(path), dynamo=dynamo, **settings)


def assert_loads(net: nn.Module, path: Path) -> Any:
    model = load_entry(make_entry(type(net)), path, None, {})
    image = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        torch.testing.assert_close(model.module(image), net(image), rtol=1e-4, atol=1e-5)
    return model


@pytest.mark.parametrize("dynamo", EXPORTERS)
@pytest.mark.parametrize("kind", [Normalised, OwnNormalised, Residual])
def test_what_torch_exports_is_the_net_again(
    tmp_path: Path, kind: type[nn.Module], dynamo: bool
) -> None:
    net = make_net(kind)
    export(net, tmp_path / "net.onnx", dynamo)
    model = assert_loads(net, tmp_path / "net.onnx")
    kinds = {node.op_type for node in onnx.load(str(tmp_path / "net.onnx")).graph.node}
    if kind is not Residual:
        assert {"Pow", "Div", "AveragePool"} <= kinds and "LRN" not in kinds  # taken apart indeed
        for name, value in net.state_dict().items():
            torch.testing.assert_close(model.module.state_dict()[name], value)
    folded = "batch normalisation is part of the filters" in model.provenance.note
    assert folded == (kind is Residual)


@pytest.mark.parametrize("dynamo", EXPORTERS)
def test_equal_biases_that_are_written_once_are_read(tmp_path: Path, dynamo: bool) -> None:
    net = make_net(Normalised)
    with torch.no_grad():
        for part in (net.conv1, net.conv2, net.conv3):
            part.bias.zero_()  # type: ignore[union-attr, operator]
    export(net, tmp_path / "net.onnx", dynamo)
    names = [tensor.name for tensor in onnx.load(str(tmp_path / "net.onnx")).graph.initializer]
    assert sum("bias" in name for name in names) < 4 or dynamo
    assert_loads(net, tmp_path / "net.onnx")


@pytest.mark.parametrize("dynamo", EXPORTERS)
def test_a_batch_of_any_size_is_read(tmp_path: Path, dynamo: bool) -> None:
    net = make_net(Normalised)
    axes: dict[str, Any] = (
        {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
        if dynamo
        else {"dynamic_axes": {"image": {0: "batch"}}, "input_names": ["image"]}
    )
    export(net, tmp_path / "net.onnx", dynamo, **axes)
    assert_loads(net, tmp_path / "net.onnx")


def write_beside(net: nn.Module, folder: Path) -> Path:
    """Write a graph with its values in a file beside it."""
    export(net, folder / "whole.onnx", False)
    model = onnx.load(str(folder / "whole.onnx"))
    path = folder / "net.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    (folder / "whole.onnx").unlink()
    return path


def test_values_beside_the_file_are_read_and_told(tmp_path: Path) -> None:
    net = make_net(Normalised)
    path = write_beside(net, tmp_path)
    assert (tmp_path / "net.data").stat().st_size > 1000
    model = assert_loads(net, path)
    assert "values in net.data, sha256 " in model.provenance.note


def set_location(path: Path, location: str, **fields: str) -> None:
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        for field in tensor.external_data:
            if field.key == "location":
                field.value = location
            elif field.key in fields:
                field.value = fields[field.key]
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "location", ["{outside}", "../outside.bin", "link.bin", "sub/inside.bin", "", "..", "a\\b"]
)
def test_values_anywhere_else_are_not_read(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "nets"
    (folder / "sub").mkdir(parents=True)
    path = write_beside(make_net(Normalised), folder)
    values = (folder / "net.data").read_bytes()
    outside = tmp_path / "outside.bin"
    for other in (outside, folder / "sub" / "inside.bin"):
        other.write_bytes(values)
    (folder / "link.bin").symlink_to(outside)
    set_location(path, location.format(outside=outside))
    with pytest.raises(WeightsError, match=r"which is no plain file beside|is a folder") as caught:
        load_entry(make_entry(Normalised), path, None, {})
    assert "\n" not in str(caught.value)


def test_files_that_do_not_hold_the_values_are_refused(tmp_path: Path) -> None:
    path = write_beside(make_net(Normalised), tmp_path)
    values = (tmp_path / "net.data").read_bytes()

    def refuse(message: str) -> None:
        with pytest.raises(WeightsError, match=message) as caught:
            load_entry(make_entry(Normalised), path, None, {})
        assert "\n" not in str(caught.value)

    (tmp_path / "net.data").write_bytes(values[:100])
    refuse("'.*net.data' does not hold the tensor .*: it is cut off")
    (tmp_path / "net.data").unlink()
    refuse("no file of weights '.*net.data'")
    os.mkfifo(tmp_path / "net.data")
    refuse("is not a plain file")
    (tmp_path / "net.data").unlink()
    (tmp_path / "net.data").write_bytes(values)
    set_location(path, "net.data", offset="-4")
    refuse("does not hold the tensor")
    set_location(path, "net.data", offset="none")
    refuse("lies in another file")
    set_location(path, "net.data", offset="0")  # all at one place: more values than bytes
    refuse("does not hold the tensor")


def test_what_cannot_be_known_is_refused_with_the_way_out(tmp_path: Path) -> None:
    class Gated(Normalised):
        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = super().forward(x).sigmoid()
            return result

    export(make_net(Gated), tmp_path / "net.onnx", False)
    line = r"it has a layer 'Sigmoid'; only .* are known; give the weights as a state dict instead"
    with pytest.raises(WeightsError, match=line):
        load_entry(make_entry(Gated), tmp_path / "net.onnx", None, {})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"alpha": 1e-4}, "normalisation with alpha 0.0001, needed for 'norm1': alpha 0.005"),
        ({"k": 1.0}, "normalisation with k 1, needed for 'norm1': k 2"),
        ({"size": 3}, "normalisation with size 3, needed for 'norm1': size 5"),
    ],
)
def test_constants_of_a_normalisation_taken_apart_decide(
    tmp_path: Path, changed: dict[str, float], message: str
) -> None:
    net = make_net(Normalised)
    for name, value in changed.items():
        setattr(net.norm1, name, value)
    export(net, tmp_path / "net.onnx", False)
    with pytest.raises(WeightsError) as caught:
        load_entry(make_entry(Normalised), tmp_path / "net.onnx", None, {})
    assert message in str(caught.value)
