"""What an ablation leaves out: the rows of nets, a user's own, and what the paper prints."""

import pytest

from vizcnn.basics.errors import DataError, ModelError
from vizcnn.measures.published import read_published
from vizcnn.training.ablations import (
    WHOLE,
    ablation_recipe,
    choose_rows,
    find_printed,
    list_rows,
    make_own,
)
from vizcnn.training.net import net_options, outline_net
from vizcnn.zoo.zfnet import PAPER_MAPS

TABLE_3 = {
    ("alexnet", "whole"): (40.5, 18.1),
    ("alexnet", "no-3-4"): (45.4, 22.1),
    ("alexnet", "no-7"): (40.0, 18.4),
    ("alexnet", "no-6-7"): (44.8, 22.4),
    ("alexnet", "no-3-4-6-7"): (71.3, 50.1),
    ("alexnet", "half-6-7"): (41.7, None),
    ("alexnet", "double-6-7"): (40.0, None),
    ("zfnet", "whole"): (38.4, 16.5),
    ("zfnet", "half-6-7"): (40.2, None),
    ("zfnet", "double-6-7"): (38.8, None),
    ("zfnet", "wide-3-5"): (37.5, 16.0),
    ("zfnet", "wide-3-5-double-6-7"): (38.3, None),
}
"""The paper's validation errors, written down a second time; None where they were not at hand."""


@pytest.mark.parametrize("model", ["zfnet", "alexnet", "alexnet-7x7", "lenet"])
def test_every_row_of_a_table_builds_and_only_what_it_says_differs(model):
    recipe = ablation_recipe(model)
    whole = net_options(recipe, 10)
    counts = {}
    for row in list_rows(recipe):
        changed = row.change(recipe, seed=3)
        options = net_options(changed, 10)
        counts[row.name] = sum(part.numel() for part in outline_net(changed, 10).parameters())
        assert {name for name in options if options[name] != whole.get(name)} <= {
            *("without", "widths")
        }
        assert changed.seed == 3
    assert len(set(counts.values())) == len(counts)  # no two rows are one net
    half, double = (next(name for name in counts if name.startswith(k)) for k in ("half", "double"))
    assert counts[half] < counts[WHOLE] < counts[double]


def test_zfnet_is_as_in_figure_3_and_its_wide_row_as_in_section_5():
    recipe = ablation_recipe("zfnet")
    assert net_options(recipe, 10)["maps"] == PAPER_MAPS
    wide = next(row for row in list_rows(recipe) if row.name == "wide-3-5")
    net = outline_net(wide.change(recipe, 0), 10)
    maps = [net.state_dict()[f"features.conv{k}.weight"].shape[0] for k in (3, 4, 5)]
    assert maps == [512, 1024, 512]
    assert ablation_recipe("zfnet", variant="wide").variant == "wide"


def test_widths_are_half_and_twice_those_of_the_recipe():
    rows = {row.name: row for row in list_rows(ablation_recipe("alexnet", hidden=100))}
    assert rows["half-6-7"].widths == "fc6=50,fc7=50"
    assert rows["double-6-7"].widths == "fc6=200,fc7=200"


@pytest.mark.parametrize("place", TABLE_3)
def test_printed_errors_are_the_papers(place):
    printed = find_printed(*place)
    assert printed is not None and printed.model == place[0]
    top1, top5 = TABLE_3[place]
    assert printed.top1 == top1 and top5 in (None, printed.top5)
    assert printed.change == pytest.approx(top1 - TABLE_3[place[0], "whole"][0])


def test_every_printed_row_is_a_row_here():
    names = {row.name for net in ("zfnet", "alexnet") for row in list_rows(ablation_recipe(net))}
    found = [find_printed(net, name) for net in ("zfnet", "alexnet") for name in names]
    own = {(row.model, row.train_top1, row.top1, row.top5) for row in found if row}
    printed = read_published().table("zfnet-ablation").rows
    assert len(own) == len(printed) == len(TABLE_3)
    assert sorted(row[1:] for row in own) == sorted(tuple(row[2:]) for row in printed)


def test_layers_taken_from_zfnet_have_the_papers_alexnet_beside_them():
    found = find_printed("zfnet", "no-6-7")
    assert found == find_printed("alexnet", "no-6-7") and found is not None
    assert found.model == "alexnet"
    assert find_printed("alexnet-7x7", "no-6-7") is None
    assert find_printed("zfnet", "no-conv5") is None


def test_rows_are_chosen_by_name_and_own_ones_stand_below():
    recipe = ablation_recipe("zfnet")
    own = make_own("conv5", "fc6=2048")
    assert (own.name, own.title) == ("no-conv5-fc6-2048", "without conv5; fc6: 2,048")
    names = [row.name for row in choose_rows(recipe, ["no-7", "whole", "no-7"], [own, own])]
    assert names == ["whole", "no-7", "no-conv5-fc6-2048"]
    assert [row.name for row in choose_rows(recipe, own=[own])] == ["whole", own.name]
    assert choose_rows(recipe) == list_rows(recipe)
    with pytest.raises(DataError, match="table of zfnet has no row 'no-8': did you mean"):
        choose_rows(recipe, ["no-8"])


def test_what_cannot_be_ablated_is_refused_by_name():
    with pytest.raises(ModelError, match=r"layers of vgg16-c cannot be left out.*lenet"):
        ablation_recipe("vgg16-c")
    with pytest.raises(ModelError, match="no net 'resnet50' to train"):
        ablation_recipe("resnet50")
    with pytest.raises(ModelError, match="changes no width"):
        make_own(" ", "")
    with pytest.raises(ModelError, match="'fc6=many' is no width"):
        make_own("", "fc6=many")
    recipe = ablation_recipe("lenet")
    with pytest.raises(ModelError, match="lenet: 'fc7' cannot be left out: conv2, conv3, fc4"):
        outline_net(make_own("fc7", "").change(recipe, 0), 10)
