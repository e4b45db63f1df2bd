#!/bin/sh
# submitit 1.5.4: the local executor starts the jobs of an array all at once.
#
# The local executor stands in for SLURM where there is none. Guess beforehand: it runs about as
# many jobs at a time as the machine has processors, or as many as slurm_array_parallelism says,
# and the others wait. Seen: 16 jobs that are submitted in one batch, with slurm_array_parallelism
# of 2, are 16 Python processes at the same time; an array of 512 that each load a net fills the
# memory of the machine before the first is done. Nothing warns.
# Who tries an array without SLURM submits a few jobs at a time.
# Fails if some wait.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet submitit==1.5.4
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import time
from importlib.metadata import version
from pathlib import Path

import submitit

JOBS = 16


def work(folder, number):
    """Wait until all jobs have begun, or for a minute; gives how many had."""
    (folder / str(number)).touch()
    for _ in range(600):
        if (begun := len(list(folder.iterdir()))) == JOBS:
            break
        time.sleep(0.1)
    return begun


folder = Path("begun").absolute()
folder.mkdir()
executor = submitit.AutoExecutor(folder="jobs", cluster="local")
executor.update_parameters(timeout_min=5, slurm_array_parallelism=2)
with executor.batch():
    jobs = [executor.submit(work, folder, number) for number in range(JOBS)]
seen = {job.result() for job in jobs}
print("submitit", version("submitit"), "jobs begun before the first one ended:", seen)
assert seen == {JOBS}, "some jobs wait now"
PYTHON
