"""The trained weights that come with the package."""

import json
from pathlib import Path
from typing import Any

from vizcnn.errors import WeightsError
from vizcnn.zoo.cache import check_hash
from vizcnn.zoo.catalogue import Entry
from vizcnn.zoo.files import WeightMetadata, read_metadata, read_state
from vizcnn.zoo.provenance import Provenance, SourceKind
from vizcnn.zoo.weights import Weights

BUNDLE = Path(__file__).parent / "bundled"
"""Folder of the bundled weights and of ``sha256.json``, their checksums."""


def find_bundled(entry: Entry, folder: Path = BUNDLE) -> Path | None:
    """Find the bundled weights of a net; None if there are none."""
    path = folder / f"{entry.bundled}.safetensors"
    return path if entry.bundled and path.is_file() else None


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
        sums: dict[str, Any] = json.loads(path.with_name("sha256.json").read_text("utf-8"))
        return str(sums[path.name])
    except (OSError, ValueError, KeyError, TypeError):
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
            f"{str(path)!r} holds weights of {metadata.model!r}, not of {entry.name!r}: load "
            f"{metadata.model!r} instead"
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
