"""Runs of the command line that are killed at a random moment and given again.

Each must end with the bytes of a run that was left alone, and leave nothing beside its results.
As a program it does many of them: ``python -m tests.support.killing --runs 60 --seed 0``.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from tests.support.command_line import ROOT
from tests.support.small_zoo import list_files
from tests.support.top_runs import write_photos
from tests.support.training_data import fingerprint, make_data
from vizcnn.training.checkpoint import read_checkpoint

LENET = ["--model", "lenet", "--weights", "bundled"]
TWO = ["--layer", "conv1,conv2"]
PHOTOS, CLASSES, PHOTO = "../photos", "../classes", "../photos/part 0/photo 3.png"
COMMANDS = {
    "gallery": ["gallery", *LENET, *TWO, PHOTOS, "--poster", "--part", "own", "--out", "out"],
    "mine": ["mine", *LENET, PHOTOS, "--out", "out.safetensors"],
    "deconv": ["deconv", *LENET, *TWO, PHOTO, "--top", "4", "--part", "own", "--out", "out"],
    "explore": ["explore", *LENET, PHOTO, "--own", "2", "--out", "out"],
    "train": "train --model lenet --epochs 3 --batch 4 --out out --threads 1".split(),
    "filters": ["filters", *LENET, "--out", "out"],
    "aliasing": ["aliasing", *LENET, PHOTO, "--layer", "conv3", "--out", "out"],
    "receptive": ["receptive", "--model", "lenet", "--out", "out"],
    "compare": ["compare", *LENET, PHOTO, "--method", "gradient", "--out", "out"],
    "check": "check --model lenet --count 1 --compare 2 --method gradient --out out".split(),
    "probe": "probe --model lenet --per-class 1 --folds 2 --out out".split(),
    "correspond": ["correspond", *LENET, "--draws", "2", "--out", "out"],
    "invariance": ["invariance", *LENET, PHOTO, "--scale", "1,1.5", "--out", "out"],
    "zeiler-fergus": ["zeiler-fergus", "--only", "figure-3,table-2", "--out", "out"],
    "lecture": ["lecture", "--only", "lenet-sizes", "--out", "out"],
}
"""Arguments of a small run, from a folder beside those of the photos."""
COMMANDS["train"].append(CLASSES)
COMMANDS["check"] += [PHOTOS]
COMMANDS["probe"] += [f"{CLASSES}/train"]
USUAL = ("gallery", "mine", "deconv", "train")
"""The commands that are killed most."""
SECONDS = re.compile(rb'"(seconds|hours)": [0-9.e-]+')
TIMED_CELL = re.compile(rb'<td data-value="[0-9.e-]+">[0-9.]+ s</td>')
LAST_CELL = re.compile(rb"[^|\n]*\|$", re.MULTILINE)
TEMPORARY = (".part", ".tmp")
"""Ends of names that no finished run leaves."""


@dataclass(frozen=True)
class Whole:
    """A run that was left alone.

    Attributes:
        files: Its results, by name.
        first: Seconds until it wrote anything.
        seconds: Seconds that it took.
    """

    files: dict[str, bytes]
    first: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What became of a run that was killed and given again.

    Attributes:
        command: The command's name.
        moments: After how many seconds it was killed, once or more often.
        left: What lay there after the last kill, apart from results.
        told: What the last run, which went through, said of it.
        faults: What is wrong: nothing, if all is well.
    """

    command: str
    moments: tuple[float, ...]
    left: tuple[str, ...]
    told: tuple[str, ...]
    faults: tuple[str, ...]

    def describe(self) -> str:
        """Say it in a line."""
        moments = ", ".join(f"{moment:.2f}" for moment in self.moments)
        line = f"{self.command}: killed after {moments} s"
        line += f"; left {list(self.left)}" if self.left else "; nothing left"
        return line + (f"; FAULTS {list(self.faults)}" if self.faults else "; ends as it should")


def prepare(folder: Path) -> None:
    """Write the photos that the commands take."""
    write_photos(folder / "photos", 60)
    make_data(folder / "classes")


def run_whole(folder: Path, command: str) -> Whole:
    """Run a command from end to end, to know its results and how long it takes."""
    home = Path(tempfile.mkdtemp(prefix=f"{command}-", dir=folder))
    began, first = time.monotonic(), 0.0
    with _start(home, command) as process:
        while process.poll() is None:
            if not first and any(home.iterdir()):
                first = time.monotonic() - began
            time.sleep(0.01)
        _, told = process.communicate()
    assert process.returncode == 0, told
    seconds = time.monotonic() - began
    files = list_results(home)
    shutil.rmtree(home)
    return Whole(files, first or seconds / 2, seconds)


