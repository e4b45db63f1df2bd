"""The environment that make makes: a torchvision that does not fit its torch is seen and told."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PYTHON = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
    *"import torchvision"*) test -e {fits} ;;
    *"print(version"*) echo 0.28.0+cu130 ;;
    *"torch.version.cuda"*) exit {cuda} ;;
    *"pip install"*) {pip} ;;
esac
"""


def make_vision(folder: Path, fits: bool, pip: str, cuda: int = 0) -> tuple[list[str], str]:
    """Run the target with a Python that plays an environment: its calls, and what make printed."""
    log, fit = folder / "log", folder / "fits"
    if fits:
        fit.touch()
    script = folder / "python"
    script.write_text(PYTHON.format(log=log, fits=fit, pip=pip.format(fits=fit), cuda=cuda))
    script.chmod(0o755)
    command = ["make", "-C", str(ROOT), "--no-print-directory", "vision", f"BIN={folder}"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return log.read_text().splitlines(), result.stdout


def test_a_pair_that_fits_is_left_alone(tmp_path):
    calls, told = make_vision(tmp_path, fits=True, pip="exit 1")
    assert calls == ["-c import torchvision"]
    assert told == ""


@pytest.mark.parametrize(("pip", "works"), [("touch {fits}", True), ("exit 1", False)])
def test_the_wheel_that_fits_is_asked_for_once(pip, works, tmp_path):
    calls, told = make_vision(tmp_path, fits=False, pip=pip)
    (asked,) = [call for call in calls if "pip install" in call]
    assert asked.endswith(
        "--index-url https://download.pytorch.org/whl/cpu torchvision==0.28.0+cpu"
    )
    assert "--timeout 10 --retries 1" in asked
    assert (told == "") == works
    if not works:
        assert told.count("\n") == 1
        assert "'import torchvision' in code of your own does not" in told


def test_a_torch_for_cuda_gets_no_wheel_for_cpus(tmp_path):
    calls, told = make_vision(tmp_path, fits=False, pip="touch {fits}", cuda=1)
    assert not [call for call in calls if "pip install" in call]
    assert told.startswith("note: ")


def test_the_readme_installs_the_pair_that_is_tested():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    readme = (ROOT / "README.md").read_text("utf-8").splitlines()
    (line,) = [line for line in readme if "whl/cpu" in line]
    assert f"torch=={pins['torch']} torchvision=={pins['torchvision']} --index-url" in line
