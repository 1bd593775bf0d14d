"""The recipes in packaging/ fit the program: options, versions, dependencies, files, formats."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnahnet_cli import __version__
from dnahnet_cli.networks.weights import DEFAULT_MODEL, bundled_models
from tests.packaging.recipes import MODULES, PACKAGING, ROOT, conda_recipe, galaxy_tool, options_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ON_CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}  # what is called otherwise there
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def used_in(command: str) -> list[str]:
    """Return the options in a text after `dnahnet score-variants`."""
    return OPTION.findall(command.partition("dnahnet score-variants")[2])


def pins(requirements: list[str]) -> dict[str, str]:
    """Return the bounds of requirements by the name that conda knows."""
    found = {}
    for requirement in requirements:
        match = re.match(r"([A-Za-z0-9_-]+) *(.*)", requirement.partition(";")[0].strip())
        assert match
        found[ON_CONDA.get(match[1], match[1])] = match[2]
    return found


# --- versions ---------------------------------------------------------------------------------------------------


def test_every_recipe_is_of_this_version() -> None:
    assert conda_recipe()["package"] == {"name": "dnahnet", "version": __version__}
    assert galaxy_tool().get("version") == f"{__version__}+galaxy0"
    assert [r.get("version") for r in galaxy_tool().iter("requirement")] == [__version__]
    for module in MODULES.values():
        environment = yaml.safe_load((module / "environment.yml").read_text())
        assert environment["dependencies"] == [f"bioconda::dnahnet={__version__}"]
        assert f"'dnahnet:{__version__}'" in (module / "main.nf").read_text()
    dockerfile = (PACKAGING / "Dockerfile").read_text()
    assert f'image.version="{__version__}"' in dockerfile
    assert set(re.findall(r"dnahnet:(\d[\w.]*)", dockerfile)) == {__version__}
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


# --- conda ------------------------------------------------------------------------------------------------------


def test_the_conda_recipe_needs_what_the_package_needs() -> None:
    needs = conda_recipe()["requirements"]
    python = {"python": PROJECT["requires-python"]}
    assert pins(needs["run"]) == pins(PROJECT["dependencies"]) | python
    optional = pins([line for extra in ("genes", "plot", "tracks", "train") for line in EXTRAS[extra]])
    assert pins(needs["run_constrained"]) == optional


def test_the_conda_recipe_starts_what_the_package_starts() -> None:
    recipe = conda_recipe()
    assert recipe["build"]["entry_points"] == [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    commands = [shlex.split(command)[1] for command in recipe["test"]["commands"]]
    assert {name for name in commands if not name.startswith("-")} == {"models", "doctor"}
    assert all(isinstance(options_of(name), dict) for name in ("models", "doctor"))


def test_the_conda_recipe_finds_the_licences() -> None:
    recipe = conda_recipe()
    present = [name for name in recipe["about"]["license_file"] if (ROOT / name).is_file()]
    assert present == recipe["about"]["license_file"]
    assert recipe["about"]["license"] == PROJECT["license"]


# --- container --------------------------------------------------------------------------------------------------


def test_the_container_copies_what_is_there_and_lets_it_through() -> None:
    dockerfile = (PACKAGING / "Dockerfile").read_text()
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()
    }
    assert all((ROOT / name).exists() for name in copied)
    ignored = (PACKAGING / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied
    assert {"dnahnet_cli", "weights", "pyproject.toml"} <= copied


def test_the_container_installs_extras_that_there_are() -> None:
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", (PACKAGING / "Dockerfile").read_text())
    assert set(extras.split(",")) <= set(EXTRAS)


def test_the_container_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)$", (PACKAGING / "Dockerfile").read_text(), re.MULTILINE)
    assert users and int(users[-1]) > 0


def test_messages_and_documentation_name_extras_that_there_are() -> None:
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "dnahnet_cli").rglob("*.py")]
    named = {extra for path in files for extra in re.findall(r"dnahnet\[(\w+)\]", path.read_text())}
    assert named and named <= set(EXTRAS)


# --- Nextflow ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> Path:
    return MODULES[request.param]


def meta_of(module: Path) -> Any:
    return yaml.safe_load((module / "meta.yml").read_text())


def test_a_nextflow_module_uses_options_that_there_are() -> None:
    for name, command, needed in (
        ("scorevariants", "score-variants", {"--output", "--threads"}),
        ("merge", "merge", {"--output", "--tmpdir"}),
    ):
        text = (MODULES[name] / "main.nf").read_text()
        used = OPTION.findall(text.partition("stub:")[0].partition(f"dnahnet {command}")[2])
        assert needed <= set(used) <= set(options_of(command))
    assert "--genes" in (MODULES["scorevariants"] / "main.nf").read_text()
    assert "--genes" in options_of("score-variants")


def test_a_nextflow_module_describes_its_channels(module: Path) -> None:
    text, meta = (module / "main.nf").read_text(), meta_of(module)
    section = text.partition("    input:\n")[2].partition("    output:\n")
    taken = [re.findall(r"(?:val|path)\((\w+)", line) for line in section[0].splitlines() if line.strip()]
    assert taken == [[next(iter(part)) for part in channel] for channel in meta["input"]]
    emitted = re.findall(r"emit: (\w+)", section[2].partition("    when:\n")[0])
    assert emitted == list(meta["output"])
    for name, channels in meta["output"].items():
        (line,) = [line for line in section[2].splitlines() if f"emit: {name}" in line]
        for part in channels[0]:
            assert next(iter(part)) in line


def test_a_nextflow_module_is_called_what_its_folder_says(module: Path) -> None:
    tool, name = module.parts[-2:]
    assert meta_of(module)["name"] == f"{tool}_{name}"
    process = f"{tool}_{name}".upper()
    assert f"process {process} {{" in (module / "main.nf").read_text()
    assert f'process "{process}"' in (module / "tests" / "main.nf.test").read_text()


# --- Galaxy -----------------------------------------------------------------------------------------------------


def test_the_galaxy_tool_uses_options_that_there_are() -> None:
    used = used_in(galaxy_tool().findtext("command") or "")
    assert {"--output", "--output-format", "--genes"} <= set(used) <= set(options_of("score-variants"))
    arguments = [p.get("argument") for p in galaxy_tool().iter("param") if p.get("argument")]
    assert set(arguments) <= set(used)


def test_the_galaxy_tool_offers_what_the_options_take() -> None:
    options = options_of("score-variants")
    offered = {
        str(parameter.get("argument")): tuple(str(option.get("value")) for option in parameter.iter("option"))
        for parameter in galaxy_tool().iter("param")
        if parameter.get("type") == "select"
    }
    for name in ("--on-ref-mismatch", "--strand"):
        assert offered[name] == options[name]
    assert set(offered["--output-format"]) < set(options["--output-format"] or ())
    assert sorted(offered["--model"]) == bundled_models()
    assert offered["--model"][0] == DEFAULT_MODEL


@pytest.mark.parametrize("argument", ["--null", "--suffix", "--max-indel", "--genetic-code"])
def test_the_galaxy_tool_has_the_bounds_and_defaults_of_the_options(argument: str) -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    help_text = page.partition("## dnahnet score-variants")[2].partition("\n## ")[0]
    entry = help_text.partition(f"│ {argument} ")[2].partition("│ --")[0]
    (parameter,) = [p for p in galaxy_tool().iter("param") if p.get("argument") == argument]
    if argument == "--genetic-code":
        codes = ", ".join(str(option.get("value")) for option in parameter.iter("option"))
        assert f"({codes})" in entry
    else:
        assert f"[{parameter.get('min')}<=x<={parameter.get('max')}]" in entry
        assert f"[default: {parameter.get('value')}]" in entry


def test_the_data_of_the_tests_are_in_the_demo() -> None:
    for test in galaxy_tool().iter("test"):
        for parameter in test.iter("param"):
            if parameter.get("ftype"):
                assert (ROOT / "demo" / str(parameter.get("value"))).is_file()
    for module in MODULES.values():
        named = re.findall(r"projectDir\}/([\w./]+)", (module / "tests" / "main.nf.test").read_text())
        assert named and all((ROOT / name).is_file() for name in named)
