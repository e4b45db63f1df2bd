"""The benchmarks: what they write, how growth is fitted, and that each of them runs."""

import importlib
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # they are scripts: each finds the others beside itself
common, growth, report = map(importlib.import_module, ("common", "growth", "report"))

PRINTED = """\
Some Processor, 2 threads, torch 2.13.0

| layer | s |
|---|---|
| conv1 | 0.5 |

over 20 photos of x

| empty | table |
|---|---|

| photos | s |
|---|---|
| 20 | 1.5 |
| 80 | 6 |
peak memory 30 MiB
"""


def test_tables_are_found_with_what_stands_above_them() -> None:
    assert list(report.find_tables(PRINTED)) == [
        "| layer | s |\n|---|---|\n| conv1 | 0.5 |",
        "| photos | s |\n|---|---|\n| 20 | 1.5 |\n| 80 | 6 |",
    ]
    (table,) = report.find_tables("over 20 photos\n\n| a |\n|---|\n| 1 |")
    assert table == "over 20 photos\n\n| a |\n|---|\n| 1 |"


def test_what_has_no_tables_is_shown_as_it_is_and_a_failure_is_told() -> None:
    assert report.show("2 s\n", "") == ["```text\n2 s\n```"]
    assert report.show("| a |\n|---|\n| 1 |", "no memory") == [
        "| a |\n|---|\n| 1 |",
        "Not measured to the end: no memory",
    ]
    assert report.show("half a", "no memory") == ["Not measured: no memory"]


def test_only_the_block_of_the_page_changes() -> None:
    page = "# Speed\n\nprose\n<!-- speed -->\nformer \\1\n<!-- /speed -->\n\nmore prose\n"
    renewed = report.renew(page, "| a \\2 |")
    assert renewed == page.replace("former \\1", "| a \\2 |")
    assert report.renew(renewed, "former \\1") == page
    for broken in ("no block", page + page, "<!-- /speed --> <!-- speed -->"):
        with pytest.raises(ValueError, match="needs one <!-- speed -->"):
            report.renew(broken, "")


def test_the_manual_has_a_place_for_the_numbers() -> None:
    page = (ROOT / "docs" / "speed.md").read_text("utf-8")
    assert "here" in report.renew(page, "here")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "0"),
        (0.000123, "0.000123"),
        (0.04567, "0.0457"),
        (1.0, "1.00"),
        (41.26, "41.3"),
        (999.4, "999"),
        (12345.6, "12,346"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, told: str) -> None:
    assert common.write_number(value) == told


def test_a_table_is_markdown() -> None:
    table = common.write_table(("a", "b"), [("x|y", 2), (0.5, "–")])
    assert table == "| a | b |\n|---|---|\n| x\\|y | 2 |\n| 0.500 | – |"


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.3])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_exponent_is_that_of_a_line_through_logarithms(power: float, noise: float) -> None:
    sizes = np.array([3.0, 12.0, 48.0, 100.0])
    factors = np.exp(noise * np.random.default_rng(5).normal(size=4))
    costs = 0.7 * sizes**power * factors
    slope = np.polyfit(np.log(sizes), np.log(costs), 1)[0]
    fitted = growth.fit_exponent(sizes.tolist(), costs.tolist())
    assert fitted == pytest.approx(slope, abs=1e-9)
    if not noise:
        assert fitted == pytest.approx(power, abs=1e-9)


def test_trees_take_turns_and_the_best_counts() -> None:
    asked: list[str] = []
    times = iter([3.0, 9.0, 5.0, 7.0])

    def measure(tree: Path) -> float:
        asked.append(tree.name)
        if tree.name == "broken":
            raise common.CannotRunError("no such option")
        return next(times)

    trees = {name: Path(name) for name in ("now", "broken", "former")}
    taken = common.take_turns(trees, measure, 2)
    assert asked == ["now", "broken", "former", "now", "former"]
    assert taken == {"now": 3.0, "broken": "cannot: no such option", "former": 7.0}
    assert list(taken) == list(trees)
    assert common.divide(taken["former"], taken["now"]) == 7 / 3
    assert common.divide(taken["broken"], taken["now"]) == "–"


