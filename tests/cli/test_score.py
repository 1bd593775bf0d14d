"""score: one row per contig or region, the same numbers however they are asked for, the total beside the rows."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pybigtools
import pytest
import torch

from dnahnet_cli.baselines.markov import MAX_ORDER
from dnahnet_cli.genome import decode, reverse_complement
from dnahnet_cli.model.config import BOS
from dnahnet_cli.networks.weights import find_model, load_model
from tests.cli.conftest import Call, Run, data_rows
from tests.conftest import random_codes

CODES = {"c1": random_codes(9000, 1), "c2": random_codes(700, 2)}
CODES["c1"][[5, 6, 4097]] = 4
MEASURES = ("log_likelihood", "bits_per_base", "perplexity")
COLUMNS = [
    *("chrom", "start", "end", "status", "num_bases", "num_unknown"),
    *(f"{measure}{strand}" for measure in MEASURES for strand in ("", "_fwd", "_rev")),
    *("bits_order0", "bits_markov"),
]
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "heldout.py"


def write_fasta(path: Path, records: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in records.items()))
    return path


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    records = {name: decode(codes) for name, codes in CODES.items()}
    return write_fasta(tmp_path / "genome.fa", {"unknown": "NNRN", **records, "empty": ""})


def test_every_record_has_its_row_and_the_total_stands_beside_them(run: Run, genome: Path) -> None:
    result = run("score", genome, "--markov", "3", "--json-summary", "s.json")
    assert result.returncode == 0, result.stderr
    rows = data_rows(result.stdout)
    assert list(rows[0]) == COLUMNS
    assert [row["chrom"] for row in rows] == ["unknown", "c1", "c2", "empty"]
    assert [row["status"] for row in rows] == ["no_bases", "ok", "ok", "no_bases"]
    assert [(row["start"], row["end"]) for row in rows] == [("1", "4"), ("1", "9000"), ("1", "700"), ("1", "0")]
    assert [row["num_bases"] for row in rows] == ["0", "8997", "700", "0"]
    assert [row["num_unknown"] for row in rows] == ["4", "3", "0", "0"]
    for row in rows:
        numbers = [row[name] for name in COLUMNS[6:]]
        assert all(numbers) if row["status"] == "ok" else not any(numbers)
    for row in rows[1:3]:
        number = {name: float(row[name]) for name in COLUMNS[6:]}
        for strand in ("", "_fwd", "_rev"):
            bits = number[f"bits_per_base{strand}"]
            nats = -number[f"log_likelihood{strand}"] / int(row["num_bases"])
            assert bits == pytest.approx(nats / math.log(2), rel=1e-4)
            assert number[f"perplexity{strand}"] == pytest.approx(2**bits, rel=1e-4)
        mean = (number["bits_per_base_fwd"] + number["bits_per_base_rev"]) / 2
        assert number["bits_per_base"] == pytest.approx(mean, rel=1e-5)
        assert 1.9 < number["bits_order0"] <= 2 < number["bits_markov"] < 2.1
    summary = json.loads((genome.parent / "s.json").read_text())
    assert (summary["rows"], summary["scored"], summary["status"]) == (4, 2, {"ok": 2, "no_bases": 2})
    total = summary["total"]
    assert (total["num_bases"], total["num_unknown"]) == (9697, 7)
    assert total["log_likelihood"] == pytest.approx(sum(float(r["log_likelihood"]) for r in rows[1:3]), rel=1e-4)
    for name in ("bits_per_base", "bits_per_base_fwd", "bits_order0", "bits_markov"):
        weighted = sum(float(r[name]) * int(r["num_bases"]) for r in rows[1:3]) / 9697
        assert total[name] == pytest.approx(weighted, rel=1e-5)
    assert f"{total['bits_per_base']:.4f}" in result.stderr and "2 no_bases" in result.stderr
    assert summary["provenance"]["markov"] == "3" and "##dnahnet_markov=3\n" in result.stdout


def test_regions_add_up_and_keep_their_order(call: Call, genome: Path, tmp_path: Path) -> None:
    (tmp_path / "parts.bed").write_text("c1\t4000\t9000\nc1\t0\t1500\nc1\t1500\t4000\nc1\t5\t7\n")
    result = call("score", genome, "-r", "c1", "-r", "c2:11-20", "-R", "parts.bed", "--strand", "reverse", "--strict")
    assert result.exit_code == 3, result.stderr
    rows = data_rows(result.stdout)
    spans = [(row["chrom"], row["start"], row["end"]) for row in rows]
    assert spans[:2] == [("c1", "1", "9000"), ("c2", "11", "20")]
    assert spans[2:] == [("c1", "4001", "9000"), ("c1", "1", "1500"), ("c1", "1501", "4000"), ("c1", "6", "7")]
    assert rows[-1]["status"] == "no_bases"
    parts = sum(float(row["log_likelihood"]) for row in rows[2:5])
    assert float(rows[0]["log_likelihood"]) == pytest.approx(parts, rel=1e-5)
    for row in rows[:5]:
        assert row["bits_per_base"] == row["bits_per_base_rev"] != ""
        assert row["bits_per_base_fwd"] == row["perplexity_fwd"] == row["bits_markov"] == ""


def test_the_reverse_complement_swaps_the_strands(call: Call, genome: Path, tmp_path: Path) -> None:
    turned = write_fasta(tmp_path / "turned.fa", {n: decode(reverse_complement(c)) for n, c in CODES.items()})
    one = data_rows(call("score", genome, "-r", "c1", "-r", "c2", "--markov", "2").stdout)
    other = data_rows(call("score", turned, "--markov", "2").stdout)
    swapped = {"_fwd": "_rev", "_rev": "_fwd"}
    for a, b in zip(one, other, strict=True):
        for name in COLUMNS[4:]:
            stem, strand = name[:-4], name[-4:]
            assert float(a[name]) == pytest.approx(float(b[stem + swapped.get(strand, strand)]), rel=1e-5)


def test_parquet_holds_the_same_rows(call: Call, genome: Path, tmp_path: Path) -> None:
    expected = data_rows(call("score", genome, "--no-version").stdout)
    result = call("score", genome, "--no-version", "-o", "out.parquet")
    assert result.exit_code == 0 and result.stdout == ""
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == COLUMNS
    assert table.schema.metadata[b"dnahnet.model"] == b"tiny" and b"dnahnet.markov" not in table.schema.metadata
    for row, other in zip(table.to_pylist(), expected, strict=True):
        for name, value in row.items():
            text = "" if value is None else format(value, ".6g") if isinstance(value, float) else str(value)
            assert text == other[name]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("", []),
        ("ACGT\n", []),
        (">a\nACGT\n>a\nACGT\n", []),
        (">a\nACGT\n", ["-r", "nowhere:1-5"]),
        (">a\nACGT\n", ["-r", "a:2-5"]),
        (">a\nACGT\n", ["-R", "out.bed"]),
        (">a\nACGT\n", ["--device", "abacus"]),
        (">a\nACGT\n", ["-o", "g.fa.gz"]),
    ],
)
def test_errors_are_those_of_the_other_commands(call: Call, tmp_path: Path, content: str, options: list[str]) -> None:
    (tmp_path / "g.fa.gz").write_text(content)
    (tmp_path / "out.bed").write_text("a\t1\t5\n")
    result = call("score", "g.fa.gz", *options, *(["-O", "tsv"] if "-o" in options else []))
    other = call("boundaries", "g.fa.gz", *options)
    assert (result.exit_code, result.stdout) == (other.exit_code, "") and result.exit_code in (1, 2)
    assert result.stderr == other.stderr and 1 <= len(result.stderr.splitlines()) <= 2
    assert (tmp_path / "g.fa.gz").read_text() == content


def test_nothing_to_score_and_usage_errors(call: Call, tmp_path: Path) -> None:
    write_fasta(tmp_path / "n.fa", {"a": "NNNN", "b": ""})
    result = call("score", "n.fa", "-o", "out.tsv", "--json-summary", "s.json")
    assert result.exit_code == 1 and "n.fa" in result.stderr and len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["n.fa"]
    (tmp_path / "r.bed").write_text("a\t0\t4\n")
    result = call("score", "n.fa", "-R", "r.bed", "-o", "r.bed", "-O", "tsv")
    assert result.exit_code == 2 and (tmp_path / "r.bed").read_text() == "a\t0\t4\n"
    assert call("score", "n.fa", "-o", "out.bed").exit_code == 2
    assert [call("score", "n.fa", "--markov", order).exit_code for order in (0, MAX_ORDER)] == [1, 1]
    assert [call("score", "n.fa", "--markov", order).exit_code for order in (-1, MAX_ORDER + 1)] == [2, 2]


def test_the_track_has_the_bits_of_every_base(call: Call, genome: Path, tmp_path: Path) -> None:
    """The mean over a region of the track is the region's bits_per_base; an N has no value."""
    for options in ([], ["--circular", "all"]):
        result = call("score", genome, "--per-base", "t.bw", *options)
        assert result.exit_code == 0, result.stderr
        rows = {row["chrom"]: row for row in data_rows(result.stdout)}
        assert result.stdout.splitlines()[9:] == call("score", genome, *options).stdout.splitlines()[9:]
        reader = pybigtools.open(str(tmp_path / "t.bw"))
        for name, codes in CODES.items():
            values = reader.values(name, 0, len(codes), fillna=None)
            assert np.array_equal(np.isnan(values), codes == 4)
            assert np.nanmean(values) == pytest.approx(float(rows[name]["bits_per_base"]), rel=1e-5)
    result = call("score", genome, "-r", "c1:4000-4200", "-r", "c2", "--strand", "reverse", "--per-base", "t.bedgraph")
    lines = [line.split("\t") for line in (tmp_path / "t.bedgraph").read_text().splitlines() if line[0] != "#"]
    assert [int(line[1]) for line in lines if line[0] == "c1"] == [p for p in range(3999, 4200) if p != 4097]
    for row in data_rows(result.stdout):
        own = [float(line[3]) for line in lines if line[0] == row["chrom"]]
        assert np.mean(own) == pytest.approx(float(row["bits_per_base"]), rel=1e-4)
    result = call("score", genome, "-r", "c1:1-9", "-r", "c1:5-6", "--per-base", "t.bedgraph")
    assert result.exit_code == 2 and "overlap" in result.stderr
    assert call("score", genome, "--per-base", "t.txt").exit_code == 2


