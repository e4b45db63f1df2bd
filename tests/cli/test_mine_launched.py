"""``vizcnn mine --part auto``, as launchers start it: files, reports, the way to the merge."""

import json
import os
import shlex
from pathlib import Path

import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import paint_photo

pytestmark = pytest.mark.usefixtures("small_net")

VARIABLES = ("RANK", "WORLD_SIZE", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    for name in os.environ:
        if name in VARIABLES or name.startswith("SLURM_"):  # this may run on a cluster
            monkeypatch.delenv(name)
    for number in range(7):
        paint_photo(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path / "photos"


def mine(*arguments, **options):
    return run("mine", "photos", "--layer", "conv1", "--workers", 0, *arguments, **options)


@pytest.mark.slow
def test_every_process_mines_its_part_and_the_last_line_merges_them(photos, monkeypatch):
    """The same words in each process, as torchrun starts them; then what they say is typed."""
    mine("--out", "whole")
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        told = mine("--part", "auto", "--out", "{part} of {parts}", "--json")
        assert told.stderr == f"part {rank + 1}/3 (RANK={rank}, WORLD_SIZE=3)\n"
        following = json.loads(told.stdout)["next"]
        assert following == (
            "vizcnn merge '1 of 3' '2 of 3' '3 of 3' --out all.safetensors"
        )  # whichever part it is
    run(*shlex.split(following)[1:])
    assert Path("all.safetensors").read_bytes() == Path("whole").read_bytes()
    assert mine("--part", "auto", "--out", "{part} of {parts}").stderr.splitlines() == [
        "part 3/3 (RANK=2, WORLD_SIZE=3)",
        "already complete: 2 photos",
    ]


@pytest.mark.slow
def test_one_process_alone_mines_all_and_needs_no_name_of_its_own(photos, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    told = mine("--part", "auto", "--out", "whole").stdout
    assert told.startswith("tiny") and "\n7 photo(s), " in told
    assert told.endswith("next: vizcnn gallery photos --layer conv1 --index whole\n")


@pytest.mark.slow
def test_a_part_that_is_given_fills_the_name_too(photos):
    told = mine("--part", "2/3", "--out", "-{part}").stdout
    assert told.endswith("next: vizcnn merge --out all.safetensors -- -1 -2 -3\n")
    assert Path("-2").is_file()
    told = mine("--out", "{part}").stdout
    assert told.endswith(" --index 1\n") and Path("1").is_file()


def test_parts_that_cannot_be_told_are_refused_before_anything_is_read(photos, monkeypatch):
    words = ("mine", "missing", "--part", "auto", "--out")
    assert "none of these variables is set" in fail(*words, "{part}")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    assert "all 2 parts would be written to 'all': --part auto needs {part}" in fail(*words, "all")
    assert "part 'automatic' is not known; needed: for example 2/4" in fail(
        "mine", "photos", "--part", "automatic", "--out", "all"
    )
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]
