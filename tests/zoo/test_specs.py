"""What names a net: catalogue names and specs, told apart by their form alone."""

import pytest

from vizcnn.basics.errors import ModelError
from vizcnn.zoo.catalogue import MODEL_NAMES
from vizcnn.zoo.specs import check_net, find_net, parse_spec, slug_net

SPECS = {
    "torchvision:resnet18": ("torchvision", "resnet18", "", "torchvision-resnet18"),
    "torchvision:resnet50:IMAGENET1K_V2": (
        *("torchvision", "resnet50", "IMAGENET1K_V2"),
        "torchvision-resnet50-IMAGENET1K_V2",
    ),
    "timm:resnet18.a1_in1k": ("timm", "resnet18.a1_in1k", "", "timm-resnet18.a1_in1k"),
    "hub:timm/resnet18.a1_in1k": ("hub", "timm/resnet18.a1_in1k", "", "hub-resnet18.a1_in1k"),
    "hub:me/net@v1.0": ("hub", "me/net", "v1.0", "hub-net-v1.0"),
    "a b/net.py:make": ("code", "a b/net.py", "make", "net-make"),
    "package.module:Net": ("code", "package.module", "Net", "package.module-Net"),
    "here/net.pt2": ("exported", "here/net.pt2", "", "net"),
}


@pytest.mark.parametrize("text", SPECS)
def test_a_spec_says_by_its_form_what_it_is(text: str) -> None:
    spec = parse_spec(text)
    assert spec is not None
    assert (spec.kind, spec.source, spec.part, slug_net(text)) == SPECS[text]
    assert check_net(text) == text


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_names_of_the_catalogue_are_no_specs_and_case_makes_no_difference(name: str) -> None:
    assert parse_spec(name) is None
    assert check_net(name.upper()) == slug_net(name) == name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("zfnett", "no net 'zfnett': did you mean 'zfnet'"),
        ("ZFNETT", "did you mean 'zfnet'"),
        ("torchvision:", "needed: torchvision:NAME"),
        ("timm:", "needed: timm:NAME"),
        ("hub:alone", "needed: hub:OWNER/NAME"),
        ("hub:a/b/c", "needed: hub:OWNER/NAME"),
        ("net.py", "does not say what makes the net; needed: file.py:factory"),
        ("net.pth", "give the file as its weights (--weights)"),
        ("net.onnx", "give the file as its weights (--weights)"),
        ("net.py:make()", "names no net; needed: a name in the catalogue, or torchvision:"),
        ("http://host/net", "names no net"),
        ("net.pt2:x y", "names no net"),
    ],
)
def test_what_names_no_net_is_told_with_what_does(text: str, told: str) -> None:
    with pytest.raises(ModelError) as caught:
        check_net(text)
    assert told in str(caught.value)


def test_what_comes_with_its_weights_has_none_to_fetch() -> None:
    with pytest.raises(ModelError, match="comes with its weights"):
        find_net("net.py:make")
