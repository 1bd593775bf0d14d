"""What the recipes in packaging/ say, read as the programs that take them would."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from xml.etree import ElementTree

import typer
import yaml

from dnahnet_cli.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
NEXTFLOW = PACKAGING / "nextflow"
MODULES = {path.name: path for path in sorted((NEXTFLOW / "modules" / "dnahnet").iterdir())}
SNAKEMAKE = PACKAGING / "snakemake"
GALAXY = PACKAGING / "galaxy" / "dnahnet_score_variants.xml"


def options_of(command: str) -> dict[str, tuple[str, ...] | None]:
    """Return the options of a command of dnahnet, each with its choices, or None where any value goes."""
    group: Any = typer.main.get_command(app)
    options: dict[str, tuple[str, ...] | None] = {}
    for parameter in group.commands[command].params:
        annotation = parameter.type_descriptor.annotation
        choices = tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else None
        names = [*parameter.opts, *parameter.secondary_opts]
        options |= {name: choices for name in names if name.startswith("-")}
    return options


def conda_recipe() -> dict[str, Any]:
    """Return packaging/conda/meta.yaml, rendered as conda-build renders it."""
    text = (PACKAGING / "conda" / "meta.yaml").read_text()
    values = dict(re.findall(r'\{% set (\w+) = "([^"]*)" %\}', text))
    values |= {"PYTHON": "python", 'pin_subpackage("dnahnet", max_pin="x.x")': "dnahnet"}
    text = re.sub(r"\{% set .* %\}\n", "", text)
    recipe: dict[str, Any] = yaml.safe_load(re.sub(r"\{\{ (.*?) \}\}", lambda match: values[match[1]], text))
    return recipe


def nextflow_script(module: str, values: dict[str, str]) -> str:
    """Return the shell script of a Nextflow module, its variables replaced."""
    (block,) = re.findall(r'\n    script:\n.*?"""\n(.*?)"""', (MODULES[module] / "main.nf").read_text(), re.DOTALL)
    text = block.replace("\\\\", "\\")
    return re.sub(r"\$\{([\w.]+)\}", lambda match: values[match[1]], text)


def galaxy_tool() -> ElementTree.Element:
    """Return the Galaxy wrapper, its tokens replaced."""
    text = GALAXY.read_text()
    for name, value in re.findall(r'<token name="(@\w+@)">(.*?)</token>', text):
        text = text.replace(name, value)
    return ElementTree.fromstring(text)
