"""Parts that launchers tell: torchrun, srun, job arrays, MPI; and the names of their files."""

import subprocess
from itertools import product
from pathlib import Path

import pytest

from vizcnn.basics.errors import DataError
from vizcnn.mining.launchers import (
    choose_local_device,
    fill_name,
    find_part,
    list_part_words,
    require_own_name,
    share_readers,
)

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
SRUN = {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_LOCALID": "0"}


def make_array(task, first, last, step, count):
    names = ("ID", "MIN", "MAX", "STEP", "COUNT")
    values = (task, first, last, step, count)
    return {
        f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in zip(names, values, strict=True)
    }


@pytest.mark.parametrize(
    ("variables", "part", "local"),
    [
        (TORCHRUN, "2/4", 1),
        (SRUN, "3/3", 0),
        ({"SLURM_PROCID": "7", "SLURM_NTASKS": "8"}, "8/8", None),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}, "1/2", None),
        ({"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1"}, "2/2", 1),
        # torchrun under srun, a process for each machine: its own processes count
        ({**SRUN, **TORCHRUN}, "2/4", 1),
        # mpirun within an allocation: its daemons were started by srun
        ({**SRUN, "PMI_RANK": "4", "PMI_SIZE": "6"}, "5/6", None),
        # a script of several tasks whose own torchrun starts the processes
        ({"ENVIRONMENT": "BATCH", "SLURM_PROCID": "0", "SLURM_NTASKS": "8", **TORCHRUN}, "2/4", 1),
        # RANK alone is somebody else's
        ({"RANK": "9", **SRUN}, "3/3", 0),
        (make_array(0, 0, 15, 1, 16), "1/16", None),
        (make_array(9, 3, 13, 2, 6), "4/6", None),
        (make_array(5, 5, 5, 0, 1), "1/1", None),
    ],
)
def test_the_part_is_the_one_that_the_launcher_tells(variables, part, local):
    found = find_part(variables)
    assert (str(found), found.local_rank) == (part, local)


@pytest.mark.parametrize(("tasks", "size"), [(3, 4), (2, 1), (1, 3)])
def test_the_processes_of_a_job_array_have_each_a_part(tasks, size):
    """Tasks of an array that start processes: every part is somebody's, and nobody else's."""
    found = [
        find_part(
            make_array(10 + 5 * task, 10, 10 + 5 * (tasks - 1), 5, tasks)
            | {"SLURM_PROCID": str(rank), "SLURM_STEP_NUM_TASKS": str(size)}
        )
        for task, rank in product(range(tasks), range(size))
    ]
    assert sorted(one.part for one in found) == list(range(1, tasks * size + 1))
    assert {one.parts for one in found} == {tasks * size}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "none of these variables is set: RANK and WORLD_SIZE of torchrun"),
        ({"RANK": "0"}, "none of these"),
        ({"RANK": "4", "WORLD_SIZE": "4"}, "RANK=4, WORLD_SIZE=4; needed: a rank below the size"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "needed: a rank below"),
        ({"RANK": "one", "WORLD_SIZE": "4"}, "RANK is 'one'; needed: a whole number"),
        ({"RANK": "-1", "WORLD_SIZE": "4"}, "RANK is '-1'"),
        ({**TORCHRUN, "LOCAL_RANK": ""}, "LOCAL_RANK is ''"),
        (
            {"ENVIRONMENT": "BATCH", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"},
            "the script of a job with 8 tasks, and none of the tasks: write srun before vizcnn",
        ),
        (make_array(3, 1, 7, 2, 3), "3 numbers from 1 to 7, with 3, are not evenly spaced"),
        (make_array(4, 1, 7, 2, 4), "not evenly"),
        (make_array(9, 1, 7, 2, 4), "not evenly"),
        ({"SLURM_ARRAY_TASK_ID": "3"}, "SLURM_ARRAY_TASK_MIN is not set"),
    ],
)
def test_what_tells_no_part_is_refused_by_name(variables, told):
    with pytest.raises(DataError) as caught:
        find_part(variables)
    assert told in str(caught.value) and len(str(caught.value).splitlines()) == 1
    if "srun" not in told:
        assert "--part 2/4" in str(caught.value)


def test_processes_of_a_machine_share_its_gpus_and_cores():
    assert [choose_local_device("auto", rank, gpus=4) for rank in range(5)] == [
        *(f"cuda:{number}" for number in range(4)),
        "cuda:0",
    ]
    assert choose_local_device("cuda", 1, gpus=2) == "cuda:1"
    for device in ("cpu", "cuda:1", "mps"):
        assert choose_local_device(device, 0, gpus=4) == device
    assert choose_local_device("auto", None, gpus=4) == "auto"
    assert choose_local_device("auto", 3, gpus=0) == "auto"
    assert 1 == share_readers("cuda", 10**6) <= share_readers("cuda", 1)


def test_processes_write_files_of_their_own():
    assert fill_name(Path("{x}/{part}-{parts}{part}"), 3, 12) == Path("{x}/3-123")
    require_own_name(Path("all"), 1)
    require_own_name(Path("{part}"), 2)
    for name in ("all", "{parts}", "{Part}"):
        with pytest.raises(DataError, match="all 2 parts would be written to"):
            require_own_name(Path(name), 2)


@pytest.mark.parametrize("name", ["it's {part} of {parts}", "a b/{part}.x", "{part}"])
@pytest.mark.parametrize("parts", [2, 16, 17, 300])
def test_a_shell_finds_the_files_of_all_parts(name, parts):
    words = " ".join(list_part_words(Path(name), parts))
    assert len(words) < 600
    found = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {words}"], capture_output=True, text=True, check=True
    )
    wanted = [str(fill_name(Path(name), part, parts)) for part in range(1, parts + 1)]
    assert found.stdout.splitlines() == wanted


def test_files_that_the_name_does_not_tell_are_not_listed():
    assert list_part_words(Path("all"), 2) == []
    assert list_part_words(Path("{part}/{part}"), 300) == []
