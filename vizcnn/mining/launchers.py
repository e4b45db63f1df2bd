"""Launchers: which of many processes this one is, as torchrun, SLURM and MPI tell each of them."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeVar

from vizcnn.basics.errors import DataError, quote
from vizcnn.basics.processes import count_cores

Place = TypeVar("Place", bound=PurePath)

AUTO = "auto"
"""In the place of a part: the one that a launcher's variables tell."""

PART, PARTS = "{part}", "{parts}"
"""What stands in the name of an index for its part, and for how many there are."""


@dataclass(frozen=True)
class Launched:
    """Which of how many parts is this process's.

    Attributes:
        part: From 1.
        parts: How many.
        told_by: The variables that say so, with their values.
        local_rank: Which of the processes on this machine it is, from 0; None if not told.
        local_size: How many there are on this machine; None if not told.
    """

    part: int
    parts: int
    told_by: str
    local_rank: int | None = None
    local_size: int | None = None

    def __str__(self) -> str:
        return f"{self.part}/{self.parts}"


@dataclass(frozen=True)
class _Launcher:
    """Names of the variables in which a launcher tells a process which one it is."""

    name: str
    rank: str
    size: str
    local_rank: str
    local_size: str = ""


# What is started by what stands further down comes first: torchrun may be started by srun, a
# process for each machine, and so may the processes of mpirun.
_LAUNCHERS = (
    _Launcher("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    _Launcher(
        "Open MPI",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    _Launcher("MPICH and Intel MPI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    _Launcher("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    _Launcher("srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
)

_ARRAY = "SLURM_ARRAY_TASK_"


def find_part(environment: Mapping[str, str] | None = None) -> Launched:
    """Find out which part is this process's.

    A job array of SLURM's whose tasks start several processes each has as many parts as processes
    in all.

    Args:
        environment: Variables; those of this process when None.

    Raises:
        DataError: If no launcher has set its variables, or they do not fit each other, or the
            numbers of a job array are not evenly spaced, or this is a batch script of several
            tasks and none of them.

    Example:
        >>> str(find_part({"RANK": "1", "WORLD_SIZE": "4"}))
        '2/4'
        >>> array = {"ID": "7", "MIN": "1", "MAX": "9", "STEP": "2", "COUNT": "5"}
        >>> str(find_part({f"SLURM_ARRAY_TASK_{name}": value for name, value in array.items()}))
        '4/5'
    """
    variables = os.environ if environment is None else environment
    process, task = _find_process(variables), _find_array_task(variables)
    if process is None and task is None:
        raise DataError(
            f"part auto cannot be told: none of these variables is set: {_list_looked_for()}; "
            "start it with one of these launchers, or give the part, such as --part 2/4"
        )
    if process is None or task is None:
        found = process or task
        assert found is not None
        return found
    return Launched(
        (task.part - 1) * process.parts + process.part,
        task.parts * process.parts,
        f"{task.told_by}, {process.told_by}",
        process.local_rank,
        process.local_size,
    )


def _list_looked_for() -> str:
    sizes: dict[tuple[str, str], list[str]] = {}
    for one in _LAUNCHERS:
        sizes.setdefault((one.name, one.rank), []).append(one.size)
    told = [f"{rank} and {' or '.join(some)} of {name}" for (name, rank), some in sizes.items()]
    return ", ".join([*told, f"{_ARRAY}ID of a job array"])


def _find_process(variables: Mapping[str, str]) -> Launched | None:
    for launcher in _LAUNCHERS:
        if launcher.rank not in variables or launcher.size not in variables:
            continue
        rank, size = (_read(variables, name) for name in (launcher.rank, launcher.size))
        told_by = f"{launcher.rank}={rank}, {launcher.size}={size}"
        if rank >= size:
            raise DataError(
                f"part auto cannot be told: {told_by}; needed: a rank below the size; give the "
                "part, such as --part 2/4"
            )
        if launcher.size == "SLURM_NTASKS" and size > 1 and variables.get("ENVIRONMENT") == "BATCH":
            # which SLURM sets in a batch script, with rank 0: the other tasks do not run yet
            raise DataError(
                f"part auto cannot be told: this is the script of a job with {size} tasks, and "
                "none of the tasks: write srun before vizcnn"
            )
        return Launched(
            rank + 1,
            size,
            told_by,
            *(
                _read(variables, name) if name in variables else None
                for name in (launcher.local_rank, launcher.local_size)
            ),
        )
    return None


def _find_array_task(variables: Mapping[str, str]) -> Launched | None:
    """Find out which task of a job array this is, by its place among the array's numbers."""
    if f"{_ARRAY}ID" not in variables:
        return None
    number, least, most, count = (
        _read(variables, f"{_ARRAY}{name}") for name in ("ID", "MIN", "MAX", "COUNT")
    )
    step = max(_read(variables, f"{_ARRAY}STEP"), 1)  # 0 in an array of one
    place, rest = divmod(number - least, step)
    if rest or not 0 <= place < count or least + (count - 1) * step != most:
        raise DataError(
            f"part auto cannot be told: the job array's {count} numbers from {least} to {most}, "
            f"with {number}, are not evenly spaced: submit it as --array=1-{count}, or give the "
            "part, such as --part 2/4"
        )
    return Launched(place + 1, count, f"{_ARRAY}ID={number} of {least}-{most}:{step}")


def _read(variables: Mapping[str, str], name: str) -> int:
    if name not in variables:
        raise DataError(
            f"part auto cannot be told: {name} is not set; give the part, such as --part 2/4"
        )
    if not re.fullmatch("[0-9]{1,9}", variables[name]):
        raise DataError(
            f"part auto cannot be told: {name} is {quote(variables[name])}; needed: a whole "
            "number; give the part, such as --part 2/4"
        )
    return int(variables[name])


def choose_local_device(device: str, local_rank: int | None, gpus: int | None = None) -> str:
    """Choose one of a machine's GPUs for each of its processes.

    Args:
        device: What was asked for: only ``"auto"`` and ``"cuda"`` leave a choice.
        local_rank: Which of the processes on this machine it is; None if not known.
        gpus: GPUs that this process sees; counted when None.

    Example:
        >>> choose_local_device("auto", 5, gpus=4), choose_local_device("auto", 5, gpus=1)
        ('cuda:1', 'auto')
    """
    if local_rank is None or device not in ("auto", "cuda"):
        return device
    if gpus is None:
        import torch

        gpus = torch.cuda.device_count()
    return f"cuda:{local_rank % gpus}" if gpus > 1 else device


def share_readers(device: str, local_size: int) -> int:
    """Choose how many processes read photos for one of a machine's processes that share its cores.

    Args:
        device: Where its net is.
        local_size: How many such processes the machine has.
    """
    from vizcnn.mining.lots import choose_workers

    return choose_workers(device, max(count_cores() // max(local_size, 1), 1))


def fill_name(out: Place, part: int, parts: int) -> Place:
    """Put numbers into the name of an index in the places of ``{part}`` and ``{parts}``.

    Example:
        >>> from pathlib import Path
        >>> fill_name(Path("{part}-of-{parts}.safetensors"), 2, 4).name
        '2-of-4.safetensors'
    """
    return type(out)(str(out).replace(PART, str(part)).replace(PARTS, str(parts)))


def require_own_name(out: PurePath, parts: int) -> None:
    """Make sure that processes that were started with the same words write files of their own.

    Raises:
        DataError: If they do not.
    """
    if parts > 1 and PART not in str(out):
        raise DataError(
            f"all {parts} parts would be written to {quote(out)}: --part auto needs {PART} in "
            f"--out, such as {PART}.safetensors"
        )


NAMED_FILES = 16
"""Parts that are named one by one; more are written as a shell's range."""


def list_part_words(out: PurePath, parts: int) -> Sequence[str]:
    """Write the files of all parts as words for a shell; none if the name does not tell them.

    Args:
        out: With ``{part}`` in its place.
        parts: How many.

    Example:
        >>> from pathlib import Path
        >>> list_part_words(Path("a b/{part}"), 2), list_part_words(Path("a b/{part}"), 512)
        (["'a b/1'", "'a b/2'"], ["'a b/'{1..512}"])
    """
    text = str(out).replace(PARTS, str(parts))
    if text.count(PART) != 1:  # two ranges would be multiplied
        return []
    if parts <= NAMED_FILES:
        return [shlex.quote(text.replace(PART, str(part))) for part in range(1, parts + 1)]
    before, after = (part and shlex.quote(part) for part in text.split(PART))
    return [f"{before}{{1..{parts}}}{after}"]
