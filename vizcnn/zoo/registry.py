"""What is said of a net, once: in its own file, by :func:`net`. Importable without torch.

Canonical layer names: conv1..conv5 mean the same in every net. A name stands for the feature maps
after the ReLU, as Zeiler & Fergus show them. In every net conv1 to conv5 are the last maps of the
first to the fifth stage; further names are those of the papers. Where a net has no ReLU at the end
of a stage (DenseNet's blocks, MobileNet v2's linear bottlenecks), the name stands for what the
stage puts out. LeNet-5 has three stages, conv1 to conv3; in its classic form they end in sigmoids.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from vizcnn.basics.errors import ModelError, nearest_names, quote
from vizcnn.zoo.cache import find_in_cache
from vizcnn.zoo.provenance import IMAGENET, Provenance

if TYPE_CHECKING:
    from torch import Tensor, nn

Style = Literal["imagenet", "caffe", "caffe2", "half", "lite", "grey"]
"""How pixels become a net's input; see :func:`vizcnn.zoo.preprocessing.make_preprocessing`."""

IMAGENET_CLASSES = 1000
"""Number of classes of the ImageNet challenge."""

LAST = 100
"""Place in lists of a net that names none."""

Namer = Callable[["nn.Module"], dict[str, str]]
"""Gives a net's canonical layer names and module paths, in the order of the forward pass."""

Module = TypeVar("Module", bound="type[nn.Module]")


@dataclass(frozen=True)
class Variant:
    """One form of a net.

    Attributes:
        title: What sets it apart.
        options: Arguments of the net's class.
        input_size: Side of the square input in pixels.
        style: Preprocessing.
        preprocessing: Its settings by name, where no style says them.
    """

    title: str
    options: Mapping[str, Any]
    input_size: int
    style: Style = "imagenet"
    preprocessing: Mapping[str, Any] | None = None


LARGEST = 4 << 30
"""Bytes that no file of weights reaches."""


@dataclass(frozen=True)
class WeightSource:
    """A file of ImageNet weights that the public can fetch.

    Attributes:
        label: Which of several weights: torchvision's own name, or the file's name.
        variant: Form of the net that they belong to.
        url: Address; its last part is the file's name in the cache folder.
        sha256: Checksum, or its first digits.
        origin: What is known of the weights; ``source`` is ``"torchvision"`` or ``"onnx-zoo"``.
        size: Bytes; for torchvision's None, as only a rounded figure is known.
        resize: Side that the shorter side is brought to; None for the usual one.
        limit: Bytes that it has at the most, where ``size`` is None.
        classes: Name of each logit; empty for the usual ones.
    """

    label: str
    variant: str
    url: str
    sha256: str
    origin: Provenance
    size: int | None = None
    resize: int | None = None
    limit: int = LARGEST
    classes: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Name in the cache folder."""
        return self.url.rsplit("/", 1)[1]

    def find(self) -> Path | None:
        """Find the file in the cache; torchvision's own folder counts too."""
        return find_in_cache(self.file, torchvision=self.origin.source == "torchvision")

    def cite(self, location: str, sha256: str) -> Provenance:
        """Say where weights come from that were read from a copy of this file."""
        return replace(self.origin, location=location, sha256=sha256)


_ONNX_ZOO = "https://github.com/onnx/models/raw/main/validated/vision/classification/"


def onnx_zoo(
    variant: str,
    path: str,
    sha256: str,
    size: int,
    licence: str,
    accuracy: tuple[float, float] | None = None,
    note: str = "",
) -> WeightSource:
    """Name a file of the ONNX Model Zoo, with checksum and size from the zoo's own manifest.

    Args:
        variant: Form of the net that the weights belong to.
        path: Path in the zoo's folder of classifiers.
        sha256: Checksum.
        size: Bytes.
        licence: Terms.
        accuracy: Top-1 and top-5 (0..1), if the zoo states them.
        note: What one should know beside.
    """
    top1, top5 = accuracy or (None, None)
    measured = "accuracy as the zoo states it" if accuracy else "the zoo states no accuracy"
    told = f"ONNX Model Zoo; {measured}" + (f"; {note}" if note else "")
    return WeightSource(
        label=path.rsplit("/", 1)[1].removesuffix(".onnx"),
        variant=variant,
        url=_ONNX_ZOO + path,
        sha256=sha256,
        origin=Provenance("onnx-zoo", IMAGENET, licence, top1, top5, told),
        size=size,
    )


