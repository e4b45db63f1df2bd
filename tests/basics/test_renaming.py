"""Public names that were renamed go on working and say what they are called now."""

import pytest

import vizcnn
from vizcnn.basics.renaming import RENAMED, follow_renaming


def test_a_former_name_works_and_names_the_present_one(monkeypatch):
    monkeypatch.setitem(RENAMED, "load_model", "load")
    with pytest.warns(DeprecationWarning) as told:
        assert vizcnn.load_model is vizcnn.load
    assert str(told[0].message) == "vizcnn.load_model is now called vizcnn.load"
    assert told[0].filename == __file__


def test_every_former_name_leads_to_a_public_one():
    assert set(RENAMED).isdisjoint(vizcnn.__all__)
    assert set(RENAMED.values()) <= set(vizcnn.__all__)


@pytest.mark.filterwarnings("error")
def test_present_and_unknown_names_are_given_as_they_are():
    assert follow_renaming("load") == "load"
    assert vizcnn.load.__name__ == "load"
    with pytest.raises(AttributeError, match="module 'vizcnn' has no attribute 'lode'"):
        _ = vizcnn.lode
