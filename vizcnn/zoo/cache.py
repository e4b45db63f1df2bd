"""Weight files: their kinds, the folder where fetched ones lie, and what makes one usable."""

import os
import re
from pathlib import Path

from vizcnn.basics.errors import WeightsError
from vizcnn.basics.files import hash_file, open_plain_file, replacing

SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar", ".ckpt", ".bin", ".onnx")
"""Kinds of weight files that can be read."""

_LFS_POINTER = b"version https://git-lfs"


def cache_folder() -> Path:
    """Give the folder for fetched weights; it need not exist yet.

    The environment variable VIZCNN_CACHE names it; else it is ``vizcnn`` in XDG_CACHE_HOME, or in
    ``~/.cache``.

    Raises:
        WeightsError: If there is no telling where a home folder is.
    """
    chosen = os.environ.get("VIZCNN_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(chosen) if chosen else Path(base, "vizcnn")
    try:
        return folder.expanduser()
    except RuntimeError:
        raise WeightsError(
            f"no folder for fetched weights: {str(folder)!r} begins with a home folder that this "
            "machine does not know; let VIZCNN_CACHE name a folder in full"
        ) from None


def torch_hub_folder() -> Path:
    """Give the folder where torchvision itself keeps its weights."""
    import torch  # the cache is also asked by commands that do without torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def find_in_cache(file: str, torchvision: bool) -> Path | None:
    """Find a fetched file.

    Args:
        file: Its name.
        torchvision: Whether the folder of torchvision's own weights counts too.

    Returns:
        None where it is not, or may not be looked at.

    Raises:
        WeightsError: If VIZCNN_CACHE names a home folder that this machine does not know.
    """
    try:
        folders = [cache_folder()]
    except WeightsError:
        if os.environ.get("VIZCNN_CACHE"):
            raise
        folders = []  # a container's user without a home: nothing was fetched
    folders += [torch_hub_folder()] if torchvision else []
    return next((path for folder in folders if _is_there(path := folder / file)), None)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the folder is another user's
        return False


def check_hash(path: Path, sha256: str) -> str:
    """Make sure that a file has the expected checksum.

    Args:
        path: The file.
        sha256: 64 hexadecimal digits, or the first of them (torchvision's file names have 8).

    Returns:
        The whole checksum.

    Raises:
        WeightsError: If it has another one.
    """
    found = hash_file(path, "weight file", WeightsError)
    if not found.startswith(sha256):
        raise WeightsError(
            f"{str(path)!r} has sha256 {found[:16]}..., expected {sha256[:16]}...: it is damaged "
            "or another file; delete it and fetch it again"
        )
    return found


def check_fetched(path: Path, sha256: str) -> str:
    """Make sure that a fetched file has the expected checksum, and the one that it had at first.

    Of most of torchvision's files only the first 8 digits are published. The whole checksum is
    written beside such a file when it is fetched (:func:`record_hash`), and compared from then on.

    Args:
        path: The file.
        sha256: As in :func:`check_hash`.

    Returns:
        The whole checksum.

    Raises:
        WeightsError: If it has another one, or what was written beside it is damaged.
    """
    found = check_hash(path, sha256)
    record = _name_record(path)
    if not record.is_file():
        return found
    with record.open("rb") as file:
        digits = file.read(64).decode("ascii", errors="replace")
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise WeightsError(
            f"{str(record)!r} is damaged: delete it and {str(path)!r}, and fetch that again"
        )
    return check_hash(path, digits)


def record_hash(path: Path, sha256: str) -> None:
    """Write the whole checksum of a fetched file beside it, as ``sha256sum`` writes it.

    Raises:
        WeightsError: If it cannot be written.
    """
    with replacing(_name_record(path), WeightsError) as temporary:
        temporary.write_text(f"{sha256}  {path.name}\n")


def _name_record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def is_lfs_pointer(path: Path) -> bool:
    """Tell whether a file is a Git LFS pointer, a small text in place of the real file."""
    with open_plain_file(path, "weight file", WeightsError) as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER
