"""The explorer in a notebook: messages as a front end sends them, what Python reads and sets."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("anywidget", reason="pip install 'vizcnn[widget]'")

import vizcnn
from tests.support.notebook_front import show_widget, use_noted_comms
from vizcnn.basics.errors import LayerError, VizcnnError
from vizcnn.explorer.explored import ExploredNet, explore_image
from vizcnn.explorer.explorer import Explorer, ExplorerSettings, Kind
from vizcnn.explorer.widget import ExplorerWidget
from vizcnn.projection.targets import Position

LAYERS = ("conv1", "conv2", "fc5")
NAMES = ("cat", "dog")


TITLE = "return document.querySelector('.pane-unit h3').textContent"
TEXT = "return document.querySelector('.column-photo').innerText"
PRESSED = """return [...document.querySelectorAll('.thumb')].map(
    (one) => one.getAttribute('aria-pressed') === 'true')"""
BUSY = "return document.querySelector('.vizcnn-explorer-busy').textContent"
WAIT_FOR_BUSY = """const done = arguments[0];
    const line = document.querySelector('.vizcnn-explorer-busy');
    new MutationObserver(() => done(line.textContent)).observe(line, { childList: true })"""
REMOVE_FIRST = """const { firstChild } = document.querySelector('main');
    firstChild.remove_view();
    firstChild.remove()"""
CHOOSE_FILE = """const done = arguments[0];
    const canvas = document.createElement('canvas');
    canvas.toBlob((blob) => {
        const files = new DataTransfer();
        files.items.add(new File([blob], 'mine.png', { type: 'image/png' }));
        const chooser = document.querySelector('input[type=file]');
        chooser.files = files.files;
        chooser.dispatchEvent(new Event('change'));
        done();
    })"""
PIXELS = """const { width, height } = document.querySelector('.picture-button canvas');
    const values = document.querySelector('.picture-button canvas').getContext('2d')
        .getImageData(0, 0, width, height).data;
    return { width, height, values: [...values] }"""


def refuse(explorer, question):
    raise VizcnnError("it cannot be answered")


def fail(explorer, question):
    raise ZeroDivisionError("a fault")


def exceed(explorer, question):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7.00 GiB")


@pytest.fixture(scope="module")
def explorer():
    net = ExploredNet("lenet", vizcnn.load("lenet"), LAYERS)
    noise = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    photos = [explore_image(Image.fromarray(noise[k]), name) for k, name in enumerate(NAMES)]
    explorer = Explorer([net], photos, ExplorerSettings(compare=4))
    explorer.questions |= {"refused": Kind(refuse), "fault": Kind(fail), "large": Kind(exceed)}
    return explorer


@pytest.fixture
def widget(monkeypatch, explorer):
    use_noted_comms(monkeypatch)
    return ExplorerWidget(explorer)


@pytest.fixture(scope="module")
def page(browser, explorer, tmp_path_factory):
    """Show a widget once; a test begins with what another one left, but for what is chosen."""
    with pytest.MonkeyPatch.context() as patch:
        use_noted_comms(patch)
        shown = ExplorerWidget(explorer)
    with show_widget(browser, shown, tmp_path_factory.mktemp("page")) as front:
        yield front


@pytest.fixture
def shown(page):
    page.widget.select(**BEGUN)
    page.rest()
    return page


def send(widget, message, *contents, number="a-1"):
    data = {"method": "custom", "content": {"id": number, **message}}
    widget.comm.receive(data, [memoryview(content) for content in contents])
    (answer, buffers) = widget.comm.take_sent()[-1]
    assert answer["method"] == "custom"
    assert answer["content"]["id"] == number
    return answer["content"]["fields"], buffers


def ask(widget, question, number="a-1"):
    return send(widget, {"question": question}, number=number)


def read_chosen(widget):
    return widget.net, widget.photo, widget.layer, widget.unit, widget.place, widget.method


PICTURE = {"ask": "pictures", "net": 0, "photo": 1, "layer": 1, "method": "deconvnet"}
PICTURE |= {"units": [3], "place": [2, 1]}
BEGUN = {"photo": "cat", "layer": "conv2", "unit": 12, "place": None, "method": "deconvnet"}
REFUSED = [{"ask": "refused"}, {"ask": "large"}, {"ask": "maps", "net": 9}]


def test_a_question_is_answered_as_the_explorer_does_in_one_buffer(widget, explorer):
    answer = explorer.answer(PICTURE)
    fields, (content,) = ask(widget, PICTURE, number="b-7")
    assert (fields, content) == (answer.fields, answer.content)
    assert content[:4] == b"RIFF"


def test_a_fault_is_answered_by_a_line_and_logged(widget, caplog):
    fields, _ = ask(widget, {"ask": "fault"})
    assert "this could not be answered" in fields["error"]
    assert any("a fault" in str(entry.exc_info) for entry in caplog.records)
    assert "nets" in ask(widget, {"ask": "start"})[0]


@pytest.mark.parametrize("question", [None, 7, *REFUSED])
def test_what_cannot_be_answered_is_told(widget, question):
    fields, (content,) = ask(widget, question)
    assert fields["error"]
    assert "\n" not in fields["error"]
    assert content == b""


def test_other_messages_get_no_answer(widget):
    for content in (None, 7, "a", {}, {"question": {"ask": "start"}}, [1]):
        widget.comm.receive({"method": "custom", "content": content})
    assert widget.comm.take_sent() == []


def encode(seed):
    values = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def test_a_photo_that_the_page_sends_can_be_chosen(monkeypatch, explorer):
    own = Explorer(explorer.nets, explorer.photos, explorer.settings)
    use_noted_comms(monkeypatch)
    widget = ExplorerWidget(own)
    fields, _ = send(widget, {"photo": {"name": "mine.png"}}, encode(1))
    assert (fields["key"], fields["name"], fields["number"]) == ("photo3", "mine.png", 2)
    widget.photo = "mine.png"
    assert widget.photo == "photo3"
    assert widget.project().pixels.shape[0] == 1
    refused, _ = send(widget, {"photo": {"name": "mine.png"}}, b"no photo")
    assert "mine.png" in refused["error"]
    assert len(own.photos) == 3


def test_a_picture_of_the_camera_is_answered_and_not_kept(widget, explorer):
    message = {"question": {"ask": "maps", "net": 0, "layer": 1}}
    (one, content), (two, other) = (send(widget, message, encode(seed)) for seed in (1, 2))
    assert one["units"] == two["units"] == 16
    assert content != other
    assert len(explorer.photos) == 2


def test_it_begins_at_the_unit_that_answers_most_to_the_first_photo(widget, explorer):
    model = explorer.nets[0].net
    pixels = model.read(explorer.photos[0].read())
    kept = []
    hook = model.module.get_submodule(model.layers["conv2"]).register_forward_hook(
        lambda module, taken, given: kept.append(given)
    )
    model(pixels)
    hook.remove()
    strongest = kept[0].amax(dim=(2, 3)).argmax().item()
    assert read_chosen(widget) == ("lenet", "photo1", "conv2", strongest, None, "deconvnet")


def test_what_python_sets_goes_to_the_page_in_one_message(widget):
    widget.select(unit=15, place=(1, 0))
    widget.comm.take_sent()
    widget.layer = "conv1"
    ((data, _),) = widget.comm.take_sent()
    assert data["method"] == "update"
    assert data["state"] == {
        "_page": {
            **{"net": "lenet", "photo": "photo1", "layer": "conv1", "unit": 0, "place": None},
            "method": "deconvnet",
        }
    }
    assert read_chosen(widget) == ("lenet", "photo1", "conv1", 0, None, "deconvnet")


def test_several_values_are_set_at_once(widget):
    widget.comm.take_sent()
    widget.select(layer="conv1", unit=5, place=(3, 2), photo="dog", method="deconvnet-own")
    assert len(widget.comm.take_sent()) == 1
    assert read_chosen(widget) == ("lenet", "photo2", "conv1", 5, (3, 2), "deconvnet-own")


@pytest.mark.parametrize("unit", [np.int64(5), torch.tensor(5)])
def test_numbers_of_numpy_and_torch_become_pythons(widget, unit):
    widget.unit = unit
    assert (type(widget.unit), widget.unit) == (int, 5)
    widget.place = np.array([2, 3])
    assert widget.place == (2, 3)


def test_a_value_that_does_not_exist_is_refused_and_nothing_changes(widget):
    former = read_chosen(widget)
    widget.comm.take_sent()
    with pytest.raises(LayerError, match="no unit 16 in conv2"):
        widget.unit = 16
    with pytest.raises(LayerError, match="no place"):
        widget.select(unit=3, place=(10, 2))
    assert read_chosen(widget) == former
    assert widget.comm.take_sent() == []


def test_what_the_page_chooses_is_read_in_python(widget):
    seen = []
    widget.observe(lambda change: seen.append((change["name"], change["new"])), ["layer", "place"])
    page = {
        **{"net": "lenet", "photo": "photo2", "layer": "conv1", "unit": 5, "place": [3, 1]},
        **{"method": "deconvnet-own", "pins": "kept"},
    }
    widget.comm.take_sent()
    widget.comm.receive({"method": "update", "state": {"_page": page}})
    assert read_chosen(widget) == ("lenet", "photo2", "conv1", 5, (3, 1), "deconvnet-own")
    assert sorted(seen) == [("layer", "conv1"), ("place", (3, 1))]
    # sent back, it would undo what was chosen on the page since
    assert {data["method"] for data, _ in widget.comm.take_sent()} <= {"echo_update"}
    widget.unit = 4
    assert widget.get_state()["_page"] == {**page, "unit": 4}


def test_a_function_that_follows_one_value_may_set_another(widget):
    widget.observe(lambda change: setattr(widget, "photo", "photo2"), "unit")
    widget.unit = 3
    assert (widget.unit, widget.photo) == (3, "photo2")
    assert widget.get_state()["_page"]["photo"] == "photo2"


@pytest.mark.parametrize("place", [None, (4, 7)])
@pytest.mark.parametrize("part", ["whole", "own"])
def test_what_is_chosen_is_projected_as_a_projector_does(widget, explorer, place, part):
    method = "deconvnet" if part == "whole" else "deconvnet-own"
    widget.select(photo="photo2", unit=3, place=place, method=method)
    model = explorer.nets[0].net
    position: Position = "max" if place is None else place
    expected = vizcnn.Deconvnet(model).project(
        explorer.photos[1].read(), "conv2", 3, position, compare=4
    )
    found = widget.project()
    assert torch.equal(found.pixels, expected.take_part(part).pixels)
    assert torch.equal(found.positions, expected.positions)


def test_it_says_what_is_chosen_where_no_widget_is_shown(widget):
    widget.unit = 3
    assert "unit=3" in repr(widget)
    assert "layer='conv2'" in widget._repr_mimebundle_()[0]["text/plain"]


def test_the_page_shows_what_python_chooses(shown):
    browser, widget = shown.browser, shown.widget
    assert browser.run(TITLE) == "conv2, unit 12"
    widget.select(layer="conv1", unit=2, place=(5, 9), photo="dog")
    shown.rest()
    assert browser.run(TITLE) == "conv1, unit 2"
    assert "row 5, column 9" in browser.run(TEXT)
    assert browser.run(PRESSED) == [False, True]
    assert browser.read_errors() == []


def test_python_reads_what_is_chosen_on_the_page(shown):
    browser, widget = shown.browser, shown.widget
    browser.run("document.querySelectorAll('.thumb')[1].click()")
    shown.rest()
    assert widget.photo == "photo2"
    widget.select(place=(4, 4))
    shown.rest()
    browser.run("document.querySelector('.photo-stage').focus()")
    browser.press("right", "right", "down", "b", "b")
    shown.rest()
    assert widget.place == (5, 6)
    browser.press("b")
    shown.rest()
    methods = [method["key"] for method in widget._start["nets"][0]["methods"]]
    assert widget.method == methods[3 % len(methods)]
    browser.press("u")
    shown.rest()
    assert browser.run(TITLE) == f"{widget.layer}, unit {widget.unit}"
    assert widget.layer != "conv2"
    assert browser.run("return model.get('_page')") == widget.get_state()["_page"]
    assert browser.read_errors() == []


def test_pictures_on_the_page_are_the_answers(shown, explorer):
    shown.widget.select(layer="conv2", unit=8, place=(4, 4))
    shown.rest()
    question = {**PICTURE, "photo": 0, "units": [8], "place": [4, 4]}
    answer = explorer.answer(question)
    assert answer.fields["units"][0]["activation"] > 0  # else there is no picture
    offset, length = answer.fields["units"][0]["image"]
    with Image.open(BytesIO(answer.content[offset : offset + length])) as picture:
        expected = np.asarray(picture.convert("RGB"))
    drawn = shown.browser.run(PIXELS)
    assert [drawn["height"], drawn["width"]] == [*expected.shape[:2]]
    found = np.array(drawn["values"]).reshape(*expected.shape[:2], 4)[..., :3]
    assert abs(found.astype(int) - expected).max() <= 4  # two decoders of WebP round differently


def test_a_second_view_follows_the_first_and_one_that_is_gone_asks_no_more(shown):
    browser, widget = shown.browser, shown.widget
    browser.run("window.show()")
    shown.wait_for("document.querySelectorAll('.vizcnn-explorer .frame').length === 2")
    shown.rest()
    browser.run("document.querySelectorAll('.thumb')[1].click()")
    shown.rest()
    assert browser.run(PRESSED) == [False, True, False, True]
    listening = "return [...model.listeners.values()].flat().length"
    assert browser.run(listening) == 4
    browser.run(REMOVE_FIRST)
    assert browser.run(listening) == 2
    widget.photo = "cat"
    shown.rest()
    assert browser.run(PRESSED) == [True, False]
    assert browser.read_errors() == []


def test_a_kernel_that_does_not_answer_is_told(shown):
    browser, widget = shown.browser, shown.widget
    assert browser.run(BUSY) == ""
    widget.select(photo="dog", layer="conv1")
    shown.carry()
    # the kernel runs another cell: nothing is carried
    assert "has not answered" in browser.execute_async_script(WAIT_FOR_BUSY)
    shown.rest()
    assert browser.run(BUSY) == ""


def test_its_keys_are_not_the_notebooks(shown):
    browser = shown.browser
    browser.run("addEventListener('keydown', (event) => { window.heard = event.key })")
    browser.run("document.querySelector('.photo-stage').focus()")
    browser.press("b", "right")
    assert browser.run("return window.heard") is None
    assert browser.run("return !!document.activeElement.closest('[data-lm-suppress-shortcuts]')")


def test_it_takes_the_notebooks_theme(shown):
    browser = shown.browser
    root = "getComputedStyle(document.querySelector('.vizcnn-explorer'))"
    for colour, theme in ("#222", "light"), ("rgb(230, 230, 230)", "dark"), ("black", "light"):
        script = "document.body.setAttribute('style', `color: ${arguments[0]}`)"
        browser.execute_script(script, colour)
        browser.wait_for_frame()
        assert browser.run(f"return {root}.colorScheme") == theme
        ground = browser.run(f"return {root}.backgroundColor.match(/\\d+/g).map(Number)")
        assert (max(ground) < 90) == (theme == "dark")


def test_a_photo_given_to_one_view_is_seen_in_all_and_in_python(shown):
    browser, widget = shown.browser, shown.widget
    browser.run("window.show()")
    shown.wait_for("document.querySelectorAll('.vizcnn-explorer .frame').length === 2")
    shown.rest()
    browser.execute_async_script(CHOOSE_FILE)
    shown.wait_for(lambda: widget.photo == "photo3")
    shown.rest()
    assert browser.run(PRESSED) == [False, False, True] * 2
    assert "mine.png" in browser.run(TEXT)
    widget.photo = "photo1"  # as other tests find it
    shown.rest()
    browser.run(REMOVE_FIRST)
    assert browser.read_errors() == []


def test_a_picture_of_the_former_unit_is_marked_until_the_new_one_is_there(shown):
    browser, widget = shown.browser, shown.widget
    late = "return document.querySelectorAll('.picture-button .late').length"
    assert browser.run(late) == 0
    widget.unit = 3
    (update,) = widget.comm.take_sent()
    browser.execute_script("model.receive(...arguments)", update[0], [])
    browser.wait_for_frame()
    assert browser.run(TITLE) == "conv2, unit 3"
    assert browser.run(late) == 2
    assert "selectivity" not in browser.run("return document.querySelector('.pictures').innerText")
    shown.rest()
    assert browser.run(late) == 0
