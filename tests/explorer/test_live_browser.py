"""The served page in a browser: it asks its own server alone, takes photos, and tells of an end."""

import time
from urllib.parse import urlsplit

import pytest

import vizcnn
from tests.support.explorer_clients import make_pictures
from tests.support.window import Window
from vizcnn.explorer.explored import ExploredNet, explore_image
from vizcnn.explorer.explorer import Explorer
from vizcnn.explorer.server import serve
from vizcnn.pages.explore_live import list_files

SEND = """const done = arguments[0];
const canvas = document.createElement("canvas");
canvas.width = 50; canvas.height = 40;
const context = canvas.getContext("2d");
context.fillStyle = "rgb(200, 30, 60)"; context.fillRect(5, 5, 30, 20);
canvas.toBlob(async (blob) => {
  const { source } = vizcnnExplorer.app;
  const file = new File([blob], "mine.png");
  const answer = %r === "upload" ? await source.upload(file)
    : await source.frame({ ask: "tiles", net: 0, layer: 1 }, file);
  done({ fields: answer.fields, bytes: answer.bytes.length });
});"""


@pytest.fixture(scope="module")
def explorer():
    net = vizcnn.load("lenet", weights="bundled")
    photos = [
        explore_image(picture, str(number)) for number, picture in enumerate(make_pictures(2))
    ]
    return Explorer([ExploredNet("lenet", net, ("conv1", "conv2"))], photos)


OPENED = "return vizcnnExplorer.app && vizcnnExplorer.app.maps"


@pytest.fixture
def page(window: Window, explorer):
    with serve(explorer, list_files("Explorer of LeNet")) as server:
        window.requested_urls()
        window.read_errors()
        window.visit(server.address)
        assert window.wait_until(OPENED)
        yield window, server
    window.visit("about:blank")
    window.read_errors()


def test_it_asks_its_own_server_alone_and_the_policy_stops_nothing_that_it_needs(page):
    window, server = page
    window.run("vizcnnExplorer.app.set({ place: [2, 3], unit: 4 })")
    window.press("u", "o")
    assert window.wait_until("return vizcnnExplorer.app.source.live")
    asked = [urlsplit(url) for url in window.requested_urls() if url.startswith("http")]
    assert {url.netloc for url in asked} == {f"127.0.0.1:{server.server_port}"}
    assert all(url.path.startswith(f"/{server.token}/") for url in asked)
    assert window.read_errors() == []
    assert server.token not in window.run("return document.documentElement.outerHTML")


def test_a_value_that_the_maps_have_to_a_byte_is_told_exactly_by_its_picture(page, explorer):
    window, _ = page
    net = explorer.nets[0].net
    found = []
    module = dict(net.module.named_modules())[net.layers["conv2"]]
    hook = module.register_forward_hook(lambda _, __, output: found.append(output[0].clone()))
    net.logits(net.read(explorer.photos[0].read()))
    hook.remove()
    (maps,) = found
    # the eleventh of a place: the answer to "maps" has the exact values of ten
    eleventh = maps.sort(dim=0, descending=True).values[10]
    row, column = divmod(int(eleventh.argmax()), maps.shape[2])
    unit = int(maps[:, row, column].sort(descending=True, stable=True).indices[10])
    window.run(f"vizcnnExplorer.app.set({{ layer: 1, unit: {unit}, place: [{row}, {column}] }})")
    told = "return document.querySelector('.numbers dd').textContent"
    window.wait_until(f"{told}.startsWith('≈') === false")
    assert float(window.run(told)) == pytest.approx(float(maps[unit, row, column]), rel=1e-3)


def is_told_of_violation(window):
    for _ in range(100):  # a console may be slower than the page
        if "violates" in " ".join(window.read_errors()):
            return True
        time.sleep(0.05)
    return False


def test_what_it_may_not_do_is_stopped(page):
    window, _ = page
    script = """const done = arguments[0];
    fetch("http://localhost:1/").then(() => done("sent"), () => done("refused"))"""
    assert window.run_until_done(script) == "refused"
    assert is_told_of_violation(window)
    script = """const done = arguments[0], script = document.createElement("script");
    script.textContent = "window.injected = true";
    document.body.append(script);
    done(!window.injected)"""
    assert window.run_until_done(script)
    assert is_told_of_violation(window)


def test_a_photo_and_a_camera_s_picture_are_answered(page, explorer):
    window, _ = page
    known = len(explorer.photos)
    sent = window.run_until_done(SEND % "upload")
    words = {"typed": None, "python": None}
    taken = {"number": known, "key": f"photo{known + 1}", "name": "mine.png"}
    assert sent["fields"] == taken | words
    framed = window.run_until_done(SEND % "frame")
    tiles = explorer.answer({"ask": "tiles", "net": 0, "photo": known, "layer": 1})
    assert framed["bytes"] == len(tiles.content)
    assert framed["fields"]["units"] == tiles.fields["units"] == 16
    assert len(explorer.photos) == known + 1
    large = """const done = arguments[0];
    vizcnnExplorer.app.source.upload(new File([new Uint8Array(2 ** 24 + 1)], "large.png"))
        .then((answer) => done(answer.fields.error))"""
    assert window.run_until_done(large) == "large.png has 16.0 MB; at most 16 MB are taken."
    assert window.read_errors() == []


def test_a_server_that_has_ended_is_told_and_one_that_is_back_too(window: Window, explorer):
    with serve(explorer, list_files("Explorer")) as server:
        window.visit(server.address)
        assert window.wait_until(OPENED)
        assert window.run("return document.querySelector('.ended').hidden")
        top = "return document.querySelector('.bar').getBoundingClientRect().top"
        bar = window.run(top)
    port, token = server.server_port, server.token
    window.run("vizcnnExplorer.app.set({ photo: 1, place: [1, 1] })")
    assert window.wait_until("return !document.querySelector('.ended').hidden")
    told = window.run("return document.querySelector('.ended').textContent")
    assert "does not answer any more" in told
    assert "vizcnn explore --serve" in told
    refused = "document.querySelector('.picture-button .refusal').textContent"
    assert window.wait_until(f"return {refused}")
    assert "--serve" not in window.run(f"return {refused}")  # the way out is told once
    assert window.run("return document.querySelector('.ended').getAttribute('role')") == "alert"
    assert window.run(top) == bar  # nothing on the page makes room for it
    assert "photo2:1,1" in window.run("return location.hash")
    with serve(explorer, list_files("Explorer"), port):  # another program, with another token
        window.run("document.querySelector('.ended button').click()")
        time.sleep(0.3)
        assert not window.run("return document.querySelector('.ended').hidden")
    with serve(explorer, list_files("Explorer"), port) as again:
        again.token = token  # as if only the network had failed
        window.run("document.querySelector('.ended button').click()")
        assert window.wait_until("return document.querySelector('.ended').hidden")
        assert window.wait_until("return vizcnnExplorer.app.maps && !vizcnnExplorer.app.maps.error")
    window.visit("about:blank")
    window.read_errors()
