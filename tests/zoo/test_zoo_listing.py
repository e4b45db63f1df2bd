"""The list of nets."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

import vizcnn
from vizcnn.basics.errors import ModelError, WeightsError
from vizcnn.zoo import registry
from vizcnn.zoo.catalogue import CATALOGUE, MODEL_NAMES, read_registrations
from vizcnn.zoo.listing import list_models
from vizcnn.zoo.torchvision_nets import TORCHVISION_NETS


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIZCNN_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def test_sources_have_licence_and_sum() -> None:
    rows = list_models()
    assert tuple(row.name for row in rows) == MODEL_NAMES
    for row in rows:
        assert row.sources or row.name not in TORCHVISION_NETS
        assert row.layers == {}
        for source in row.sources:
            assert source.licence
            assert len(source.sha256) in (8, 64)
            assert source.top1 is None or 0 < source.top1 <= (source.top5 or 1) <= 1
    json.dumps([row.to_dict() for row in rows])


def test_layers_only_when_asked() -> None:
    (row,) = list_models(layers=True, names=("zfnet",))
    assert row.layers["conv5"] == "features.relu5"
    assert row.paper.startswith("Zeiler & Fergus")
    with pytest.raises(ModelError, match="did you mean 'zfnet'"):
        list_models(names=("zfnets",))


def test_what_is_cached_is_told(empty_cache: Path) -> None:
    def source() -> tuple[bool, str]:
        (row,) = list_models(names=("caffenet",))
        return row.sources[0].cached, row.sources[0].location

    assert source() == (
        False,
        "https://github.com/onnx/models/raw/main/validated/vision/classification/caffenet/model/"
        "caffenet-12.onnx",
    )
    path = empty_cache / "caffenet-12.onnx"
    path.touch()
    assert source() == (True, str(path))


def test_the_names_need_no_torch() -> None:
    script = (
        "import sys; import vizcnn.zoo.catalogue; from vizcnn.zoo import MODEL_NAMES;"
        "assert 'zfnet' in MODEL_NAMES; assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# ---- registration ---------------------------------------------------------------------------


def test_what_is_read_off_the_sources_is_what_they_register() -> None:
    folder = Path(registry.__file__).parent
    told = read_registrations(folder)
    assert list(told) == list(MODEL_NAMES[: len(told)])
    for name, module in told.items():
        importlib.import_module(f"vizcnn.zoo.{module}")
        kind = registry.REGISTERED[name].make
        assert kind.__module__ == f"vizcnn.zoo.{module}"
    assert told.keys() == {
        name for name, entry in registry.REGISTERED.items() if entry.make.__module__.startswith("v")
    }


def test_titles_tell_nets_apart() -> None:
    titles = [CATALOGUE[name].title for name in CATALOGUE]
    assert len(set(titles)) == len(titles) == len(CATALOGUE)


def test_a_registered_net_is_in_the_catalogue() -> None:
    before = dict(registry.REGISTERED)

    @registry.net(
        "tiny",
        title="Tiny",
        paper="none",
        variants={"plain": registry.Variant("as it is", {"width": 4}, 16)},
        layers=lambda module: registry.name_stages("1"),
    )
    class Tiny(nn.Sequential):
        def __init__(self, *, width: int = 2, classes: int = 3) -> None:
            super().__init__(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten())
            self.append(nn.Linear(width * 14 * 14, classes))

    try:
        assert list(CATALOGUE)[-1] == "tiny"
        model = vizcnn.load("tiny", weights=None)
        assert (model.title, model.input_size, model.layers) == ("Tiny", 16, {"conv1": "1"})
        assert model.options == {"width": 4}
        (row,) = list_models(names=("tiny",), layers=True)
        assert (row.sources, row.layers) == ((), {"conv1": "1"})
        with pytest.raises(ModelError, match="tiny has no option 'widht': did you mean 'width'"):
            vizcnn.load("tiny", weights=None, widht=3)
        with pytest.raises(WeightsError, match="no weights of tiny are at hand: give a file"):
            vizcnn.load("tiny")
    finally:
        del registry.REGISTERED["tiny"]
    assert before == registry.REGISTERED


def test_a_new_file_is_found_by_itself(tmp_path: Path) -> None:
    text = (
        '"""A net."""\n\n\n@net("b", title="B")\n@net("a", order=2, title="A")\nclass C:\n    ...\n'
    )
    (tmp_path / "later.py").write_text(text)
    (tmp_path / "first.py").write_text('\n@net("c", order=1, title="C")\nclass C: ...\n')
    (tmp_path / "other.py").write_text("def net(): ...\n")
    assert read_registrations(tmp_path) == {"c": "first", "a": "later", "b": "later"}
