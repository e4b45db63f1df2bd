"""The package runs from a checkout with or without its links, archive, wheel, editable install."""

import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path
from shutil import copyfile

import pytest

ROOT = Path(__file__).parents[1]
SITE = sysconfig.get_paths()["purelib"]
BESIDE = ("cli", "gallery")
"""Folders beside vizcnn/ whose links in it serve mypy, import-linter and pytest's doctests."""

SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]


def list_sources() -> list[Path]:
    """List all files of the project, without the links, by the names they have in it."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = listed.stdout.split("\0")
    else:  # an unpacked source archive
        names = (ROOT / "vizcnn.egg-info" / "SOURCES.txt").read_text("utf-8").splitlines()
    paths = [Path(name) for name in names if name and "egg-info" not in name]
    return [path for path in paths if (ROOT / path).is_file() and not (ROOT / path).is_symlink()]


SOURCES = list_sources()


def name_package(path: Path) -> str:
    """Name the package that a file would be in, by its place in a checkout."""
    parts = path.parent.parts
    return ".".join(parts if parts[:1] == ("vizcnn",) else ("vizcnn", *parts))


def test_every_package_is_listed():
    inits = [path for path in SOURCES if path.name == "__init__.py"]
    packages = [path for path in inits if path.parts[0] in ("vizcnn", *BESIDE)]
    assert sorted(map(name_package, packages)) == sorted(SETUP["packages"])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """Copy the project as git gives it to a system without links."""
    folder = tmp_path_factory.mktemp("checkout")
    for path in SOURCES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        copyfile(ROOT / path, folder / path)
    return folder


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a distribution as pip does, without a network."""
    code = f"import setuptools.build_meta as b, sys; b.build_{kind}(sys.argv[1])"
    command = [sys.executable, "-c", code, str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def archive(checkout, tmp_path_factory) -> Path:
    """Build the source archive and unpack it."""
    folder = tmp_path_factory.mktemp("archive")
    with tarfile.open(build("sdist", checkout, folder)) as file:
        file.extractall(folder, filter="data")
    (unpacked,) = [path for path in folder.iterdir() if path.is_dir()]
    return unpacked


@pytest.fixture(scope="module")
def wheel(archive, tmp_path_factory) -> Path:
    """Build a wheel from the archive and install it into a folder."""
    file = build("wheel", archive, tmp_path_factory.mktemp("wheel"))
    target = tmp_path_factory.mktemp("target")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    options = ["--no-deps", "--no-index", "--target"]
    subprocess.run([*pip, *options, str(target), str(file)], check=True)
    return target


def run(arguments: list[str], before: str, folder: Path, paths: list[Path]) -> str:
    """Run vizcnn's command line; without site-packages' own vizcnn, which -S and a path spare."""
    code = f"""
import runpy, site
{before}
from vizcnn.cli import start
from vizcnn.gallery import site as pages
print(start.__file__, pages.__file__, sep="\\n")
runpy.run_module("vizcnn", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, *arguments],
        cwd=folder,
        env={"PYTHONPATH": ":".join([*map(str, paths), SITE]), "PATH": "", "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def check(tmp_path: Path, home: Path, paths: list[Path], before: str = "") -> None:
    """Make a gallery, which needs weights, templates and scripts, with the vizcnn of a folder."""
    command = ["filters", "--model", "lenet", "--weights", "bundled", "--out", "out"]
    start, pages, *told = run(command, before, tmp_path, paths).splitlines()
    assert Path(start).is_relative_to(home)
    assert Path(pages).is_relative_to(home)
    assert told[-1] == "gallery: out/index.html"
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.parametrize("text", [False, True])
def test_a_checkout_runs_without_links(checkout, tmp_path, text):
    for name in BESIDE if text else ():  # as git writes them where there are no links
        (checkout / "vizcnn" / name).write_text(f"../{name}")
    start, pages, told = run(["--version"], "", tmp_path, [checkout]).splitlines()
    assert [Path(start), Path(pages)] == [
        checkout / "cli" / "start.py",
        checkout / "gallery" / "site.py",
    ]
    assert told.startswith("vizcnn, version ")


@pytest.mark.slow
def test_an_editable_install_runs(checkout, tmp_path_factory, tmp_path):
    folder = tmp_path_factory.mktemp("editable")
    with zipfile.ZipFile(build("editable", checkout, folder)) as file:
        file.extractall(folder)
    check(tmp_path, checkout, [folder], before=f"site.addsitedir({str(folder)!r})")


@pytest.mark.slow
def test_a_source_archive_holds_the_project_and_runs_its_tests(archive, tmp_path):
    held = {path.relative_to(archive) for path in archive.rglob("*") if path.is_file()}
    assert set(SOURCES) - held == set()
    check(tmp_path, archive, [archive])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/basics/test_output.py",
    ]
    done = subprocess.run(command, cwd=archive, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_packages_and_runs(wheel, tmp_path):
    installed = {path.relative_to(wheel) for path in (wheel / "vizcnn").rglob("*")}
    for path in SOURCES:
        if path.parts[0] in ("vizcnn", *BESIDE):
            place = path if path.parts[0] == "vizcnn" else "vizcnn" / path
            assert place in installed
    assert not (wheel / "tests").exists()
    check(tmp_path, wheel, [wheel])
