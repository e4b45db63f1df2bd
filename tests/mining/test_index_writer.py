"""An index that is saved while it grows: whole, one at a time, and what fails is told."""

import os
import signal
import threading
from dataclasses import replace

import pytest
import torch

from tests.support.mining_runs import make_photos
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError
from vizcnn.mining import index_writer
from vizcnn.mining.index import read_index, write_index
from vizcnn.mining.index_writer import IndexWriter
from vizcnn.mining.run import MiningRun, MiningSettings

SETTINGS = MiningSettings(layers=("conv1",), top=3, workers=0)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    return MiningRun(make_model(), make_photos(6), folder / "index", SETTINGS).run()


class SlowDisk:
    """Writes an index when it is let to, in place of what does at once."""

    def __init__(self, monkeypatch):
        self.began, self.may_end, self.written = threading.Event(), threading.Event(), []
        monkeypatch.setattr(index_writer, "write_index", self.write)

    def write(self, index, file):
        self.began.set()
        assert self.may_end.wait(10)
        write_index(index, file)
        self.written.append(index.done)


def test_saving_goes_on_beside_the_run(index, tmp_path, monkeypatch):
    disk, writer = SlowDisk(monkeypatch), IndexWriter(interval=0, share=0)
    growing = replace(index, digests=index.digests.clone())
    writer.save(growing, tmp_path / "index")
    assert disk.began.wait(10)
    assert not (tmp_path / "index").exists()
    growing.digests.fill_(7)  # by the next lot
    disk.may_end.set()
    writer.wait()
    found = read_index(tmp_path / "index")  # its checksum holds
    assert torch.equal(found.digests, index.digests)


def test_one_saving_at_a_time_and_in_order(index, tmp_path, monkeypatch):
    disk, writer = SlowDisk(monkeypatch), IndexWriter(interval=0, share=0)
    disk.may_end.set()
    for _ in range(3):
        writer.save(index, tmp_path / "index")
    writer.wait()
    assert disk.written == [6, 6, 6]


def test_what_cannot_be_written_is_told_once(index, tmp_path):
    (tmp_path / "file").touch()
    writer = IndexWriter(interval=1000, share=0)
    writer.save(index, tmp_path / "file" / "index")
    with pytest.raises(DataError, match="cannot be written"):
        while not writer.is_due:  # asked after each lot
            pass
    writer.save(index, tmp_path / "index")
    writer.wait()
    assert read_index(tmp_path / "index").complete


def test_saving_is_due_by_the_interval_and_by_its_own_time(index, tmp_path):
    always, seldom = IndexWriter(interval=0, share=0), IndexWriter(interval=0, share=10**9)
    assert always.is_due and seldom.is_due  # nothing is saved yet
    for writer in (always, seldom):
        writer.save(index, tmp_path / "index")
        writer.wait()
    assert always.is_due
    assert not seldom.is_due


def test_a_ctrl_c_leaves_a_whole_index(index, tmp_path, monkeypatch):
    """It is written to the end, and waited for again."""
    disk, writer = SlowDisk(monkeypatch), IndexWriter(interval=0, share=0)
    writer.save(index, tmp_path / "index")
    assert disk.began.wait(10)
    with pytest.raises(KeyboardInterrupt):
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        writer.wait()
    disk.may_end.set()
    writer.wait()
    assert read_index(tmp_path / "index").complete