def test_help_has_examples(call: Call) -> None:
    result = call("score", "--help")
    assert result.exit_code == 0 and "Examples:" in result.stdout and "dnahnet score genome.fa" in result.stdout


def test_rows_come_as_they_are_finished_and_a_closed_pipe_is_quiet(tiny_model: Path, tmp_path: Path) -> None:
    """The reader leaves after the first row, long before the last: the process ends without a word."""
    records = {
        name: decode(random_codes(size, 3)) for name, size in (("small", 100), ("next", 30_000), ("more", 9_000))
    }
    write_fasta(tmp_path / "g.fa", records)
    command = [sys.executable, "-m", "dnahnet_cli", "score", "g.fa", "--model", str(tiny_model), "-t", "1", "-q"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    text = b""
    while b"\nsmall\t" not in text:
        part = os.read(process.stdout.fileno(), 1 << 16)
        assert part
        text += part
    assert b"more" not in text
    process.stdout.close()
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, b"")


# --- the recipes of the how-to ---


@pytest.fixture
def total_of(call: Call, tmp_path: Path) -> Callable[..., float]:
    def run_command(*arguments: str | Path) -> float:
        result = call("score", *arguments, "--strand", "forward", "--circular", "none", "--json-summary", "s.json")
        assert result.exit_code == 0, result.stderr
        return float(json.loads((tmp_path / "s.json").read_text())["total"]["bits_per_base"])

    return run_command


