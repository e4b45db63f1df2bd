"""Downloads, against a server on this machine that misbehaves on demand."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.request import Request

import pytest

from tests.support.flaky_server import CONTENT, SHA256, Handler, Server, files_in, run_server
from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.fetch import CHUNK, download

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
