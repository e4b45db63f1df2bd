"""All nets with their sources of weights, for ``vizcnn models``."""

from dataclasses import asdict, dataclass
from typing import Any

from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.adjusting import PreprocessingLike, settle_preprocessing
from vizcnn.zoo.building import build_module
from vizcnn.zoo.catalogue import CATALOGUE, name_layers
from vizcnn.zoo.files import card_provenance, find_bundled, read_expected_hash, read_metadata
from vizcnn.zoo.made import load_made
from vizcnn.zoo.naming import Node, look_at
from vizcnn.zoo.packages import PACKAGES
from vizcnn.zoo.preprocessing import variant_preprocessing
from vizcnn.zoo.provenance import Provenance, SourceKind
from vizcnn.zoo.registry import Entry
from vizcnn.zoo.specs import find_net, parse_spec


@dataclass(frozen=True)
class SourceRow:
    """One source of weights of a net.

    Attributes:
        kind: ``"bundled"``, ``"torchvision"``, ``"onnx-zoo"``, ``"ndf"`` or ``"package"``.
        label: Which weights of that source.
        variant: Form of the net; None for the one that the file tells.
        data: What they were trained on.
        top1: Share of right first guesses (0..1); None if unknown.
        top5: Share of right classes among five guesses (0..1); None if unknown.
        measured_on: What the accuracies were measured on; ``"val"`` is the validation set.
        licence: Terms.
        note: What one should know beside.
        sha256: Checksum or its first digits; empty if the file carries none.
        cached: Whether they can be loaded at once.
        location: The file if it is there, else the address or package that has it.
    """

    kind: SourceKind
    label: str
    variant: str | None
    data: str
    top1: float | None
    top5: float | None
    measured_on: str
    licence: str
    note: str
    sha256: str
    cached: bool
    location: str


@dataclass(frozen=True)
class ModelRow:
    """One net.

    Attributes:
        name: What one loads it by.
        title: Name for headings.
        paper: Authors, year and where it appeared.
        input_size: Side of the square input of the default form in pixels.
        variants: Names of its forms, the default one first.
        sources: Where weights come from.
        layers: Canonical layer names and module paths of the default form; empty if not asked for.
        nodes: All calls of one forward pass; empty unless the net was asked for by name.
    """

    name: str
    title: str
    paper: str
    input_size: int
    variants: tuple[str, ...]
    sources: tuple[SourceRow, ...]
    layers: dict[str, str]
    nodes: tuple[Node, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the row as plain values for JSON."""
        return asdict(self)


def list_models(
    *,
    layers: bool = False,
    names: tuple[str, ...] = (),
    preprocessing: PreprocessingLike | None = None,
) -> tuple[ModelRow, ...]:
    """List the nets with their sources of weights.

    Args:
        layers: Whether to list the layers too, for which the nets are built (without weights).
        names: Only these nets, by name or spec; all when empty.
        preprocessing: How pixels become the input of nets by spec and name, as in
            :func:`~vizcnn.zoo.adjusting.settle_preprocessing`; each net's own when None.

    Raises:
        ModelError: If there is no net of a name.

    Example:
        >>> [row.variants for row in list_models(names=("zfnet",))]
        [('wide', 'paper', 'zfnet512')]
    """
    return tuple(_describe_named(name, layers, preprocessing) for name in names) or tuple(
        _describe_model(find_net(name), layers) for name in CATALOGUE
    )


def _describe_named(name: str, layers: bool, told: PreprocessingLike | None) -> ModelRow:
    spec = parse_spec(name)
    if spec is None or spec.kind not in ("code", "exported"):
        return _describe_model(find_net(name), layers, nodes=layers, told=told)
    model = load_made(spec, "auto", None, 0, {}, told)
    return ModelRow(
        name=name,
        title=model.title,
        paper="",
        input_size=model.input_size,
        variants=(),
        sources=(_make_row(model.provenance, "its own", None, cached=True),),
        layers=dict(model.layers) if layers else {},
        nodes=look_at(model.module, model.preprocessing).nodes if layers else (),
    )


def _describe_model(
    entry: Entry, layers: bool, nodes: bool = False, told: PreprocessingLike | None = None
) -> ModelRow:
    form = entry.find_variant(None)
    usual = variant_preprocessing(form, form.options)
    preprocessing = usual if told is None else settle_preprocessing(told, usual)
    module = build_module(entry, dict(form.options)) if layers else None
    return ModelRow(
        name=entry.name,
        title=entry.title,
        paper=entry.paper,
        input_size=preprocessing.input_size,
        variants=tuple(entry.variants),
        sources=tuple(_list_sources(entry)),
        layers=(name_layers(module) or entry.layers(module)) if module else {},
        nodes=look_at(module, preprocessing).nodes if module and nodes else (),
    )


def _list_sources(entry: Entry) -> list[SourceRow]:
    rows = []
    for source in entry.list_sources():
        path = source.find()
        told = source.cite(str(path or source.url), source.sha256)
        rows.append(_make_row(told, source.label, source.variant, path is not None))
    package = PACKAGES.get(entry.name)
    if package is not None:
        path = package.find()
        told = package.cite(None if path is None else str(path))
        rows.append(_make_row(told, package.name, None, path is not None))
    bundled = find_bundled(entry)
    if bundled:
        metadata = read_metadata(bundled)
        if metadata is None:
            raise WeightsError(f"{str(bundled)!r} lacks its record: install vizcnn again")
        told = card_provenance(metadata, "bundled", str(bundled), read_expected_hash(bundled))
        rows.append(_make_row(told, bundled.stem, None, cached=True))
    return rows


def _make_row(told: Provenance, label: str, variant: str | None, cached: bool) -> SourceRow:
    return SourceRow(
        kind=told.source,
        label=label,
        variant=variant,
        data=told.data,
        top1=told.top1,
        top5=told.top5,
        measured_on=told.measured_on,
        licence=told.licence,
        note=told.note,
        sha256=told.sha256 or "",
        cached=cached,
        location=told.location,
    )
