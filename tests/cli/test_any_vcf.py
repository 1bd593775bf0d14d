"""score-variants on arbitrary VCFs: a row for each ALT, and every line comes out as it came in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dnahnet_cli.cli.main import app
from dnahnet_cli.genome import decode
from dnahnet_cli.model.config import ModelConfig
from dnahnet_cli.networks.weights import save_weights
from dnahnet_cli.scoring.variants import Status
from tests.cli.conftest import data_rows
from tests.conftest import lively_model, random_codes

LENGTHS = {"c1": 120, "a|b:1-5": 40}
GENOME = {name: decode(random_codes(length, length)) for name, length in LENGTHS.items()}
SMALL = ModelConfig(
    layout=["m1", ["m1"], "m1"],
    widths=(16, 16),
    ratios=(3.0,),
    windows=(None, None),
    state_size=8,
    mamba_head_size=8,
    ssd_chunk=8,
    attention_head_size=8,
)
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}

words = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters=";"), min_size=1, max_size=8)
bases = st.text("ACGTacgt", min_size=1, max_size=6)
infos = st.just(".") | st.lists(words, min_size=1, max_size=4).map(";".join)
alts = (
    bases
    | st.sampled_from(["*", "<DEL>", "<INS:ME:ALU>", "<*>", "<NON_REF>", "N", "AN", "R", "U"])
    | st.sampled_from(["A[c1:5[", "]c1:7]T", ".A", "G.", "A]<ctg>:3]"])
)


@st.composite
def records(draw: st.DrawFn, num_samples: int) -> str:
    contig = draw(st.sampled_from([*LENGTHS, "elsewhere"]))
    pos = draw(st.integers(0, LENGTHS.get(contig, 9) + 2))
    there = GENOME.get(contig, "")[max(0, pos - 1) : max(0, pos - 1) + draw(st.integers(1, 5))]
    ref = (
        draw(st.sampled_from([there, there, there.lower()]) if there else bases) if draw(st.booleans()) else draw(bases)
    )
    # SNV, MNV, insertion and deletion of what is there, or anything.
    near = [OTHER[ref[0].upper()] + ref[1:], ref[0], ref + "AC", "".join(OTHER[base] for base in ref.upper()), ref]
    some = draw(st.lists(st.sampled_from(near) | alts, min_size=1, max_size=4))
    alt = "." if draw(st.integers(0, 9)) == 0 else ",".join(some)
    fixed = [contig, str(pos), draw(st.just(".") | words), ref, alt, draw(st.sampled_from([".", "50", "1e-5"]))]
    return "\t".join([*fixed, draw(st.sampled_from([".", "PASS"]) | words), draw(infos), *_samples(draw, num_samples)])


def _samples(draw: st.DrawFn, num_samples: int) -> list[str]:
    return [draw(words) for _ in range(num_samples + 1)] if num_samples else []


@st.composite
def vcfs(draw: st.DrawFn) -> tuple[list[str], list[str], str, bool]:
    """Draw header lines, records, a line end, and whether the last line has one."""
    num_samples = draw(st.integers(0, 3))
    names = ["FORMAT", *(f"s{number}" for number in range(num_samples))] if num_samples else []
    columns = "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", *names])
    more = draw(st.lists(st.sampled_from(["##source=x", "##contig=<ID=c1>", "##INFO=<ID=DP>", "##é=1"]), max_size=3))
    ref = GENOME["c1"][59]
    scored = "\t".join(["c1", "60", ".", ref, OTHER[ref], ".", ".", ".", *(["."] * len(names))])
    body = draw(st.lists(records(num_samples), max_size=8))
    body.insert(draw(st.integers(0, len(body))), scored)  # a run of which nothing can be scored ends with an error
    return ["##fileformat=VCFv4.3", *more, columns], body, draw(st.sampled_from(["\n", "\r\n"])), draw(st.booleans())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("any")
    (folder / "g.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in GENOME.items()))
    save_weights(lively_model(SMALL), folder / "m.safetensors", {})
    yield folder


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(vcf=vcfs())
def test_rows_in_are_rows_out_and_lines_in_are_lines_out(folder: Path, vcf) -> None:
    header, body, end, is_ended = vcf
    text = end.join([*header, *body]) + (end if is_ended else "")
    (folder / "v.vcf").write_bytes(text.encode())

    def run(output: str) -> None:
        options = ["-o", str(folder / output), "--model", str(folder / "m.safetensors"), "-t", "1", "--suffix", "16"]
        result = CliRunner().invoke(
            app, ["score-variants", str(folder / "g.fa"), str(folder / "v.vcf"), *options, "-q"]
        )
        assert (result.exit_code, result.stderr) == (0, "")

    run("o.tsv")
    rows = data_rows((folder / "o.tsv").read_bytes().decode())
    wanted = [
        (*fields[:4], alt, str(number))
        for fields in (line.split("\t") for line in body)
        for number, alt in enumerate(fields[4].split(","), 1)
    ]
    assert [tuple(row[key] for key in ("chrom", "pos", "id", "ref", "alt", "alt_index")) for row in rows] == wanted
    for row in rows:
        assert (row["status"] == "ok") == bool(row["llr"]) and Status(row["status"])
        if row["alt"] == ".":
            assert row["status"] == "no_alt"

    run("o.vcf")
    written = (folder / "o.vcf").read_bytes().decode().split(end)
    if is_ended:
        assert written.pop() == ""
    heads = [line for line in written if line.startswith("#")]
    assert [line for line in heads if not line.startswith(("##dnahnet_", "##INFO=<ID=DNAHNET_"))] == header
    statuses = iter(rows)
    for before, after in zip(body, written[len(heads) :], strict=True):
        fields, others = before.split("\t"), after.split("\t")
        assert (others[:7], others[8:]) == (fields[:7], fields[8:])
        own = [item for item in others[7].split(";") if item.startswith("DNAHNET_")]
        assert [item for item in others[7].split(";") if item not in own] == (
            [] if fields[7] == "." and own else fields[7].split(";")
        )
        alts_of = [next(statuses) for _ in fields[4].split(",")]
        if fields[4] != ".":
            assert f"DNAHNET_STATUS={','.join(row['status'] for row in alts_of)}" in own
        else:
            assert after == before
