"""Nets by name, with weights from wherever they are at hand."""

from pathlib import Path
from typing import Any

import torch

from vizcnn.errors import WeightsError, nearest_names
from vizcnn.zoo.assembly import assemble, assemble_random, infer_options
from vizcnn.zoo.bundle import find_bundled, read_bundled, read_own_file
from vizcnn.zoo.cache import check_hash, hash_file
from vizcnn.zoo.catalogue import Entry, find_entry
from vizcnn.zoo.files import SUFFIXES, check_file, read_state
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.ndf import find_ndf, read_ndf
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.sources import WeightSource, find_sources
from vizcnn.zoo.weights import Weights

NDF_NET = "squeezenet1_1"
"""The net whose weights the package ndf carries."""
_KEYWORDS = ("auto", "bundled", "imagenet", "ndf")


def load(
    name: str,
    weights: str | Path | None = "auto",
    *,
    variant: str | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    **options: Any,
) -> ZooModel:
    """Load a net of the zoo.

    Args:
        name: Name in the catalogue, such as ``"zfnet"`` or ``"vgg16"``.
        weights: ``"auto"``: ImageNet weights if they are at hand (in the cache folder, torchvision's
            own, or the package ndf), else the bundled ones, else an error; never random.
            ``"imagenet"``, ``"bundled"`` or ``"ndf"``: only those; also a label of torchvision's
            such as ``"IMAGENET1K_V1"``. A path of a ``.safetensors``, ``.pth``, ``.pt`` or
            ``.onnx`` file. None: random.
        variant: Form of the net, such as ``"paper"``, ``"bvlc"`` or ``"zfnet512"``; by default the
            one of the weights.
        device: Where the module goes.
        seed: Seed of random weights.
        **options: Arguments of vizcnn's own classes (``groups=2``, ``hidden=512``, ...);
            ``classes`` and ``input_size`` (in pixels) go with every net.

    Returns:
        The net, in evaluation mode, float32.

    Raises:
        ModelError: If there is no such net, variant or option.
        WeightsError: If the weights are missing, damaged, unsafe or another net's.

    Example:
        >>> model = load("zfnet", weights=None, hidden=8, classes=10)
        >>> model.logits(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 10])
    """
    entry = find_entry(name)
    form = entry.find_variant(variant)
    if weights is None:
        model = assemble_random(entry, form, {**form.options, **options}, seed)
    else:
        found, used = _read_weights(entry, weights, variant, options)
        model = assemble(entry, entry.find_variant(used), found)
    return model.to(device)


def _read_weights(
    entry: Entry, weights: str | Path, variant: str | None, options: dict[str, Any]
) -> tuple[Weights, str | None]:
    """Read what was asked for; gives the variant that it belongs to as well."""
    if weights == "bundled":
        return _with_options(read_bundled(entry), options), None
    if weights == "ndf":
        return _with_options(_read_ndf_for(entry), options), None
    sources = find_sources(entry, variant) if isinstance(weights, str) else []
    labelled = [source for source in sources if weights in ("auto", "imagenet", source.label)]
    for source in labelled:
        path = source.find()
        if path:
            return _read_source(entry, source, path, options), source.variant
    if weights in ("auto", "imagenet") and entry.name == NDF_NET and find_ndf():
        return _with_options(read_ndf(), options), None
    if weights == "auto" and variant is None and find_bundled(entry):
        return _with_options(read_bundled(entry), options), None
    if labelled or weights in _KEYWORDS:
        raise WeightsError(_say_how_to_get(entry, str(weights), variant, labelled))
    return _read_user_file(entry, Path(weights), variant, options)


def _with_options(weights: Weights, options: dict[str, Any]) -> Weights:
    return Weights(**{**vars(weights), "options": {**weights.options, **options}})
