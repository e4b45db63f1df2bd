"""What the benchmarks share: other revisions, work done by each in turn, tables, the machine."""

import importlib.metadata
import math
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).parents[1]
"""The working tree."""
NOW = "now"
"""What tables call it."""
MINUTES = 60.0


class CannotRunError(Exception):
    """Something cannot be run here.

    Args:
        reason: Why, in a line.
        printed: What it said until then.
    """

    def __init__(self, reason: str, printed: str = "") -> None:
        super().__init__(reason)
        self.printed = printed


def write_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a Markdown table; numbers have three digits that count.

    Example:
        >>> print(write_table(("work", "s"), [("one", 0.12345), ("two", 41)]))
        | work | s |
        |---|---|
        | one | 0.123 |
        | two | 41 |
    """
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *(write_row(row) for row in rows)])


def write_row(cells: Iterable[object]) -> str:
    """Write a row of a Markdown table."""
    told = [
        write_number(cell) if isinstance(cell, float) else str(cell).replace("|", "\\|")
        for cell in cells
    ]
    return "| " + " | ".join(told) + " |"


def write_number(value: float) -> str:
    """Write a number with three digits that count.

    Example:
        >>> write_number(0.04567), write_number(1234.5), write_number(math.inf)
        ('0.0457', '1,234', '–')
    """
    if not math.isfinite(value):
        return "–"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), 6)}f}"


def describe_machine(device: "str | torch.device" = "cpu", threads: int | None = None) -> str:
    """Say in a line what computes: processor or card, threads, and the versions that matter."""
    import torch

    if torch.device(device).type == "cuda":
        name = f"{torch.cuda.get_device_name(device)}, {os.cpu_count()} cores beside it"
    else:
        threads = threads or torch.get_num_threads()
        name = f"{find_processor()}, {threads} thread{'s' * (threads > 1)}"
    captum = importlib.metadata.version("captum")
    return f"{name}; Python {platform.python_version()}, torch {torch.__version__}, Captum {captum}"


def find_processor() -> str:
    """Name the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or platform.machine()


def measure_peak_memory() -> int:
    """Give the most memory that this process has had, in bytes.

    Linux counts in ``ru_maxrss`` also what the process had that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def unpack_revision(revision: str, folder: Path, root: Path = ROOT) -> Path:
    """Put the files of a revision into a folder, from which Python can import it.

    Args:
        revision: A tag, branch or commit.
        folder: A folder to throw away later.
        root: The checkout.

    Returns:
        The tree, for ``PYTHONPATH``.

    Raises:
        CannotRunError: If the checkout has no git, or no such revision.
    """
    archive = folder / "tree.tar"
    command = ["git", "-C", str(root), "archive", "--format=tar", "-o", str(archive), revision]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        raise CannotRunError(f"{revision}: there is no git here") from None
    if done.returncode:
        reason = tell_last_line(done.stderr)
        missing = "not a valid object name" in reason
        way_out = " (`git fetch --tags` brings tags that a clone lacks)" if missing else ""
        raise CannotRunError(f"{revision}: {reason}{way_out}")
    tree = folder / "tree"
    with tarfile.open(archive) as file:
        file.extractall(tree, filter="data")
    archive.unlink()
    return tree


def run_python(
    tree: Path, *arguments: str | Path, timeout: float | None = None, apart: bool = False
) -> str:
    """Run Python with the vizcnn of a tree; give what it prints.

    It runs in an empty folder, as modules are looked for in the present one first.

    Args:
        tree: The working tree, or one from :func:`unpack_revision`.
        *arguments: Of Python: a script, or ``-m vizcnn`` and so on.
        timeout: Seconds after which it is ended.
        apart: It is ended with all processes that it has started.

    Raises:
        CannotRunError: If it fails or takes too long; with the last line of what it says.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
        # its errors go through a pipe, its output into a file, which is there whatever ends it
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tree)},
            cwd=folder,
            start_new_session=apart,
        )
        try:
            _, errors = process.communicate(timeout=timeout)
            told = tell_last_line(errors) or f"exit status {process.returncode}"
            reason = told if process.returncode else ""
        except subprocess.TimeoutExpired:
            reason = f"it took more than {timeout:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL) if apart else process.kill()
                process.communicate()
        output.seek(0)
        printed = output.read()
    if reason:
        raise CannotRunError(reason, printed)
    return printed


def tell_last_line(text: str) -> str:
    """Give the last line that says something, shortened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:160] if lines else ""


def take_turns(
    trees: Mapping[str, Path], measure: Callable[[Path], float], rounds: int
) -> dict[str, float | str]:
    """Measure the same work by several trees in turn, so that all meet the same machine.

    Returns:
        By name, the best of some rounds, as other programs only ever cost time; or why a tree
        cannot do it.
    """
    best: dict[str, float | str] = {}
    for _ in range(rounds):
        for name, tree in trees.items():
            former = best.get(name, math.inf)
            if isinstance(former, str):
                continue
            try:
                best[name] = min(measure(tree), former)
            except CannotRunError as error:
                best[name] = f"cannot: {error}"
    return best


def divide(former: float | str, now: float | str) -> float | str:
    """Give how many times as fast the present tree is; a dash where that is nothing to tell.

    Example:
        >>> divide(3.0, 1.5), divide(3.0, "cannot: no such option"), divide(3.0, 0.0)
        (2.0, '–', '–')
    """
    return "–" if isinstance(former, str) or isinstance(now, str) or not now else former / now
