"""Time where a command's seconds go, from nothing to its last file.

    python benchmarks/start.py
    python benchmarks/start.py --against ../vizcnn-0.1.0 -- deconv --model zfnet --compare none
    python benchmarks/start.py -- filters --model alexnet

The command runs as a process of its own, several times; of each part the best counts, for other
programs only ever cost time. ``--against`` names another tree, checked out or installed
(``pip install --target``), whose command takes turns with this one's.

A part is what the main process spends in it and in nothing within it: modules being imported,
weights read (load), the forward pass (record), projections, their comparison with other active
units, and drawing. Drawing beside the computing costs the main process only what it waits for.
Writing is the pages and the manifest; the rest is Python itself and what has no name here.
"""

import argparse
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTS = ("import", "load", "record", "project", "compare", "draw", "write", "rest")
"""Parts of a run, in its order."""

HOMES = {
    "vizcnn.cli.options": {"load_model": "load"},
    "vizcnn.zoo.loading": {"load": "load"},
    "vizcnn.projection.deconvnet": {
        "Projector.record": "record",
        "Projector.project_targets": "project",
    },
    "vizcnn.projection.active_units": {"compare_with_active": "compare"},
    "vizcnn.basics.errands": {"Errands.start": "draw", "Errands.__exit__": "draw"},
    "vizcnn.pages.page": {"save_files": "draw"},
    "vizcnn.gallery.site": {"write_gallery": "write"},
}
"""What is timed: functions and methods by module, and what part they are; a tree may lack some."""

REPORT = "VIZCNN_BENCHMARK_REPORT"
"""Names the file that a timed process writes its seconds into."""


def main() -> None:
    if REPORT in os.environ:
        watch_run(sys.argv[1:])
        return
    from common import NOW, ROOT  # here: a timed process loads only what its command does

    options = _parse()
    trees = {NOW: ROOT}
    if options.against is not None:
        trees = {str(options.against): options.against.resolve(), **trees}
    print(f"vizcnn {shlex.join(options.command)}; {options.rounds} rounds, seconds")
    best: dict[str, dict[str, float]] = {name: {} for name in trees}
    for _ in range(options.rounds):
        for name, tree in trees.items():
            for part, seconds in time_run(tree, options.command).items():
                best[name][part] = min(seconds, best[name].get(part, seconds))
    print(tabulate(best))


def tabulate(best: dict[str, dict[str, float]]) -> str:
    """Write a table of parts by tree; with two trees, how many times as fast the second one is.

    Example:
        >>> print(tabulate({"old": {"wall": 4.0}, "now": {"wall": 2.0}}))
        | part | old | now | old / now |
        |---|---|---|---|
        | wall | 4.00 | 2.00 | 2.00 |
    """
    from common import divide, write_table

    heads, seconds = ["part", *best], list(best.values())
    rows: list[list[object]] = [[part, *(found[part] for found in seconds)] for part in seconds[0]]
    if len(best) > 1:
        heads.append(" / ".join(best))
        rows = [[*row, divide(*(found[str(row[0])] for found in seconds))] for row in rows]
    return write_table(heads, rows)


def time_run(tree: Path, command: list[str]) -> dict[str, float]:
    """Run a command of a tree once; give the seconds of each part, wall and CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        environment = {**os.environ, "PYTHONPATH": str(tree), REPORT: str(report)}
        words = [sys.executable, __file__, *command, "--out", str(Path(folder) / "out")]
        began, before = time.perf_counter(), os.times()
        subprocess.run(words, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - began, os.times()
        told = json.loads(report.read_text())
    found = {part: told.get(part, 0.0) for part in PARTS[:-1]}
    found["rest"] = wall - sum(found.values())
    cpu = after.children_user - before.children_user
    cpu += after.children_system - before.children_system
    return {**found, "wall": wall, "CPU": cpu}


class Stopwatch:
    """Gives each moment to the innermost part that is at work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._parts: list[str] = []
        self._since = time.perf_counter()

    def turn(self, enter: str | None) -> None:
        """Begin a part within the one at work, or end that one (None)."""
        now = time.perf_counter()
        if self._parts:
            self.seconds[self._parts[-1]] += now - self._since
        self._since = now
        if enter is None:
            self._parts.pop()
        else:
            self._parts.append(enter)

    def wrap(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Time a function as a part."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            self.turn(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.turn(None)

        return timed


class Watcher:
    """Times every import, and wraps what is timed as soon as its module is there."""

    def __init__(self, watch: Stopwatch) -> None:
        self.watch, self._asking = watch, False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Find a module as Python does, and time its execution."""
        if self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, AttributeError, ValueError):
            return None
        finally:
            self._asking = False
        if spec is not None and hasattr(spec.loader, "exec_module"):
            execute = self.watch.wrap(spec.loader.exec_module, "import")

            def run(module: Any) -> None:
                execute(module)
                self._wrap_parts(module)

            spec.loader.exec_module = run  # type: ignore[method-assign, union-attr]
        return spec

    def _wrap_parts(self, module: Any) -> None:
        for name, part in HOMES.get(module.__name__, {}).items():
            *owner, last = name.split(".")
            home = getattr(module, owner[0], None) if owner else module
            if home is not None and hasattr(home, last):
                setattr(home, last, self.watch.wrap(getattr(home, last), part))


def watch_run(command: list[str]) -> None:
    """Run a command in this process and write down its seconds; how a timed process begins."""
    watch = Stopwatch()
    sys.meta_path.insert(0, Watcher(watch))
    sys.argv = ["vizcnn", *command]
    sys.path.pop(0)  # the folder of benchmarks
    try:
        from vizcnn.cli.start import main as run

        run()
    finally:
        Path(os.environ[REPORT]).write_text(json.dumps(watch.seconds))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", type=Path, metavar="PATH", help="another tree of vizcnn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "command", nargs="*", default=["deconv"], help="the command, after --; default: deconv"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
