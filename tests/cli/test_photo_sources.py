"""Commands on photos in archives and lists, and on photos that are fitted in other ways."""

import hashlib
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import deconv, fail, run
from tests.support.small_zoo import draw_noise, paint_photo

pytestmark = pytest.mark.usefixtures("small_net")


@pytest.fixture
def shards(tmp_path):
    """The folder photos, and two shards of it."""
    (tmp_path / "wide").mkdir()
    for number in range(6):
        paint_photo(tmp_path / "photos" / f"{number % 2}" / f"{number}.png", seed=number)
    files = sorted((tmp_path / "photos").rglob("*.png"))
    for shard in range(2):
        with tarfile.open(tmp_path / f"s-{shard}.tar", "w") as archive:
            for path in files[shard::2]:
                archive.add(path, path.relative_to(tmp_path / "photos").as_posix())
    return tmp_path


def read_manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_mine_takes_shards_as_the_folder(shards):
    for source, out in (("photos", "a"), ("s-{0..1}.tar", "b"), ("s-*.tar", "c")):
        run("mine", source, "--out", out, "--workers", 0, "--layer", "conv2")
    index = (shards / "a").read_bytes()
    assert (shards / "b").read_bytes() == (shards / "c").read_bytes() == index
    run("mine", "s-{0..1}.tar", "--out", "d", "--workers", 2, "--layer", "conv2")
    assert (shards / "d").read_bytes() == index


@pytest.mark.slow
def test_a_gallery_names_shard_and_member(shards):
    options = ("--layer", "conv2", "--unit", 1, "--top", 2, "--compare", "none", "--workers", 0)
    run("gallery", "s-*.tar", "--out", "out", *options)
    names = {photo["name"]: photo["source"] for photo in read_manifest(shards / "out")["photos"]}
    homes = {}
    for shard in range(2):
        with tarfile.open(shards / f"s-{shard}.tar") as archive:
            homes |= {name: f"s-{shard}.tar: {name}" for name in archive.getnames()}
    assert names == {name: homes[name] for name in names}
    run("gallery", "photos", "--out", "plain", *options)
    assert {photo["source"] for photo in read_manifest(shards / "plain")["photos"]} == {""}


def test_deconv_takes_photos_out_of_a_shard(shards):
    deconv("s-1.tar", "--out", "out", "--compare", "none")
    photos = read_manifest(shards / "out")["photos"]
    with tarfile.open(shards / "s-1.tar") as archive:
        members = archive.getnames()
        files = [archive.extractfile(name).read() for name in members]
    assert [photo["source"] for photo in photos] == [f"s-1.tar: {name}" for name in members]
    assert [photo["sha256"] for photo in photos] == [
        hashlib.sha256(content).hexdigest() for content in files
    ]


def test_a_damaged_member_is_left_out_by_name(shards):
    (shards / "bad.png").write_bytes(b"no photo")
    with tarfile.open(shards / "s-1.tar", "a") as archive:
        archive.add(shards / "bad.png", "bad.png")
    told = deconv("s-1.tar", "--out", "out", "--compare", "none").stderr
    assert "left out: 's-1.tar: bad.png' is not an image" in told


def test_the_page_shows_what_was_cut(shards):
    draw_noise(400, 100).save(shards / "wide.png")
    result = deconv("wide.png", "--out", "out", "--compare", "none")
    assert result.stderr == (
        "note: of 'wide.png' less than 40 % is used: the middle 25 % of the photo was used; fit "
        "pad or squash (--fit) uses all of it\n"
    )
    (section,) = read_manifest(shards / "out")["results"]["photos"]
    assert section["share"] == 0.25
    with Image.open(shards / "out" / section["whole"]) as image:
        assert image.size == (400, 100)
        shown = np.asarray(image).astype(float)
    original = np.asarray(draw_noise(400, 100)).astype(float)
    assert np.array_equal(shown[:, 150:250], original[:, 150:250])
    assert np.abs(shown[:, :140] - 0.35 * original[:, :140]).max() < 1
    page = (shards / "out" / "index.html").read_text()
    assert "the middle 25 % of the photo was used" in page
    assert section["whole"] in page


def test_the_page_says_which_units_see_padding(shards):
    draw_noise(64, 32).save(shards / "wide.png")
    assert not deconv("wide.png", "--fit", "pad", "--out", "o", "--compare", "none", top=12).stderr
    manifest = read_manifest(shards / "o")
    assert manifest["nets"][0]["fit"] == "pad"
    (section,) = manifest["results"]["photos"]
    assert (section["share"], section["whole"]) == (1.0, None)
    padded = np.ones((32, 32))
    padded[8:24] = 0
    (layer,) = section["layers"]
    shares = [
        padded[top:bottom, left:right].mean()
        for top, left, bottom, right in (tile["box"] for tile in layer["tiles"])
    ]
    assert [tile["padding"] for tile in layer["tiles"]] == pytest.approx(shares)
    count = sum(share > 0 for share in shares)
    assert 0 < count < len(shares)
    assert layer["notes"][0].startswith(f"{count} of these {len(shares)} units see padding")


