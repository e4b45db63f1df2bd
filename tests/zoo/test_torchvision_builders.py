"""Every classifier of torchvision's: by its own settings, the catalogue's nets as the catalogue."""

import pytest
import torch

import vizcnn
from vizcnn.basics.errors import ModelError, WeightsError
from vizcnn.zoo.specs import find_net, parse_spec
from vizcnn.zoo.torchvision_nets import TORCHVISION_NETS, import_torchvision

pytestmark = pytest.mark.slow
MODELS = import_torchvision().models
BUILDERS = MODELS.list_models(module=MODELS)


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("VIZCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.mark.parametrize("name", BUILDERS)
def test_every_builder_has_its_weights_and_their_own_preprocessing(name: str) -> None:
    entry = find_net(f"torchvision:{name}")
    own = next(
        (e for n, e in TORCHVISION_NETS.items() if n.removeprefix("torchvision-") == name), 0
    )
    sources = [source for source in entry.weights() if source.origin.source == "torchvision"]
    members = MODELS.get_model_weights(name)
    named = {member.name: member for member in members}
    if own:
        assert entry is own
        return
    assert sources[0].label == members.DEFAULT.name
    assert {source.label for source in sources} == named.keys()
    for source in sources:
        told = named[source.label].transforms()
        found = entry.variants[source.variant].preprocessing
        assert found is not None
        assert (found["input_size"], found["resize"]) == (told.crop_size[0], told.resize_size[0])
        assert (list(found["mean"]), list(found["std"])) == (list(told.mean), list(told.std))


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "mnasnet0_5"])
def test_a_net_outside_the_catalogue_is_what_torchvision_builds(name: str, tmp_path) -> None:
    with pytest.raises(WeightsError, match=f"vizcnn weights fetch torchvision:{name}"):
        vizcnn.load(f"torchvision:{name}")
    torch.manual_seed(2)
    net = MODELS.get_model(name, weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "mine.pth")
    model = vizcnn.load(f"TORCHVISION:{name}".lower(), tmp_path / "mine.pth")
    pixels = torch.rand(1, 3, 64, 64)
    normalise = MODELS.get_model_weights(name).DEFAULT.transforms()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (normalise.mean, normalise.std))
    torch.testing.assert_close(model.logits(pixels), net((pixels - mean) / std).detach())
    assert "tench" in model.classes


def test_a_label_chooses_the_weights_and_wrong_ones_are_told() -> None:
    entry = find_net("torchvision:resnet50:imagenet1k_v1")
    (source,) = entry.weights()
    assert source.label == "IMAGENET1K_V1"
    with pytest.raises(WeightsError, match="fetch torchvision:resnet50:imagenet1k_v1"):
        vizcnn.load("torchvision:resnet50:imagenet1k_v1")
    with pytest.raises(ModelError, match="has no weights 'V3'"):
        find_net("torchvision:resnet50:V3")


def test_a_transformer_is_built_for_the_size_of_its_weights() -> None:
    entry = find_net("torchvision:vit_b_16")
    (large,) = [form for form in entry.variants.values() if form.input_size == 384]
    assert large.options == {"input_size": 384}
    assert parse_spec("torchvision:vit_b_16:IMAGENET1K_SWAG_E2E_V1") is not None
    (source,) = find_net("torchvision:vit_b_16:IMAGENET1K_SWAG_E2E_V1").weights()
    assert entry.variants[source.variant] is not None
    assert entry.find_variant(source.variant).input_size == 384


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnext50_32x4q", "did you mean 'resnext50_32x4d'"),
        ("fcn_resnet50", "puts out no class scores of single images"),
        ("fasterrcnn_resnet50_fpn", "puts out no class scores of single images"),
        ("quantized_resnet18", "puts out no class scores of single images"),
    ],
)
def test_what_is_no_classifier_is_refused_by_name(name: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        vizcnn.load(f"torchvision:{name}", weights=None)
