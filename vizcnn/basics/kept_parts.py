"""Parts of a long job, each kept as soon as it is computed, so that a killed run goes on with them.

They lie in the output folder until the results do. A part is a few arrays by name.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.files import read_plain_file, replacing
from vizcnn.basics.interrupts import hold_interrupts
from vizcnn.basics.output import explain_refused_folder, open_folder, refuse_links
from vizcnn.basics.progress import Progress

Arrays = dict[str, NDArray[Any]]

FOLDER_NAME = ".vizcnn-kept.part"
"""Its name in the output folder."""
_MOST_BYTES = 1 << 34
"""Of a part: a larger file is none."""
_DIGEST = hashlib.sha256().digest_size


class KeptParts:
    """Gives parts that a former run has computed, and keeps those that this one computes.

    Args:
        folder: Where they lie.
        causes: All that they depend on; into a file's checksum, so that one of another run is none.
    """

    def __init__(self, folder: Path, causes: Mapping[str, Any]) -> None:
        self._folder = folder
        self._key = json.dumps(causes, sort_keys=True, default=str).encode(errors="replace")

    def has(self, name: str) -> bool:
        """Tell whether a part is there whole."""
        return self._read(name) is not None

    def get(self, name: str, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
        """Give a part: as a former run has kept it, or computed now, and kept.

        Args:
            name: Any text; one part of the job.
            compute: Gives its arrays; called only if it is missing, damaged or of another run.

        Raises:
            VizcnnError: If it cannot be written; and what ``compute`` raises.
        """
        kept = self._read(name)
        if kept is not None:
            return kept
        arrays = {key: np.ascontiguousarray(array) for key, array in compute().items()}
        content = save(arrays)
        with replacing(self._find_file(name), flush=False) as temporary:
            temporary.write_bytes(self._sign(name, content) + content)
        return arrays

    def count_off(
        self, names: Sequence[str], progress: Progress, *, label: str, unit: str
    ) -> Iterator[int]:
        """Go through parts in order, and show how far those are that have to be computed.

        Args:
            names: Of all parts.
            progress: Begins at the number of parts that a former run has kept, and is stepped by
                the others alone: a bar that was also stepped by the kept ones would run over.
            label: What is done.
            unit: What a part is called.

        Yields:
            The number of each part, from 0, to get it before the next.
        """
        kept = [self.has(name) for name in names]
        left = [number for number, there in enumerate(kept) if not there]
        shown = progress(left, label=label, total=len(names), unit=unit, initial=sum(kept))
        for number, there in enumerate(kept):
            yield number if there else next(shown)
        for _ in shown:  # at its end a bar goes away
            pass

    def _find_file(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode(errors="replace")).hexdigest()

    def _sign(self, name: str, content: bytes) -> bytes:
        """Compute the checksum of a part, of its name and of what it depends on."""
        checksum = hashlib.sha256()
        for piece in (self._key, name.encode(errors="replace"), content):
            checksum.update(hashlib.sha256(piece).digest())
        return checksum.digest()

    def _read(self, name: str) -> Arrays | None:
        try:
            kept = read_plain_file(self._find_file(name), "part", largest=_MOST_BYTES)
        except VizcnnError:  # whatever is there, it is no part
            return None
        if kept[:_DIGEST] != self._sign(name, kept[_DIGEST:]):
            return None
        try:
            return load(kept[_DIGEST:])
        except (SafetensorError, ValueError):  # written so, by another version of the library
            return None


@contextmanager
def keep_parts(folder: Path, causes: Mapping[str, Any]) -> Iterator[KeptParts]:
    """Keep parts of a job in its output folder, which is this run's alone meanwhile.

    They are removed when the block succeeds, and stay after an exception or a kill.

    Args:
        folder: The output folder; in the block write it by
            :func:`~vizcnn.basics.output.write_folder` with ``held``.
        causes: All that the parts depend on, as plain values: parts of others are not used.

    Raises:
        VizcnnError: If the folder holds files of others or cannot be written, its parts are behind
            a link, or another run is at work in it.

    Example:
        >>> import tempfile
        >>> results = Path(tempfile.mkdtemp()) / "results"
        >>> with suppress(KeyboardInterrupt), keep_parts(results, {"seed": 0}) as parts:
        ...     _ = parts.get("one", lambda: {"sum": np.array([3.0])})
        ...     raise KeyboardInterrupt
        >>> with keep_parts(results, {"seed": 0}) as parts:
        ...     parts.has("one"), parts.has("two")
        (True, False)
    """
    path = folder / FOLDER_NAME
    with open_folder(folder):
        try:
            refuse_links(folder, [Path(FOLDER_NAME)])
            with explain_refused_folder(folder):
                path.mkdir(exist_ok=True)
            yield KeptParts(path, causes)
            with explain_refused_folder(folder), hold_interrupts():
                shutil.rmtree(path)
        finally:
            with suppress(OSError):
                path.rmdir()  # nothing is in it yet
