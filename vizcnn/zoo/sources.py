"""Where ImageNet weights can be fetched from: torchvision and the ONNX Model Zoo."""

import importlib.util
import math
import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from vizcnn.zoo.building import import_torchvision
from vizcnn.zoo.cache import cache_folder, torch_hub_folder
from vizcnn.zoo.catalogue import Entry
from vizcnn.zoo.provenance import IMAGENET

_ONNX_ZOO = "https://github.com/onnx/models/raw/main/validated/vision/classification/"
_TORCHVISION_LICENCE = "BSD-3-Clause (torchvision); ImageNet's terms of access may apply"


@dataclass(frozen=True)
class WeightSource:
    """A file of ImageNet weights that the public can fetch.

    Attributes:
        kind: ``"torchvision"`` or ``"onnx-zoo"``.
        label: Which of several weights: torchvision's own name, or the file's name.
        variant: Form of the net that they belong to.
        url: Address.
        file: Name in the cache folder.
        sha256: Checksum, or its first digits.
        size: Bytes; for torchvision's None, as only a rounded figure is known.
        licence: Terms.
        top1: Share of ImageNet's validation photos (0..1) whose first guess is right.
        top5: The same for five guesses.
        note: What one should know beside.
        resize: Side that the shorter side is brought to; None for the usual one.
    """

    kind: Literal["torchvision", "onnx-zoo"]
    label: str
    variant: str
    url: str
    file: str
    sha256: str
    size: int | None
    licence: str
    top1: float | None = None
    top5: float | None = None
    note: str = ""
    resize: int | None = None
    data: str = IMAGENET

    def find(self) -> Path | None:
        """Find the file in the cache; torchvision's own folder counts too."""
        folders = [cache_folder()]
        if self.kind == "torchvision":
            folders.append(torch_hub_folder())
        return next(
            (path for path in (folder / self.file for folder in folders) if path.is_file()), None
        )


def find_sources(entry: Entry, variant: str | None = None) -> list[WeightSource]:
    """List the fetchable ImageNet weights of a net, the preferred first.

    Args:
        entry: The net.
        variant: Only the weights of this form.
    """
    sources = [] if entry.own else _list_torchvision(entry)
    if entry.onnx:
        sources.append(ONNX_ZOO[entry.onnx])
    return [source for source in sources if variant in (None, source.variant)]


def needs_onnx() -> bool:
    """Tell whether the package onnx, which reads ONNX files, is missing."""
    return importlib.util.find_spec("onnx") is None


def _list_torchvision(entry: Entry) -> list[WeightSource]:
    members = import_torchvision().models.get_model_weights(entry.builder)
    default = members.DEFAULT
    ordered = [default, *(member for member in members if member != default)]
    return [_read_member(member) for member in ordered if _is_classifier(member)]


def _is_classifier(member: Any) -> bool:
    # VGG-16 has weights of the convolutions alone, for detectors; their accuracies are NaN
    return not math.isnan(member.meta["_metrics"]["ImageNet-1K"]["acc@1"])


def _read_member(member: Any) -> WeightSource:
    accuracies = member.meta["_metrics"]["ImageNet-1K"]
    file = os.path.basename(member.url)  # noqa: PTH119 - an address, not a path
    return WeightSource(
        kind="torchvision",
        label=member.name,
        variant="torchvision",
        url=member.url,
        file=file,
        sha256=file.rsplit("-", 1)[1].removesuffix(".pth"),
        size=None,
        licence=_TORCHVISION_LICENCE,
        top1=round(accuracies["acc@1"] / 100, 5),
        top5=round(accuracies["acc@5"] / 100, 5),
        note=f"torchvision's {member.name}, measured by torchvision",
        resize=member.transforms.keywords.get("resize_size"),
    )


def imagenet_classes() -> tuple[str, ...]:
    """Give the names of ImageNet's 1000 classes, in the order of the logits."""
    members = import_torchvision().models.get_model_weights("alexnet")
    return tuple(members.DEFAULT.meta["categories"])


def _onnx_source(
    variant: str,
    path: str,
    sha256: str,
    size: int,
    licence: str,
    accuracy: tuple[float, float] | None = None,
    note: str = "",
) -> WeightSource:
    file = path.rsplit("/", 1)[1]
    top1, top5 = accuracy or (None, None)
    measured = "accuracy as the zoo states it" if accuracy else "the zoo states no accuracy"
    return WeightSource(
        kind="onnx-zoo",
        label=file.removesuffix(".onnx"),
        variant=variant,
        url=_ONNX_ZOO + path,
        file=file,
        sha256=sha256,
        size=size,
        licence=licence,
        top1=top1,
        top5=top5,
        note=f"ONNX Model Zoo; {measured}" + (f"; {note}" if note else ""),
    )


ONNX_ZOO = MappingProxyType(
    {
        "zfnet": _onnx_source(
            "zfnet512",
            "zfnet-512/model/zfnet512-12.onnx",
            "c975ca6a24c0a2e1584c6f82667e0ac9c06084fc7769d267f71b4a154d1f1c72",
            349_005_501,
            "MIT",
            (0.5597, 0.7941),
            "conv4 has 512 maps and fc7 1024 units where the paper's larger net has 1024 and 4096; "
            "the zoo documents no preprocessing: that of Caffe2's trainer, BGR (x - 128) / 128, is "
            "taken",
        ),
        "alexnet": _onnx_source(
            "bvlc",
            "alexnet/model/bvlcalexnet-12.onnx",
            "6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945",
            243_863_787,
            "BSD-3-Clause",
            (0.5480, 0.7823),
            "BVLC AlexNet",
        ),
        "caffenet": _onnx_source(
            "caffenet",
            "caffenet/model/caffenet-12.onnx",
            "ea563e5c47d1f58e1717cf1a2d8bf288b8adc07af0ad228b622096cd243aeecb",
            243_863_798,
            "BSD-3-Clause",
            None,
            "BVLC CaffeNet",
        ),
        "googlenet": _onnx_source(
            "paper",
            "inception_and_googlenet/googlenet/model/googlenet-12.onnx",
            "c99c507058eaf41de8723408fdda7db8325cb57f0a89f2ee07a716d6e963e14e",
            28_021_836,
            "BSD-3-Clause",
            (0.6778, 0.8834),
            "BVLC GoogLeNet",
        ),
        "vgg16": _onnx_source(
            "torchvision",
            "vgg/model/vgg16-12.onnx",
            "722c42f53ca03a5480296bf8f9c85a151de3eed9ec982d7d2302ff6e2900c67b",
            553_437_752,
            "Apache-2.0",
        ),
    }
)
"""Files of the ONNX Model Zoo; checksums and sizes are the zoo's own manifest."""
