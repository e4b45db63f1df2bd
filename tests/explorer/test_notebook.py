"""``vizcnn.explore``: nets and photos as a notebook holds them, and what is refused in one line."""

import sys
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("anywidget", reason="pip install 'vizcnn[widget]'")

import vizcnn
from vizcnn.basics.errors import ImageError, VizcnnError
from vizcnn.photos.samples import SAMPLES

GREY = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 1), dtype=np.uint8)
NOISE = GREY.repeat(3, axis=3)  # LeNet-5 sees the luminance alone


@pytest.fixture(scope="module")
def model():
    return vizcnn.load("lenet")


def find_photos(explorer):
    return [photo["name"] for photo in explorer._start["photos"]]


def find_image(explorer, number):
    """Give what the page draws of a photo, (H, W, 3), and the words beside it."""
    answer = explorer._explorer.answer({"ask": "photo", "net": 0, "photo": number})
    offset, length = answer.fields["image"]
    with Image.open(BytesIO(answer.content[offset : offset + length])) as picture:
        return np.asarray(picture.convert("RGB")), answer.fields["used"]


@pytest.mark.parametrize("kind", ["file", "PIL", "array", "tensor"])
def test_the_page_draws_what_the_net_reads_of_a_photo(model, tmp_path, kind):
    Image.fromarray(NOISE[0]).save(tmp_path / "mine.png")
    given = {
        "file": str(tmp_path / "mine.png"),
        "PIL": Image.fromarray(NOISE[0]),
        "array": NOISE[0],
        "tensor": torch.from_numpy(NOISE[0]).permute(2, 0, 1) / 255,
    }[kind]
    explorer = vizcnn.explore(model, given, "conv1")
    assert find_photos(explorer) == ["mine.png" if kind == "file" else "photo 1"]
    expected = (model.read(Image.fromarray(NOISE[0]))[0].mean(dim=0) * 255).numpy()
    found, used = find_image(explorer, 0)
    assert abs(found.mean(axis=2) - expected).max() < 1
    assert "the middle" in used


def test_pixels_of_the_nets_size_are_seen_as_they_are(model):
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    explorer = vizcnn.explore(model, pixels, "conv1")
    assert find_photos(explorer) == ["photo 1", "photo 2"]
    _, used = find_image(explorer, 1)
    assert used == "the pixels were used as they were given"
    explorer.select(photo="photo 2", unit=3, place=(9, 9))
    expected = vizcnn.Deconvnet(model).project(pixels[1:], "conv1", 3, (9, 9))
    assert torch.equal(explorer.project().activations, expected.activations)


def test_folders_and_lists_of_photos_are_taken_and_the_samples_where_none_is_given(model, tmp_path):
    for name in "ab":
        Image.fromarray(NOISE[0]).save(tmp_path / f"{name}.png")
    explorer = vizcnn.explore(model, [tmp_path, "coffee", NOISE], "conv1")
    assert find_photos(explorer) == ["a.png", "b.png", "coffee", "photo 4", "photo 5"]
    assert find_photos(vizcnn.explore(model, layers="conv1")) == list(SAMPLES)


def test_nets_of_one_name_are_told_apart(model):
    other = vizcnn.load("lenet", weights=None)
    explorer = vizcnn.explore([model, other], "coffee", ["conv1", "conv2"])
    assert explorer.net == "lenet"
    explorer.select(unit=3, place=(2, 2))
    first = explorer.project().activations
    explorer.net = "lenet-2"
    assert explorer.unit == 3
    explorer.place = (2, 2)
    assert not torch.equal(explorer.project().activations, first)


def test_methods_and_their_own_parts_can_be_chosen(model):
    explorer = vizcnn.explore(model, "coffee", "conv1", methods=["guided", "gradient"], compare=5)
    methods = [method["key"] for method in explorer._start["nets"][0]["methods"]]
    assert methods == ["guided", "guided-own", "gradient", "gradient-own"]
    explorer = vizcnn.explore(model, "coffee", "conv1", "guided", compare=None)
    assert [method["key"] for method in explorer._start["nets"][0]["methods"]] == ["guided"]


def test_own_parts_of_a_layer_are_of_its_strongest_units_and_of_any_that_is_chosen(model):
    explorer = vizcnn.explore(model, "coffee", "conv3", compare=2)._explorer
    about = {"ask": "pictures", "net": 0, "photo": 0, "layer": 0, "method": "deconvnet-own"}
    listed = explorer.ask(about).fields
    assert len(listed["units"]) == 16
    (left,) = listed["left_out"]
    assert len(left["units"]) == 120 - 16
    (chosen,) = explorer.ask({**about, "units": left["units"][:1]}).fields["units"]
    assert chosen["unit"] == left["units"][0]


@pytest.mark.parametrize("key", ["guided", "guided-own"])
@pytest.mark.parametrize("by_name", [True, False])
def test_the_lines_of_python_repeat_the_picture(model, by_name, key):
    explorer = vizcnn.explore("lenet" if by_name else model, "coffee", "conv2", "guided", 3)
    explorer.select(unit=11, place=(5, 2), method=key)
    (net,), (photo,) = explorer._start["nets"], explorer._start["photos"]
    (method,) = (one for one in net["methods"] if one["key"] == key)
    lines = net["python"].format(
        method=method["python"],
        photo=photo["python"],
        layer=net["layers"][0]["python"],
        unit=11,
        position=(5, 2),
        compare=method["python_compare"],
        part=method["python_part"],
    )
    held = {} if by_name else {"model": model}
    exec(lines, held)
    seen = held["seen"]
    seen = getattr(seen, "pixels", seen)
    assert torch.equal(seen, explorer.project().pixels)


def test_the_net_is_left_as_it_was(model):
    model.module.train()
    try:
        explorer = vizcnn.explore(model, "coffee", "conv1")
        explorer.project()
        assert model.module.training
        assert not any(part._forward_hooks for part in model.module.modules())
        assert all(value.grad is None for value in model.module.parameters())
    finally:
        model.module.eval()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": []}, "at least one"),
        ({"methods": []}, "at least one"),
        ({"model": torch.nn.ReLU()}, "a net that vizcnn.load or vizcnn.wrap gave"),
        ({"model": "lenett"}, "did you mean 'lenet'"),
        ({"layers": "conv9"}, "conv9"),
        ({"layers": [7]}, "got 7 as a layer"),
        ({"photos": []}, "no photo"),
        ({"photos": "missing.jpg"}, "missing.jpg"),
        ({"photos": 3}, "got int (3)"),
        ({"methods": "guidedd"}, "no method 'guidedd'"),
        ({"compare": 0}, "got 0 as compare"),
        ({"indexes": "missing.safetensors"}, "does not exist"),
        ({"galleries": "missing"}, "missing"),
    ],
)
def test_what_cannot_be_explored_is_refused_in_one_line(model, given, told):
    with pytest.raises(VizcnnError) as refused:
        vizcnn.explore(**{"model": model, "photos": "coffee", "layers": "conv1", **given})
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_damaged_photo_is_refused_at_once(model, tmp_path):
    (tmp_path / "damaged.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(ImageError, match=r"damaged\.jpg"):
        vizcnn.explore(model, ["coffee", tmp_path / "damaged.jpg"])


def test_without_anywidget_it_says_what_to_install(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "vizcnn.explorer.widget")
    with pytest.raises(VizcnnError) as refused:
        vizcnn.explore(model)
    assert "pip install 'vizcnn[widget]'" in str(refused.value)
    assert "\n" not in str(refused.value)
