"""Downloads, against a server on this machine that misbehaves on demand."""

import errno
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from vizcnn.errors import ModelError, WeightsError
from vizcnn.zoo import fetch
from vizcnn.zoo.cache import cache_folder, check_hash
from vizcnn.zoo.fetch import CHUNK, download, fetch_weights
from vizcnn.zoo.sources import ONNX_ZOO

T = TypeVar("T")

CONTENT = bytes(range(256)) * 10_000  # 2.4 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT under names that say how."""

    ranges: list[str | None]  # set per server, in a subclass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        kind = self.path.strip("/")
        if kind == "missing":
            self.send_error(404)
        elif kind == "pointer":
            self._answer(200, POINTER)
        elif kind == "cut":
            self._answer(206 if wanted else 200, CONTENT[begin:], send=1_500_000, begin=begin)
        elif kind == "whole-only":
            self._answer(200, CONTENT)
        elif kind == "no-length":
            self._answer(200, CONTENT, length=False)
        elif begin >= len(CONTENT):
            self.send_error(416)
        else:
            self._answer(206 if wanted else 200, CONTENT[begin:], begin=begin)

    def _answer(
        self, status: int, body: bytes, send: int | None = None, begin: int = 0, length: bool = True
    ) -> None:
        self.send_response(status)
        if length:
            self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(body[:send])

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[str | None]]]:
    """Give the address of a server and the list of the ranges that it was asked for."""
    ranges: list[str | None] = []
    handler = type("CountingHandler", (Handler,), {"ranges": ranges})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", ranges
        running.shutdown()
        thread.join()


class CountingProgress:
    def __init__(self, fail_after: int | None = None, error: BaseException | None = None) -> None:
        self.total: int | None = None
        self.count = 0
        self.fail_after, self.error = fail_after, error

    def __call__(
        self, items: Iterable[T], *, label: str, total: int | None = None, unit: str = "it"
    ) -> Iterator[T]:
        self.total = total
        for item in items:
            if self.error and self.count == self.fail_after:
                raise self.error
            self.count += 1
            yield item


def files_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["file", "no-length"])
@pytest.mark.parametrize("expected", [SHA256, SHA256[:8]], ids=["whole sum", "first digits"])
def test_a_download_arrives_whole(
    server: tuple[str, list[str | None]], tmp_path: Path, kind: str, expected: str
) -> None:
    path = tmp_path / "new" / "weights.bin"
    progress = CountingProgress()
    download(f"{server[0]}/{kind}", path, sha256=expected, progress=progress)
    assert path.read_bytes() == CONTENT
    assert files_in(path.parent) == {"weights.bin": len(CONTENT)}
    steps = -(-len(CONTENT) // CHUNK)
    assert progress.count == steps
    assert progress.total == (steps if kind == "file" else None)


def test_a_cut_download_is_kept_and_gone_on_with(
    server: tuple[str, list[str | None]], tmp_path: Path
) -> None:
    url, ranges = server
    path = tmp_path / "weights.bin"
    with pytest.raises(
        WeightsError, match=r"was cut .*run the command again, it goes on from there"
    ):
        download(f"{url}/cut", path, sha256=SHA256, size=len(CONTENT))
    assert files_in(tmp_path) == {"weights.bin.part": 1_500_000}
    download(f"{url}/file", path, sha256=SHA256, size=len(CONTENT))
    assert ranges == [None, "bytes=1500000-"]
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == {"weights.bin": len(CONTENT)}


def test_a_server_without_ranges_sends_all_again(
    server: tuple[str, list[str | None]], tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"
    (tmp_path / "weights.bin.part").write_bytes(CONTENT[:1000])
    download(f"{server[0]}/whole-only", path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_complete_part_is_only_checked(
    server: tuple[str, list[str | None]], tmp_path: Path, size: int | None
) -> None:
    path = tmp_path / "weights.bin"
    (tmp_path / "weights.bin.part").write_bytes(CONTENT)
    download(f"{server[0]}/file", path, sha256=SHA256, size=size)
    assert path.read_bytes() == CONTENT
    assert server[1] == ([] if size else [f"bytes={len(CONTENT)}-"])


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * (len(CONTENT) + 5)], ids=["begun", "longer"])
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_bad_part_is_removed_and_the_next_attempt_works(
    server: tuple[str, list[str | None]], tmp_path: Path, part: bytes, size: int | None
) -> None:
    path = tmp_path / "weights.bin"
    (tmp_path / "weights.bin.part").write_bytes(part)
    longer_than_known = size is not None and len(part) > size
    if not longer_than_known:
        with pytest.raises(WeightsError, match=r"wrong checksum .* was removed: fetch it again"):
            download(f"{server[0]}/file", path, sha256=SHA256, size=size)
        assert files_in(tmp_path) == {}
    download(f"{server[0]}/file", path, sha256=SHA256, size=size)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("kind", "sha256", "message"),
    [
        ("missing", SHA256, "the server answered 404 (Not Found) for http://127.0.0.1"),
        ("pointer", SHA256, "answered with a Git LFS pointer, not with the file"),
        (
            "file",
            "0" * 64,
            "has a wrong checksum (expected sha256 0000000000000000) and was removed",
        ),
    ],
)
def test_bad_answers_leave_nothing_behind(
    server: tuple[str, list[str | None]], tmp_path: Path, kind: str, sha256: str, message: str
) -> None:
    with pytest.raises(WeightsError) as caught:
        download(f"{server[0]}/{kind}", tmp_path / "weights.bin", sha256=sha256)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == {}


