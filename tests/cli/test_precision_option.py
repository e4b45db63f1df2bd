"""``--precision``: stated by every page and index, refused where it would change nothing."""

import json
import re

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from tests.support.command_line import fail, run
from tests.support.small_zoo import make_model, paint_photo
from vizcnn.cli.main import commands
from vizcnn.pages.filters import FilterResults
from vizcnn.pages.page import describe_run
from vizcnn.recording.arithmetic import find_precision, use_precision

pytestmark = pytest.mark.usefixtures("small_net")

NETLESS = {"index", "merge", "models", "weights", "train"}
"""Commands that compute nothing with a trained net; training has a recipe of its own."""
NEEDING = {"probe"}
"""Commands that want photos."""


@pytest.mark.parametrize("name", sorted(set(commands.commands) - NETLESS))
def test_every_command_that_runs_a_net_has_it(name, tmp_path):
    out = tmp_path / "out"
    photos = (".",) if name in NEEDING else ()
    message = fail(name, *photos, "--precision", "fast", "--device", "cpu", "--out", out)
    assert "precision 'fast' rounds to TF32, which cpu does not have" in message
    assert not out.exists()
    assert find_precision() == "exact"
    assert "'half' is not one of 'exact', 'fast'" in fail(name, "--precision", "half")


def test_all_of_a_command_computes_as_it_says(tmp_path):
    """Also the plain passes that name what a net sees; by torch's default cuDNN takes TF32."""
    photo, seen = paint_photo(tmp_path / "photo.png"), []
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    hook = register_module_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    try:
        run("deconv", photo, "--layer", "conv1", "--top", 1, "--out", "out")
        assert torch.backends.cudnn.allow_tf32
    finally:
        hook.remove()
        torch.backends.cudnn.allow_tf32 = before
    assert seen and not any(seen)


def test_a_page_says_it(tmp_path):
    photo = paint_photo(tmp_path / "photo.png")
    run("deconv", photo, "--layer", "conv1", "--top", 1, "--out", "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["settings"]["precision"] == "exact"
    assert "--precision exact" in manifest["command"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert re.search(r"<tr><th scope=.row.>precision</th><td>exact</td></tr>", page)


def test_a_fast_page_would_say_so():
    """Described as on a GPU; none is needed to write it down."""
    with use_precision("fast"):
        results = FilterResults(scaling="", nets=())
        made = describe_run(results, "title", [make_model()], {}, "vizcnn filters")
    assert made.settings["precision"] == "fast"


def test_an_index_says_it(tmp_path):
    paint_photo(tmp_path / "photos" / "photo.png")
    ask = ("mine", "photos", "--out", "index", "--workers", 0, "--layer", "conv1")
    assert json.loads(run(*ask, "--precision", "exact", "--json").stdout)["precision"] == "exact"
