"""The commands mine and merge: reports, exit status, going on, Ctrl-C."""

import json
import os
import re
import shlex
import signal
import time
from pathlib import Path

import pytest

from tests.support.command_line import fail, run, start
from tests.support.small_zoo import paint_photo
from vizcnn.mining.index import read_index

pytestmark = pytest.mark.usefixtures("small_net")


@pytest.fixture
def photos(tmp_path):
    for number in range(7):
        paint_photo(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path / "photos"


def mine(*arguments, out="index.safetensors", status=0):
    return run("mine", "photos", "--out", out, "--workers", 0, *arguments, status=status)


def test_mine_reports(photos):
    result = mine()
    assert re.search(
        r"^7 photo\(s\), 52 units of 5 layer\(s\), [\d.]+ photos/s$", result.stdout, re.M
    )
    assert "tiny, random weights (untrained)" in result.stdout
    assert result.stdout.endswith(
        "index: index.safetensors\nnext: vizcnn gallery photos --index index.safetensors\n"
    )
    assert result.stderr == ""
    index = read_index(photos.parent / "index.safetensors")
    assert list(index.layers) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert index.identity.top == 9


def test_the_next_command_names_the_photos_however_they_were_given(photos):
    (photos.parent / "-1.png").write_bytes((photos / "1.png").read_bytes())
    chosen = ("--layer", "conv1", "--workers", 0, "--out")
    told = run("mine", "--photos", "photos", *chosen, "a").stdout.splitlines()[-1]
    assert told == "next: vizcnn gallery photos --layer conv1 --index a"
    told = run("mine", "--images", "-1.png", *chosen, "b").stdout.splitlines()[-1]
    assert told == "next: vizcnn gallery --layer conv1 --index b -- -1.png"
    merged = run("merge", "a", "b", "--out", "-c").stdout.splitlines()[-1]
    assert merged == "next: vizcnn index -- -c"


def test_photos_of_which_none_can_be_read_are_an_error_and_leave_no_index(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "bad.png").write_bytes(b"no photo")
    told = fail("mine", "photos", "--out", "index", "--workers", 0)
    assert "none of 1 photos can be read: 'bad.png' is not an image" in told
    assert not (tmp_path / "index").exists()
    part = run("mine", "photos", "--out", "part", "--workers", 0, "--part", "1/1", status=2)
    assert not (tmp_path / "part").exists() and "none of 1" in part.stderr


def test_the_next_command_makes_a_gallery_of_the_index(photos):
    """As it is typed in a shell, with the choices that decide whether the index fits."""
    chosen = ("--layer", "conv2", "--top", 2, "--per-photo", 2, "--seed", 3)
    told = mine(*chosen, out="it's an index").stdout.splitlines()[-1]
    words = shlex.split(told.removeprefix("next: "))
    assert words[:2] == ["vizcnn", "gallery"]
    result = run(*words[1:], "--workers", 0, "--out", "site", "--compare", "none")
    assert "mined anew" not in result.stderr
    assert Path("site/conv2/index.html").is_file()
    part = mine(*chosen, "--part", "1/2", out="part").stdout.splitlines()[-1]
    assert part == "next: vizcnn merge part OTHER-PARTS... --out all.safetensors"
    facts = json.loads(mine(*chosen, "--json", out="it's an index").stdout)
    assert shlex.split(facts["next"]) == words
    merged = run("merge", "part", "--out", "all").stdout.splitlines()
    assert merged[-1] == "next: vizcnn index all"


def test_a_complete_index_is_left(photos):
    mine("--layer", "conv1,fc6", "--top", 3, "--per-photo", 2)
    before = (photos.parent / "index.safetensors").stat().st_mtime_ns
    result = mine("--layer", "conv1,fc6", "--top", 3, "--per-photo", 2)
    assert result.stderr == "already complete: 7 photos\n"
    assert "photos/s" not in result.stdout
    assert (photos.parent / "index.safetensors").stat().st_mtime_ns == before
    message = fail("mine", "photos", "--out", "index.safetensors", "--top", 3)
    assert "another run (layers: conv1 (1), fc6 (13), not conv1 (1), conv2 (4)" in message


def test_unreadable_photos_are_listed(photos):
    (photos / "it's.jpg").write_bytes(b"")
    result = mine()
    assert "7 photo(s)" in result.stdout
    assert result.stderr.startswith('left out: "it\'s.jpg" is empty')
    facts = json.loads(mine("--json").stdout)
    assert facts["photos"] == 8
    assert facts["units"] == {"conv1": 12, "conv2": 10, "conv3": 10, "conv4": 10, "conv5": 10}
    assert [failure["photo"] for failure in facts["failures"]] == ["it's.jpg"]
    assert facts["photos_per_second"] is None


def test_what_is_left_out_is_counted_and_named(photos):
    """In the summary, in the note and in JSON, by mine and by its parts; with exit status 0."""
    for number in range(11):
        (photos / f"raw {number:02d}.cr2").touch()
    (photos / "gone").symlink_to("nowhere")
    result = mine()
    assert "\n12 other file(s) or folder(s) left out\n" in result.stdout
    assert result.stderr.startswith(
        "note: 12 other files ('gone (a link that leads nowhere)', 'raw"
    )
    facts = json.loads(mine("--json", "--part", "1/2", out="part").stdout)
    assert facts["left_out"] == 12
    names = [f"raw {number:02d}.cr2" for number in range(9)]
    assert facts["left_out_names"] == ["gone (a link that leads nowhere)", *names]
    assert facts["notes"] == [result.stderr.removeprefix("note: ").strip()]


@pytest.mark.parametrize("given", [("", "--out", "index"), ("photos", "--out", "")])
def test_an_empty_name_is_not_the_current_folder(photos, given):
    assert "empty" in fail("mine", *given)
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


def test_numbers_that_cannot_be_are_refused_before_any_work(photos):
    for option, number in (("--top", 10**12), ("--workers", 10**6), ("--per-photo", 10**12)):
        assert len(fail("mine", "photos", "--out", "index", option, number)) < 300
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


def test_photos_that_changed_at_equal_size_are_refused(photos):
    paint_photo(photos / "8.bmp", seed=1, size=(32, 32))
    mine()
    before = (photos.parent / "index.safetensors").read_bytes()
    content = bytearray((photos / "8.bmp").read_bytes())
    content[-1] ^= 1
    (photos / "8.bmp").write_bytes(content)
    assert "'8.bmp' changed" in fail("mine", "photos", "--out", "index.safetensors")
    assert (photos.parent / "index.safetensors").read_bytes() == before


def test_parts_merge_to_the_bytes_of_one_run(photos):
    (photos / "5.png").write_bytes(b"no photo")
    mine()
    for part in (1, 2, 3):
        mine("--part", f"{part}/3", out=f"part{part}")
    parts = ["part2", "part3", "part1"]
    result = run("merge", *parts, "--out", "all")
    assert "6 photo(s), 52 units" in result.stdout
    assert result.stderr.startswith("left out: '5.png'")
    folder = photos.parent
    assert (folder / "all").read_bytes() == (folder / "index.safetensors").read_bytes()
    facts = json.loads(run("merge", *parts, "--out", "all", "--json").stdout)
    assert facts["index"] == "all"


def test_merge_refuses(photos):
    mine()
    mine("--top", 4, out="other")
    (photos.parent / "precious").write_text("not an index")
    assert "both in 'index.safetensors' and in" in fail(
        "merge", "index.safetensors", "index.safetensors", "--out", "all"
    )
    assert "'other' cannot be merged with 'index.safetensors' (top: 4, not 9)" in fail(
        "merge", "index.safetensors", "other", "--out", "all"
    )
    assert "no index 'missing'" in fail("merge", "missing", "--out", "all")
    fail("merge", "index.safetensors", "--out", "precious")
    assert (photos.parent / "precious").read_text() == "not an index"
    assert "Missing argument" in fail("merge", "--out", "all")


def test_mine_refuses(photos, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no photos in 'empty'" in fail("mine", "empty", "--out", "i")
    assert "no folder 'missing'" in fail("mine", "missing", "--out", "i")
    assert "part 8/8 of 7 photos" in fail("mine", "photos", "--out", "i", "--part", "8/8")
    assert "conv9" in fail("mine", "photos", "--out", "i", "--layer", "conv9")
    assert "1..2" in fail("mine", "photos", "--out", "i", "--top", 2, "--per-photo", 3)
    assert not (tmp_path / "i").exists()


def test_without_data_the_sample_patches_are_mined():
    result = run("mine", "--layer", "conv1", "--top", 2, "--out", "index", "--workers", 0)
    assert re.match(r"\d+ photo\(s\), 12 units", result.stdout.splitlines()[1])


@pytest.mark.slow
def test_ctrl_c_saves_and_the_next_run_goes_on(tmp_path):
    """As in a terminal, the workers get the signal too; they must neither end nor say anything."""
    paint_photo(tmp_path / "photos" / "0000.png")
    for number in range(1, 1500):
        os.link(tmp_path / "photos" / "0000.png", tmp_path / "photos" / f"{number:04d}.png")
    command = "-m vizcnn mine --model zfnet photos --out index --layer conv1 --workers 2"
    process = start(
        *command.split(),
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    end = time.monotonic() + 120
    while not (tmp_path / "index").exists() and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    done = read_index(tmp_path / "index").done
    assert 0 <= done < 1500
    assert errors.splitlines() == [
        f"stopped at photo {done} of 1500; saved in index: run the same command again to continue",
        "error: interrupted: nothing is left half-written",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "photos"]
