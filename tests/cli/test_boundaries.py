"""boundaries: BED on standard output, sorted, complete, quiet when the pipe closes."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pybigtools
import pysam
import pytest

from dnahnet_cli.genome import decode
from tests.cli.conftest import LAMBDA, Call
from tests.conftest import random_codes


def bed(text: str) -> list[tuple[str, int, int, str, int, str]]:
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [(c, int(s), int(e), name, int(score), strand) for c, s, e, name, score, strand in rows]


def test_bed_is_sorted_and_covers_every_base(call: Call) -> None:
    region = "gi|9626243|ref|NC_001416.1|:1-9000"
    result = call("boundaries", LAMBDA, "-r", region)
    assert result.exit_code == 0, result.stderr
    rows = bed(result.stdout)
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    for name in ("stage1", "stage2"):
        for strand in "+-":
            own = [row for row in rows if row[3] == name and row[5] == strand]
            assert own[0][1] == 0 and own[-1][2] == 9000
            assert all(a[2] == b[1] for a, b in itertools.pairwise(own))
    only = call("boundaries", LAMBDA, "-r", region, "--stage", "2", "--strand", "reverse")
    assert bed(only.stdout) == [row for row in rows if row[3] == "stage2" and row[5] == "-"]


def test_closed_pipe_ends_quietly(tiny_model: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m dnahnet_cli boundaries {LAMBDA} --model {tiny_model} -t 1 -q | head -n 12 | wc -l"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "12", "")


def test_bad_stage_and_region(call: Call) -> None:
    result = call("boundaries", LAMBDA, "--stage", "3")
    assert result.exit_code == 2 and "2 stages" in result.stderr
    result = call("boundaries", LAMBDA, "-r", "nowhere:1-5")
    assert result.exit_code == 2 and "nowhere" in result.stderr
    result = call("boundaries", "missing.fa")
    assert result.exit_code == 1 and "missing.fa" in result.stderr


def test_bigwigs_hold_the_probability_of_every_cut(call: Call, tmp_path: Path) -> None:
    """Column 5 of the BED is the bigWig's value at the base that opens the chunk; elsewhere stage 1 has values too."""
    codes = {"b": random_codes(5000, 1), "a": random_codes(300, 2), "empty": random_codes(0, 1)}
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{decode(own)}\n" for name, own in codes.items()))
    for options in ([], ["--circular", "all"]):
        result = call("boundaries", "g.fa", "-o", "c.bed.gz", "--bigwig", "p", "--json-summary", "s.json", *options)
        assert result.exit_code == 0, result.stderr
        rows = bed(gzip.decompress((tmp_path / "c.bed.gz").read_bytes()).decode())
        values = {}
        for stage in ("stage1", "stage2"):
            for strand, name in (("+", "fwd"), ("-", "rev")):
                reader = pybigtools.open(str(tmp_path / f"p.{stage}.{name}.bw"))
                for contig in ("a", "b"):
                    values[stage, strand, contig] = reader.values(contig, 0, len(codes[contig]), fillna=None)
        for contig, start, end, stage, score, strand in rows:
            value = values[stage, strand, contig][start if strand == "+" else end - 1]
            forced = score == 1000 and (start == 0 or end == len(codes[contig]))
            assert forced or round(1000 * float(value)) == score
        for (stage, strand, contig), own in values.items():
            opens = {s if strand == "+" else e - 1 for c, s, e, n, _, d in rows if (c, n, d) == (contig, stage, strand)}
            cut = set(np.flatnonzero(own > 0.5).tolist())
            assert len(cut ^ opens) <= 1  # at the end of the contig a cut is forced
            if stage == "stage1":
                assert not np.isnan(own).any()
            else:  # stage 2 may cut only where stage 1 does
                assert set(np.flatnonzero(~np.isnan(own))) == set(
                    np.flatnonzero(values["stage1", strand, contig] > 0.5)
                )
        with pysam.TabixFile(str(tmp_path / "c.bed.gz")) as indexed:
            found = list(indexed.fetch("b", 1000, 1010))
        assert found == ["\t".join(map(str, row)) for row in rows if row[0] == "b" and row[1] < 1010 and row[2] > 1000]
        stages = json.loads((tmp_path / "s.json").read_text())["stages"]
        for stage, outside in (("stage1", 2 * 5300), ("stage2", stages["stage1"]["chunks"])):
            lengths = sorted(end - start for _, start, end, name, _, _ in rows if name == stage)
            own = stages[stage]
            assert own["chunks"] == len(lengths) and own["longest"] == lengths[-1]
            assert own["bases_per_chunk"] == pytest.approx(np.mean(lengths))
            assert own["compression"] == pytest.approx(outside / len(lengths))
            for share in (5, 25, 50, 75, 95):
                assert own[f"length_q{share:02}"] == np.quantile(lengths, share / 100, method="inverted_cdf")


def test_tracks_of_regions(call: Call, tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(f">c\n{decode(random_codes(5000, 1))}\n")
    result = call("boundaries", "g.fa", "-r", "c:4001-4500", "-r", "c:11-60", "--bigwig", "p", "-o", "c.bed.gz")
    assert result.exit_code == 0 and "no index, because c:11 comes after c:4500" in result.stderr
    assert not (tmp_path / "c.bed.gz.tbi").exists()
    whole = call("boundaries", "g.fa", "--bigwig", "w", "--stage", "1", "--strand", "forward", "-o", "c.bed.gz")
    assert whole.exit_code == 0 and (tmp_path / "c.bed.gz.tbi").exists()
    assert sorted(path.name for path in tmp_path.glob("w.*")) == ["w.stage1.fwd.bw"]
    part, whole = (pybigtools.open(str(tmp_path / f"{name}.stage1.fwd.bw")) for name in "pw")
    every = dict((start, value) for start, _, value in whole.records("c"))
    own = dict((start, value) for start, _, value in part.records("c"))
    assert list(own) == [*range(10, 60), *range(4000, 4500)]
    assert all(value == pytest.approx(every[start], abs=1e-6) for start, value in own.items())
    result = call("boundaries", "g.fa", "-r", "c:1-20", "-r", "c:20-30", "--bigwig", "p")
    assert result.exit_code == 2 and "overlap" in result.stderr and result.stdout == ""
