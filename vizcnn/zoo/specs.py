"""What names a net: a name in the catalogue, or a spec of one from elsewhere.

A spec says by its form where the net comes from: ``torchvision:NAME[:WEIGHTS]``, ``timm:NAME``,
``hub:OWNER/NAME[@REVISION]``, ``file.py:factory``, ``package.module:factory``, or a ``.pt2`` file
of torch.export. Importable without torch, for the command line.
"""

import re
from dataclasses import dataclass
from typing import Literal

from vizcnn.basics.errors import ModelError, check_kind, quote
from vizcnn.zoo.cache import SUFFIXES
from vizcnn.zoo.catalogue import check_name, find_entry
from vizcnn.zoo.registry import Entry

SpecKind = Literal["torchvision", "timm", "hub", "code", "exported"]
"""Where a net outside the catalogue comes from."""

FORMS = {
    "torchvision": "torchvision:NAME[:WEIGHTS], such as torchvision:resnext50_32x4d",
    "timm": "timm:NAME, such as timm:resnet18.a1_in1k",
    "hub": "hub:OWNER/NAME[@REVISION], such as hub:timm/resnet18.a1_in1k",
    "code": "file.py:factory or package.module:factory, such as net.py:make",
    "exported": "a .pt2 file of torch.export.save",
}
"""How each kind of spec is written."""


@dataclass(frozen=True)
class Spec:
    """A net from outside the catalogue, as it was named.

    Attributes:
        text: The spec, as given.
        kind: Where the net comes from.
        source: torchvision's or timm's name of it, the hub's repository, the file, or the module.
        part: torchvision's label of weights, the hub's revision, or the factory; empty if not
            given.
    """

    text: str
    kind: SpecKind
    source: str
    part: str = ""

    @property
    def slug(self) -> str:
        """The spec as a part of a file's name.

        Example:
            >>> parse_spec("nets/my net.py:make").slug, parse_spec("timm:resnet18").slug
            ('my-net-make', 'timm-resnet18')
        """
        told = self.source.replace("\\", "/").rsplit("/", 1)[-1]
        stem = told.removesuffix(".py").removesuffix(".pt2")
        prefix = "" if self.kind in ("code", "exported") else self.kind
        return make_slug("-".join(filter(None, (prefix, stem, self.part))))


def make_slug(text: str) -> str:
    """Write a text with letters, digits, dots and dashes alone, for a file's name.

    Example:
        >>> make_slug("torchvision:resnet18")
        'torchvision-resnet18'
    """
    return re.sub(r"[^\w.]+", "-", text, flags=re.ASCII).strip("-.") or "net"


def parse_spec(text: str) -> Spec | None:
    """Read what names a net; None for a name in the catalogue, whether or not there is such a one.

    Raises:
        ModelError: If it is neither a name nor a spec.

    Example:
        >>> parse_spec("torchvision:resnet18:IMAGENET1K_V1").part
        'IMAGENET1K_V1'
        >>> parse_spec("zfnet") is None
        True
    """
    head, colon, rest = text.partition(":")
    if head == "torchvision" and colon:
        name, _, label = rest.partition(":")
        return Spec(text, "torchvision", _need(name, text, "torchvision"), label)
    if head == "timm" and colon:
        return Spec(text, "timm", _need(rest, text, "timm"))
    if head == "hub" and colon:
        name, _, revision = rest.partition("@")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII):
            _need("", text, "hub")
        return Spec(text, "hub", name, revision)
    if text.endswith(".pt2"):
        return Spec(text, "exported", text)
    if text.endswith((*SUFFIXES, ".tar")):
        raise ModelError(
            f"{quote(text)} is a file of weights, and does not say of what net: name the net, and "
            "give the file as its weights (--weights)"
        )
    place, colon, factory = text.rpartition(":")
    if text.endswith(".py"):
        raise ModelError(f"{quote(text)} does not say what makes the net; needed: {FORMS['code']}")
    if not colon:
        return None
    is_module = re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", place)
    if not factory.isidentifier() or not (place.endswith(".py") or is_module):
        known = "; ".join(FORMS.values())
        raise ModelError(f"{quote(text)} names no net; needed: a name in the catalogue, or {known}")
    return Spec(text, "code", place, factory)


def _need(name: str, text: str, kind: str) -> str:
    if not name:
        raise ModelError(f"{quote(text)} names no net; needed: {FORMS[kind]}")
    return name


def check_net(text: str) -> str:
    """Make sure that a text names a net, as far as that can be told without loading anything.

    Returns:
        The name as the catalogue spells it, or the spec.

    Raises:
        ModelError: If there is no such net, or the spec has no known form.

    Example:
        >>> check_net("ZFNet"), check_net("timm:resnet18")
        ('zfnet', 'timm:resnet18')
    """
    check_kind("a net's name", text, str, "a name such as 'zfnet'", ModelError)
    return text if parse_spec(text) else check_name(text)


def slug_net(text: str) -> str:
    """Name a net in names of folders: a catalogue name as it is, of a spec what tells it apart.

    Example:
        >>> slug_net("zfnet"), slug_net("hub:timm/resnet18.a1_in1k")
        ('zfnet', 'hub-resnet18.a1_in1k')
    """
    spec = parse_spec(text)
    return spec.slug if spec else text


def find_net(text: str) -> Entry:
    """Find a net by its name in the catalogue, or by the spec of one of a library.

    Raises:
        ModelError: If there is no such net, the library is not installed, or code or a file makes
            the net, which has no weights but its own.
    """
    spec = parse_spec(text)
    if spec is None:
        return find_entry(text)
    # each library is imported when it is asked for: neither timm nor torchvision is quick to load
    if spec.kind == "torchvision":
        from vizcnn.zoo.torchvision_builders import make_builder_entry

        return make_builder_entry(spec)
    if spec.kind == "timm":
        from vizcnn.zoo.timm_nets import make_timm_entry

        return make_timm_entry(spec)
    if spec.kind == "hub":
        from vizcnn.zoo.timm_nets import make_hub_entry

        return make_hub_entry(spec)
    raise ModelError(f"{quote(text)} comes with its weights, and has none to fetch or to list")