def list_results(home: Path) -> dict[str, bytes]:
    """Everything in a folder, by name; but for how many seconds something took."""
    files = list_files(home)
    for name in files:
        if name.endswith(".pt"):
            files[name] = fingerprint(read_checkpoint(home / name)).encode()
        elif name.endswith(".md"):
            files[name] = LAST_CELL.sub(b"", files[name])
        elif name.endswith(".json"):
            files[name] = SECONDS.sub(b"", files[name])
        elif name.endswith(".html"):
            files[name] = TIMED_CELL.sub(b"", files[name])
        elif name.endswith("/methods.png"):  # the seconds are drawn
            files[name] = b""
    return files


def kill_and_repeat(
    folder: Path, command: str, whole: Whole, moments: Sequence[float], kill: int = signal.SIGKILL
) -> Outcome:
    """Kill a command's runs one after another, and let the last one go through.

    Args:
        folder: Holds the photos; the run gets a folder in it.
        command: Name of a command in :data:`COMMANDS`.
        whole: The run that was left alone.
        moments: After how many seconds each run is killed; one that is faster goes through.
        kill: The signal.
    """
    home = Path(tempfile.mkdtemp(prefix=f"{command}-", dir=folder))
    for moment in moments:
        with _start(home, command) as process:
            try:
                process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                process.send_signal(kill)  # only it: what it started has to end by itself
                process.communicate()
    left = tuple(_list_odd(home))
    faults: list[str] = []
    with _start(home, command) as process:
        try:
            _, told = process.communicate(timeout=60 + 10 * whole.seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            _, told = process.communicate()
            faults.append("hangs when it is given again")
    if process.returncode != 0:
        faults.append(f"exit status {process.returncode}: {told[-300:]}")
    if "Traceback" in told:
        faults.append("a traceback")
    odd = _list_odd(home)
    files = list_results(home)
    differing = [
        name
        for name in sorted(files.keys() | whole.files.keys())
        if files.get(name) != whole.files.get(name) and not name.startswith(tuple(odd))
    ]
    faults += [f"differs: {name}" for name in differing[:5]]
    faults += [f"left for ever: {name}" for name in odd]
    shutil.rmtree(home)
    lines = tuple(line for line in told.splitlines() if "%" not in line)
    return Outcome(command, tuple(moments), left, lines, tuple(faults))


def choose_moments(draw: random.Random, whole: Whole) -> list[float]:
    """Draw one to three moments of a run, most of them when it writes."""
    begin = whole.first if draw.random() < 0.8 else 0.0
    return [draw.uniform(begin, whole.seconds) for _ in range(draw.choice((1, 1, 2, 3)))]


def _start(home: Path, command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "vizcnn", *COMMANDS[command]],
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"},
    )


def _list_odd(home: Path) -> list[str]:
    """List working and temporary files and folders; of what is in one, nothing."""
    odd = [path for path in home.rglob("*") if path.name.endswith(TEMPORARY)]
    outer = [path for path in odd if not any(parent in odd for parent in path.parents)]
    return sorted(path.relative_to(home).as_posix() for path in outer)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do many runs; the exit status tells whether all ended as they should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signal", default="KILL", help="such as KILL, TERM, HUP or INT")
    parser.add_argument("--command", action="append", choices=COMMANDS, dest="commands")
    chosen = parser.parse_args(arguments)
    draw = random.Random(chosen.seed)
    # every second run is of one of the usual commands, the others take turns
    names = chosen.commands or [
        name for pair in zip(cycle(USUAL), COMMANDS, strict=False) for name in pair
    ]
    outcomes = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        prepare(folder)
        wholes: dict[str, Whole] = {}
        for number in range(chosen.runs):
            name = names[number % len(names)]
            wholes[name] = wholes.get(name) or run_whole(folder, name)
            moments = choose_moments(draw, wholes[name])
            kill = getattr(signal, f"SIG{chosen.signal}")
            outcome = kill_and_repeat(folder, name, wholes[name], moments, kill)
            outcomes.append(outcome)
            print(f"{number + 1}/{chosen.runs} {outcome.describe()}", flush=True)
    wrong = sum(bool(outcome.faults) for outcome in outcomes)
    left = sum(bool(outcome.left) for outcome in outcomes)
    print(f"{len(outcomes)} runs, {left} with leftovers after the kill, {wrong} with faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
