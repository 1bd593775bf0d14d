"""Numbers that can be trusted: the same bytes again, how far other settings move a score, and never NaN."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import spearmanr
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.genome import decode
from dnahnet_cli.networks.weights import DEFAULT_MODEL, save_weights
from tests.cli.conftest import LAMBDA, data_rows
from tests.conftest import lively_model, random_codes

# What docs/reference/outputs.md promises, in nats.
OTHER_BATCHES = 1e-4
BFLOAT16, BFLOAT16_SPEARMAN = 0.25, 0.98

COMMANDS = {
    "score-variants": ["score-variants", "genome.fa", "calls.tsv"],
    "essentiality": ["essentiality", "genome.fa", "genes.gff"],
    "boundaries": ["boundaries", "genome.fa"],
    "fitness": ["fitness", "gene.fa", "--saturate", "--genome", "genome.fa"],
    "score": ["score", "genome.fa"],
    "embed": ["embed", "genome.fa"],
    "generate": ["generate", "-n", "2", "-l", "12"],
}
SUFFIX = {"boundaries": "bed", "generate": "fa", "embed": "parquet"}
LENGTH = 9_000


def dnahnet(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "-q"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make inputs of three tiles, and go there."""
    folder = tmp_path_factory.mktemp("numbers")
    bases = "".join(LAMBDA.read_text().splitlines()[1:])[:LENGTH]
    (folder / "genome.fa").write_text(f">c\n{bases}\n")
    (folder / "gene.fa").write_text(f">geneA\n{bases[1000:1012]}\n")
    (folder / "genes.gff").write_text(
        "".join(f"c\tx\tCDS\t{at}\t{at + 299}\t.\t-\t0\tID=g{at}\n" for at in (500, 6000))
    )
    places = np.random.default_rng(1).choice(LENGTH, 24, replace=False) + 1
    alleles = ((at, bases[at - 1], "ACGT"["CGTA".index(bases[at - 1])]) for at in sorted(places))
    rows = "".join(f"c\t{at}\t{ref}\t{alt}\n" for at, ref, alt in alleles)
    (folder / "calls.tsv").write_text(f"chrom\tpos\tref\talt\n{rows}")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder
    torch.set_num_threads(threads)


def poisoned(path: Path, name: str, rows: slice, value: float) -> Path:
    """Save a random network with a value in some rows of a parameter."""
    model = lively_model()
    dict(model.named_parameters())[name].data[rows] = value
    save_weights(model, path, {})
    return path


# --- the same bytes ---


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_bytes_again_and_with_other_threads(folder: Path, tiny_model: Path, command: str) -> None:
    found = set()
    for run, threads in enumerate((1, 1, 2)):
        path = folder / f"{command}{run}.{SUFFIX.get(command, 'tsv')}"
        result = dnahnet(*COMMANDS[command], "--no-version", "-o", path, "--model", tiny_model, "-t", threads)
        assert result.exit_code == 0, result.stderr
        found.add(path.read_bytes())
    assert len(found) == 1 and len(found.pop()) > 100


def llr_of(path: Path, *options: str | Path) -> np.ndarray:
    result = dnahnet("score-variants", "genome.fa", "calls.tsv", "-o", path, "-t", 1, *options)
    assert result.exit_code == 0, result.stderr
    return pq.read_table(path)["llr"].to_numpy()


def test_another_batch_size_moves_only_the_last_digits(folder: Path, tiny_model: Path) -> None:
    sizes = ("3", "auto")
    llr = np.stack([llr_of(folder / f"b{n}.parquet", "--batch-size", n, "--model", tiny_model) for n in sizes])
    assert np.ptp(llr, axis=0).max() <= OTHER_BATCHES < llr.std()


@pytest.mark.slow
def test_bfloat16_ranks_as_float32_does(folder: Path) -> None:
    """With the bundled weights, on variants of a genome that they have not seen."""
    names = ("float32", "bfloat16")
    one, other = (llr_of(folder / f"{name}.parquet", "--dtype", name, "--model", DEFAULT_MODEL) for name in names)
    assert 0 < np.abs(one - other).max() <= BFLOAT16
    assert spearmanr(one, other).statistic >= BFLOAT16_SPEARMAN


# --- never NaN ---


@pytest.mark.parametrize("value", [math.nan, 3e38])
@pytest.mark.parametrize("command", COMMANDS)
def test_nan_and_infinity_inside_the_network_are_an_error(
    folder: Path, tmp_path: Path, command: str, value: float
) -> None:
    model = poisoned(tmp_path / "m.safetensors", "stage.inner.encoder.norm.weight", slice(3, 4), value)
    path = tmp_path / f"out.{SUFFIX.get(command, 'tsv')}"
    result = dnahnet(*COMMANDS[command], "-o", path, "--model", model, "-t", 1)
    assert result.exit_code == 1
    assert "NaN or infinity" in result.stderr and "--dtype" in result.stderr and "doctor" in result.stderr
    assert ("c:" in result.stderr) == (command != "generate")
    assert not result.stdout and [own.name for own in tmp_path.iterdir() if own.name.startswith((".", "out"))] == []


@pytest.mark.parametrize("threads", [1, 2])
def test_the_variant_is_named_of_which_the_network_makes_nan(folder: Path, tmp_path: Path, threads: int) -> None:
    """The genome has no T on the strand read, and the network no number for T: only what the ALT leads to is NaN."""
    model = poisoned(tmp_path / "m.safetensors", "embedding.weight", slice(3, 4), math.nan)
    codes = random_codes(3000, 4) % 3
    (tmp_path / "acg.fa").write_text(f">chrX\n{decode(codes)}\n")
    harmless, ref = "CGA"[codes[99]], "ACG"[codes[1499]]
    rows = f"chrX\t100\t{'ACG'[codes[99]]}\t{harmless}\nchrX\t1500\t{ref}\tT\n"
    (tmp_path / "v.tsv").write_text(f"chrom\tpos\tref\talt\n{rows}")
    given = ["score-variants", tmp_path / "acg.fa", tmp_path / "v.tsv", "--strand", "forward", "--model", model]
    result = dnahnet(*given, "-t", threads)
    assert result.exit_code == 1 and "chrX:1500 (+ strand)" in result.stderr
    (tmp_path / "v.tsv").write_text("".join((tmp_path / "v.tsv").read_text().splitlines(keepends=True)[:2]))
    assert data_rows(dnahnet(*given, "-t", threads).stdout)[0]["status"] == "ok"


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_page_refuses_what_is_not_a_number(folder: Path, tmp_path: Path, number: str) -> None:
    header = "chrom\tpos\tid\tref\talt\talt_index\tstatus\tllr\tdamage"
    (tmp_path / "v.tsv").write_text(f"{header}\nc\t5\t.\tA\tG\t1\tok\t{number}\t{number}\n")
    result = dnahnet("report", "genome.fa", "--variants", tmp_path / "v.tsv", "-o", tmp_path / "r.html")
    assert result.exit_code == 1 and number in result.stderr and not (tmp_path / "r.html").exists()
