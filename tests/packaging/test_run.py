"""The commands that the Nextflow module and the Galaxy wrapper make, run on the demo data, with what they promise."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree.ElementTree import Element

import pysam
import pytest

from tests.packaging.recipes import ROOT, galaxy_tool, nextflow_script

DEMO = ROOT / "demo"


def bash(script: str, folder: Path) -> None:
    """Run a script as both run theirs, with the `dnahnet` of this environment and one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GALAXY_SLOTS": "1"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stderr}"


def test_the_script_of_the_nextflow_module_scores_a_vcf(tmp_path: Path) -> None:
    for name in ("lambda.fa", "lambda.vcf"):
        (tmp_path / name).symlink_to(DEMO / name)
    (tmp_path / "genes.bed").write_text("gi|9626243|ref|NC_001416.1|\t190\t736\tnu1\t0\t+\n")
    values = {"genome": "lambda.fa", "variants": "lambda.vcf", "genes": "--genes genes.bed", "task.cpus": "1"}
    values |= {"prefix": "scored", "suffix": "vcf.gz", "args": "--model dnahnet-tiny --suffix 32"}
    bash(nextflow_script("scorevariants", values), tmp_path)
    assert (tmp_path / "scored.vcf.gz.tbi").is_file()
    assert json.loads((tmp_path / "scored.summary.json").read_text())["scored"] == 209
    with (
        pysam.VariantFile(str(tmp_path / "scored.vcf.gz")) as scored,
        pysam.VariantFile(str(DEMO / "lambda.vcf")) as given,
    ):
        before = [(r.pos, r.ref, r.alts) for r in given]
        after = list(scored)
    assert [(r.pos, r.ref, r.alts) for r in after] == before
    assert isinstance(after[0].info["DNAHNET_LLR"][0], float)


class Dataset(str):
    """A dataset as Galaxy hands it to a command: its path, which says nothing, and its format."""

    ext: str

    def is_of_type(self, *names: str) -> bool:
        return self.ext in names


class Section(SimpleNamespace):
    def __contains__(self, name: str) -> bool:
        return hasattr(self, name)


def defaults(inputs: Element) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for element in inputs:
        name = element.get("name") or str(element.get("argument")).lstrip("-").replace("-", "_")
        if element.tag == "section":
            values[name] = Section(**defaults(element))
        elif element.get("type") == "select":
            chosen = [option.get("value") for option in element.iter("option") if option.get("selected")]
            values[name] = chosen[0] if chosen else None
        else:
            values[name] = element.get("value")
    return values


def given(test: Element, folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for element in test:
        name = str(element.get("name"))
        if element.tag == "section":
            values[name] = given(element, folder)
        elif element.tag == "param" and element.get("ftype"):
            path = folder / f"dataset_{name}.dat"
            shutil.copy(DEMO / str(element.get("value")), path)
            values[name] = Dataset(path)
            values[name].ext = str(element.get("ftype"))
        elif element.tag == "param":
            values[name] = element.get("value")
    return values


def names_of_tests() -> list[int]:
    return list(range(len(list(galaxy_tool().iter("test")))))


@pytest.mark.parametrize("number", names_of_tests())
def test_the_command_of_the_galaxy_tool_passes_its_own_tests(number: int, tmp_path: Path) -> None:
    template = pytest.importorskip("Cheetah.Template")
    tool = galaxy_tool()
    test = list(tool.iter("test"))[number]
    inputs = tool.find("inputs")
    assert inputs is not None
    data, work = tmp_path / "data", tmp_path / "work"
    data.mkdir()
    work.mkdir()
    values = defaults(inputs)
    for name, value in given(test, data).items():
        if isinstance(value, dict):
            vars(values[name]).update(value)
        else:
            values[name] = value
    command = str(template.Template(tool.findtext("command"), searchList=[values]))
    bash(" ".join(command.split()), work)

    files = {str(d.get("name")): work / str(d.get("from_work_dir")) for d in tool.iter("data")}
    expected = list(test.iter("output"))
    assert expected
    assert test.get("expect_num_outputs") == str(len([path for path in files.values() if path.is_file()]))
    for output in expected:
        assert_contents(output, files[str(output.get("name"))].read_text())


def assert_contents(output: Element, text: str) -> None:
    """Check what a test of the wrapper says of an output, as far as its tests say anything."""
    for claim in output.iterfind("assert_contents/*"):
        if claim.tag == "has_line_matching":
            matching = [line for line in text.splitlines() if re.fullmatch(str(claim.get("expression")), line)]
            assert len(matching) == int(str(claim.get("n"))), claim.attrib
        elif claim.tag == "has_json_property_with_value":
            assert json.loads(text)[str(claim.get("property"))] == json.loads(str(claim.get("value"))), claim.attrib
        else:
            raise AssertionError(f"no check for {claim.tag}")
