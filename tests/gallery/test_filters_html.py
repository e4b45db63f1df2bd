"""The page of filters: its figures, tables and notes, and that nothing in it is taken as HTML."""

from dataclasses import replace

import pytest

from tests.gallery.test_site import NASTY, check_links, write
from tests.support.galleries import change_results, make_filters


def list_values(page, kind):
    return [row.get("data-value") for row in page.find_all("td") if row.get("class") == kind]


def test_page_shows_the_figures_and_every_filter(tmp_path):
    page = write(make_filters(tmp_path, count=5), tmp_path)["index.html"]
    assert page.find_all("img")[0]["src"] == "filters.png"
    assert "numbers.pdf" in page.links  # linked, as no browser shows it
    assert "numbers.pdf" not in [image["src"] for image in page.find_all("img")]
    images = [image for image in page.find_all("img") if image["src"].startswith("zfnet-")]
    assert [image["alt"] for image in images] == [
        f"Filter {index} of ZFNet, the first layer" for index in range(5)
    ]
    for text in ("sorted by energy", "each by its largest value", "0.113 cycles/px", "a note"):
        assert text in page.text
    check_links({"index.html": page}, tmp_path)


def test_shares_are_drawn_as_bars_that_hold_their_values(tmp_path):
    page = write(make_filters(tmp_path, count=5), tmp_path)["index.html"]
    values = list_values(page, "barred")
    net, filters = values[:3], values[3:]
    assert net == ["0.5", "0.3", "0.2"]
    assert filters[::4] == ["0.0", "0.6", "0.2", "0.8", "0.4"]  # low, mid, high, colour


def test_what_a_filter_has_not_is_an_empty_value(tmp_path):
    page = write(make_filters(tmp_path, count=2), tmp_path)["index.html"]
    empty = [row for row in page.find_all("td") if row.get("data-value") == ""]
    assert len(empty) == 2  # the bandwidth of filter 0, the orientation of filter 1


def test_several_nets_have_a_table_each_and_one_together(tmp_path):
    page = write(make_filters(tmp_path, several=True), tmp_path)["index.html"]
    tables = [table["class"] for table in page.find_all("table")]
    assert tables == ["numbers", "sortable numbers", "sortable numbers", "facts"]
    for text in ("ZFNet: filter by filter", "AlexNet conv2: filter by filter", "2 groups"):
        assert text in page.text
    assert page.text.count("bundled weights: birds") == 2
    # deeper layers by channel, the first by colour
    assert page.text.count("Strongest channel") == 1
    assert "cycles per place of the map below" in page.text
    check_links({"index.html": page}, tmp_path)


def test_clipped_filters_are_counted_where_clipping_was_asked_for(tmp_path):
    manifest = make_filters(tmp_path)
    assert "Clipped" not in write(manifest, tmp_path)["index.html"].text
    clipped = change_results(manifest, nets=(replace(manifest.results.nets[0], clipped=0),))
    assert "Clipped" in write(clipped, tmp_path)["index.html"].text


def name_everything(manifest, name):
    """Put a text wherever the page shows one."""
    nets = tuple(
        replace(
            net,
            **dict.fromkeys(("model", "title"), name),
            weights=replace(net.weights, note=name, data=name),
        )
        for net in manifest.nets
    )
    results = replace(
        manifest.results,
        scaling=name,
        notes=(name,),
        nets=tuple(
            replace(net, **dict.fromkeys(("layer", "path", "unit", "shown"), name))
            for net in manifest.results.nets
        ),
    )
    figures = tuple(replace(f, title=name, text=name, note=name) for f in manifest.figures)
    return replace(
        manifest,
        **dict.fromkeys(("title", "command"), name),
        nets=nets,
        figures=figures,
        settings={name: name},
        results=results,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NASTY)
def test_everything_is_escaped(tmp_path, name):
    manifest = make_filters(tmp_path, several=True)
    usual = write(name_everything(manifest, "word"), tmp_path)["index.html"]
    page = write(name_everything(manifest, name), tmp_path)["index.html"]
    assert page.text.count(name) == usual.text.count("word") > 20
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in usual.elements]
    assert [list(values) for _, values in page.elements] == [
        list(values) for _, values in usual.elements
    ]
