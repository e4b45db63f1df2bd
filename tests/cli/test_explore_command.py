"""``vizcnn explore``: several nets in one page, and what repeats its pictures."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import fail, run
from tests.support.explorer_answers import open_picture, read_script
from tests.support.small_zoo import paint_photo
from vizcnn.drawing.tiles import robust_limit, scale_signed, to_bytes

pytestmark = pytest.mark.usefixtures("small_net")

QUICK = ("--layer", "conv3", "--own", 2, "--compare", 4, "--out", "out")


def fill(template, **values):
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)


def test_several_nets_are_one_page_and_told_apart(tmp_path):
    photo = paint_photo(tmp_path / "a.png")
    told = run("explore", photo, *QUICK, "--model", "zfnet", "--model", "zfnet", "--top", 3)
    assert "1 photo(s), 0." in told.stdout and "gallery: out/index.html" in told.stdout
    start = read_script(Path("out/data/start.js")).fields
    assert [net["key"] for net in start["nets"]] == ["zfnet", "zfnet-2"]
    assert len({net["title"] for net in start["nets"]}) == 2
    pictures = read_script(Path("out/data/pictures-1-0-0-deconvnet.js")).fields
    assert len(pictures["units"]) == 3 and len(pictures["left_out"][0]["units"]) == 7


def test_command_and_python_give_the_picture_of_the_page(tmp_path):
    photo = paint_photo(tmp_path / "it's a photo.png")
    run("explore", photo, *QUICK, "--gates", "hold", "--method", "deconvnet", "--method", "guided")
    start = read_script(Path("out/data/start.js")).fields
    (net,), (seen,) = start["nets"], start["photos"]
    (layer,) = net["layers"]
    for way in net["methods"][1:3]:  # the own part of one method, the whole of another
        answer = read_script(Path(f"out/data/pictures-0-0-0-{way['key']}.js"))
        unit = next(unit for unit in answer.fields["units"] if unit["place"])
        row, column = unit["place"]
        words = {"unit": str(unit["unit"]), "layer": layer["typed"], "photo": seen["typed"]}
        words |= {"method": way["typed"], "position": f"{row},{column}"}
        command = shlex.split(fill(net["command"], **words))
        folder = tmp_path / way["key"]
        told = run(*command[1:], "--out", folder, "--json").stdout
        photo_of = json.loads(told)["manifest"]["results"]["photos"][0]
        (tile,) = photo_of["layers"][0]["tiles"]
        drawn = np.asarray(Image.open(folder / tile["projection"]).convert("RGB"), int)
        assert np.abs(open_picture(answer, unit["image"]) - drawn).max() <= 1
        words |= {"layer": layer["python"], "photo": seen["python"], "method": way["python"]}
        words |= {"position": f"({row}, {column})", "compare": way["python_compare"]}
        names = {}
        exec(fill(net["python"], **words, part=way["python_part"]), names)
        shown = names["seen"].cut(0).permute(1, 2, 0).numpy()
        assert unit["limit"] == pytest.approx(robust_limit(shown), rel=1e-4)
        drawn_anew = to_bytes(scale_signed(shown, unit["limit"])).astype(int)
        assert np.abs(drawn_anew - drawn).max() <= 1


def test_a_gallery_or_an_index_gives_strongest_patches(tmp_path):
    photos = tmp_path / "photos"
    for seed in range(6):
        paint_photo(photos / f"{seed}.png", seed)
    run("gallery", photos, "--layer", "conv3", "--unit", "0,1", "--out", "made", "--workers", 0)
    index = ("--index", "made/strongest.safetensors", "--index-data", photos)
    names = {}
    for folder, given, words in (
        ("one", index, "6 photos in '"),
        ("other", ("--gallery", "made"), "photos that the gallery 'made' keeps"),
    ):
        few = ("--layer", "conv3", "--own", 1, "--top", 1, "--out", folder)
        run("explore", photos / "0.png", *few, *given)
        top = read_script(Path(f"{folder}/data/facts-0-0.js")).fields["top"]
        assert (top["parts"], top["exact"]) == (1, folder == "one")
        names[folder] = read_script(Path(f"{folder}/data/patches-0-0-0.js")).fields["names"]
        (told,) = json.loads(Path(f"{folder}/manifest.json").read_text())["settings"]["strongest"]
        assert words in told
    assert names["one"] == names["other"] and set(names["one"]) <= {f"{k}.png" for k in range(6)}
    error = fail("explore", photos / "0.png", "--index", "made/strongest.safetensors")
    assert "give those that it was mined from (--index-data)" in error
