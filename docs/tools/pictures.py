"""The manual's pictures, made by the commands that its pages show.

``python -m docs.tools.pictures [NAME]...`` makes all of them, or those that are named. They are
committed, so that building the manual takes no minutes of computing.
"""

import io
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.support.browser import open_browser

FOLDER = Path(__file__).parents[1] / "pictures"
WIDTH = 1400
"""Widest picture in pixels: as wide as a page at two pixels to the point."""
NARROW = {"deconv": 1300, "own-part": 900}
"""Widest for some, so that their files are small."""

PICTURES = {
    "deconv": ("vizcnn deconv", "photo-001/summary.png"),
    "own-part": ("vizcnn deconv coffee --layer conv5", "photo-001/conv5/control.png"),
    "method-deconvnet": (
        "vizcnn deconv chelsea --layer conv4 --top 6",
        "photo-001/conv4/strip.png",
    ),
    "method-guided": (
        "vizcnn deconv chelsea --layer conv4 --top 6 --method guided",
        "photo-001/conv4/strip.png",
    ),
    "method-gradient": (
        "vizcnn deconv chelsea --layer conv4 --top 6 --method gradient",
        "photo-001/conv4/strip.png",
    ),
    "gallery": ("vizcnn gallery --layer conv3 --poster", "posters/conv3.png"),
    "gallery-range": (
        "vizcnn gallery --layer conv3 --unit 8 --range",
        "conv3/unit-0008-range.webp",
    ),
    "compare": ("vizcnn compare", "methods.png"),
    "occlude": ("vizcnn occlude coffee motorcycle chelsea", "occlusion.png"),
    "evolve": ("vizcnn evolve", "conv2.png"),
    "check-sameness": ("vizcnn check", "sameness.png"),
    "check-cascade": ("vizcnn check", "cascade.png"),
    "check-agreement": ("vizcnn check", "agreement.png"),
    "filters": ("vizcnn filters --model alexnet --model zfnet", "filters.png"),
    "filters-numbers": ("vizcnn filters --model alexnet --model zfnet", "numbers.png"),
    "aliasing": ("vizcnn aliasing", "second-layer.png"),
    "aliasing-sweep": ("vizcnn aliasing", "sweep.png"),
    "aliasing-layers": ("vizcnn aliasing --all-layers --model zfnet", "net-01.png"),
    "receptive": ("vizcnn receptive", "fields.png"),
    "correspond": ("vizcnn correspond", "hidden.png"),
    "correspond-scores": ("vizcnn correspond", "scores.png"),
    "invariance": ("vizcnn invariance", "distances.png"),
    "invariance-layers": ("vizcnn invariance --layer conv1..conv5,fc7", "layers.png"),
    "receptive-effective": ("vizcnn receptive --effective", "maps.png"),
    "ablate": ("vizcnn ablate digits --model lenet --epochs 8", "errors.png"),
    "ablate-units": ("vizcnn ablate --layer fc7", "classes.png"),
    "lecture": ("vizcnn lecture --only zfnet-architecture", "figures/zfnet-architecture.png"),
    "attached": ("vizcnn lecture --only zfnet-attached", "figures/zfnet-attached.png"),
    "train": ("vizcnn filters --model lenet", "filters.png"),
    "quiz": ("vizcnn quiz", "index.html"),
    "cluster": (
        "python benchmarks/cluster.py --forward-rate 40425 --decode-rate 240 --readers 16",
        "cluster.png",
    ),
}
"""By name: the command without its --out, and the file of its folder that is shown; of a quiz, the
first question that has projections."""


def photograph_question(page: Path) -> Image.Image:
    """Give what a quiz's first question with projections looks like in a browser."""
    with tempfile.TemporaryDirectory() as profile, open_browser(Path(profile)) as browser:
        browser.resize(1100, 700)
        browser.visit(f"{page.absolute().as_uri()}#player=1")
        browser.click("#start")
        while "with projections" not in browser.run(
            "return document.querySelector('#told').textContent"
        ):
            browser.press("left")
        return Image.open(io.BytesIO(browser.take_picture()))


def make_picture(command: str, file: str, target: Path, cache: Path) -> None:
    """Run a command, unless its folder is there already, and keep one of its pictures as WebP."""
    program, *words = shlex.split(command)
    out = cache / "-".join(words).replace("/", "-")
    if not out.exists():
        module = ["-m", "vizcnn"] if program == "vizcnn" else []  # else it is a script
        subprocess.run([sys.executable, *module, *words, "--out", str(out)], check=True)
    with (
        photograph_question(out / file)
        if file.endswith("html")
        else Image.open(out / file) as opened
    ):
        image = Image.new("RGB", opened.size, "white")
        image.paste(opened, mask=opened.getchannel("A") if opened.mode == "RGBA" else None)
    width = NARROW.get(target.stem, WIDTH)
    image.thumbnail((width, 4 * width), Image.Resampling.LANCZOS)
    image.save(target, quality=80, method=6)


def main() -> None:
    """Make the pictures that are named on the command line, or all."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as cache:
        for name in sys.argv[1:] or PICTURES:
            make_picture(*PICTURES[name], FOLDER / f"{name}.webp", Path(cache))


if __name__ == "__main__":
    main()
