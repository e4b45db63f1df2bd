"""Tables as Markdown, LaTeX and CSV; figures dark and for a paper; the papers' data file."""

import csv
import io
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from matplotlib.text import Text

from vizcnn.basics.errors import VizcnnError
from vizcnn.drawing.saving import save_figure
from vizcnn.drawing.sheet import SMALL
from vizcnn.drawing.style import DARK, PAPER, use_style
from vizcnn.drawing.table_figure import SMALLEST, draw_table
from vizcnn.drawing.tables import Table, escape_latex, write_table
from vizcnn.lecture.architecture import draw_architecture, list_boxes
from vizcnn.lecture.claim_tables import make_claims_table
from vizcnn.lecture.claims import list_claims
from vizcnn.lecture.net_tables import make_googlenet_table, make_layer_table, make_memory_table
from vizcnn.lecture.nets import NETS
from vizcnn.lecture.run import choose_exhibits
from vizcnn.lecture.sizes import (
    ALEXNET_INPUT,
    ALEXNET_POOLS,
    SizeQuestion,
    draw_sizes,
    find_size,
    run_size,
)
from vizcnn.lecture.studio import Studio
from vizcnn.measures.published import read_published
from vizcnn.photos.samples import find_sample
from vizcnn.zoo import load

TABLE = Table(
    "50 % of a_b & c|d",
    ("layer_1", "count", "share"),
    (("3×3 | conv", 34944, 0.5), ("a\nb", None, 12.0), ("sum", 1, None)),
    totals=1,
    notes=("A #note.",),
)


def test_markdown_has_as_many_cells_in_every_row():
    lines = write_table(TABLE, "md").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert rows[1] == "|---|---:|---:|"
    assert "| a b |  | 12.0 |" in rows
    assert lines[-1] == "A #note."


def test_a_spreadsheet_computes_no_text():
    texts = ("=1+1", "+1+cmd|' /C x'!A0", "-1-1", "@SUM(A1)", "\t=1", "\r=1", "-x")
    plain = ("-1", "+2.5 %", "1,000", "a=b", "3-1", "")
    table = Table("Texts", ("text",), tuple((text,) for text in (*texts, *plain)))
    rows = [cell for (cell,) in csv.reader(io.StringIO(write_table(table, "csv"), newline=""))]
    shown = [text.replace("\r", "\n") for text in texts]
    assert rows == ["text", *(f"'{text}" for text in shown), *plain]


def test_csv_is_read_back():
    rows = list(csv.reader(io.StringIO(write_table(TABLE, "csv"))))
    assert rows[0] == list(TABLE.columns)
    assert rows[1] == ["3×3 | conv", "34944", "0.5"]
    assert rows[2] == ["a\nb", "", "12.0"]


def test_latex_escapes_everything():
    text = write_table(TABLE, "tex")
    assert r"50 \% of a\_b \& c|d" in text
    assert text.count(r"\\") == 4
    assert text.index(r"\midrule", text.index("34,944")) < text.index("sum")
    assert escape_latex("\\ ~ ^ {}") == (
        r"\textbackslash{} \textasciitilde{} \textasciicircum{} \{\}"
    )


def list_tables():
    claims = make_claims_table(list_claims(), "Claims")
    nets = [make_layer_table(name) for name in NETS]
    return [claims, make_memory_table("vgg-d"), make_googlenet_table(), *nets]


def test_latex_knows_every_letter_of_the_lectures_tables():
    for table in list_tables():
        text = write_table(table, "tex")
        assert text.isascii(), (table.title, sorted(set(re.findall(r"[^\x00-\x7f]", text))))
        assert not re.search(r"[^$]<|[^${]>[^{]", text.split(r"\endhead")[-1]), table.title


def test_latex_of_long_tables_runs_over_pages_and_breaks_lines():
    text = write_table(make_claims_table(list_claims(), "Claims"), "tex")
    assert text.startswith(r"% needs \usepackage{booktabs,longtable,array,pdflscape}")
    (places,) = re.findall(r"\\begin\{longtable\}(.+)", text)
    shares = [float(share) for share in re.findall(r"p\{([\d.]+)\\linewidth\}", places)]
    assert 0.5 < sum(shares) < 1
    short = write_table(Table("x", ("a",), (("[1]",),)), "tex")
    assert "longtable" not in short
    assert "{[}1] " in short  # else the optional argument of the line break before