def test_another_tree_is_what_python_imports_there(tmp_path: Path) -> None:
    (tmp_path / "vizcnn.py").write_text("NAME = 'another'")
    assert common.run_python(tmp_path, "-c", "import vizcnn; print(vizcnn.NAME)") == "another\n"


def test_a_failure_is_told_in_a_line_with_what_was_printed_before(tmp_path: Path) -> None:
    code = "print('row', flush=True); raise ValueError('too\\nmuch')"
    with pytest.raises(common.CannotRunError, match=r"^much$") as caught:
        common.run_python(tmp_path, "-c", code)
    assert caught.value.printed == "row\n"
    with pytest.raises(common.CannotRunError, match=r"^exit status 3$"):
        common.run_python(tmp_path, "-c", "raise SystemExit(3)")


def test_what_takes_too_long_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    inner = f"import pathlib, time; time.sleep(4); pathlib.Path({str(file)!r}).touch()"
    call = f"os.spawnv(os.P_WAIT, sys.executable, [sys.executable, '-c', {inner!r}])"
    code = f"import os, sys; print(1, flush=True); {call}"
    began = time.monotonic()
    with pytest.raises(common.CannotRunError, match="more than 2 s") as caught:
        common.run_python(tmp_path, "-c", code, timeout=2, apart=True)
    assert caught.value.printed == "1\n"
    time.sleep(max(0, began + 5 - time.monotonic()))
    assert not file.exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a revision whose package is linked from beside it."""
    if shutil.which("git") is None:
        pytest.skip("there is no git here")
    root = tmp_path / "checkout"
    (root / "cli").mkdir(parents=True)
    (root / "vizcnn").mkdir()
    (root / "cli" / "main.py").write_text("NAME = 'tagged'")
    (root / "vizcnn" / "cli").symlink_to("../cli")
    author = ["-c", "user.name=x", "-c", "user.email=x@x"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "x"], ["tag", "0.0"]):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    (root / "cli" / "main.py").write_text("NAME = 'changed'")
    return root


def test_a_revision_is_unpacked_beside_the_checkout(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    tree = common.unpack_revision("0.0", tmp_path / "away", checkout)
    code = "from vizcnn.cli.main import NAME; print(NAME)"
    assert common.run_python(tree, "-c", code) == "tagged\n"
    assert [path.name for path in (tmp_path / "away").iterdir()] == ["tree"]


def test_a_revision_that_is_not_there_is_told_in_a_line(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = r"^9\.9: fatal: not a valid object name.* \(`git fetch --tags` brings tags"
    with pytest.raises(common.CannotRunError, match=lacking):
        common.unpack_revision("9.9", tmp_path, checkout)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "plain").mkdir()
    with pytest.raises(common.CannotRunError, match=r"^0\.0: fatal: not a git repository"):
        common.unpack_revision("0.0", tmp_path, tmp_path / "plain")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(common.CannotRunError, match=r"^0\.0: there is no git here$"):
        common.unpack_revision("0.0", tmp_path, checkout)


@pytest.mark.slow
def test_every_benchmark_runs_at_its_smallest(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    page, measured = kept / "trial.md", (ROOT / "docs" / "speed.md").read_bytes()
    script = ROOT / "benchmarks" / "report.py"
    done = subprocess.run(
        [sys.executable, script, "--quick", "--device", "cpu", "--keep", kept],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout, done.stdout
    assert "left out: 0.1.0: there is no git here\n" in done.stdout
    assert (ROOT / "docs" / "speed.md").read_bytes() == measured
    told = page.read_text("utf-8")
    assert "\n\nLeft out: 0.1.0: there is no git here.\n\n## " in told
    assert told.startswith("<!-- speed -->\nMeasured in one run of `make bench`, on this machine: ")
    assert "Not measured" not in told
    for part in report.PARTS:
        assert f"## {part.title}\n\n`{part.describe(quick=True)}`:" in told
        assert f"{part.name}: " in done.stdout
        assert (kept / f"{part.name}.md").read_text("utf-8").count("\n") > 3
    assert str(ROOT) not in told