@dataclass(frozen=True)
class Entry:
    """One net of the catalogue.

    Attributes:
        name: What one loads it by.
        title: Name for headings.
        paper: Authors, year and arXiv number or venue.
        kind: Class of the torch module, with its home.
        make: Makes the torch module; its keyword arguments are the net's options.
        variants: Forms by name; the first is the default.
        layers: Names its layers.
        weights: Lists the fetchable ImageNet weights, the preferred first.
        adapt: Brings the names in others' weight files to those of the module.
        trained_as: Options that ``vizcnn train`` adds for small inputs; None if it cannot train
            the net.
        whole: Whether ``make`` gives the net its values too: random ones, as its own class draws
            them from torch's generator.
    """

    name: str
    title: str
    paper: str
    kind: str
    make: Callable[..., "nn.Module"] = field(repr=False)
    variants: Mapping[str, Variant] = field(repr=False)
    layers: Namer = field(repr=False)
    weights: Callable[[], Sequence[WeightSource]] = field(default=tuple, repr=False)
    adapt: Callable[[Mapping[str, "Tensor"]], dict[str, "Tensor"]] = field(default=dict, repr=False)
    trained_as: Mapping[str, Any] | None = field(default=None, repr=False)
    whole: bool = False

    @property
    def default_variant(self) -> str:
        """Name of the form that one gets without asking for another."""
        return next(iter(self.variants))

    def find_variant(self, name: str | None) -> Variant:
        """Give a form by name, the default one for None.

        Raises:
            ModelError: If there is no such form.
        """
        if name is None:
            return self.variants[self.default_variant]
        if name not in self.variants:
            raise ModelError(
                f"{self.name} has no variant {quote(name)}: {nearest_names(name, self.variants)}"
            )
        return self.variants[name]

    def list_sources(self, variant: str | None = None) -> list[WeightSource]:
        """List the fetchable ImageNet weights, the preferred first; only a form's if it is named.

        Args:
            variant: Name of the form.
        """
        return [source for source in self.weights() if variant in (None, source.variant)]


def name_class(kind: type) -> str:
    """Name a class with its home, as in :attr:`Entry.kind`."""
    return f"{kind.__module__}.{kind.__qualname__}"


REGISTERED: dict[str, Entry] = {}
"""The nets whose files were imported, by name."""


def net(
    name: str,
    *,
    title: str,
    paper: str,
    variants: Mapping[str, Variant],
    layers: Namer,
    weights: Sequence[WeightSource] = (),
    trained_as: Mapping[str, Any] | None = MappingProxyType({}),
    order: int = LAST,
) -> Callable[[Module], Module]:
    """Register a net class of vizcnn's own under a name, with all that is to be said of it.

    A file of this package whose classes are registered so is found by itself: the catalogue, the
    command line, ``vizcnn models`` and the README's table follow. Name and order have to be
    literals, as they are read off the source for help texts, which must not wait for torch.

    Args:
        name: What one loads it by; weights in ``bundled/<name>.safetensors`` are bundled with it.
        title: Name for headings.
        paper: Authors, year and arXiv number or venue.
        variants: Forms by name; the first is the default.
        layers: Names its layers.
        weights: ImageNet weights that can be fetched, the preferred first.
        trained_as: Options that ``vizcnn train`` adds for small inputs; None keeps it from
            training it; its class then takes ``classes``, ``input_size`` and ``dropout``.
        order: Place in lists of nets.

    Returns:
        What registers a class, whose keyword arguments are the net's options, and gives it back.
    """

    def register(kind: Module) -> Module:
        REGISTERED[name] = Entry(
            name=name,
            title=title,
            paper=paper,
            kind=name_class(kind),
            make=kind,
            variants=variants,
            layers=layers,
            weights=lambda: weights,
            trained_as=trained_as,
        )
        return kind

    return register


def list_children(module: "nn.Module", path: str) -> dict[str, "nn.Module"]:
    """Give the parts of a part of a net by module path, in order."""
    parts = module.get_submodule(path).named_children()
    return {f"{path}.{name}": part for name, part in parts}


def name_stages(*paths: str) -> dict[str, str]:
    """Name the last layers of the stages: conv1, conv2, ...

    Example:
        >>> name_stages("relu", "layer1")
        {'conv1': 'relu', 'conv2': 'layer1'}
    """
    return {f"conv{number}": path for number, path in enumerate(paths, start=1)}
