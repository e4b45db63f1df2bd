"""Fetch weight files: resumed where they were cut, checked before they are used."""

import errno
import importlib.util
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from vizcnn.basics.errors import WeightsError
from vizcnn.basics.locks import continue_file
from vizcnn.basics.progress import Progress, silent
from vizcnn.zoo.cache import (
    cache_folder,
    check_fetched,
    check_hash,
    is_lfs_pointer,
    record_hash,
)
from vizcnn.zoo.files import find_bundled
from vizcnn.zoo.registry import LARGEST, Entry, WeightSource
from vizcnn.zoo.specs import find_net, parse_spec
from vizcnn.zoo.timm_nets import HubFile, fetch_config

CHUNK = 1 << 20
"""Bytes per step of the progress."""

Opener = Callable[[Request], AbstractContextManager[Any]]
"""Opens an address as ``urllib.request.urlopen`` does."""


class Redirects(HTTPRedirectHandler):
    """Follows a server to another address, but never from https to anything else."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        kind = urlsplit(newurl).scheme.lower()
        if kind not in {"https", req.type}:
            raise WeightsError(
                f"{req.host} sends on from {req.type} to {newurl[:100]!r}, which is not followed: "
                "try again later, or give a file of your own with --weights"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_address(request: Request) -> AbstractContextManager[Any]:
    """Open an address; a server that is silent for 30 seconds counts as lost."""
    answer: AbstractContextManager[Any] = build_opener(Redirects).open(request, timeout=30)
    return answer


def fetch_weights(
    name: str,
    source: str | None = None,
    *,
    progress: Progress = silent,
    opener: Opener = open_address,
) -> Path:
    """Fetch the ImageNet weights of a net into the cache folder.

    Args:
        name: Name in the catalogue, or the spec of a net of torchvision, timm or the hub.
        source: ``"torchvision"``, ``"onnx-zoo"`` or a label such as ``"IMAGENET1K_V1"``; by default
            the preferred one.
        progress: Shows the download.
        opener: Opens addresses.

    Returns:
        The file; it is not fetched again if it is there and sound.

    Raises:
        ModelError: If there is no such net.
        WeightsError: If there is no such source, or the download fails.
    """
    spec = parse_spec(name)
    if spec is not None and spec.kind == "hub":
        fetch_config(spec)
    return fetch_entry(find_net(name), source, progress, opener)


def fetch_entry(entry: Entry, source: str | None, progress: Progress, opener: Opener) -> Path:
    """Fetch weights of a net that need not be in the catalogue; see :func:`fetch_weights`."""
    chosen = _choose_source(entry, source)
    if chosen.origin.source == "onnx-zoo" and importlib.util.find_spec("onnx") is None:
        raise WeightsError(
            f"the weights of {entry.name} are an ONNX file, which the package onnx reads: "
            "pip install 'vizcnn[onnx]' first"
        )
    if isinstance(chosen, HubFile):
        return chosen.download()
    present = chosen.find()
    path = cache_folder() / chosen.file
    if present is None:
        download(
            chosen.url,
            path,
            sha256=chosen.sha256,
            size=chosen.size,
            progress=progress,
            opener=opener,
            limit=chosen.limit,
        )
    found = check_fetched(present or path, chosen.sha256)
    if present in (None, path) and len(chosen.sha256) < len(found):
        record_hash(path, found)
    return present or path


def _choose_source(entry: Entry, wanted: str | None) -> WeightSource:
    sources = entry.list_sources()
    fitting = [source for source in sources if wanted in (None, source.origin.source, source.label)]
    if fitting:
        return fitting[0]
    if not sources:  # LeNet-5 was never made for ImageNet, VGG-16 C's weights are not offered
        way = "use --weights bundled" if find_bundled(entry) else "give a file of your own"
        raise WeightsError(f"no weights of {entry.name} can be fetched: {way}")
    known = ", ".join(f"{source.origin.source} ({source.label})" for source in sources)
    raise WeightsError(f"{entry.name} has no weights {wanted!r} to fetch; there are: {known}")


def download(
    url: str,
    path: Path,
    *,
    sha256: str,
    size: int | None = None,
    progress: Progress = silent,
    opener: Opener = open_address,
    limit: int = LARGEST,
) -> None:
    """Download a file, going on where an earlier attempt was cut.

    The bytes go to ``path`` + ".part"; only a complete file with the right checksum is moved to
    ``path``.

    Args:
        url: Address.
        path: Where the file belongs; its folder is made.
        sha256: Expected checksum, or its first digits.
        size: Expected bytes, if known.
        progress: Called with the chunks of :data:`CHUNK` bytes.
        opener: Opens addresses; tests pass their own.
        limit: Bytes that are taken at the most, where ``size`` is None.

    Raises:
        WeightsError: In one line: no network, an HTTP error, a cut download (kept for the next
            attempt), more bytes than there can be, a Git LFS pointer, a wrong checksum (the bad
            file is removed), a full disk or a folder that cannot be written.
        VizcnnError: If another run is downloading it.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise WeightsError(f"{url[:100]!r} is no address to download from; needed: https://...")
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with continue_file(part) as held:
            with open(held, "r+b", closefd=False) as file:
                if size is None or os.fstat(held).st_size != size:
                    _receive(url, part, file, size, limit, progress, opener)
            if os.name == "nt":  # an open file cannot be moved there
                os.close(held)
            _check_download(url, part, sha256)
            os.replace(part, path)
    except OSError as error:
        raise _explain_disk(path, error) from None


