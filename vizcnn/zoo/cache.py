"""The folder where fetched weights lie, and the checks that make a file in it usable."""

import os
from pathlib import Path

from vizcnn.basics.errors import WeightsError
from vizcnn.basics.files import hash_file, open_plain_file

_LFS_POINTER = b"version https://git-lfs"


def cache_folder() -> Path:
    """Give the folder for fetched weights; it need not exist yet.

    The environment variable VIZCNN_CACHE names it; else it is ``vizcnn`` in XDG_CACHE_HOME, or in
    ``~/.cache``.
    """
    chosen = os.environ.get("VIZCNN_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vizcnn"


def torch_hub_folder() -> Path:
    """Give the folder where torchvision itself keeps its weights."""
    import torch  # the cache is also asked by commands that do without torch

    return Path(torch.hub.get_dir()) / "checkpoints"


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


def is_lfs_pointer(path: Path) -> bool:
    """Tell whether a file is a Git LFS pointer, a small text in place of the real file."""
    with open_plain_file(path, "weight file", WeightsError) as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER
