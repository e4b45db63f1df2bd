"""Torchvision's nets: a table of families, their weights, the names of their layers.

Importable without torch; torchvision is imported when a net or its weights are asked for.
"""

import importlib
import math
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from vizcnn.zoo.provenance import IMAGENET, Provenance
from vizcnn.zoo.registry import (
    IMAGENET_CLASSES,
    LARGEST,
    Entry,
    Namer,
    Style,
    Variant,
    WeightSource,
    list_children,
    name_stages,
    onnx_zoo,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

_STAGES = 5
"""conv1..conv5."""


def _name_alexnet(net: "nn.Module") -> dict[str, str]:
    from torch import nn

    names = {}
    convolutions = 0
    for path, part in list_children(net, "features").items():
        convolutions += isinstance(part, nn.Conv2d)
        if isinstance(part, nn.ReLU):
            names[f"conv{convolutions}"] = path
        elif isinstance(part, nn.MaxPool2d):
            names[f"pool{convolutions}"] = path
    return {**names, "fc6": "classifier.2", "fc7": "classifier.5", "fc8": "classifier.6"}


def name_vgg(net: "nn.Module") -> dict[str, str]:
    """Name the layers of a VGG: conv1_1, conv1_2, conv1, pool1, ..."""
    from torch import nn

    names = {}
    group, convolution = 1, 0
    for path, part in list_children(net, "features").items():
        if isinstance(part, nn.ReLU):
            convolution += 1
            names[f"conv{group}_{convolution}"] = names[f"conv{group}"] = path
        elif isinstance(part, nn.MaxPool2d):
            names[f"pool{group}"] = path
            group, convolution = group + 1, 0
    return {**names, "fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}


def _name_googlenet(net: "nn.Module") -> dict[str, str]:
    stages = name_stages("conv1", "conv3", "inception3b", "inception4e", "inception5b")
    return stages | _name_children(net, "pool", "inception", "fc")


def _name_inception(net: "nn.Module") -> dict[str, str]:
    stages = name_stages("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c")
    return stages | _name_children(net, "pool", "Conv2d", "Mixed", "fc")


def _name_children(net: "nn.Module", *shown: str) -> dict[str, str]:
    names = {path.replace("maxpool", "pool"): path for path, _ in net.named_children()}
    return {name: path for name, path in names.items() if name.startswith(shown)}


def _name_resnet(net: "nn.Module") -> dict[str, str]:
    stages = name_stages("relu", "layer1", "layer2", "layer3", "layer4")
    blocks = {
        f"conv{stage + 1}_{number}": path
        for stage in range(1, _STAGES)
        for number, path in enumerate(list_children(net, f"layer{stage}"), start=1)
    }
    return {**stages, "pool1": "maxpool", **blocks, "fc": "fc"}


def _name_squeezenet(net: "nn.Module") -> dict[str, str]:
    kinds = {path: type(part).__name__ for path, part in list_children(net, "features").items()}
    fires = [path for path, kind in kinds.items() if kind == "Fire"]
    pools = [path for path, kind in kinds.items() if kind == "MaxPool2d"]
    # fires come in pairs of equal width; a pair is a stage, wherever the version pools
    stages = name_stages("features.1", *fires[1::2])
    named = {f"fire{number}": path for number, path in enumerate(fires, start=2)}
    pooled = {f"pool{number}": path for number, path in enumerate(pools, start=1)}
    return {**stages, **named, **pooled, "conv10": "classifier.2"}


def _name_densenet(net: "nn.Module") -> dict[str, str]:
    blocks = [f"features.denseblock{number}" for number in range(1, _STAGES)]
    transitions = {
        f"transition{number}": f"features.transition{number}" for number in range(1, _STAGES - 1)
    }
    stages = name_stages("features.relu0", *blocks)
    return {**stages, "pool1": "features.pool0", **transitions, "fc": "classifier"}


def _name_mobilenet(net: "nn.Module") -> dict[str, str]:
    stages = name_stages(*(f"features.{number}" for number in (1, 3, 6, 13, 18)))
    blocks = {
        f"block{number}": path
        for number, (path, part) in enumerate(list_children(net, "features").items())
        if type(part).__name__ == "InvertedResidual"
    }
    return {**stages, **blocks, "fc": "classifier.1"}


def _drop_side_branches(state: Mapping[str, "Tensor"]) -> dict[str, "Tensor"]:
    """Leave out the side branches of GoogLeNet and Inception v3 that only training uses."""
    sides = ("aux1.", "aux2.", "AuxLogits.")
    return {name: value for name, value in state.items() if not name.startswith(sides)}


def _rename_densenet(state: Mapping[str, "Tensor"]) -> dict[str, "Tensor"]:
    """Write ``norm1`` as the class does; torchvision's files of DenseNet say ``norm.1``."""
    old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
    return {old.sub(r"\1\2.", name): value for name, value in state.items()}


def _make_family(
    kind: str,
    paper: str,
    nets: Mapping[str, str],
    layers: Namer,
    *,
    input_size: int = 224,
    style: Style = "imagenet",
    adapt: Callable[[Mapping[str, "Tensor"]], dict[str, "Tensor"]] = dict,
    options: Mapping[str, Any] = MappingProxyType({}),
    weights: Mapping[str, tuple[WeightSource, ...]] = MappingProxyType({}),
) -> dict[str, Entry]:
    """Describe the nets of one class of torchvision's.

    Args:
        kind: The class, with its home in ``torchvision.models``.
        paper: Authors, year and arXiv number.
        nets: Names and titles.
        layers: Names their layers.
        input_size: Side of the square input in pixels.
        style: Preprocessing.
        adapt: Brings the names in torchvision's files to those of the class as it is used here.
        options: Arguments of torchvision's function.
        weights: Weights beside torchvision's own, by name of the net.
    """
    family = {}
    for name, title in nets.items():
        builder = name.removeprefix("torchvision-")
        family[name] = Entry(
            name=name,
            title=title,
            paper=paper,
            kind=f"torchvision.models.{kind}",
            make=partial(_build, builder, options),
            variants={"torchvision": Variant("as torchvision defines it", {}, input_size, style)},
            layers=layers,
            weights=partial(_list_weights, builder, weights.get(name, ())),
            adapt=adapt,
        )
    return family


def _build(
    builder: str,
    extra: Mapping[str, Any],
    /,
    *,
    classes: int = IMAGENET_CLASSES,
    input_size: int | None = None,  # any: these nets end in an average over all places
) -> "nn.Module":
    models = import_torchvision().models
    return cast("nn.Module", models.get_model(builder, weights=None, num_classes=classes, **extra))


def _list_weights(builder: str, more: tuple[WeightSource, ...]) -> tuple[WeightSource, ...]:
    members = import_torchvision().models.get_model_weights(builder)
    ordered = [members.DEFAULT, *(member for member in members if member != members.DEFAULT)]
    return (*(read_member(member) for member in ordered if _is_classifier(member)), *more)


def _is_classifier(member: Any) -> bool:
    # VGG-16 has weights of the convolutions alone, for detectors; their accuracies are NaN
    return not math.isnan(member.meta["_metrics"]["ImageNet-1K"]["acc@1"])


_PUBLISHED = (
    "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
    "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
    "a639ec97d7c33b07ae66f0b5fb7d0192f95a3b11b7576c66c0126c2a727c4395",
    "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    "7ebf99e03e254b273379b23edca7ec0da9f48273b23a332b93c1c99d49e86e8f",
)
"""Whole checksums of files whose names hold the first 8 digits, as several projects that pin them
have published them, in agreement; those of the other files are kept when they are fetched."""


def read_member(member: Any) -> WeightSource:
    """Describe a member of one of torchvision's enumerations of weights."""
    accuracies = member.meta["_metrics"]["ImageNet-1K"]
    digits = member.url.rsplit("-", 1)[1].removesuffix(".pth")
    size = member.meta.get("_file_size")  # in MiB, rounded; releases before 0.15 do not tell it
    return WeightSource(
        label=member.name,
        variant="torchvision",
        url=member.url,
        sha256=next((whole for whole in _PUBLISHED if whole.startswith(digits)), digits),
        origin=Provenance(
            source="torchvision",
            data=IMAGENET,
            licence="BSD-3-Clause (torchvision); ImageNet's terms of access may apply",
            top1=round(accuracies["acc@1"] / 100, 5),
            top5=round(accuracies["acc@5"] / 100, 5),
            note=f"torchvision's {member.name}, measured by torchvision",
        ),
        resize=member.transforms.keywords.get("resize_size"),
        limit=int((size + 0.01) * (1 << 20)) if size else LARGEST,
    )


# the change of range is part of vizcnn's preprocessing, not of the net
_PLAIN = {"aux_logits": False, "transform_input": False, "init_weights": False}

TORCHVISION_NETS: Mapping[str, Entry] = MappingProxyType(
    {
        **_make_family(
            "alexnet.AlexNet",
            "Krizhevsky 2014 (arXiv 1404.5997)",
            {"torchvision-alexnet": "AlexNet (torchvision)"},
            _name_alexnet,
        ),
        **_make_family(
            "vgg.VGG",
            "Simonyan & Zisserman 2014 (arXiv 1409.1556)",
            {
                f"vgg{depth}{norm}": f"VGG-{depth}{title}"
                for norm, title in (("", ""), ("_bn", " with batch normalisation"))
                for depth in (11, 13, 16, 19)
            },
            name_vgg,
            weights={
                "vgg16": (
                    onnx_zoo(
                        "torchvision",
                        "vgg/model/vgg16-12.onnx",
                        "722c42f53ca03a5480296bf8f9c85a151de3eed9ec982d7d2302ff6e2900c67b",
                        553_437_752,
                        "Apache-2.0",
                    ),
                )
            },
        ),
        **_make_family(
            "googlenet.GoogLeNet",
            "Szegedy et al. 2014 (arXiv 1409.4842)",
            {"googlenet": "GoogLeNet"},
            _name_googlenet,
            style="half",
            adapt=_drop_side_branches,
            options=_PLAIN,
        ),
        **_make_family(
            "resnet.ResNet",
            "He et al. 2015 (arXiv 1512.03385)",
            {f"resnet{depth}": f"ResNet-{depth}" for depth in (18, 34, 50, 101, 152)},
            _name_resnet,
        ),
        **_make_family(
            "squeezenet.SqueezeNet",
            "Iandola et al. 2016 (arXiv 1602.07360)",
            {f"squeezenet1_{minor}": f"SqueezeNet 1.{minor}" for minor in (0, 1)},
            _name_squeezenet,
        ),
        **_make_family(
            "densenet.DenseNet",
            "Huang et al. 2016 (arXiv 1608.06993)",
            {f"densenet{depth}": f"DenseNet-{depth}" for depth in (121, 161, 169, 201)},
            _name_densenet,
            adapt=_rename_densenet,
        ),
        **_make_family(
            "inception.Inception3",
            "Szegedy et al. 2015 (arXiv 1512.00567)",
            {"inception_v3": "Inception v3"},
            _name_inception,
            input_size=299,
            style="half",
            adapt=_drop_side_branches,
            options=_PLAIN,
        ),
        **_make_family(
            "mobilenetv2.MobileNetV2",
            "Sandler et al. 2018 (arXiv 1801.04381)",
            {"mobilenet_v2": "MobileNet v2"},
            _name_mobilenet,
        ),
    }
)
"""Torchvision's nets by name, a family after the other."""


def imagenet_classes() -> tuple[str, ...]:
    """Give the names of ImageNet's 1000 classes, in the order of the logits."""
    members = import_torchvision().models.get_model_weights("alexnet")
    return tuple(members.DEFAULT.meta["categories"])


_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_kept: list[Any] = []  # an operator lives as long as the library that defined it


def import_torchvision() -> ModuleType:
    """Import torchvision, declaring the operators that it misses.

    Raises:
        RuntimeError: If it fails for another reason.
    """
    import torch

    for _ in range(len(_SCHEMAS) + 1):
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None or missing[1] not in _SCHEMAS:
                raise
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(_SCHEMAS[missing[1]])
            _kept.append(library)
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
    raise RuntimeError("torchvision cannot be imported: reinstall it beside torch")
