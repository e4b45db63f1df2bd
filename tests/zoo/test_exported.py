"""Nets of torch.export: the same pictures as the net itself, and nothing of the file is run."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import vizcnn
from tests.support.own_net import Own
from vizcnn.basics.errors import ModelError
from vizcnn.measures.filter_layers import read_filters

pytestmark = pytest.mark.slow

PIXELS = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def build() -> Own:
    torch.manual_seed(0)
    return Own().eval()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    example = (torch.zeros(2, 3, 32, 32),)
    torch.export.save(torch.export.export(build(), example, dynamic_shapes=shapes), path)
    return path


def test_an_exported_net_makes_the_bytes_of_the_net_itself(file: Path) -> None:
    exported, own = vizcnn.load(str(file)), vizcnn.wrap(build(), input_size=32)
    assert exported.input_size == 32 and exported.name == "net"
    assert torch.equal(exported.logits(PIXELS), own.logits(PIXELS))
    for layer, there in (("conv1", "stage1"), ("conv2", "stage2"), ("relu_1", "relu_1")):
        ours, theirs = (
            vizcnn.Deconvnet(net).project(PIXELS, name, count=2).pixels
            for net, name in ((exported, layer), (own, there))
        )
        assert torch.equal(ours, theirs) and ours.any()
    assert torch.equal(read_filters(exported, "conv2").stored, read_filters(own, "conv2").stored)
    (seen,), (wanted,) = (vizcnn.measure_fields(net, ["conv2"], 32) for net in (exported, own))
    assert (seen.size, seen.stride, seen.offset) == (wanted.size, wanted.stride, wanted.offset)


def test_a_net_of_one_batch_size_says_how_to_export_it_for_all(tmp_path: Path) -> None:
    path = tmp_path / "one.pt2"
    torch.export.save(torch.export.export(build(), (PIXELS[:1],)), path)
    model = vizcnn.load(str(path))
    assert model.logits(PIXELS[:1]).shape == (1, 3)
    with pytest.raises(ModelError, match="exported for batches of 1 and has to run on 3 here"):
        model.logits(PIXELS)


class Harm:
    """What a pickle would call."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (Path("harm-was-done"),)


def rewrite(
    file: Path, target: Path, change: Callable[[str, bytes], bytes], extra: str = ""
) -> str:
    """Copy an archive with its members changed, and perhaps one more."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        root = old.namelist()[0].split("/")[0]
        for name in old.namelist():
            new.writestr(name, change(name.split("/", 1)[1], old.read(name)))
        if extra:
            new.writestr(f"{root}/{extra}", b"")
    return str(target)


def in_graph(old: str, new: str) -> Callable[[str, bytes], bytes]:
    def change(name: str, data: bytes) -> bytes:
        if name != "models/model.json":
            return data
        assert old.encode() in data
        return data.replace(old.encode(), new.encode())

    return change


def pickled_inputs(name: str, data: bytes) -> bytes:
    if not name.startswith("data/sample_inputs"):
        return data
    buffer = io.BytesIO()
    torch.save(Harm(), buffer, pickle_module=pickle)
    return buffer.getvalue()


def pickled_weights(name: str, data: bytes) -> bytes:
    if not name.endswith("weights_config.json"):
        return data
    told = json.loads(data)
    next(iter(told["config"].values()))["use_pickle"] = True
    return json.dumps(told).encode()


UNSAFE: dict[str, tuple[Callable[[str, bytes], bytes], str, str]] = {
    "example inputs that are a pickle": (pickled_inputs, "", "example inputs are more than plain"),
    "weights that are a pickle": (pickled_weights, "", "is pickled or no tensor"),
    "a size that is code": (
        in_graph("Symbol('s", "__import__('os').system('true') or Symbol('s"),
        "",
        "as expr_str",
    ),
    "an operation that is none": (
        in_graph("torch.ops.aten.relu.default", "torch.hub.load"),
        "",
        "'torch.hub.load' as target",
    ),
    "a name that is code": (in_graph('"relu_1"', '"relu(print())"'), "", "'relu(print())' as"),
    "compiled code": (lambda name, data: data, "data/aotinductor/model/a.so", "only one graph"),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_what_could_run_code_is_refused_before_torch_sees_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    change, extra, told = UNSAFE[case]
    spec = rewrite(file, tmp_path / "net.pt2", change, extra)
    with pytest.raises(ModelError, match="is refused") as caught:
        vizcnn.load(spec)
    assert told in str(caught.value) and not (tmp_path / "harm-was-done").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"no archive", "no file of torch.export.save"), (None, "no exported net")],
)
def test_other_files_are_told_in_one_line(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "net.pt2"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=told):
        vizcnn.load(str(path))


def test_a_net_in_training_mode_is_refused(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).train()
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(net, (torch.zeros(2, 3, 8, 8),)), path)
    with pytest.raises(ModelError, match="exported in training mode"):
        vizcnn.load(str(path))
