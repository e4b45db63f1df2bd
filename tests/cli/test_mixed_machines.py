"""By what an index was computed, in what commands say; --strict refuses several kinds."""

import json
from dataclasses import replace

import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import paint_photo
from vizcnn.mining.index import read_index, write_index
from vizcnn.mining.machine_kinds import describe_kind

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_net")]
CHOSEN = ("--workers", 0, "--layer", "conv2")
MIXED = "computed by 2 kinds of machines, whose last digits may differ: "


@pytest.fixture
def parts(tmp_path):
    """Two parts of four photos: the first is this machine's, the second an A<100>'s."""
    for number in range(4):
        paint_photo(tmp_path / "photos" / f"{number}.png", seed=number)
    for part in (1, 2):
        run("mine", "photos", *CHOSEN, "--out", part, "--part", f"{part}/2")
    write_index(replace(read_index(tmp_path / "2"), machines=("A<100>",)), tmp_path / "2")
    return tmp_path


def test_reports_say_by_what_an_index_was_computed(parts):
    here = describe_kind("cpu")
    whole = ("mine", "photos", *CHOSEN, "--out", "whole", "--strict")
    for command in (whole, ("index", "whole")):
        assert f"\ncomputed by {here}\n" in run(*command).stdout
        assert json.loads(run(*command, "--json").stdout)["machines"] == [here]
    merged = ("merge", "1", "2", "--out", "all")
    kinds = sorted((here, "A<100>"))
    for command in (merged, ("index", "all")):
        assert f"\n{MIXED}{'; '.join(kinds)}\n" in run(*command).stdout
        assert json.loads(run(*command, "--json").stdout)["machines"] == kinds


def test_strict_commands_refuse_two_kinds_and_write_nothing(parts):
    here = describe_kind("cpu")
    told = fail("merge", "1", "2", "--out", "all", "--strict")
    assert f"'A<100>' ('2'), {here!r} ('1')" in told
    assert not (parts / "all").exists()
    run("merge", "1", "2", "--out", "all")
    before = (parts / "all").read_bytes()
    for command in (
        ("mine", "photos", *CHOSEN, "--out", "all"),
        ("gallery", "photos", *CHOSEN, "--index", "all", "--out", "site"),
    ):
        told = fail(*command, "--strict")
        assert "mixes 2 kinds of machines" in told and "'A<100>'" in told and repr(here) in told
    assert (parts / "all").read_bytes() == before
    assert {path.name for path in parts.iterdir()} == {"1", "2", "all", "photos"}


def test_a_gallery_says_by_what_its_index_was_computed(parts):
    run("merge", "1", "2", "--out", "all")
    chosen = (*CHOSEN, "--unit", 0, "--index", "all", "--compare", "none", "--out", "site")
    said = run("gallery", "photos", *chosen).stdout
    kinds = sorted((describe_kind("cpu"), "A<100>"))
    assert MIXED + "; ".join(kinds) in said.splitlines()
    manifest = json.loads((parts / "site" / "manifest.json").read_text())
    assert manifest["results"]["data"]["machines"] == kinds
    page = (parts / "site" / "index.html").read_text()
    assert MIXED in page and "A&lt;100&gt;" in page and "A<100>" not in page
