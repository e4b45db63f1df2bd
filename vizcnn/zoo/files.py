"""Weight files of vizcnn's own: what they say of themselves, read, and written atomically."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from safetensors.torch import save
from torch import Tensor, nn

from vizcnn.basics.codec import (
    Count,
    Finite,
    ManifestError,
    Share,
    Text,
    check,
    parse,
    read_json,
)
from vizcnn.basics.errors import WeightsError, quote
from vizcnn.basics.files import replacing
from vizcnn.zoo.cache import check_hash
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance, SourceKind
from vizcnn.zoo.registry import Entry
from vizcnn.zoo.state_dicts import open_safetensors, read_state

METADATA_KEY = "vizcnn"
"""Key of vizcnn's record in the metadata of a safetensors file."""
FIRST_LAYERS_KEY = "vizcnn.first_layers"
"""Key of the record of a file that holds first layers of a training, not weights of a net."""
_LARGEST_RECORD = 1 << 24
"""Letters of the largest record in a weight file."""

Name = Annotated[str, Meta(min_length=1, max_length=500)]
"""Of a class, or an option."""

Option = Annotated[int, Meta(ge=-(10**9), le=10**9)] | Finite | bool | str | tuple[int, ...] | None
"""A value that a net's class may be given."""


@dataclass(frozen=True)
class Weights:
    """Tensors with all that their file tells of the net.

    Attributes:
        state: Tensors by name, as in the net's state dict.
        provenance: Where they come from.
        options: Arguments of the net's class.
        preprocessing: From pixels to the net's input; None for the variant's own.
        classes: Name of each logit; None if the file does not tell.
        variant: Form of the net that they belong to; None for one that the options tell.
    """

    state: dict[str, Tensor]
    provenance: Provenance
    options: Mapping[str, Any]
    preprocessing: Preprocessing | None = None
    classes: tuple[str, ...] | None = None
    variant: str | None = None


@dataclass(frozen=True)
class WeightMetadata:
    """What a weight file of vizcnn says about itself.

    Attributes:
        model: Name in the catalogue.
        options: Arguments of the net's class.
        preprocessing: From pixels to the net's input.
        classes: Name of each logit.
        card: Provenance: ``data``, ``licence``, ``top1``, ``top5``, ... as plain values.
    """

    model: str
    options: dict[str, Any]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    card: Mapping[str, Any]

    def to_json(self) -> str:
        """Give the record as JSON."""
        values = {**vars(self), "preprocessing": self.preprocessing.to_dict()}
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> "WeightMetadata":
        """Read the record.

        Raises:
            WeightsError: If it is not JSON, or a value is missing, of another type or out of its
                bounds; the error names it.
        """
        if len(text) > _LARGEST_RECORD:
            raise WeightsError(
                f"it has {len(text):,} letters, at most {_LARGEST_RECORD:,} are read"
            )
        try:
            raw = parse(text)
        except ManifestError as error:
            raise WeightsError(str(error)) from None
        read = check(_Record, raw, "record", WeightsError)
        return cls(**{**vars(read), "card": dict(raw["card"])})


@dataclass(frozen=True)
class _Card:
    """What is used of a record's card; all else is passed over."""

    data: Text | None = None
    licence: Text | None = None
    note: Text | None = None
    measured_on: Text | None = None
    top1: Share | None = None
    top5: Share | None = None
    epochs: Count | None = None
    seed: Count | None = None
    train_photos: Count | None = None
    val_photos: Count | None = None


@dataclass(frozen=True)
class _Record:
    """What :class:`WeightMetadata` may hold, with the bounds of every value."""

    model: Name
    options: dict[Name, Option]
    preprocessing: Preprocessing
    classes: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=10**6)]
    card: _Card


def save_weights(path: Path, module: nn.Module, metadata: WeightMetadata) -> None:
    """Write a net's weights as half precision with all that is needed to build the net again.

    Args:
        path: A ``.safetensors`` file; written under a temporary name and moved into place.
        module: The net.
        metadata: What the file says about itself.

    Raises:
        WeightsError: If a weight is not finite in half precision, or the file cannot be written.
    """
    state = {}
    for name, value in module.state_dict().items():
        half = value.detach().cpu().half() if value.is_floating_point() else value.cpu()
        if not half.isfinite().all():
            raise WeightsError(f"{name} holds values that half precision cannot: not saved")
        state[name] = half.contiguous()
    with replacing(path, WeightsError) as temporary:
        temporary.write_bytes(save(state, metadata={METADATA_KEY: metadata.to_json()}))