def test_windows_as_records_begin_without_context(
    total_of: Callable[..., float], tmp_path: Path, tiny_model: Path
) -> None:
    """As the trainer reads the windows whose bits stand in a model card."""
    windows = [CODES["c2"][start : start + 300] for start in (0, 200, 400)]
    token = torch.tensor([[BOS, *window[:-1].tolist()] for window in windows])
    with torch.no_grad():
        output, _ = load_model(find_model(str(tiny_model)))(token)
    log_probs = output.logits_BL4.log_softmax(-1).gather(-1, torch.from_numpy(np.int64(windows))[..., None])
    expected = -float(log_probs.mean()) / math.log(2)
    records = {f"w{i}": decode(window) for i, window in enumerate(windows)}
    assert total_of(write_fasta(tmp_path / "windows.fa", records)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.skipif(not BENCHMARK.is_file(), reason="the benchmarks come with a checkout only")
def test_the_figure_of_the_benchmark(
    total_of: Callable[..., float], genome: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole genome, and every K-th tile as a region, which is what --every K counts."""
    specification = importlib.util.spec_from_file_location("heldout", BENCHMARK)
    assert specification is not None and specification.loader is not None
    heldout = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "heldout", heldout)  # its dataclass looks itself up there
    specification.loader.exec_module(heldout)
    network = load_model(find_model(str(tiny_model)))
    genomes = [SimpleNamespace(name="g", contigs=tuple(CODES.values()))]
    tiles = [
        f"{name}\t{start}\t{min(start + 4096, len(codes))}\n"
        for name, codes in CODES.items()
        for start in range(0, len(codes), 2 * 4096)
    ]
    (tmp_path / "tiles.bed").write_text("".join(tiles))
    assert total_of(genome) == pytest.approx(heldout.network_bits(network, genomes, 1)["g"], rel=1e-6)
    found = total_of(genome, "-R", "tiles.bed")
    assert found == pytest.approx(heldout.network_bits(network, genomes, 2)["g"], rel=1e-6)
