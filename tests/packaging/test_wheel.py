"""The wheel: what is in it, what it says of itself, and that it works where there is nothing but itself."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dnahnet_cli import __version__
from dnahnet_cli.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAX_BYTES = 100_000_000

pytest.importorskip("hatchling")


def build(target: str, source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked_sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sdist = build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"dnahnet-{__version__}.dist-info/METADATA").decode())


def test_the_wheel_is_pure_python_and_small(wheel: Path) -> None:
    assert wheel.name == f"dnahnet-{__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < MAX_BYTES


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    package = {p for p in (ROOT / "dnahnet_cli").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    expected = {str(p.relative_to(ROOT)) for p in package}
    expected |= {f"dnahnet_cli/weights/{p.name}" for p in (ROOT / "weights").iterdir()}
    assert {name for name in names_in(wheel) if ".dist-info/" not in name} == expected
    assert "dnahnet_cli/py.typed" in expected


def test_every_bundled_model_has_its_card_in_the_wheel(wheel: Path) -> None:
    names = names_in(wheel)
    models = [name for name in names if name.endswith(".safetensors")]
    assert models
    assert {name.replace(".safetensors", ".json") for name in models} <= names


def test_the_wheel_carries_the_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"dnahnet-{__version__}.dist-info/licenses/"
        texts = {n.removeprefix(folder): archive.read(n).decode() for n in names_in(wheel) if n.startswith(folder)}
    assert texts["LICENSE"] == (ROOT / "LICENSE").read_text()
    for licence in (ROOT / "dnahnet_cli").rglob("*.LICENSE"):
        assert texts[str(licence.relative_to(ROOT))] == licence.read_text()


def test_the_metadata_are_those_of_the_project(wheel: Path) -> None:
    metadata = metadata_of(wheel)
    assert metadata["Name"] == "dnahnet"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == PROJECT["requires-python"]
    assert metadata["License-Expression"] == PROJECT["license"]
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(needed) == sorted(PROJECT["dependencies"])


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, unpacked_sdist: Path, tmp_path: Path) -> None:
    again = build("wheel", unpacked_sdist, tmp_path)
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {i.filename: i.CRC for i in first.infolist()} == {i.filename: i.CRC for i in second.infolist()}


@pytest.mark.parametrize("needed", ["Makefile", "constraints.txt", "mkdocs.yml", "CITATION.cff", "CHANGELOG.md"])
def test_the_source_distribution_holds_what_make_needs(unpacked_sdist: Path, needed: str) -> None:
    assert (unpacked_sdist / needed).read_bytes() == (ROOT / needed).read_bytes()


@pytest.mark.parametrize("folder", ["tests", "docs", "demo", "benchmarks", "packaging"])
def test_the_source_distribution_holds_what_the_tests_read(unpacked_sdist: Path, folder: str) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    expected = {name for name in tracked.stdout.split("\0") if name and (ROOT / name).exists()}
    assert expected
    assert {name for name in expected if not (unpacked_sdist / name).is_file()} == set()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with this wheel, and this environment's packages after it."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    options = ["--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *options, str(wheel)]
    subprocess.run(command, check=True)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (own / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def run(command: list[str], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env=environment | {"OMP_NUM_THREADS": "1"}, check=True, capture_output=True, text=True
    ).stdout


def test_the_installed_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    where = "import dnahnet_cli, pathlib; print(pathlib.Path(dnahnet_cli.__file__).parents[4])"
    assert run([str(installed / "python"), "-c", where], tmp_path).strip() == str(installed.parent)
    assert run([str(installed / "dnahnet"), "--version"], tmp_path) == f"dnahnet {__version__}\n"


@pytest.mark.parametrize("model", [weights.stem for weights in (ROOT / "weights").glob("*.safetensors")])
def test_the_installed_wheel_scores_as_the_checkout_does(installed: Path, tmp_path: Path, model: str) -> None:
    genome = tmp_path / "genome.fa"
    genome.write_text(f">contig\n{'ACGTTGCAAT' * 40}\n")
    score = ["score", str(genome), "--model", model, "-t", "1", "--no-version", "--quiet"]
    here = CliRunner().invoke(app, score)
    assert here.exit_code == 0
    assert run([str(installed / "dnahnet"), *score], tmp_path) == here.stdout
    assert here.stdout.splitlines()[-1].startswith("contig\t1\t400\tok\t400\t")
