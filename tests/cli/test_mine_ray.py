"""The command mine with --engine ray: the bytes of one run, whatever is killed meanwhile."""

import hashlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.support.command_line import fail, run, start
from tests.support.crashing_photos import CrashingPatches, load_lenet
from tests.support.ray_work import list_session
from tests.support.small_zoo import paint_photo
from vizcnn.mining.cluster import identify_run, mine_with
from vizcnn.mining.lots import ReaderDiedError
from vizcnn.mining.run import MiningSettings

LENET = ("--model", "lenet", "--weights", "bundled")
COUNT = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos, and the index of one run."""
    folder = tmp_path_factory.mktemp("ray")
    for number in range(COUNT):
        paint_photo(folder / "photos" / f"{number:02d}.png", seed=number)
    (folder / "photos" / "20.png").write_bytes(b"no photo")
    run("mine", *LENET, folder / "photos", "--out", folder / "plain", "--workers", 0)
    return folder


@pytest.fixture(scope="module")
def pool():
    """Ray in this process, which the commands join that the tests run here."""
    pytest.importorskip("ray.data")
    from vizcnn.basics.ray_pool import RayPool

    with RayPool("local", actors=2) as opened:
        yield opened


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def mine(*arguments, out, status=0):
    return run("mine", *LENET, "photos", "--out", out, "--engine", "ray", *arguments, status=status)


def hash_file(name):
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--address", "auto"), "--address is for an engine"),
        (("--parts", "4"), "--parts is for an engine"),
        (("--actors", "2"), "--actors is for an engine"),
        (("--engine", "ray", "--part", "1/2"), "--part is for machines that are started one by"),
        (("--engine", "ray", "--device", "cuda:1"), "device 'cuda:1' cannot be chosen"),
        (("--engine", "slurm"), "'slurm' is not 'ray'"),
        (("--engine", "ray", "--parts", "0"), "'0' is not a whole number from 1 to 100000"),
        (("--engine", "ray", "--actors", "1_000"), "'1_000' is not a whole number"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_work(folder, given, told):
    before = sorted(folder.iterdir())
    assert told in fail("mine", *LENET, "photos", "--out", "none", *given)
    assert sorted(folder.iterdir()) == before


def test_more_parts_than_photos_are_refused_before_ray_is_started(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    given = ("--engine", "ray", "--parts", "99999")
    assert "99999 parts of " in fail("mine", *LENET, "photos", "--out", "none", *given)


@pytest.mark.slow
def test_a_photo_that_crashes_its_decoder_is_named(pool, folder):
    """After three attempts, and without an actor that dies: readers are its own processes."""
    net, settings = load_lenet(), MiningSettings(layers=("conv1",), workers=1)
    photos = CrashingPatches(net.preprocessing)
    name = re.escape(repr(photos.names[7]))
    told = (
        rf"^part 1/1, 3 times: a process that reads photos crashed while it read {name} \(SIGSEGV\)"
    )
    with pytest.raises(ReaderDiedError, match=told) as caught:
        mine_with(
            pool, load_lenet, identify_run(net, settings), photos, folder / "crash", settings, 1
        )
    assert "\n" not in str(caught.value)
    assert not (folder / "crash").exists()


def begin(*arguments):
    words = ["mine", *LENET, "photos", "--out", "killed", "--engine", "ray", "--parts", "20"]
    return start(
        *("-m", "vizcnn", *words, *arguments),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for_parts(process, folder, count):
    """Wait until so many parts are done; give what they are, with the times of their files."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        found = {path.name: path.stat().st_mtime_ns for path in folder.glob("[0-9]*-of-*")}
        if len(found) > count:  # the last of them may be at work
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise TimeoutError


@pytest.mark.slow
def test_a_run_that_was_killed_and_interrupted_has_the_bytes_of_one_run(folder, pool):
    """Killed on Ray of its own, interrupted on Ray that it joins, and gone through here."""
    import ray

    parts = folder / "killed.parts"
    with begin("--address", "local", "--actors", "1") as process:
        wait_for_parts(process, parts, 3)
        assert len(list_session(process.pid)) > 3
        process.kill()
        process.communicate()
    end = time.monotonic() + 20
    while (left := list_session(process.pid)) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []
    done = {path.name: path.stat().st_mtime_ns for path in sorted(parts.glob("[0-9]*-of-*"))[:-1]}
    assert len(done) >= 3

    with begin("--address", ray.get_runtime_context().gcs_address, "--actors", "1") as process:
        wait_for_parts(process, parts, len(done) + 3)
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (output, errors.splitlines()) == (
        "",
        [
            "stopped: run the same command again to continue from here",
            "error: interrupted: nothing is left half-written",
        ],
    )
    found = {path.name: path.stat().st_mtime_ns for path in parts.glob("[0-9]*-of-*")}
    assert len(found) < 20
    assert done.items() <= found.items()  # none was mined again

    result = mine("--parts", 20, "--actors", 1, out="killed")
    assert hash_file("killed") == hash_file("plain")
    head, kind, *rest = result.stdout.splitlines()[1:]
    assert head == "39 photo(s), 142 units of 3 layer(s)"
    assert kind.startswith("computed by ")
    assert rest == [
        "index: killed",
        "next: vizcnn gallery photos --model lenet --weights bundled --index killed",
    ]
    assert result.stderr.startswith("left out: '20.png' is not an image")
    assert not parts.exists()


def test_what_is_there_already_is_never_mined_anew(folder):
    """It is compared with the photos, as without an engine, and Ray is not even started."""
    run("mine", *LENET, "photos", "--out", "whole", "--workers", 0)
    (folder / "whole.parts").mkdir()  # of a run that was killed when it was about to remove it
    # the machine that starts the cluster's work needs no GPU itself
    result = mine("--workers", 0, "--json", "--strict", "--device", "cuda", out="whole", status=2)
    assert result.stderr.startswith("already complete: 40 photos\n")
    facts = json.loads(result.stdout)
    assert (facts["photos"], facts["photos_per_second"]) == (COUNT, None)
    assert not (folder / "whole.parts").exists()
    assert hash_file("whole") == hash_file("plain")
    other = fail("mine", *LENET, "photos", "--out", "whole", "--engine", "ray", "--top", 4)
    assert "another run (top: 9, not 4)" in other
