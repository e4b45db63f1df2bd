"""Photos that the page sends: read safely, answered as files are, and let go in time."""

import gc
import io
import json
import weakref
import zlib

import pytest
from PIL import Image

import vizcnn
from tests.support.explorer_clients import FILES, Client, make_pictures
from vizcnn.basics.errors import ImageError
from vizcnn.explorer.explored import ExploredNet, explore_file, explore_image
from vizcnn.explorer.explorer import Explorer
from vizcnn.explorer.server import serve
from vizcnn.explorer.uploads import LARGEST_PIXELS, Uploads


def write_file(picture, form="PNG", **settings):
    file = io.BytesIO()
    picture.save(file, form, **settings)
    return file.getvalue()


@pytest.fixture
def explorer():
    net = vizcnn.load("lenet", weights="bundled")
    photos = [explore_image(picture, "first") for picture in make_pictures(1)]
    return Explorer([ExploredNet("lenet", net, ("conv1", "conv2"))], photos)


@pytest.fixture
def server(explorer):
    with serve(explorer, FILES) as running:
        yield running


@pytest.fixture
def client(server):
    with Client(server) as made:
        yield made


MAPS = {"ask": "maps", "net": 0, "layer": 1}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_photo_that_was_sent_is_answered_as_its_file_is(client, explorer, tmp_path, form):
    content = write_file(make_pictures(3)[2], form)
    reply = client.send_file("photo", {"name": "hund <b>.x"}, content)
    assert reply.fields == {
        "number": 1, "key": "photo2", "name": "hund <b>.x", "typed": None, "python": None,
    }  # fmt: skip
    file = tmp_path / "same"
    file.write_bytes(content)
    number = explorer.add_photo(explore_file(file))
    for question in (MAPS, {"ask": "photo", "net": 0}):
        sent = client.ask(**question, photo=1)
        lying = explorer.answer({**question, "photo": number})
        told = {name: value for name, value in lying.fields.items() if name != "name"}
        assert json.loads(json.dumps(told)).items() <= sent.fields.items()
        assert sent.content == lying.content
    assert [photo["key"] for photo in client.ask(ask="start").fields["photos"]][:2] == [
        "photo1", "photo2",
    ]  # fmt: skip


def test_it_is_turned_upright_as_cameras_say(client, explorer):
    picture = make_pictures(1)[0]
    exif = Image.Exif()
    exif[0x0112] = 6
    client.send_file("photo", {"name": "turned"}, write_file(picture, exif=exif))
    client.send_file(
        "photo", {"name": "upright"}, write_file(picture.transpose(Image.Transpose.ROTATE_270))
    )
    turned, upright = (client.ask(ask="photo", net=0, photo=number) for number in (1, 2))
    assert turned.content == upright.content


def make_bomb():
    """A PNG of few bytes that claims to be very large."""
    content = bytearray(write_file(Image.new("1", (8, 8))))
    content[16:24] = (40_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"no photo", "is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "is not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
        (write_file(make_pictures(1)[0])[:200], "cut off"),
        (make_bomb(), "more than 50 million pixels"),
    ],
    ids=["nothing", "text", "eps", "svg", "cut", "bomb"],
)
def test_what_is_no_photo_is_refused_in_a_line_and_not_taken(client, explorer, content, told):
    for name, said in (("photo", {"name": "x.png"}), ("frame", MAPS)):
        error = client.send_file(name, said, content).fields["error"]
        assert told in error
        assert len(error.splitlines()) == 1
    assert len(explorer.photos) == 1
    assert client.ask(**MAPS, photo=0).fields["units"] == 16


def test_a_photo_of_just_too_many_pixels_is_refused_before_it_is_decoded(explorer):
    wide = Image.new("1", (LARGEST_PIXELS // 5_000 + 1, 5_000))
    content = write_file(wide)
    assert len(content) < 100_000
    with pytest.raises(ImageError, match="more than 50 million pixels"):
        Uploads(explorer).take_photo({"name": "wide"}, content)


@pytest.mark.parametrize("name", [7, None, ["x"], {}])
def test_a_name_is_a_text(client, name):
    reply = client.send_file("photo", {"name": name}, write_file(make_pictures(1)[0]))
    assert "needed: the photo's name" in reply.fields["error"]


def test_a_name_is_shown_shortened_and_makes_no_path(client):
    name = "../" * 100 + "etc/passwd"
    reply = client.send_file("photo", {"name": name}, write_file(make_pictures(1)[0]))
    assert len(reply.fields["name"]) <= 100
    assert reply.fields["number"] == 1


def test_the_oldest_photos_are_let_go_and_say_so(explorer):
    pictures = [write_file(picture) for picture in make_pictures(4)]
    uploads = Uploads(explorer, bytes_kept=sum(map(len, pictures[1:])))
    for number, content in enumerate(pictures, 1):
        assert uploads.take_photo({"name": f"p{number}"}, content).fields["number"] == number
        if number == 1:
            first = weakref.ref(explorer.photos[1])
    gc.collect()
    assert first() is None  # nothing holds its file
    gone = explorer.answer({**MAPS, "photo": 1})
    assert gone.fields["error"] == "p1 was let go, as newer photos took its place: drop it again"
    for number in (0, 2, 3, 4):
        assert "error" not in explorer.answer({**MAPS, "photo": number}).fields
    assert len(explorer.photos) == 5


def test_a_camera_s_picture_is_answered_as_a_photo_and_not_kept(client, explorer):
    content = write_file(make_pictures(2)[1], "JPEG", quality=80)
    frame = client.send_file("frame", MAPS, content)
    again = client.send_file("frame", MAPS, content)
    assert len(explorer.photos) == 1
    number = client.send_file("photo", {"name": "held"}, content).fields["number"]
    held = client.ask(**MAPS, photo=number)
    assert frame.fields == again.fields == held.fields
    assert frame.content == again.content == held.content
    other = client.send_file("frame", MAPS, write_file(make_pictures(1)[0]))
    assert other.content != frame.content
    assert "error" in client.send_file("frame", {"ask": "maps", "net": 9}, content).fields
    assert len(explorer.photos) == 2


def test_a_photo_that_comes_meanwhile_is_not_taken_for_the_camera_s(explorer):
    held, content = make_pictures(3)[1:], write_file(make_pictures(1)[0])
    uploads = Uploads(explorer)
    explorer.breathe = lambda: explorer.add_photo(explore_image(held[0], "came meanwhile"))
    use = uploads.answer_frame({"ask": "use", "net": 0, "layer": 1}, content)
    assert [photo.name for photo in explorer.photos] == ["first"]
    assert use == explorer.answer({"ask": "use", "net": 0, "photo": 0, "layer": 1})
    assert len(explorer.photos) > 1  # it breathes again
