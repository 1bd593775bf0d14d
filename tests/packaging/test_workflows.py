"""The workflows that shard, run and merge: executed where their programs are installed, and held against this one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from dnahnet_cli.cli.main import app
from tests.packaging.recipes import MODULES, NEXTFLOW, ROOT, SNAKEMAKE, nextflow_script, options_of

DEMO = ROOT / "demo"
OPTIONS = "--model dnahnet-tiny --suffix 8 --strand forward --no-version"
SHARDS = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Inputs under awkward names, and what one run makes of them."""
    for name in ("lambda.fa", "lambda.vcf"):
        shutil.copy(DEMO / name, tmp_path)
    (tmp_path / "genes.bed").write_text("gi|9626243|ref|NC_001416.1|\t190\t736\tnu1\t0\t+\n")
    given = ["score-variants", str(tmp_path / "lambda.fa"), str(tmp_path / "lambda.vcf"), *OPTIONS.split()]
    given += ["--genes", str(tmp_path / "genes.bed"), "-t", "1", "-o", str(tmp_path / "one.vcf.gz")]
    assert CliRunner().invoke(app, given).exit_code == 0
    return tmp_path


def run(command: list[str], folder: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NXF_OFFLINE": "true", "XDG_CACHE_HOME": str(folder / "cache")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("snakemake") is None, reason="needs Snakemake")
def test_the_snakemake_workflow_makes_the_output_of_one_run(folder: Path) -> None:
    settings = {"genome": "lambda.fa", "genes": "genes.bed", "samples": {"s 1": "lambda.vcf", "s2": "lambda.vcf"}}
    settings |= {"shards": SHARDS, "threads": 1, "options": OPTIONS}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    workflow = ["-s", str(SNAKEMAKE / "Snakefile"), "--configfile", "config.yaml"]
    run(["snakemake", *workflow, "--cores", "2", "--quiet"], folder)
    for name in ("s 1.vcf.gz", "s2.vcf.gz"):
        assert (folder / "results" / name).read_bytes() == (folder / "one.vcf.gz").read_bytes()
        assert (folder / "results" / f"{name}.tbi").is_file()
    assert not list((folder / "results" / "shards").glob("*"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nextflow") is None, reason="needs Nextflow")
def test_the_nextflow_workflow_makes_the_output_of_one_run(folder: Path) -> None:
    given = ["--genome", "lambda.fa", "--variants", "lambda.vcf", "--genes", "genes.bed", "--shards", str(SHARDS)]
    run(["nextflow", "run", str(NEXTFLOW), *given, "--options", OPTIONS], folder)
    assert (folder / "results" / "lambda.vcf.gz").read_bytes() == (folder / "one.vcf.gz").read_bytes()
    assert (folder / "results" / "lambda.vcf.gz.tbi").is_file()


@pytest.mark.slow
def test_the_scripts_of_the_nextflow_modules_shard_and_merge(folder: Path) -> None:
    """What the workflow would have Nextflow run, with the options that its configuration gives."""
    (pattern,) = re.findall(r'ext\.args += \{ "(.*)" \}', (NEXTFLOW / "nextflow.config").read_text())
    values = {"genome": "lambda.fa", "variants": "lambda.vcf", "genes": "--genes genes.bed", "task.cpus": "1"}
    shards = []
    for number in range(1, SHARDS + 1):
        own = {"meta.shard": str(number), "params.shards": str(SHARDS), "params.options": OPTIONS}
        values["args"] = re.sub(r"\$\{([\w.]+)\}", lambda match, own=own: own[match[1]], pattern)
        values |= {"prefix": f"lambda.{number}of{SHARDS}", "suffix": "vcf.gz"}
        run(["bash", "-euo", "pipefail", "-c", nextflow_script("scorevariants", values)], folder)
        shards.append(f"{values['prefix']}.vcf.gz")
    merge = {"shards": " ".join(shards), "prefix": "merged", "suffix": "vcf.gz", "args": ""}
    run(["bash", "-euo", "pipefail", "-c", nextflow_script("merge", merge)], folder)
    assert (folder / "merged.vcf.gz").read_bytes() == (folder / "one.vcf.gz").read_bytes()
    assert not list(folder.glob("*of*.tbi"))


def test_the_nextflow_workflow_names_what_there_is() -> None:
    workflow, settings = (NEXTFLOW / "main.nf").read_text(), (NEXTFLOW / "nextflow.config").read_text()
    included = dict(re.findall(r"include \{ (\w+) +\} from '\./(.*)'", workflow))
    assert included == {f"DNAHNET_{name.upper()}": f"modules/dnahnet/{name}/main" for name in MODULES}
    assert set(re.findall(r"withName: '(\w+)'", settings)) == set(included)
    defined = set(re.findall(r"^    (\w+) +=", settings.partition("}")[0], re.MULTILINE))
    assert set(re.findall(r"params\.(\w+)", workflow + settings)) == defined


def test_the_snakemake_workflow_uses_what_there_is() -> None:
    text = (SNAKEMAKE / "Snakefile").read_text()
    for command in ("score-variants", "merge"):
        (block,) = re.findall(rf'"dnahnet {command} .*?(?=\n\n|\Z)', text, re.DOTALL)
        assert set(re.findall(r"--[a-z-]+", block)) <= set(options_of(command))
    template = yaml.safe_load((SNAKEMAKE / "config.yaml").read_text())
    assert set(re.findall(r'config\["(\w+)"\]', text)) | {"shards"} == set(template)
