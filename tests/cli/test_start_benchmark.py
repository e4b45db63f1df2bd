"""The benchmark of a command's start, run on a small net: every part is there, and they add up."""

from pathlib import Path

from tests.support.command_line import ROOT, start

PARTS = "import load record project compare draw write rest wall CPU".split()


def test_parts_of_a_run_add_up_to_its_wall_time():
    script = Path(ROOT) / "benchmarks" / "start.py"
    words = "deconv --model lenet --weights random --layer conv1 --top 1".split()
    process = start(str(script), "--rounds", "1", "--against", ROOT, "--", *words)
    output, errors = process.communicate(timeout=120)
    rows = [line.strip("| ").split(" | ") for line in output.splitlines()[3:]]
    assert [row[0] for row in rows] == PARTS, errors
    for column in (1, 2):
        seconds = {row[0]: float(row[column]) for row in rows}
        assert abs(sum(seconds[part] for part in PARTS[:-2]) - seconds["wall"]) < 0.1
        assert all(seconds[part] > 0 for part in ("import", "load", "project", "draw"))