def read_metadata(path: Path) -> WeightMetadata | None:
    """Read what a safetensors file says about itself, without its weights.

    Returns:
        The record; None if the file was not written by vizcnn.

    Raises:
        WeightsError: If the file or the record is damaged, or it holds first layers of a training.
    """
    text = read_record(path, METADATA_KEY)
    if text is None and read_record(path, FIRST_LAYERS_KEY) is not None:
        raise WeightsError(
            f"{str(path)!r} holds the first layers of a training, not weights: give the weights "
            "beside it"
        )
    try:
        return None if text is None else WeightMetadata.from_json(text)
    except WeightsError as error:
        raise WeightsError(f"the vizcnn record in {quote(path)} is damaged: {error}") from None


def read_record(path: Path, key: str) -> str | None:
    """Read one text from the metadata of a safetensors file; None if it has none of that name.

    Raises:
        WeightsError: If the file is damaged.
    """
    with open_safetensors(path) as file:
        text: str | None = (file.metadata() or {}).get(key)
    return text


BUNDLE = Path(__file__).parent / "bundled"
"""Folder of the bundled weights and of ``sha256.json``, their checksums."""


def find_bundled(entry: Entry, folder: Path = BUNDLE) -> Path | None:
    """Find the bundled weights of a net; None if there are none."""
    path = folder / f"{entry.name}.safetensors"
    return path if path.is_file() else None


def read_bundled(entry: Entry, folder: Path = BUNDLE) -> Weights:
    """Read the bundled weights of a net, after a look at their checksum.

    Raises:
        WeightsError: If there are none, or they are damaged.
    """
    path = find_bundled(entry, folder)
    if path is None:
        raise WeightsError(f"no bundled weights of {entry.name} come with this installation")
    sha256 = check_hash(path, read_expected_hash(path))
    weights = read_own_file(entry, path, "bundled", sha256)
    if weights is None:
        raise WeightsError(f"{str(path)!r} lacks its record: install vizcnn again")
    return weights


def read_expected_hash(path: Path) -> str:
    """Read the checksum that a bundled file should have.

    Raises:
        WeightsError: If the list of checksums lacks it.
    """
    try:
        sums = read_json(path.with_name("sha256.json"), "list of checksums", WeightsError)
        return check(dict[str, str], sums, "checksums", WeightsError)[path.name]
    except (WeightsError, KeyError):
        raise WeightsError(f"no checksum of {str(path)!r}: install vizcnn again") from None


def read_own_file(entry: Entry, path: Path, source: SourceKind, sha256: str) -> Weights | None:
    """Read a safetensors file that vizcnn wrote.

    Args:
        entry: The net that is asked for.
        path: The file.
        source: Kind of source for the provenance.
        sha256: The file's checksum, for the provenance.

    Returns:
        The weights; None if the file has no record of vizcnn's.

    Raises:
        WeightsError: If the file is damaged or holds another net.
    """
    metadata = read_metadata(path)
    if metadata is None:
        return None
    if metadata.model != entry.name:
        raise WeightsError(
            f"{quote(path)} holds weights of {quote(metadata.model)}, not of {entry.name!r}: load "
            f"{quote(metadata.model)} instead"
        )
    return Weights(
        state=read_state(path),
        provenance=card_provenance(metadata, source, str(path), sha256),
        options=metadata.options,
        preprocessing=metadata.preprocessing,
        classes=metadata.classes,
    )


def card_provenance(
    metadata: WeightMetadata, source: SourceKind, location: str, sha256: str | None
) -> Provenance:
    """Make the provenance that a file's model card tells of."""
    known = ("data", "licence", "top1", "top5", "note", "measured_on")
    told = {name: metadata.card[name] for name in known if metadata.card.get(name) is not None}
    return Provenance(source=source, sha256=sha256, location=location, **told)
