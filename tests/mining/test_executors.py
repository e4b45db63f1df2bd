"""The page on many machines: its examples run, and each gives the bytes of one plain run."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.tools.blocks import ROOT
from tests.support.command_line import run
from tests.support.manual import read_fences
from tests.support.small_zoo import paint_photo
from vizcnn.mining.photo_sets import open_photos
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.zoo import load

PAGE = ROOT / "docs" / "many-machines.md"
JOB, *EXAMPLES = [code for code, _ in read_fences(PAGE, "python")]
PARTS = 2


def find_example(word):
    (code,) = [code for code in EXAMPLES if word in code]
    return code


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    """The bytes of a plain run over photos of which one is damaged; the job's file beside them."""
    monkeypatch.chdir(tmp_path)
    for number in range(9):
        paint_photo(Path("photos") / f"{number % 2}" / f"{number}.png", seed=number)
    Path("photos/1/5.png").write_bytes(b"no photo")
    Path("job.py").write_text(JOB, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    model = load("lenet", weights="bundled")
    photos = open_photos([Path("photos")], model.preprocessing)
    mine(model, photos, Path("plain"), MiningSettings(layers=("conv1", "conv2"), workers=0))
    yield Path("plain").read_bytes()
    sys.modules.pop("job", None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "package"),
    [
        ("ProcessPoolExecutor", "concurrent.futures"),
        ("dask.distributed", "distributed"),
        ("submitit", "submitit"),
    ],
)
def test_the_example_gives_the_bytes_of_a_plain_run(word, package, wanted):
    pytest.importorskip(package, reason=f"needs {package}")
    exec(compile(find_example(word), str(PAGE), "exec"), {"__name__": "__main__"})
    assert Path("strongest.safetensors").read_bytes() == wanted
    assert not Path("strongest.safetensors.parts").exists()


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("mpiexec") and importlib.util.find_spec("mpi4py")), reason="needs mpi4py"
)
def test_the_example_of_mpi_gives_the_bytes_of_a_plain_run(wanted):
    Path("mine.py").write_text(find_example("mpi4py"), "utf-8")
    words = [sys.executable, "-m", "mpi4py.futures", "mine.py"]
    subprocess.run(["mpiexec", "-n", "3", *words], check=True, timeout=120)
    assert Path("strongest.safetensors").read_bytes() == wanted


def test_every_example_was_run():
    known = ("ProcessPoolExecutor", "dask.distributed", "submitit", "mpi4py")
    assert {find_example(word) for word in known} == set(EXAMPLES)


LAUNCHERS = (
    ("torchrun", {"RANK": "{rank}", "WORLD_SIZE": "{size}"}),
    ("srun", {"SLURM_PROCID": "{rank}", "SLURM_STEP_NUM_TASKS": "{size}"}),
    (
        "#SBATCH --array",
        {
            "SLURM_ARRAY_TASK_ID": "{part}",
            "SLURM_ARRAY_TASK_MIN": "1",
            "SLURM_ARRAY_TASK_MAX": "{size}",
            "SLURM_ARRAY_TASK_STEP": "1",
            "SLURM_ARRAY_TASK_COUNT": "{size}",
        },
    ),
)


@pytest.mark.slow
@pytest.mark.usefixtures("small_net")
def test_the_launched_lines_mine_parts_that_merge(monkeypatch):
    """Each launcher's line of the page is run as often as it would, then what it prints."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)  # of the cluster that this may run on
    for number in range(3):
        paint_photo(Path("photos") / f"{number}.png", seed=number)
    run("mine", "photos", "--out", "plain", "--layer", "conv1", "--workers", 0)
    codes = [code for code, _ in read_fences(PAGE, "sh")]
    for launcher, variables in LAUNCHERS:
        (code,) = [code for code in codes if launcher in code]
        (line,) = re.findall("vizcnn mine .*--part auto.*", code)
        words = [*shlex.split(line)[1:], "--layer", "conv1", "--workers", 0]
        for rank in range(PARTS):
            with monkeypatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value.format(rank=rank, part=rank + 1, size=PARTS))
                following = run(*words).stdout.splitlines()[-1]
        run(*shlex.split(following.removeprefix("next: "))[1:])
        assert Path("all.safetensors").read_bytes() == Path("plain").read_bytes()
        for part in Path.cwd().glob("*-of-*"):
            part.unlink()
