"""A net is called with photos in any form, and says what is in them."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vizcnn
from tests.zoo.test_zoo_model import tiny_model
from vizcnn.basics.errors import ImageError, ModelError
from vizcnn.photos.samples import find_sample
from vizcnn.zoo.classification import Classification


@pytest.fixture(scope="module")
def net():
    return vizcnn.load("lenet")


COFFEE = Path(str(find_sample("coffee")))


def test_every_form_of_a_photo_gives_the_same_logits(net, tmp_path):
    with Image.open(COFFEE) as opened:
        image = opened.convert("RGB")
    pixels = net.read(COFFEE)
    expected = net.module(net.preprocessing.normalise(pixels)).detach()
    values = np.array(image)
    forms = ["coffee", str(COFFEE), COFFEE, image, values, values / 255.0, pixels]
    forms += [torch.from_numpy(values), pixels[0].permute(1, 2, 0).numpy()]
    for form in forms:
        torch.testing.assert_close(net(form).logits, expected, msg=str(type(form)))
    together = net(forms)
    torch.testing.assert_close(together.logits, expected.expand(len(forms), -1))
    assert together.photos[:3] == ("coffee", "coffee", "coffee")
    assert together.photos[3] == "photo 4"


def test_pixels_alone_are_not_what_the_module_takes():
    """The docstring of read says so, and what to call instead."""
    net = tiny_model()
    pixels = net.read("coffee")
    assert not torch.allclose(net.module(pixels), net(pixels).logits, atol=0.1)
    torch.testing.assert_close(
        net.module(net.preprocessing.normalise(pixels)), net("coffee").logits
    )
    assert "not yet what ``module`` takes" in str(type(net).read.__doc__)


def test_arrays_of_the_nets_size_are_taken_as_they_are(net):
    side = net.input_size
    values = np.random.default_rng(1).random((2, side, side, 3), dtype=np.float32)
    assert torch.equal(net.read(values), torch.from_numpy(values.transpose(0, 3, 1, 2).copy()))
    larger = values.repeat(2, axis=1).repeat(2, axis=2)
    assert net.read(larger).shape == (2, 3, side, side)


def test_it_prints_as_a_table_of_names_and_shares():
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    told = Classification(logits, ("cat", "<dog>", "cow"), ("a.jpg", "b&c.jpg"))
    first = np.exp([0.0, 2.0, 1.0]) / np.exp([0.0, 2.0, 1.0]).sum()
    lines = str(told).splitlines()
    assert lines[0] == "a.jpg"
    assert lines[1].split() == ["<dog>", f"{first[1] * 100:.1f}", "%"]
    assert lines[2].split()[0] == "cow"
    assert lines[4] == "b&c.jpg"
    assert told.names == ["<dog>", "cat"]
    assert [one.photos for one in told] == [("a.jpg",), ("b&c.jpg",)]
    assert told[-1].names == ["cat"]
    assert told.top(1)[0][0][1] == pytest.approx(first[1])
    html = told._repr_html_()
    assert "&lt;dog&gt;" in html
    assert "b&amp;c.jpg" in html
    assert "<dog>" not in html


def test_what_is_no_photo_is_refused(net):
    with pytest.raises(ImageError, match="did you mean 'coffee'"):
        net("cofee")
    with pytest.raises(ImageError, match="no file"):
        net(["coffee", Path("nowhere.jpg")])
    with pytest.raises(ImageError, match=r"denormalise.*vizcnn.Deconvnet\(model.module\)"):
        net(net.preprocessing.normalise(net.read("coffee")).expand(-1, 3, -1, -1))
    with pytest.raises(ImageError, match=r"got int \(7\); needed: .* an array or a tensor"):
        net(7)
    with pytest.raises(ImageError, match=r"PIL\.Image\.open makes one of an open file"):
        net(BytesIO(b"a photo"))


def test_logits_that_are_not_finite_are_refused():
    model = tiny_model()
    model.module.get_parameter("1.bias").data[0] = torch.inf
    with pytest.raises(ModelError, match="not finite"):
        model(torch.zeros(1, 3, 8, 8))


def test_a_net_is_told_in_a_line_and_in_html():
    from dataclasses import replace

    model = replace(tiny_model(), title="<b>Tiny</b>", classes=("a&b", "c", "d", "e", "f", "g"))
    assert repr(model).count("\n") == 0
    assert "random weights" in repr(model)
    html = model._repr_html_()
    assert "&lt;b&gt;Tiny" in html
    assert "6: a&amp;b, c, d, e, f, …" in html
    assert "<b>" not in html
