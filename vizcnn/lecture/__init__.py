"""A lecture on CNN architectures: its figures, tables and claims, computed from the nets.

In: the nets, traced, and one photo. Out: figures, tables, verdicts and a page around them.
Add an exhibit where its section is made, a claim as a row of data.

In: the zoo's nets and a photo. Out: figures in every theme, tables, claims with their verdicts, and
a page. Add an exhibit as a function with ``@exhibit``, a claim as a row of ``claims.csv``. The
names that notebooks and programs use are here; see the modules for all others.

Example:
    >>> from vizcnn.lecture import trace_net
    >>> trace_net("alexnet")[0].outputs
    (96, 55, 55)
"""

from vizcnn.drawing.tables import Table, write_table
from vizcnn.lecture.architecture import draw_architecture
from vizcnn.lecture.claims import list_claims, say_verdicts
from vizcnn.lecture.comparison import compare_nets
from vizcnn.lecture.net_tables import (
    make_googlenet_table,
    make_layer_table,
    make_memory_table,
    make_slide_table,
)
from vizcnn.lecture.nets import NETS, build_net, count_layers, count_parameters, trace_net
from vizcnn.lecture.paper_items import find_items
from vizcnn.lecture.patterns import derive_pattern
from vizcnn.lecture.run import LectureSettings, choose_exhibits, make_lecture
from vizcnn.lecture.sizes import SizeQuestion, find_size, run_size
from vizcnn.lecture.stacks import draw_stacks, make_stack_table
from vizcnn.lecture.studio import Studio
from vizcnn.lecture.zeiler_fergus import PaperSettings, make_zeiler_fergus_gallery
from vizcnn.measures.published import read_published
from vizcnn.recording.layer_rows import LayerRow, trace_layers

__all__ = [
    "NETS",
    "LayerRow",
    "LectureSettings",
    "PaperSettings",
    "SizeQuestion",
    "Studio",
    "Table",
    "build_net",
    "choose_exhibits",
    "compare_nets",
    "count_layers",
    "count_parameters",
    "derive_pattern",
    "draw_architecture",
    "draw_stacks",
    "find_items",
    "find_size",
    "list_claims",
    "make_googlenet_table",
    "make_layer_table",
    "make_lecture",
    "make_memory_table",
    "make_slide_table",
    "make_stack_table",
    "make_zeiler_fergus_gallery",
    "read_published",
    "run_size",
    "say_verdicts",
    "trace_layers",
    "trace_net",
    "write_table",
]

import vizcnn.drawing  # noqa: F401  before matplotlib: it tells of settings that stop that
