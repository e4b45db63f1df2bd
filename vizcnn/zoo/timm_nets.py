"""Nets of timm (PyTorch Image Models), by name, or as the Hugging Face hub has them.

timm and the hub's client are optional; weights are read from the hub's cache, as safetensors, and
fetched by ``vizcnn weights fetch`` alone.
"""

import contextlib
import importlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from vizcnn.basics.codec import ManifestError, read_json
from vizcnn.basics.errors import ModelError, WeightsError, nearest_names, quote, shorten
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.registry import IMAGENET_CLASSES, Entry, Variant, WeightSource

if TYPE_CHECKING:
    from torch import nn

    from vizcnn.zoo.preprocessing import Preprocessing
    from vizcnn.zoo.specs import Spec

_FILE = "model.safetensors"
_CONFIG = "config.json"


def _import(name: str) -> ModuleType:
    from vizcnn.zoo.torchvision_nets import import_torchvision

    import_torchvision()  # timm imports it, and cannot where it lacks an operator
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ModelError(
            f"nets of timm and of the Hugging Face hub need the package {name}: "
            "pip install 'vizcnn[timm]'"
        ) from None


@dataclass(frozen=True)
class HubFile(WeightSource):
    """Weights on the Hugging Face hub, as safetensors.

    Attributes:
        repository: ``OWNER/NAME``.
        revision: Commit, branch or tag; ``main`` when None.
        name: Name of the file in the repository.
    """

    repository: str = ""
    revision: str | None = None
    name: str = _FILE

    def find(self) -> Path | None:
        """Find the file in the hub's cache; the network is not asked."""
        return find_cached(self.repository, self.revision, self.name)

    def download(self) -> Path:
        """Fetch the file into the hub's cache.

        Raises:
            WeightsError: If it cannot be fetched.
        """
        return fetch_file(self.repository, self.revision, self.name)


def find_cached(repository: str, revision: str | None, name: str) -> Path | None:
    """Find a file of a repository in the hub's cache; None if it is not there."""
    hub = _import("huggingface_hub")
    found = hub.try_to_load_from_cache(
        repository, name, cache_dir=_find_cache(), revision=revision or "main"
    )
    return Path(found) if isinstance(found, str) else None


def _find_cache() -> str | None:
    """Give the hub's cache folder as the environment names it now; None for the library's own."""
    if chosen := os.environ.get("HF_HUB_CACHE"):
        return chosen
    home = os.environ.get("HF_HOME")
    return str(Path(home, "hub")) if home else None


