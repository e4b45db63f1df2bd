"""axe-core 4.14.1, as npm has it: finds what keeps people from reading or using a page.

``axe.min.js`` is Copyright (c) 2015 - 2026 Deque Systems, Inc., under the Mozilla Public License
2.0 (``LICENSE``); its source is at https://github.com/dequelabs/axe-core. It serves the tests only,
and is no part of the installed package.
"""

from pathlib import Path

from tests.support.window import Window

AXE = (Path(__file__).parent / "axe.min.js").read_text("utf-8")
RUN = """const done = arguments[0];
    // from disk no page may read its style sheets again, which is what a preload is for
    axe.run(document, {resultTypes: ['violations'], preload: false}).then(
        found => done(found.violations.flatMap(fault => fault.nodes.map(
            node => [fault.id, node.target.join(' '), node.failureSummary].join(' ')))),
        error => done(['axe ' + error]))"""


def find_faults(window: Window) -> list[str]:
    """Look at the page as it is now; gives a line for each part with a fault, however small."""
    if not window.run("return 'axe' in window"):
        window.run(AXE + "; window.axe = axe")
    return window.run_until_done(RUN)