def test_no_network_is_one_clear_line(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/file"
    with pytest.raises(
        WeightsError, match=r"no connection to 127\.0\.0\.1:\d+ .*check the network"
    ):
        download(url, tmp_path / "weights.bin", sha256=SHA256)
    assert files_in(tmp_path) == {}


def test_an_unknown_host_is_no_network(tmp_path: Path) -> None:
    def opener(request: Request) -> AbstractContextManager[Any]:
        raise URLError(OSError("Name or service not known"))

    with pytest.raises(WeightsError, match=r"no connection to example\.org \(Name or service"):
        download("https://example.org/x", tmp_path / "weights.bin", sha256=SHA256, opener=opener)


class BrokenAnswer:
    """An answer whose connection is lost after the first chunk."""

    status = 200

    def __init__(self) -> None:
        self.headers = {"Content-Length": str(len(CONTENT))}
        self.chunks = [CONTENT[:CHUNK]]

    def __enter__(self) -> "BrokenAnswer":
        return self

    def __exit__(self, *args: object) -> None:
        return None

    def read(self, count: int) -> bytes:
        if not self.chunks:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        return self.chunks.pop()


def test_a_lost_connection_keeps_what_came(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"was cut .*Connection reset by peer"):
        download(
            "http://x/y",
            tmp_path / "weights.bin",
            sha256=SHA256,
            opener=lambda request: BrokenAnswer(),
        )
    assert files_in(tmp_path) == {"weights.bin.part": CHUNK}


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full in .* set VIZCNN_CACHE"),
        (errno.EACCES, "cannot be written .* set VIZCNN_CACHE"),
    ],
)
def test_disk_errors_are_told_from_network_errors(
    server: tuple[str, list[str | None]], tmp_path: Path, number: int, message: str
) -> None:
    progress = CountingProgress(fail_after=1, error=OSError(number, "no"))
    with pytest.raises(WeightsError, match=message):
        download(f"{server[0]}/file", tmp_path / "weights.bin", sha256=SHA256, progress=progress)
    assert "weights.bin" not in files_in(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="cannot be written"):
        download("http://x/y", tmp_path / "file" / "weights.bin", sha256=SHA256)


def test_an_interrupted_download_goes_on(
    server: tuple[str, list[str | None]], tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"
    progress = CountingProgress(fail_after=1, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        download(f"{server[0]}/file", path, sha256=SHA256, progress=progress)
    assert files_in(tmp_path) == {"weights.bin.part": CHUNK}
    download(f"{server[0]}/file", path, sha256=SHA256)
    assert server[1] == [None, f"bytes={CHUNK}-"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("VIZCNN_CACHE", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return folder


def redirect(url: str) -> Callable[[Request], AbstractContextManager[Any]]:
    """Open an address of this machine in place of any other."""
    return lambda request: urlopen(Request(url, headers=dict(request.header_items())))


def test_fetching_by_name_checks_the_published_sum(
    server: tuple[str, list[str | None]], cache: Path
) -> None:
    with pytest.raises(WeightsError, match=r"onnx/models/raw/main/.* has a wrong checksum"):
        fetch_weights("caffenet", opener=redirect(f"{server[0]}/file"))
    assert files_in(cache) == {}


def test_fetching_puts_the_file_where_loading_finds_it(
    server: tuple[str, list[str | None]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    source = replace(ONNX_ZOO["zfnet"], sha256=SHA256, size=len(CONTENT))
    monkeypatch.setattr(fetch, "find_sources", lambda entry: [source])
    opener = redirect(f"{server[0]}/file")
    assert source.find() is None
    path = fetch_weights("zfnet", opener=opener)
    assert path == source.find() == cache / "zfnet512-12.onnx"
    assert fetch_weights("zfnet", opener=opener) == path
    assert len(server[1]) == 1
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="delete it and fetch it again"):
        fetch_weights("zfnet", opener=opener)


def test_torchvisions_own_folder_counts(cache: Path, tmp_path: Path) -> None:
    from vizcnn.zoo.catalogue import find_entry
    from vizcnn.zoo.sources import find_sources

    (source,) = find_sources(find_entry("resnet18"))
    assert source.find() is None
    theirs = tmp_path / "torch" / "hub" / "checkpoints" / source.file
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"")
    assert source.find() == theirs


def test_what_cannot_be_fetched_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="no net 'zfnett'"):
        fetch_weights("zfnett")
    with pytest.raises(
        WeightsError, match=r"zfnet has no weights 'torchvision' to fetch; there are: onnx"
    ):
        fetch_weights("zfnet", "torchvision")
    monkeypatch.setattr(fetch, "needs_onnx", lambda: True)
    with pytest.raises(WeightsError, match=r"pip install 'vizcnn\[onnx\]' first"):
        fetch_weights("zfnet")


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIZCNN_CACHE", "/a/b")
    assert cache_folder() == Path("/a/b")
    monkeypatch.delenv("VIZCNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_folder() == Path("/c/vizcnn")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/vizcnn")


def test_a_wrong_sum_is_told_with_both(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    assert check_hash(path, SHA256[:8]) == SHA256
    with pytest.raises(WeightsError, match=f"has sha256 {SHA256[:16]}..., expected 12345678"):
        check_hash(path, "12345678")
