"""Files of parts: what they may say, and boxes in a net's input."""

import json

import pytest
from PIL import Image

from tests.support.small_zoo import paint_photo
from vizcnn.basics.errors import DataError
from vizcnn.photos.framing import frame_photo
from vizcnn.photos.images import read_photo
from vizcnn.photos.part_boxes import SHIPPED, MarkedPhoto, read_parts
from vizcnn.zoo.preprocessing import imagenet_preprocessing

NOSE = {"nose": [4, 6, 12, 16]}


def write(folder, photos, **more):
    file = folder / "parts.json"
    file.write_text(json.dumps({"photos": photos, **more}))
    return file


def test_photos_lie_beside_the_file_or_are_samples(tmp_path, monkeypatch):
    paint_photo(tmp_path / "deep" / "a.png")
    monkeypatch.chdir(tmp_path.parent)
    file = write(
        tmp_path,
        [{"photo": "deep/a.png", "parts": NOSE}, {"photo": "chelsea", "parts": NOSE}],
        note="two",
    )
    one, other = read_parts(file)
    assert one.path == tmp_path / "deep" / "a.png"
    assert other.path.name == "chelsea.png"
    assert one.parts == {"nose": (4, 6, 12, 16)} and one.crop is None


def test_a_file_may_begin_with_the_mark_that_editors_write(tmp_path):
    file = write(tmp_path, [{"photo": "a.png", "parts": NOSE}] * 2)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert [photo.parts for photo in read_parts(file)] == [{"nose": (4, 6, 12, 16)}] * 2


@pytest.mark.parametrize(
    ("photos", "told"),
    [
        ([{"photo": "a.png", "parts": NOSE}], "has 1 photos; needed: 2 to 200"),
        ([{"photo": "a.png", "parts": {"nose": [1, 2, 3]}}] * 2, "length 4, got 3"),
        ([{"photo": "a.png", "parts": {"nose": [1.5, 2, 3, 4]}}] * 2, "expected `int`"),
        ([{"photo": "a.png", "part": NOSE}] * 2, "unknown field `part`"),
        ([{"photo": "a.png", "parts": {}}] * 2, "has 0 parts; needed: 1 to 20"),
        ([{"photo": " ", "parts": NOSE}] * 2, "the name of a photo is empty"),
        ([{"photo": "a.png", "parts": {" ": [1, 2, 3, 4]}}] * 2, "a part named ' '"),
        ([{"photo": "a.png", "parts": {"\ud800": [1, 2, 3, 4]}}] * 2, "that can be printed"),
        ([{"photo": "a.png", "parts": {"left\neye": [1, 2, 3, 4]}}] * 2, "that can be printed"),
        (
            [{"photo": "a.png", "parts": NOSE}, {"photo": "b.png", "parts": {"ear": [0, 0, 1, 1]}}],
            "photo 'b.png' lacks the part 'nose', unlike the first",
        ),
        (
            [
                {"photo": "a.png", "parts": NOSE},
                {"photo": "b.png", "parts": {**NOSE, "ear": [0, 0, 1, 1]}},
            ],
            "has a part 'ear', unlike the first",
        ),
        ("dog.jpg", "expected `array`"),
    ],
)
def test_what_a_file_may_not_say_is_told_in_a_line(tmp_path, photos, told):
    with pytest.raises(DataError, match=told) as caught:
        read_parts(write(tmp_path, photos))
    assert "parts.json" in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 5000, b"null"])
def test_files_that_are_none_are_told_in_a_line(tmp_path, content):
    file = tmp_path / "parts.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"parts\.json") as caught:
        read_parts(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no file of parts"):
        read_parts(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"parts": {"nose": (4, 6, 41, 16)}}, "the part 'nose' of 'a.png' is"),
        ({"parts": {"nose": (4, 6, 4, 16)}}, "the part 'nose'"),
        ({"parts": {"nose": (-1, 6, 4, 16)}}, "the part 'nose'"),
        ({"crop": (0, 0, 99, 9)}, "the crop of 'a.png' is .*inside the photo"),
        ({"crop": (8, 6, 20, 30)}, "the part 'nose' .*inside the crop"),
        ({"object": (0, 0, 50, 10)}, "the object of 'a.png'"),
    ],
)
def test_boxes_outside_of_the_photo_are_told(tmp_path, changes, told):
    """The photo has 40 rows and 48 columns."""
    path = paint_photo(tmp_path / "a.png")
    with pytest.raises(DataError, match=told):
        MarkedPhoto(**{"path": path, "parts": {"nose": (4, 6, 12, 16)}, **changes}).read()


def test_boxes_are_found_where_the_photo_is_painted(tmp_path):
    """A red part is found again in the input, whatever the way that the photo came there."""
    path = tmp_path / "a.png"
    image = Image.new("RGB", (96, 64))
    image.paste((255, 0, 0), (40, 20, 56, 36))  # left, upper, right, lower
    image.save(path)
    for crop in (None, (8, 16, 56, 80)):
        marked = MarkedPhoto(path, {"nose": (20, 40, 36, 56)}, crop)
        used = marked.read()
        for fit in ("crop", "squash", "pad"):
            framing = frame_photo(fit, used.size, 64, 72)
            top, left, bottom, right = marked.find_part("nose", framing)
            shown = imagenet_preprocessing(64, 72).fit_otherwise(fit).fit(used)
            red = (shown[0] > 127) & (shown[1] < 64)
            rows, columns = red.any(dim=1).nonzero(), red.any(dim=0).nonzero()
            assert abs(top - int(rows.min())) <= 1 and abs(bottom - 1 - int(rows.max())) <= 1
            assert abs(left - int(columns.min())) <= 1 and abs(right - 1 - int(columns.max())) <= 1


def test_parts_that_the_net_does_not_see_are_refused_and_objects_cut(tmp_path):
    path = paint_photo(tmp_path / "a.png", size=(200, 50))
    marked = MarkedPhoto(path, {"nose": (10, 0, 20, 20)}, object=(0, 60, 50, 190))
    framing = frame_photo("crop", (200, 50), 32, 32)
    with pytest.raises(DataError, match="partly outside of what the net sees: use fit squash"):
        marked.find_part("nose", framing)
    assert marked.find_object(framing) == (0, 0, 32, 32)
    squashed = frame_photo("squash", (200, 50), 32, 32)
    assert marked.find_part("nose", squashed) == (6, 0, 13, 3)
    assert marked.find_object(squashed) == (0, 10, 32, 30)
    with pytest.raises(DataError, match="smaller than a pixel"):
        MarkedPhoto(path, {"nose": (10, 0, 20, 1)}).find_part("nose", squashed)


def test_the_shipped_faces_are_whole_and_small():
    photos = read_parts()
    assert len(photos) == 4
    for photo in photos:
        assert list(photo.parts) == ["right eye", "left eye", "nose"]
        image = photo.read()
        assert image.width == image.height  # so that the usual crop takes the same margin off
        right, left, nose = photo.parts.values()
        # the subject's own right is on the left of a picture from the front; noses lie below
        assert right[3] < left[1] and nose[2] > max(right[2], left[2])
        assert read_photo(photo.path).size >= image.size
    assert sum(file.stat().st_size for file in SHIPPED.parent.iterdir()) < 600_000
    notes = (SHIPPED.parent / "README.md").read_text("utf-8")
    assert all(photo.path.name.removesuffix(".png") in notes for photo in photos)