def test_markdown_escapes_what_it_would_read_as_its_own():
    text = write_table(Table("x", ("a",), (("28*28*1*1 <b> `c` |",),)), "md")
    assert r"| 28\*28\*1\*1 \<b> \`c\` \| |" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs LaTeX")
def test_latex_compiles(tmp_path):
    head = "\\documentclass{article}\\usepackage{booktabs,longtable,array,pdflscape}"
    tables = "\n".join(write_table(table, "tex") for table in (TABLE, *list_tables()))
    body = f"{head}\\begin{{document}}\n{tables}\\end{{document}}"
    (tmp_path / "t.tex").write_text(body, "utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode()[-500:]


def test_tables_of_ragged_rows_or_unknown_kinds_are_refused():
    with pytest.raises(VizcnnError, match="a row of 1 cells in the table 'x': needed are 2"):
        Table("x", ("a", "b"), (("1",),))
    with pytest.raises(VizcnnError, match="no table format 'html'"):
        write_table(TABLE, "html")


def measure_letters(figure):
    return [float(text.get_fontsize()) for text in figure.texts if text.get_text().strip()]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_architectures_stay_within_the_slide(name):
    figure = draw_architecture(name, "caption")
    canvas = figure.axes[0]
    figure.canvas.draw()
    for text in canvas.texts:
        assert text.get_fontsize() >= SMALL
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
    # what is drawn are the net's sizes
    written = " ".join(text.get_text() for text in canvas.texts)
    boxes = list_boxes(name)
    lanes = max(box.groups for box in boxes)
    assert all(str(box.shape[0] // (lanes, 1)[box.kind == "image"]) in written for box in boxes)


def test_table_figures_have_letters_to_be_read():
    table = Table("T", ("a", "b"), tuple((f"row {k}", k) for k in range(24)))
    assert min(measure_letters(draw_table(table, "caption"))) >= SMALLEST
    few = Table("T", ("a", "b"), (("row", 1),))
    assert max(measure_letters(draw_table(few, "caption"))) >= 16


@pytest.mark.slow
def test_a_dark_figure_has_light_ink_on_dark_ground():
    light = draw_sizes(ALEXNET_POOLS, "Sizes", "caption")
    with use_style(DARK):
        dark = draw_sizes(ALEXNET_POOLS, "Sizes", "caption")
    assert max(dark.get_facecolor()[:3]) < 0.2
    assert all(min(to_rgba(text.get_color())[:3]) > 0.5 for text in dark.findobj(Text))
    coloured = [
        [p.get_facecolor() for p in figure.axes[0].patches if len(set(p.get_facecolor())) > 2]
        for figure in (light, dark)
    ]
    assert coloured[0] == coloured[1] != []


def test_a_paper_figure_is_smaller_in_everything():
    figure = draw_sizes(ALEXNET_INPUT, "Sizes", "caption")
    with use_style(PAPER):
        small = draw_sizes(ALEXNET_INPUT, "Sizes", "caption")
    letters, size = measure_letters(figure), figure.get_size_inches()
    factor = PAPER.scale * PAPER.narrow
    assert measure_letters(small) == pytest.approx([factor * letter for letter in letters])
    assert small.get_size_inches() == pytest.approx(size * PAPER.scale)
    for name in ("lines", "patches"):
        artists = [getattr(drawn.axes[0], name) for drawn in (figure, small)]
        widths = [[artist.get_linewidth() for artist in found] for found in artists]
        assert widths[1] == pytest.approx([PAPER.scale * width for width in widths[0]])


def test_heads_stand_aside_and_shortcuts_are_counted():
    heads = [box.name for box in list_boxes("googlenet-training") if box.is_aside]
    assert heads == ["aux1", "aux2"]
    for net, counts in (("resnet-18", {0: 5, 1: 8}), ("resnet-101", {0: 5, 3: 2, 4: 1, 23: 1})):
        found = [box.shortcuts for box in list_boxes(net)]
        assert {count: found.count(count) for count in found} == counts
    assert not any(box.shortcuts for box in list_boxes("googlenet"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_figures_have_the_same_bytes_every_time(tmp_path, kind):
    for name in ("a", "b"):
        save_figure(draw_architecture("lenet", "caption"), tmp_path / f"{name}.{kind}")
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


@given(st.integers(5, 230), st.integers(1, 5), st.integers(1, 4), st.integers(0, 1))
def test_sizes_by_formula_are_those_of_torch(inputs, filter, stride, padding):
    for pools in (False, True):
        if pools and 2 * padding > filter:
            continue
        question = SizeQuestion(inputs, filter, stride, padding, pools)
        assert run_size(question) == find_size(inputs, filter, stride, padding)
        assert question.fits == (question.exact == run_size(question))


def test_every_published_figure_has_a_source():
    told = read_published()
    assert all(item.source in told.sources for item in told.figures.values())
    for table in told.tables.values():
        assert table.source in told.sources
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert told.cite(table)
    rates = [told.figure(str(row[3])).value for row in told.table("errors-by-year").rows]
    assert rates == [28.2, 25.8, 16.4, 11.7, 7.3, 6.67, 3.57]
    assert [told.figure(f"alexnet-{nets}").value for nets in (1, 5, 7)] == [18.2, 16.4, 15.4]
    with pytest.raises(VizcnnError, match="no published figure 'alexnet-2'"):
        told.figure("alexnet-2")
    with pytest.raises(VizcnnError, match="no published table 'vgg'"):
        told.table("vgg")


def make_exhibit(name):
    (chosen,) = choose_exhibits([name])
    return chosen.make(Studio(find_sample("motorcycle")))


PAPERS_TABLE = (  # LeCun et al. 1998, Table I: the maps of S2 that each map of C3 sees
    *("012", "123", "234", "345", "450", "501"),
    *("0123", "1234", "2345", "3450", "4501", "5012", "0134", "1245", "0235", "012345"),
)


def test_lenets_second_layer_is_said_to_be_denser_than_the_papers():
    pairs = sum(map(len, PAPERS_TABLE))
    conv2 = load("lenet", weights=None, variant="classic").module.features.conv2
    assert conv2.weight.shape[:2] == (16, 6)
    ours, papers = conv2.weight.numel() + 16, pairs * 25 + 16
    for name in ("lenet-architecture", "lenet-layers"):
        caption = make_exhibit(name).caption
        assert f"96 pairs, {ours:,} parameters" in caption
        assert f"connects {pairs} of them, {papers:,} parameters" in caption


def test_zfnets_slides_tell_their_maps_from_those_of_the_papers_figure():
    wide, paper = (
        [
            load("zfnet", weights=None, variant=variant)
            .module.get_submodule(f"features.{layer}")
            .out_channels
            for layer in ("conv3", "conv4", "conv5")
        ]
        for variant in ("wide", "paper")
    )
    for name in ("zfnet-architecture", "zfnet-layers", "zfnet-differences"):
        caption = make_exhibit(name).caption
        assert f"section 5.1, as in the lecture: {', '.join(map(str, wide))} maps" in caption
        assert f"Figure 3 has AlexNet’s {', '.join(map(str, paper))}." in caption


def test_lenets_table_has_no_dropout_and_alexnets_has_two():
    kinds = {
        name: [row[1] for row in make_layer_table(name).rows].count("dropout")
        for name in ("lenet", "alexnet")
    }
    assert kinds == {"lenet": 0, "alexnet": 2}


def test_a_year_is_no_number_of_things():
    table = make_exhibit("depth").table
    years = [row[0] for row in table.rows]
    assert years == ["2010", "2011", "2012", "2013", "2014", "2014", "2015"]
    text = write_table(table, "md")
    assert "2,0" not in text and "| 2012 | AlexNet | 8 |" in text
