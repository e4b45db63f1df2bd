"""The engine of the explorer: what it may be asked, and what it says of nets and photos."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from tests.support.explorer_answers import make_small_explorer, open_picture
from vizcnn.basics.errors import VizcnnError
from vizcnn.explorer.explored import explore_image
from vizcnn.explorer.explorer import Explorer, name_answer
from vizcnn.receptive.fields import find_box, measure_fields


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    return make_small_explorer(tmp_path_factory.mktemp("photos"))


def test_everything_that_may_be_asked_ahead_is_answered_under_a_name_of_its_own(explorer):
    asked = [one for one in explorer.list_questions() if one["ask"] in ("start", "photo", "maps")]
    names = [name_answer(question) for question in asked]
    assert names[:3] == ["start", "photo-0-0", "maps-0-0-0"]
    assert len(set(names)) == len(names) == 1 + 2 + 2 * 3
    for question in asked:
        assert json.loads(json.dumps(explorer.ask(question).fields))


def test_questions_that_need_the_same_pass_stand_together(explorer):
    photos = [question.get("photo", -1) for question in explorer.list_questions()]
    assert photos == sorted(photos)


def test_rows_and_columns_are_the_boxes_of_measure_fields(explorer):
    start = explorer.ask({"ask": "start"}).fields
    (net,) = start["nets"]
    assert (net["key"], net["input"], net["classes"]) == ("tiny", [32, 32], 4)
    model = explorer.nets[0].net
    fields = measure_fields(model, explorer.nets[0].layers)
    for layer, field in zip(net["layers"], fields, strict=True):
        height, width = layer["size"] or (1, 1)
        assert (layer["name"], layer["units"]) == (field.name, field.maps)
        for row in range(height):
            for column in range(width):
                (top, bottom), (left, right) = layer["rows"][row], layer["columns"][column]
                assert (top, left, bottom, right) == find_box(field, row, column)


def test_a_photo_is_what_the_net_sees_pixel_by_pixel(explorer):
    model = explorer.nets[0].net
    answer = explorer.ask({"ask": "photo", "net": 0, "photo": 1})
    pixels = model.read(explorer.photos[1].read())
    seen = (pixels[0].permute(1, 2, 0) * 255).round().byte().numpy()
    assert (open_picture(answer, answer.fields["image"]) == seen).all()
    told = [(one["name"], one["probability"]) for one in answer.fields["classes"]]
    assert [name for name, _ in told] == [name for name, _ in model.classify(pixels)[0]]
    assert [value for _, value in told] == pytest.approx([p for _, p in model.classify(pixels)[0]])
    assert [one["number"] for one in answer.fields["class_use"]] == [
        one["number"] for one in answer.fields["classes"][:5]
    ]


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (None, "got None as a question; needed: one that asks start, photo"),
        ({"ask": ["maps"]}, "as a question"),
        ({"ask": "maps", "net": 1, "photo": 0, "layer": 0}, "got 1 as net; needed: a number 0..0"),
        ({"ask": "maps", "net": 0, "photo": True, "layer": 0}, "got True as photo"),
        ({"ask": "maps", "net": 0, "photo": 0, "layer": -1}, "got -1 as layer"),
        ({"ask": "maps", "net": 0, "photo": 0}, "got None as layer"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_line(explorer, question, told):
    answer = explorer.answer(question)
    assert told in answer.fields["error"] and "\n" not in answer.fields["error"]
    with pytest.raises(VizcnnError):
        explorer.ask(question)


def test_a_photo_that_comes_later_is_one_like_the_others(explorer):
    image = Image.new("RGBA", (50, 40), (200, 30, 30, 0))  # as a file it would lie over white
    number = explorer.add_photo(explore_image(image, "dropped"))
    assert explorer.photos[number].read().getpixel((0, 0)) == (255, 255, 255)
    fields = explorer.ask({"ask": "start"}).fields
    assert fields["photos"][number] == {
        "key": "photo3",
        "name": "dropped",
        "typed": None,
        "python": None,
    }
    answer = explorer.ask({"ask": "photo", "net": 0, "photo": number})
    assert answer.fields["name"] == "dropped"
    explorer.photos.pop()


def test_photos_in_their_own_sizes_are_refused(explorer):
    net = explorer.nets[0]
    fitting = replace(net.net.preprocessing, fitting="none")
    free = replace(net, net=replace(net.net, preprocessing=fitting))
    with pytest.raises(VizcnnError, match="give fit crop, pad or squash"):
        Explorer([free], explorer.photos)
