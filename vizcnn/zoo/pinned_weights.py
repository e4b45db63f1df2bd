"""Weights named with their checksum, such as ``bundled@sha256:4f1c...``, so that no others do."""

import re
from typing import TYPE_CHECKING

from vizcnn.basics.errors import WeightsError, quote

if TYPE_CHECKING:
    from vizcnn.zoo.model import ZooModel

PIN = "@sha256:"
"""Stands between a source of weights and the checksum that their file has to have."""

SOURCES = {
    "bundled": "bundled",
    "ndf": "ndf",
    "package": "package",
    "torchvision": "imagenet",
    "onnx-zoo": "imagenet",
}
"""What asks for weights of each origin; a net of one's own has its weights by ``auto`` only."""


def split_pin(weights: str) -> tuple[str, str]:
    """Split a source of weights from the checksum that it is to have.

    Returns:
        The source, and the checksum in small letters; it is empty where none is asked for.

    Raises:
        WeightsError: If what follows the mark is no checksum.

    Example:
        >>> split_pin("bundled@sha256:0123456789ab"), split_pin("auto")
        (('bundled', '0123456789ab'), ('auto', ''))
    """
    source, mark, digest = weights.rpartition(PIN)
    if not mark:
        return weights, ""
    if not source or not re.fullmatch("[0-9a-fA-F]{12,64}", digest):
        raise WeightsError(
            f"weights {quote(weights)} are not known; needed: SOURCE{PIN}DIGITS, 12 to 64 "
            "hexadecimal digits of the file's SHA-256"
        )
    return source, digest.lower()


def check_pin(net: "ZooModel", source: str, digest: str) -> None:
    """Make sure that the weights that were loaded are those that a checksum asks for.

    Raises:
        WeightsError: If they are others.
    """
    found = net.provenance.sha256 or "(none)"
    if not found.startswith(digest):
        raise WeightsError(
            f"the weights {quote(source)} of {net.name} have the SHA-256 {found}, not {digest}: "
            "give the file that has it (--weights FILE@sha256:...), or leave @sha256:... out to "
            "use these"
        )


def pin_weights(net: "ZooModel", given: str) -> str:
    """Name the weights that a net was loaded with, so that no others are taken the next time.

    Args:
        net: The net.
        given: What its weights were asked for by.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights="bundled")
        >>> pin_weights(net, "auto") == f"bundled@sha256:{net.provenance.sha256}"
        True
    """
    source, _ = split_pin(given)
    told = net.provenance
    if told.source == "random":
        return "random"
    if source in ("auto", "any"):
        source = SOURCES.get(told.source, "auto")
    return f"{source}{PIN}{told.sha256}" if told.sha256 else source