def is_offline() -> bool:
    """Tell whether the hub may not be asked (HF_HUB_OFFLINE)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def fetch_file(repository: str, revision: str | None, name: str) -> Path:
    """Fetch a file of a repository into the hub's cache.

    Raises:
        WeightsError: If the hub may not be asked, does not answer, or has no such file.
    """
    there = find_cached(repository, revision, name)
    if there is not None:
        return there
    if is_offline():
        raise WeightsError(
            f"{name} of {repository} is not in the hub's cache, and HF_HUB_OFFLINE forbids to "
            "fetch it: unset that, or copy the cache from another machine"
        )
    hub = _import("huggingface_hub")
    try:
        return Path(
            hub.hf_hub_download(
                repository, name, revision=revision or "main", cache_dir=_find_cache()
            )
        )
    except Exception as error:  # of the hub's client, requests, the disk
        reason = shorten((str(error).strip() or type(error).__name__).splitlines()[0], 160)
        raise WeightsError(
            f"{name} of {repository} could not be fetched ({reason}): check its name and the "
            "network, and try again"
        ) from error


def make_timm_entry(spec: "Spec") -> Entry:
    """Describe a net of timm.

    Raises:
        ModelError: If timm is not installed, or has no such net.
    """
    timm = _import("timm")
    name = spec.source
    base = name.partition(".")[0]
    config = None
    with contextlib.suppress(RuntimeError):  # a tag that it does not have
        config = timm.models.get_pretrained_cfg(name) if timm.is_model(base) else None
    if not timm.is_model(base) or (config is None and "." in name):
        known = timm.list_models() if not timm.is_model(base) else timm.list_pretrained(f"{base}*")
        raise ModelError(f"timm has no net {quote(name)}: {nearest_names(name, known)}")
    told = {} if config is None else config.to_dict(remove_null=False)
    repository = str(told.get("hf_hub_id") or "")
    if repository.endswith("/"):
        repository += name if "." in name else f"{base}.{told['tag']}" if told.get("tag") else base
    sources = [_describe_weights(repository, None, told)] if repository else []
    return _make_entry(spec.text, name, told, sources, partial(_build, name, {}))


def make_hub_entry(spec: "Spec") -> Entry:
    """Describe a net whose configuration lies in the hub's cache.

    Raises:
        ModelError: If it does not, or tells of no net that timm builds.
    """
    repository, revision = spec.source, spec.part or None
    path = find_cached(repository, revision, _CONFIG)
    if path is None:
        raise ModelError(
            f"{spec.text} is not in the hub's cache; fetch it with: vizcnn weights fetch "
            f"{spec.text}"
        )
    try:
        config = read_json(path, "configuration", ManifestError)
    except ManifestError as error:
        raise ModelError(str(error)) from None
    timm = _import("timm")
    name = config.get("architecture") if isinstance(config, dict) else None
    told = config.get("pretrained_cfg", config) if isinstance(config, dict) else {}
    if not isinstance(name, str) or not isinstance(told, dict) or not timm.is_model(name):
        raise ModelError(
            f"{spec.text} is no net of timm's: its {_CONFIG} names no architecture that timm has; "
            "load it by its own library, and give the module to vizcnn.wrap"
        )
    arguments = config.get("model_args") or {}
    told = {**told, "num_classes": config.get("num_classes", told.get("num_classes"))}
    if isinstance(config.get("label_names"), list):
        told["label_names"] = config["label_names"]
    sources = [_describe_weights(repository, revision, told)]
    return _make_entry(spec.text, spec.source, told, sources, partial(_build, name, arguments))


def fetch_config(spec: "Spec") -> None:
    """Fetch the configuration of a net of the hub into its cache."""
    fetch_file(spec.source, spec.part or None, _CONFIG)


def _build(
    name: str,
    arguments: Mapping[str, Any],
    /,
    *,
    classes: int = IMAGENET_CLASSES,
    input_size: int | None = None,
) -> "nn.Module":
    import torch

    timm = _import("timm")
    given = {**arguments, "num_classes": classes}
    # not on torch's meta device: some nets compute a part of themselves when they are made
    with torch.device("cpu"):
        if input_size is not None:
            with contextlib.suppress(TypeError):  # nets of convolutions take any size
                given_size = {**given, "img_size": input_size}
                return cast("nn.Module", timm.create_model(name, pretrained=False, **given_size))
        return cast("nn.Module", timm.create_model(name, pretrained=False, **given))


def _make_entry(
    text: str,
    title: str,
    told: Mapping[str, Any],
    sources: list[HubFile],
    make: Callable[..., "nn.Module"],
) -> Entry:
    preprocessing = read_preprocessing(told)
    count = told.get("num_classes")
    options = {"classes": count} if isinstance(count, int) and count > 0 else {}
    form = Variant(
        "as timm defines it",
        options,
        preprocessing.input_size,
        preprocessing=MappingProxyType(preprocessing.to_dict()),
    )
    return Entry(
        name=text,
        title=title,
        paper=str(told.get("paper_ids") or "timm"),
        kind="timm",
        make=make,
        variants={"timm": form},
        layers=partial(name_timm, preprocessing=preprocessing),
        weights=lambda: sources,
        trained_as=None,
        whole=True,
    )


def _describe_weights(repository: str, revision: str | None, told: Mapping[str, Any]) -> HubFile:
    at = f" at {revision}" if revision else ""
    return HubFile(
        label="hub",
        variant="timm",
        url=f"https://huggingface.co/{repository}/resolve/{revision or 'main'}/{_FILE}",
        sha256=_find_digest(find_cached(repository, revision, _FILE)),
        origin=Provenance(
            "hub",
            data=f"{repository}{at}",
            licence=str(told.get("license") or "unknown"),
            note="weights of the Hugging Face hub, for timm",
        ),
        classes=tuple(_list_classes(told)),
        repository=repository,
        revision=revision,
    )


def _find_digest(path: Path | None) -> str:
    """Give the checksum that a file of the hub's cache is to have: its blob is named after it."""
    digits = "" if path is None else path.resolve().name
    return digits if re.fullmatch("[0-9a-f]{64}", digits) else ""


