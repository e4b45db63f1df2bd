"""Fetching by name, and the cache folder."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.support.flaky_server import CONTENT, SHA256, Server, files_in, run_server
from vizcnn.basics.errors import ModelError, WeightsError
from vizcnn.basics.progress import silent
from vizcnn.zoo.cache import cache_folder, check_fetched, check_hash
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.fetch import fetch_entry, fetch_weights
from vizcnn.zoo.loading import load_entry


@pytest.fixture
def server() -> Iterator[Server]:
    with run_server() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("VIZCNN_CACHE", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return folder


def redirect(url: str) -> Callable[[Request], AbstractContextManager[Any]]:
    """Open an address of this machine in place of any other."""
    return lambda request: urlopen(Request(url, headers=dict(request.header_items())))


def test_fetching_by_name_checks_the_published_sum(server: Server, cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"onnx/models/raw/main/.* has a wrong checksum"):
        fetch_weights("caffenet", opener=redirect(f"{server.url}/file"))
    assert files_in(cache) == {}


def test_fetching_puts_the_file_where_loading_finds_it(server: Server, cache: Path) -> None:
    zfnet = find_entry("zfnet")
    source = replace(zfnet.list_sources()[0], sha256=SHA256, size=len(CONTENT))
    entry = replace(zfnet, weights=lambda: [source])
    opener = redirect(f"{server.url}/file")
    assert source.find() is None
    path = fetch_entry(entry, None, silent, opener)
    assert path == source.find() == cache / "zfnet512-12.onnx"
    assert fetch_entry(entry, None, silent, opener) == path
    assert len(server.ranges) == 1
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="delete it and fetch it again"):
        fetch_entry(entry, None, silent, opener)


def test_torchvisions_own_folder_counts(cache: Path, tmp_path: Path) -> None:
    (source,) = find_entry("resnet18").list_sources()
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
    with pytest.raises(WeightsError, match="no weights of lenet can be fetched: use --weights b"):
        fetch_weights("lenet")
    with pytest.raises(WeightsError, match="no weights of vgg16-c can be fetched: give a file"):
        fetch_weights("vgg16-c")
    monkeypatch.setitem(sys.modules, "onnx", None)
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


def test_the_whole_sum_is_kept_and_compared_where_only_a_part_is_published(
    server: Server, cache: Path, tmp_path: Path
) -> None:
    resnet = find_entry("resnet18")
    source = replace(resnet.list_sources()[0], sha256=SHA256[:8])
    entry = replace(resnet, weights=lambda: [source])
    path = fetch_entry(entry, None, silent, redirect(f"{server.url}/file"))
    record = path.with_name(f"{path.name}.sha256")
    assert record.read_text() == f"{SHA256}  {source.file}\n"
    assert check_fetched(path, SHA256[:8]) == SHA256
    # a file of the same first digits is not at hand: the record is changed instead
    for text, message in (
        (SHA256[:8] + "0" * 56, "expected " + SHA256[:8]),
        ("", "sha256' is damaged"),
        ("\x1b" * 100, "sha256' is damaged"),
        (SHA256.upper(), "sha256' is damaged"),
    ):
        record.write_text(text)
        for use in (
            lambda: fetch_entry(entry, None, silent, redirect(server.url)),
            lambda: load_entry(entry, "imagenet", None, {}),
        ):
            with pytest.raises(WeightsError, match=message):
                use()
    record.unlink()
    fetch_entry(entry, None, silent, redirect(server.url))  # of an older version: kept from now on
    assert record.read_text() == f"{SHA256}  {source.file}\n"
    # torchvision's own folder is not written to
    theirs = tmp_path / "torch" / "hub" / "checkpoints"
    theirs.mkdir(parents=True)
    path.rename(theirs / path.name)
    record.unlink()
    assert fetch_entry(entry, None, silent, redirect(server.url)) == theirs / path.name
    assert files_in(theirs) == {path.name: len(CONTENT)}
    assert files_in(cache) == {}


def test_every_source_has_a_bound() -> None:
    for entry in (find_entry(name) for name in ("resnet18", "vgg19_bn", "zfnet")):
        for source in entry.list_sources():
            assert (source.size or source.limit) < 600_000_000