def test_what_makes_no_batch_is_refused_by_name(shards):
    for command in (("mine", "photos", "--out", "x"), ("gallery", "photos"), ("check", "photos")):
        assert "fully connected layers need its input size" in fail(*command, "--fit", "none")
    assert "32 x 32 px" in fail("deconv", "photos", "--size", 40)
    assert "leave one out" in fail("deconv", "photos", "--size", 40, "--fit", "none")
    assert "is compressed" in fail("mine", make_empty(shards / "a.tar.gz"), "--out", "x")


@pytest.mark.slow
def test_a_gallery_says_which_places_see_padding(shards):
    for number in range(4):
        draw_noise(64, 32).save(shards / "wide" / f"{number}.png")
    options = ("--layer", "conv2", "--top", 4, "--compare", "none", "--workers", 0)
    run("gallery", "wide", "--fit", "pad", "--out", "out", *options)
    padded = np.ones((32, 32))
    padded[8:24] = 0
    shares = []
    for unit in read_manifest(shards / "out")["results"]["layers"][0]["units"]:
        for place in unit["places"]:
            top, left, bottom, right = place["box"]
            shares.append(padded[top:bottom, left:right].mean())
            assert place["padding"] == pytest.approx(shares[-1])
    assert sum(share > 0 for share in shares) > 0
    pages = "".join(path.read_text() for path in (shards / "out" / "conv2").glob("unit-*.html"))
    assert pages.count("% padding</span>") == sum(share > 0 for share in shares)


def make_empty(path):
    path.touch()
    return path


@pytest.mark.slow
def test_every_command_that_takes_photos_takes_a_list(shards):
    (shards / "list.txt").write_text("photos/0/0.png\nphotos/1/1.png\n")
    for command in (
        ("deconv", "--layer", "conv2", "--compare", "none", "--fit", "squash"),
        ("compare", "--layer", "conv2", "--method", "gradient", "--fit", "pad"),
        ("check", "--layer", "conv2", "--method", "gradient", "--top", "fc7", "--fit", "pad"),
    ):
        run(command[0], "list.txt", *command[1:], "--out", f"{command[0]}-out")
        manifest = read_manifest(shards / f"{command[0]}-out")
        assert len(manifest["photos"]) == 2
        assert manifest["nets"][0]["fit"] == command[-1]
    run("receptive", "photos/0/0.png", "--fit", "squash", "--out", "fields")
    assert "squashed to" in (shards / "fields" / "index.html").read_text()


def test_photos_are_taken_out_of_object_stores(shards):
    fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")
    store = fsspec.filesystem("memory")
    store.put(f"{shards}/", "/urls", recursive=True)
    run("mine", "photos", "--out", "a", "--workers", 0, "--layer", "conv2")
    for out, source in (("b", "photos/"), ("c", "s-{0..1}.tar")):
        run("mine", f"memory://urls/{source}", "--out", out, "--workers", 1, "--layer", "conv2")
        assert (shards / out).read_bytes() == (shards / "a").read_bytes()
    run("mine", f"file://{shards}/photos", "--out", f"file://{shards}/d", "--layer", "conv2")
    assert (shards / "d").read_bytes() == (shards / "a").read_bytes()
    (shards / "here").mkdir()
    deconv("memory://urls/photos/1/3.png", "--out", "here/out", "--compare", "none")
    (photo,) = read_manifest(shards / "here" / "out")["photos"]
    assert photo["source"] == "memory://urls/photos/1/3.png"
    assert photo["sha256"] == hashlib.sha256((shards / "photos/1/3.png").read_bytes()).hexdigest()
    store.rm("/urls", recursive=True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("mine", "s3://me:secret@b/x", "--out", "a"), "with a password is not taken"),
        (("deconv", "s3://b/a.png?sig=secret"), "with a query"),
        (("train", "--model", "lenet", "s3://b/photos", "--out", "a"), "on this machine"),
        (("gallery", "--index", "s3://b/strongest.safetensors"), "on this machine"),
        (("deconv", "--out", "s3://b/out"), "on this machine"),
        (("deconv", "https://b/a.png"), "is of the web"),
    ],
)
def test_urls_that_are_not_taken_are_refused_by_name(words, told):
    error = fail(*words)
    assert told in error and "secret" not in error
