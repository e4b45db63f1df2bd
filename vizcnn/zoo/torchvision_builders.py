"""Every classifier that torchvision builds, beside those of the catalogue."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from vizcnn.basics.errors import ModelError, nearest_names, quote
from vizcnn.zoo.registry import IMAGENET_CLASSES, Entry, Variant, WeightSource
from vizcnn.zoo.torchvision_nets import TORCHVISION_NETS, import_torchvision, read_member

if TYPE_CHECKING:
    from torch import nn

    from vizcnn.zoo.specs import Spec

_FORM = "torchvision"
"""Name of the form that the preferred weights are of."""


def make_builder_entry(spec: "Spec") -> Entry:
    """Describe a classifier of torchvision's; of the catalogue's own nets as the catalogue does.

    Raises:
        ModelError: If torchvision has no such net, or it is no classifier of single images, or has
            no such weights.
    """
    models = import_torchvision().models
    name = spec.source.lower()
    known = models.list_models(module=models)
    if name not in known:
        if name in models.list_models() or name.startswith("quantized_"):
            raise ModelError(
                f"{quote(spec.text)} puts out no class scores of single images (it is for "
                "detection, segmentation, video or flow, or is quantised): give the net that it is "
                "built on, or a module of yours to vizcnn.wrap"
            )
        raise ModelError(f"torchvision has no net {quote(name)}: {nearest_names(name, known)}")
    entry = next(
        (
            entry
            for own, entry in TORCHVISION_NETS.items()
            if own.removeprefix("torchvision-") == name
        ),
        None,
    )
    entry = entry or _describe_builder(name)
    if not spec.part:
        return entry
    sources = [source for source in entry.weights() if source.label.lower() == spec.part.lower()]
    if not sources:
        labels = [source.label for source in entry.weights()]
        raise ModelError(
            f"torchvision's {name} has no weights {quote(spec.part)}: "
            f"{nearest_names(spec.part.upper(), labels)}"
        )
    return replace(entry, name=spec.text, weights=lambda: sources)


def _describe_builder(name: str) -> Entry:
    forms, sources = _list_forms(name)
    return Entry(
        name=f"torchvision:{name}",
        title=f"{name} (torchvision)",
        paper="torchvision",
        kind="torchvision",
        make=partial(_build, name),
        variants=forms,
        layers=partial(_name_layers, forms[_FORM]),
        weights=lambda: sources,
        whole=True,
    )


def _name_layers(form: Variant, net: "nn.Module") -> dict[str, str]:
    from vizcnn.zoo.naming import look_at, name_traced
    from vizcnn.zoo.preprocessing import variant_preprocessing

    size = getattr(net, "image_size", None)  # a vision transformer takes this one alone
    options = {"input_size": size} if isinstance(size, int) else {}
    return name_traced(net, look_at(net, variant_preprocessing(form, options)))


def _list_forms(name: str) -> tuple[Mapping[str, Variant], list[WeightSource]]:
    """List the weights' own preprocessings as forms of the net, and the weights."""
    members = import_torchvision().models.get_model_weights(name)
    ordered = [members.DEFAULT, *(member for member in members if member != members.DEFAULT)]
    forms: dict[str, Variant] = {}
    sources = []
    for member in ordered:
        told = member.transforms()
        size = int(told.crop_size[0])
        preprocessing = {
            "mean": tuple(told.mean),
            "std": tuple(told.std),
            "scale": 1.0,
            "bgr": False,
            "input_size": size,
            "resize": int(told.resize_size[0]),
            "grey": False,
        }
        label = next(
            (key for key, form in forms.items() if form.preprocessing == preprocessing),
            f"{size}px-{member.name}" if forms else _FORM,
        )
        if label not in forms:
            options = {"input_size": size} if _needs_size(name) else {}
            what = f"for images of {size} px, as {member.name} is"
            forms[label] = Variant(
                what, options, size, preprocessing=MappingProxyType(preprocessing)
            )
        sources.append(replace(read_member(member), variant=label, resize=None))
    return MappingProxyType(forms), sources


def _needs_size(name: str) -> bool:
    return name.startswith(("vit_", "maxvit"))


def _build(
    name: str, /, *, classes: int = IMAGENET_CLASSES, input_size: int | None = None
) -> "nn.Module":
    import torch

    build: Callable[..., Any] = import_torchvision().models.get_model
    given: dict[str, Any] = {}
    if input_size is not None and name.startswith("vit_"):
        given["image_size"] = input_size
    elif input_size is not None and name.startswith("maxvit"):
        given["input_size"] = (input_size, input_size)
    # not on torch's meta device: some compute a part of themselves when they are made
    with torch.device("cpu"):
        return cast("nn.Module", build(name, weights=None, num_classes=classes, **given))
