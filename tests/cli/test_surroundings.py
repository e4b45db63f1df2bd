"""What a command meets around it: closed streams, no home, odd settings, devices that are not."""

import os
import pwd
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command_line import ROOT, fail, run
from tests.support.small_zoo import paint_photo
from vizcnn.basics.devices import choose_device
from vizcnn.basics.errors import ModelError, VizcnnError, WeightsError, advise
from vizcnn.basics.files import open_plain_file, write_text
from vizcnn.basics.output import write_folder
from vizcnn.photos.images import read_photo
from vizcnn.zoo.cache import cache_folder, find_in_cache


def run_without(streams: str, *arguments: str, cwd: Path) -> int:
    """Run a command whose standard streams of these numbers are closed."""

    def close() -> None:
        for number in streams:
            os.close(int(number))

    with (cwd / "stdout").open("w") as output, (cwd / "stderr").open("w") as errors:
        return subprocess.run(
            [sys.executable, "-m", "vizcnn", *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": ROOT, "VIZCNN_CACHE": "here"},
            stdout=output,
            stderr=errors,
            preexec_fn=close,
            timeout=60,
            check=False,
        ).returncode


@pytest.mark.parametrize("streams", ["0", "1", "2", "12", "012"])
def test_closed_streams(tmp_path, streams):
    assert run_without(streams, "weights", "where", cwd=tmp_path) == 0
    assert (tmp_path / "stdout").read_text() == ("" if "1" in streams else "here\n")
    assert (tmp_path / "stderr").read_text() == ""
    assert run_without(streams, "models", "nonsense", cwd=tmp_path) == 2
    assert (tmp_path / "stderr").read_text().count("\n") == (0 if "2" in streams else 1)


def test_what_is_said_into_closed_streams_is_written_into_no_result(tmp_path):
    command = "receptive --model lenet --weights random --out".split()
    assert run_without("012", *command, "quiet", cwd=tmp_path) == 0
    assert run_without("", *command, "told", cwd=tmp_path) == 0
    quiet, told = ({path.name for path in (tmp_path / out).iterdir()} for out in ("quiet", "told"))
    assert quiet == told
    for name in ("fields.png", "index.html"):
        assert (tmp_path / "quiet" / name).read_bytes() == (
            (tmp_path / "told" / name).read_bytes().replace(b"--out told", b"--out quiet")
        )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_standard_output_is_told_in_one_line(unbuffered):
    process = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m vizcnn weights where > /dev/full"],
        env={**os.environ, "PYTHONPATH": ROOT, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 2
    assert process.stderr.startswith("error: ")
    assert process.stderr.count("\n") == 1
    assert "No space left" in process.stderr


def test_a_cache_in_the_home_of_nobody(monkeypatch):
    monkeypatch.setenv("VIZCNN_CACHE", "~nobody-of-this-name/x")
    assert "'~nobody-of-this-name/x'" in fail("weights", "where")
    with pytest.raises(WeightsError, match="let VIZCNN_CACHE name a folder in full"):
        find_in_cache("a.pth", torchvision=False)


@pytest.fixture
def without_home(monkeypatch):
    """A container's user: no HOME, and no entry among the users of the machine."""

    def find_nobody(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "VIZCNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", find_nobody)


@pytest.mark.usefixtures("without_home")
def test_without_a_home_nothing_was_fetched_and_nothing_can_be(tmp_path, monkeypatch):
    assert find_in_cache("a.pth", torchvision=True) is None
    assert "VIZCNN_CACHE" in fail("weights", "where")
    assert "VIZCNN_CACHE" in fail("weights", "fetch", "alexnet")
    run("receptive", "--model", "lenet", "--out", tmp_path / "out")
    monkeypatch.setenv("VIZCNN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_a_cache_that_may_not_be_looked_at_holds_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("VIZCNN_CACHE", str(tmp_path))
    (tmp_path / "a.pth").touch()
    assert find_in_cache("a.pth", torchvision=False) == tmp_path / "a.pth"

    def refuse(path: Path) -> bool:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    assert find_in_cache("a.pth", torchvision=False) is None


@pytest.mark.parametrize(
    "device",
    ["hpu", "privateuseone", "vulkan", "meta", "CPU", "cpu ", "", "cuda:99", "\x1b[31m", "x" * 999],
)
def test_a_device_that_is_not_there_is_refused_in_one_short_line(device):
    with pytest.raises(ModelError, match="use auto, cpu or, with a GPU, cuda") as refused:
        choose_device(device)
    text = str(refused.value)
    assert f"{device!r}"[:50] in text
    assert len(text) < 300


def test_settings_of_matplotlib_that_stop_it(tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(b"# caf\xe9\n")
    command = "receptive --model lenet --weights random --out out".split()
    assert run_without("", *command, cwd=tmp_path) == 2
    *_, last = (tmp_path / "stderr").read_text().splitlines()  # matplotlib's own word comes first
    assert last.startswith("error: matplotlib cannot read its settings")
    assert not (tmp_path / "out").exists()


@contextmanager
def no_more_files():
    """Let this process open no further file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_many_open_files_are_no_fault_of_a_photo(tmp_path):
    photo = paint_photo(tmp_path / "a.png")
    read_photo(photo)
    with pytest.raises(OSError, match="Too many open files") as refused, no_more_files():
        read_photo(photo)
    assert "ulimit -n" in advise(refused.value)


def test_too_many_open_files_are_told_by_what_reads_and_writes(tmp_path):
    weights = tmp_path / "a.pth"
    weights.write_bytes(b"x")
    for work in (
        lambda: open_plain_file(weights),
        lambda: write_text(tmp_path / "b.txt", "x"),
        lambda: write_folder(tmp_path / "out").__enter__(),
    ):
        told = r"Too many open files\): let it open more files \(ulimit -n\)"
        with pytest.raises(VizcnnError, match=told), no_more_files():
            work()
