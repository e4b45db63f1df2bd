"""An index says how precisely it was computed, and goes with none that was computed otherwise."""

import json
from dataclasses import replace

import pytest
import torch

from tests.support.mining_runs import make_photos
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError, ModelError
from vizcnn.mining.identity import describe_identity, list_differences
from vizcnn.mining.index import read_index, write_index
from vizcnn.mining.photo_sets import PartOfPhotos
from vizcnn.mining.ranking import merge_indexes
from vizcnn.mining.run import MiningRun, MiningSettings, mine
from vizcnn.recording.arithmetic import find_precision, use_precision

SETTINGS = MiningSettings(layers=("conv1", "fc6"), top=3, workers=0)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    file = tmp_path_factory.mktemp("exact") / "index"
    return mine(make_model(), PartOfPhotos(make_photos(6), 1, 2), file, SETTINGS)


def to_fast(index):
    """What a GPU would have computed so: the numbers do not matter here."""
    return replace(index, identity=replace(index.identity, precision="fast"))


def read_record(file):
    content = file.read_bytes()
    start = content.index(b'{"done"')
    return json.JSONDecoder().raw_decode(content[start:].decode("latin-1"))[0]


def test_an_exact_index_is_as_before_there_was_a_choice(tmp_path, index):
    """No field says it, so that the bytes are the same; and without it an index is exact."""
    write_index(index, tmp_path / "exact")
    assert "precision" not in read_record(tmp_path / "exact")["identity"]
    assert read_index(tmp_path / "exact").identity.precision == "exact"


def test_a_fast_index_says_so(tmp_path, index):
    write_index(to_fast(index), tmp_path / "fast")
    assert read_record(tmp_path / "fast")["identity"]["precision"] == "fast"
    assert read_index(tmp_path / "fast").identity == to_fast(index).identity


def test_other_words_are_refused(tmp_path, index):
    write_index(to_fast(index), tmp_path / "fast")
    write_index(replace(index, identity=replace(index.identity, precision="warp")), tmp_path / "x")
    with pytest.raises(DataError, match=r"damaged .*precision"):
        read_index(tmp_path / "x")


@pytest.mark.parametrize("fast_first", [False, True])
def test_indexes_of_two_precisions_do_not_merge(tmp_path, index, fast_first):
    file = tmp_path / "other"
    other = to_fast(mine(make_model(), PartOfPhotos(make_photos(6), 2, 2), file, SETTINGS))
    pair = [other, index] if fast_first else [index, other]
    words = "'exact', not 'fast'" if fast_first else "'fast', not 'exact'"
    with pytest.raises(DataError, match=rf"b cannot be merged with a \(precision: {words}\)"):
        merge_indexes(pair, ["a", "b"])
    assert merge_indexes([to_fast(index), other]).identity.precision == "fast"


def test_a_run_does_not_go_on_with_an_index_of_another_precision(tmp_path, index):
    file = tmp_path / "index"
    write_index(to_fast(index), file)
    before = file.read_bytes()
    with pytest.raises(DataError, match=r"another run \(precision: 'fast', not 'exact'\)"):
        mine(make_model(), PartOfPhotos(make_photos(6), 1, 2), file, SETTINGS)
    assert file.read_bytes() == before


def test_fast_is_refused_on_a_cpu(tmp_path):
    with pytest.raises(ModelError, match="which cpu does not have"):
        mine(make_model(), make_photos(2), tmp_path / "index", replace(SETTINGS, precision="fast"))
    with use_precision("fast"), pytest.raises(ModelError, match="which cpu does not have"):
        mine(make_model(), make_photos(2), tmp_path / "index", SETTINGS)
    assert list(tmp_path.iterdir()) == []
    with use_precision("fast"):
        settings = replace(SETTINGS, precision="exact")
        assert mine(make_model(), make_photos(2), tmp_path / "index", settings).complete


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_a_run_computes_as_it_says(tmp_path, precision):
    """It is told after it is made: on a CPU it could not be made."""
    model, seen = make_model(), []
    run = MiningRun(model, make_photos(2), tmp_path / "index", SETTINGS)
    run.precision = precision
    model.module.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    run.run()
    assert seen and set(seen) == {precision == "fast"}
    assert find_precision() == "exact"


def test_the_choice_is_part_of_the_identity():
    model = make_model()
    exact = describe_identity(model, ("conv1",), 9, 1)
    with use_precision("fast"):
        chosen = describe_identity(model, ("conv1",), 9, 1)
        assert describe_identity(model, ("conv1",), 9, 1, "exact") == exact
    assert chosen == describe_identity(model, ("conv1",), 9, 1, "fast")
    assert list_differences(exact, chosen) == ["precision: 'exact', not 'fast'"]
