"""What is read back is not believed: every odd value is told in one short line at loading."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

import vizcnn
from vizcnn.basics.errors import ModelError, VizcnnError, WeightsError
from vizcnn.projection.deconvnet import Deconvnet
from vizcnn.zoo.files import METADATA_KEY
from vizcnn.zoo.model import ZooModel

OPTIONS: dict[str, Any] = {"classes": 12, "hidden": 8, "input_size": 64}
FIRST = "features.conv1.weight"


@pytest.fixture(scope="module")
def net() -> ZooModel:
    return vizcnn.load("zfnet", weights=None, **OPTIONS)


def write_record(net: ZooModel, path: Path, place: tuple[str, ...], value: Any) -> Path:
    record: dict[str, Any] = {
        "model": "zfnet",
        "options": dict(OPTIONS),
        "preprocessing": net.preprocessing.to_dict(),
        "classes": [f"class {number}" for number in range(12)],
        "card": {},
    }
    if place:
        *folders, last = place
        inner = record
        for name in folders:
            inner = inner[name]
        inner[last] = value
    text = json.dumps(record) if place else value
    path.write_bytes(save(dict(net.module.state_dict()), metadata={METADATA_KEY: text}))
    return path


ODD: list[Any] = [0, -1, 10**12, 1e12, 10**400, float("inf"), float("nan")]
ODD += ["64", None, [64], True, {}]
BAD_CLASSES: list[Any] = [["a"] * 3, "a" * 12, [1] * 12, ["x" * 10**5] * 12]
BAD_DATA: list[Any] = [1, [], "x" * 10**6]
BAD_SHARES: list[Any] = [-1, 2, "1", float("nan"), [1]]
PLACES = [
    *(("options", name) for name in OPTIONS),
    *(("preprocessing", name) for name in ("input_size", "resize")),
]
RECORDS: list[tuple[tuple[str, ...], Any]] = [
    *((place, value) for place in PLACES for value in ODD),
    *((("preprocessing", name), [1]) for name in ("std", "mean")),
    *((("preprocessing", name), [0.5, 1, "1"]) for name in ("std", "mean")),
    *((("preprocessing", "scale"), bad) for bad in (0, -1, float("nan"), 10**400)),
    *((("card", "top1"), bad) for bad in BAD_SHARES),
    *((("card", "data"), bad) for bad in BAD_DATA),
    *((("classes",), bad) for bad in BAD_CLASSES),
    (("options", "o" * 10**5), 1),
    (("model",), "m" * 10**5),
    *(((), text) for text in ("[" * 10**5, '{"a":' * 10**5, "9" * 10**5, "{", "[]", "null")),
    ((), json.dumps({"model": "x" * 10**7})),
]


def test_odd_records_are_told_in_one_short_line(net: ZooModel, tmp_path: Path) -> None:
    for place, value in RECORDS:
        path = write_record(net, tmp_path / "odd.safetensors", place, value)
        with pytest.raises(VizcnnError) as caught:
            vizcnn.load("zfnet", path)
        told = str(caught.value).replace(str(tmp_path), "")
        assert len(told) < 400 and told.isprintable(), (place, str(value)[:20], told[:400])
    path = write_record(net, tmp_path / "good.safetensors", ("card", "top1"), 0.5)
    assert vizcnn.load("zfnet", path).provenance.top1 == 0.5


TENSORS = {
    "int64": (lambda value: value.long(), "is of int64"),
    "bool": (lambda value: value > 0, "is of bool"),
    "complex": (lambda value: value.to(torch.complex64), "is complex"),
    "float8": (lambda value: value.to(torch.float8_e4m3fn), "is of float8_e4m3fn"),
    "sparse": (lambda value: value.to_sparse(), "is sparse"),
    "meta": (lambda value: value.to("meta"), "is without values"),
    "nan": (lambda value: value * torch.nan, r"not finite \(NaN\)"),
    "inf": (lambda value: value.abs().add(1) / 0, r"not finite \(infinite\)"),
    "beyond float32": (lambda value: value.double() * 1e300, r"not finite \(too large"),
    "repeated": (lambda value: torch.zeros(1).expand(10**12), "larger than its file"),
    "empty": (lambda value: value[:0], r"is \(0, 3, 7, 7\), needed"),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_that_are_no_weights_are_refused_by_name(
    net: ZooModel, tmp_path: Path, kind: str
) -> None:
    change, told = TENSORS[kind]
    state = dict(net.module.state_dict())
    state[FIRST] = change(state[FIRST])
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=told) as caught:
        vizcnn.load("zfnet", tmp_path / "odd.pth", hidden=8, input_size=64)
    assert FIRST in str(caught.value)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(net: ZooModel, tmp_path: Path, kind: torch.dtype) -> None:
    state = {name: value.to(kind) for name, value in net.module.state_dict().items()}
    torch.save(state, tmp_path / "other.pth")
    read = vizcnn.load("zfnet", tmp_path / "other.pth", hidden=8, input_size=64).module
    for name, value in read.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value.to(kind), state[name])


def test_overflow_is_told_before_anything_is_drawn() -> None:
    net = vizcnn.load("zfnet", weights=None, **OPTIONS)
    with torch.no_grad():
        for value in net.module.parameters():
            value.mul_(1e12)
    pixels = torch.rand(1, 3, 64, 64)
    with pytest.raises(ModelError, match=r"features\.relu3.* not finite"):
        Deconvnet(net).project(pixels, "conv3")
    with pytest.raises(ModelError, match=r"last layer of zfnet .* not finite"):
        net.classify(pixels)


def test_a_checkpoint_with_flipped_bytes_is_not_taken_for_another_net(
    net: ZooModel, tmp_path: Path
) -> None:
    path = tmp_path / "net.pth"
    torch.save(net.module.state_dict(), path)
    content = bytearray(path.read_bytes())
    place = content.index(net.module.state_dict()[FIRST].numpy().tobytes()[:64])
    content[place + 8] ^= 0x10
    path.write_bytes(content)
    assert not torch.equal(torch.load(path)[FIRST], net.module.state_dict()[FIRST])  # torch's own
    with pytest.raises(WeightsError, match=r"net\.pth' is damaged: the checksum of .*/data/"):
        vizcnn.load("zfnet", path, **OPTIONS)


def test_a_checkpoint_without_checksums_is_read(net: ZooModel, tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(net.module.state_dict(), tmp_path / "net.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    read = vizcnn.load("zfnet", tmp_path / "net.pth", **OPTIONS).module.state_dict()
    assert torch.equal(read[FIRST], net.module.state_dict()[FIRST])