def _receive(
    url: str,
    part: Path,
    file: BinaryIO,
    size: int | None,
    limit: int,
    progress: Progress,
    opener: Opener,
) -> None:
    limit = limit if size is None else size
    begun = file.seek(0, os.SEEK_END)
    if begun > limit:
        begun = 0
    request = Request(url, headers={"User-Agent": "vizcnn"})
    if begun:
        request.add_header("Range", f"bytes={begun}-")
    answer = _open(opener, request, part)
    if answer is None:  # what is here may be all of it
        return
    with answer:
        place: str = answer.headers.get("Content-Range") or ""
        if not (answer.status == 206 and place.startswith(f"bytes {begun}-")):
            begun = 0  # the server sends all of it again
        encoding: str = answer.headers.get("Content-Encoding") or "identity"
        if encoding.lower() != "identity":
            raise WeightsError(
                f"the server sends {part.stem} in another form ({encoding[:20]!r}): try again "
                "later, or give a file of your own with --weights"
            )
        length = _read_length(answer.headers.get("Content-Length"))
        total = size if length is None else begun + length
        if total is not None and total > limit:
            raise WeightsError(_explain_excess(part, total, limit))
        steps = None if total is None else math.ceil((total - begun) / CHUNK)
        file.truncate(begun)
        file.seek(begun)
        chunks = _read_chunks(answer, url)
        for chunk in progress(chunks, label=part.stem, total=steps, unit="MiB"):
            if file.tell() + len(chunk) > limit:
                file.truncate(0)
                raise WeightsError(_explain_excess(part, None, limit))
            file.write(chunk)
        got = file.tell()
    if total is not None and got < total:
        raise WeightsError(_explain_cut(part.stem, f"{got:,} of {total:,} bytes came"))


def _read_length(text: str | None) -> int | None:
    """Read what a server says of the length; None if it is no number, and so says nothing."""
    return int(text) if text and re.fullmatch("[0-9]{1,18}", text.strip()) else None


def _explain_excess(part: Path, total: int | None, limit: int) -> str:
    sent = "more" if total is None else f"{total:,} bytes"
    return (
        f"the server sends {sent} for {part.stem}, which has at most {limit:,}: try again later, "
        "or give a file of your own with --weights"
    )


def _open(opener: Opener, request: Request, part: Path) -> Any:
    """Open an address; None if the server has nothing after what is in the part file."""
    try:
        return opener(request)
    except HTTPError as error:
        with error:
            if error.code == 416 and part.exists():
                return None
            phrase = " ".join(str(error.reason).split())[:100]
            raise WeightsError(
                f"the server answered {error.code} ({phrase}) for {request.full_url}: try "
                "again later, or give a file of your own with --weights"
            ) from None
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"no connection to {request.host} ({reason}): check the network and try again"
        ) from None


def _read_chunks(answer: Any, url: str) -> Iterator[bytes]:
    while True:
        try:
            chunk = answer.read(CHUNK)
        except (HTTPException, OSError) as error:
            raise WeightsError(_explain_cut(url, str(error) or type(error).__name__)) from None
        if not chunk:
            return
        yield chunk


def _explain_cut(what: str, reason: str) -> str:
    return (
        f"the download of {what} was cut ({reason}): run the command again, it goes on from there"
    )


def _check_download(url: str, part: Path, sha256: str) -> None:
    if is_lfs_pointer(part):
        part.unlink()
        raise WeightsError(
            f"{url} answered with a Git LFS pointer, not with the file: its storage may be out of "
            "quota; try again later, or give a file of your own with --weights"
        )
    try:
        check_hash(part, sha256)
    except WeightsError:
        part.unlink()
        raise WeightsError(
            f"the download of {url} has a wrong checksum (expected sha256 {sha256[:16]}) and was "
            "removed: fetch it again"
        ) from None


def _explain_disk(path: Path, error: OSError) -> WeightsError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WeightsError(
            f"the disk is full in {str(path.parent)!r}: make room and run the command again, or "
            "set VIZCNN_CACHE to another folder"
        )
    return WeightsError(
        f"{str(path.parent)!r} cannot be written ({error.strerror}): set VIZCNN_CACHE to another "
        "folder"
    )
