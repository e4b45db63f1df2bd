"""Downloads, against a server on this machine that misbehaves on demand."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from http.client import HTTPMessage
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.request import Request

import pytest

from tests.support.flaky_server import CONTENT, SHA256, Handler, Server, files_in, run_server
from vizcnn.basics.errors import VizcnnError, WeightsError
from vizcnn.zoo.fetch import CHUNK, Redirects, download

T = TypeVar("T")


@pytest.fixture
def server() -> Iterator[Server]:
    with run_server() as running:
        yield running


class CountingProgress:
    def __init__(self, fail_after: int | None = None, error: BaseException | None = None) -> None:
        self.total: int | None = None
        self.count = 0
        self.fail_after, self.error = fail_after, error

    def __call__(
        self,
        items: Iterable[T],
        *,
        label: str,
        total: int | None = None,
        unit: str = "it",
        initial: int = 0,
    ) -> Iterator[T]:
        self.total = total
        for item in items:
            if self.error and self.count == self.fail_after:
                raise self.error
            self.count += 1
            yield item


@pytest.mark.parametrize("kind", ["file", "no-length"])
@pytest.mark.parametrize("expected", [SHA256, SHA256[:8]], ids=["whole sum", "first digits"])
def test_a_download_arrives_whole(server: Server, tmp_path: Path, kind: str, expected: str) -> None:
    path = tmp_path / "new" / "weights.bin"
    progress = CountingProgress()
    download(f"{server.url}/{kind}", path, sha256=expected, progress=progress)
    assert path.read_bytes() == CONTENT
    assert files_in(path.parent) == {"weights.bin": len(CONTENT)}
    steps = -(-len(CONTENT) // CHUNK)
    assert progress.count == steps
    assert progress.total == (steps if kind == "file" else None)


def test_a_cut_download_is_kept_and_gone_on_with(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    with pytest.raises(
        WeightsError, match=r"was cut .*run the command again, it goes on from there"
    ):
        download(f"{server.url}/cut", path, sha256=SHA256, size=len(CONTENT))
    assert files_in(tmp_path) == {"weights.bin.part": 1_500_000}
    download(f"{server.url}/file", path, sha256=SHA256, size=len(CONTENT))
    assert server.ranges == [None, "bytes=1500000-"]
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == {"weights.bin": len(CONTENT)}


def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    (tmp_path / "weights.bin.part").write_bytes(CONTENT[:1000])
    download(f"{server.url}/whole-only", path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_complete_part_is_only_checked(server: Server, tmp_path: Path, size: int | None) -> None:
    path = tmp_path / "weights.bin"
    (tmp_path / "weights.bin.part").write_bytes(CONTENT)
    download(f"{server.url}/file", path, sha256=SHA256, size=size)
    assert path.read_bytes() == CONTENT
    assert server.ranges == ([] if size else [f"bytes={len(CONTENT)}-"])


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * (len(CONTENT) + 5)], ids=["begun", "longer"])
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_bad_part_is_removed_and_the_next_attempt_works(
    server: Server, tmp_path: Path, part: bytes, size: int | None
) -> None:
    path = tmp_path / "weights.bin"
    (tmp_path / "weights.bin.part").write_bytes(part)
    longer_than_known = size is not None and len(part) > size
    if not longer_than_known:
        with pytest.raises(WeightsError, match=r"wrong checksum .* was removed: fetch it again"):
            download(f"{server.url}/file", path, sha256=SHA256, size=size)
        assert files_in(tmp_path) == {}
    download(f"{server.url}/file", path, sha256=SHA256, size=size)
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
    server: Server, tmp_path: Path, kind: str, sha256: str, message: str
) -> None:
    with pytest.raises(WeightsError) as caught:
        download(f"{server.url}/{kind}", tmp_path / "weights.bin", sha256=sha256)
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
    server: Server, tmp_path: Path, number: int, message: str
) -> None:
    progress = CountingProgress(fail_after=1, error=OSError(number, "no"))
    with pytest.raises(WeightsError, match=message):
        download(f"{server.url}/file", tmp_path / "weights.bin", sha256=SHA256, progress=progress)
    assert "weights.bin" not in files_in(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match="cannot be written"):
        download("http://x/y", tmp_path / "file" / "weights.bin", sha256=SHA256)


def test_an_interrupted_download_goes_on(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    progress = CountingProgress(fail_after=1, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        download(f"{server.url}/file", path, sha256=SHA256, progress=progress)
    assert files_in(tmp_path) == {"weights.bin.part": CHUNK}
    download(f"{server.url}/file", path, sha256=SHA256)
    assert server.ranges == [None, f"bytes={CHUNK}-"]


def answer_with(status: int = 200, body: Iterable[bytes] = (), **headers: str) -> Any:
    class Answer:
        def __init__(self) -> None:
            self.status = status
            self.headers = {name.replace("_", "-"): text for name, text in headers.items()}
            self.chunks = iter(body)

        def __enter__(self) -> "Answer":
            return self

        def __exit__(self, *args: object) -> None:
            return None

        def read(self, count: int) -> bytes:
            return next(self.chunks, b"")

    return lambda request: Answer()


def send_endlessly() -> Iterator[bytes]:
    while True:
        yield bytes(CHUNK)


@pytest.mark.parametrize("bounds", [{"size": 2_000_000}, {"limit": 2_000_000}])
@pytest.mark.parametrize("headers", [{}, {"Content_Length": "5"}, {"Content_Length": "-1 x"}])
def test_no_more_is_taken_than_there_can_be(
    tmp_path: Path, bounds: Any, headers: dict[str, str]
) -> None:
    opener = answer_with(200, send_endlessly(), **headers)
    with pytest.raises(WeightsError, match=r"sends more for .*, which has at most 2,000,000"):
        download("https://x/y", tmp_path / "weights.bin", sha256=SHA256, opener=opener, **bounds)
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("length", ["2000001", "9" * 18])
def test_too_large_a_file_is_refused_before_it_comes(tmp_path: Path, length: str) -> None:
    opener = answer_with(200, send_endlessly(), Content_Length=length)
    path = tmp_path / "weights.bin"
    (tmp_path / "weights.bin.part").write_bytes(CONTENT[:100])
    with pytest.raises(WeightsError, match=r"bytes for weights\.bin, which has at most 2,000,000"):
        download("https://x/y", path, sha256=SHA256, opener=opener, limit=2_000_000)
    assert files_in(tmp_path) == {"weights.bin.part": 100}


def test_a_compressed_answer_is_refused(tmp_path: Path) -> None:
    opener = answer_with(200, send_endlessly(), Content_Encoding="gzip")
    with pytest.raises(WeightsError, match=r"weights\.bin in another form \('gzip'\)"):
        download("https://x/y", tmp_path / "weights.bin", sha256=SHA256, opener=opener)
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize(
    ("begin", "target", "followed"),
    [
        ("https", "https://other/y", True),
        ("http", "http://other/y", True),
        ("http", "https://other/y", True),
        ("https", "http://other/y", False),
        ("https", "HTTP://other/y", False),
        ("https", "ftp://other/y", False),
        ("http", "ftp://other/y", False),
        ("http", "file:///etc/hostname", False),
    ],
)
def test_https_stays_https(begin: str, target: str, followed: bool) -> None:
    request = Request(f"{begin}://first/x")

    def follow() -> Request | None:
        headers = HTTPMessage()
        return Redirects().redirect_request(request, None, 302, "Found", headers, target)

    if followed:
        there = follow()
        assert there is not None
        assert there.full_url == target
        return
    with pytest.raises(WeightsError, match=f"first sends on from {begin} to '{target}', which is"):
        follow()


def test_a_server_that_sends_on_to_a_file_is_refused(server: Server, tmp_path: Path) -> None:
    for kind, message in (("to-file", "is not allowed"), ("to-ftp", "which is not followed")):
        with pytest.raises(WeightsError, match=message):
            download(f"{server.url}/{kind}", tmp_path / "weights.bin", sha256=SHA256)
    download(f"{server.url}/moved", tmp_path / "weights.bin", sha256=SHA256)
    assert files_in(tmp_path) == {"weights.bin": len(CONTENT)}


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://x/y", "data:,x", "x"])
def test_only_the_web_is_fetched_from(tmp_path: Path, url: str) -> None:
    with pytest.raises(WeightsError, match="is no address to download from"):
        download(url, tmp_path / "weights.bin", sha256=SHA256)


@pytest.mark.parametrize("name", ["weights.bin", "weights.bin.part"])
@pytest.mark.parametrize("hard", [True, False])
def test_nothing_is_written_through_a_link(
    server: Server, tmp_path: Path, name: str, hard: bool
) -> None:
    precious, cache = tmp_path / "precious", tmp_path / "cache"
    precious.write_text("mine")
    cache.mkdir()
    os.link(precious, cache / name) if hard else (cache / name).symlink_to(precious)
    download(f"{server.url}/file", cache / "weights.bin", sha256=SHA256)
    assert precious.read_text() == "mine"
    assert files_in(cache) == {"weights.bin": len(CONTENT)}
    assert not (cache / "weights.bin").is_symlink()


def test_two_downloads_of_a_file_do_not_mix(server: Server, tmp_path: Path) -> None:
    url, path = f"{server.url}/file", tmp_path / "weights.bin"

    class Second(CountingProgress):
        def __call__(self, items: Iterable[T], **options: Any) -> Iterator[T]:
            with pytest.raises(VizcnnError, match="another vizcnn is writing"):
                download(url, path, sha256=SHA256)
            return iter(items)

    download(url, path, sha256=SHA256, progress=Second())
    assert path.read_bytes() == CONTENT
