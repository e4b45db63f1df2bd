"""The list of nets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vizcnn.basics.errors import ModelError
from vizcnn.zoo.catalogue import MODEL_NAMES
from vizcnn.zoo.listing import list_models


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIZCNN_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def test_every_net_has_sources_with_licence_and_sum() -> None:
    rows = list_models()
    assert tuple(row.name for row in rows) == MODEL_NAMES
    for row in rows:
        assert row.sources or row.name == "vgg16-c"  # whose weights are not offered
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