def _list_classes(told: Mapping[str, Any]) -> Iterator[str]:
    """Name the classes: as the configuration does, or those of ImageNet that timm knows."""
    names = told.get("label_names")
    if names:
        described = told.get("label_descriptions") or {}
        yield from (str(described.get(name, name)) for name in names)
        return
    count = told.get("num_classes")
    data = _import("timm.data")
    subset = data.infer_imagenet_subset({"num_classes": count})
    if subset is not None and count != IMAGENET_CLASSES:  # of those torchvision has the usual names
        yield from data.ImageNetInfo(subset).label_descriptions()


def read_preprocessing(told: Mapping[str, Any]) -> "Preprocessing":
    """Read the preprocessing of a net of timm off its configuration.

    Args:
        told: ``pretrained_cfg``, with ``mean``, ``std``, ``input_size`` and ``crop_pct``.

    Raises:
        ModelError: If the net does not take square images of one or three channels.
    """
    from vizcnn.zoo.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

    channels, height, width = told.get("input_size") or (3, 224, 224)
    if height != width or channels not in (1, 3):
        raise ModelError(
            f"the net takes {channels} x {height} x {width} images; needed: square ones of 1 or 3 "
            "channels"
        )
    mean = tuple(told.get("mean") or IMAGENET_MEAN)
    std = tuple(told.get("std") or IMAGENET_STD)
    values = {
        "mean": mean[:channels],
        "std": std[:channels],
        "scale": 1.0,
        "bgr": False,
        "input_size": height,
        "resize": max(int(height / (told.get("crop_pct") or 0.875)), 1),
        "grey": channels == 1,
    }
    return Preprocessing.from_dict(values)


def name_timm(net: "nn.Module", preprocessing: "Preprocessing") -> dict[str, str]:
    """Name the layers of a net of timm by its ``feature_info``: where each stage ends.

    ``features.0``, ``features.1``, ... are what timm's ``features_only`` puts out, and ``conv1`` to
    ``conv5`` the same by how far they are reduced: ``conv1`` by 2, ``conv5`` by 32. A net without
    ``feature_info`` is named as any other is.
    """
    from vizcnn.zoo.naming import look_at, name_traced

    seen = look_at(net, preprocessing)
    traced = name_traced(net, seen)
    own = {path for path, _ in net.named_modules()}
    listed = getattr(net, "feature_info", None)
    infos = [info for info in listed or () if isinstance(info, dict) and info.get("module") in own]
    stages = {
        f"conv{info['reduction'].bit_length() - 1}": info["module"]
        for info in infos
        if isinstance(info.get("reduction"), int) and 2 <= info["reduction"] <= 32
    }
    features = {f"features.{number}": info["module"] for number, info in enumerate(infos)}
    features = {name: path for name, path in features.items() if name not in own}
    named = {**stages, **features}
    if not stages:
        return traced
    last = list(traced.items())[-1:] if seen.last else []
    return named | dict(last)
