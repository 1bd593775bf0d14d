"""Records and their scores stay together, whatever is left out or renamed on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Interval, Variant
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.intake import Intake, all_snvs, read_names
from dnahnet_cli.io.variants import Record


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("genome") / "g.fa"
    path.write_text(">c1\nACGTNACGTA\n>c2\nTTTTTTTTTT\n")
    with Fasta(path) as fasta:
        yield fasta


places = st.tuples(st.sampled_from(["c1", "c2", "x"]), st.integers(0, 30), st.integers(1, 3))
intervals = st.tuples(st.sampled_from(["c1", "c2"]), st.integers(0, 30), st.integers(0, 10))


@given(records=st.lists(places, max_size=12), regions=st.none() | st.lists(intervals, max_size=5))
def test_every_record_in_the_regions_gets_its_own_scores(genome: Fasta, records, regions) -> None:
    read = [
        Record(tuple(Variant(contig, start, "A", "C" * n, ".", n) for n in range(1, size + 1)))
        for contig, start, size in records
    ]
    chosen = None if regions is None else [Interval(contig, start, start + size) for contig, start, size in regions]
    intake = Intake(read, genome, names={"x": "c1"}, regions=chosen)
    got = list(intake.grouped((variant, variant.contig) for variant in intake.variants()))
    expected = [
        record
        for record in read
        if chosen is None
        or any(
            region.contig == {"x": "c1"}.get(record.variants[0].contig, record.variants[0].contig)
            and region.start <= record.variants[0].start < region.end
            for region in chosen
        )
    ]
    assert [record for record, _ in got] == expected
    for record, scores in got:
        assert [(v.start, v.alt, v.alt_index) for v, _ in scores] == [
            (v.start, v.alt, v.alt_index) for v in record.variants
        ]
        assert "x" not in {contig for _, contig in scores}


def test_all_snvs_pass_over_n(genome: Fasta) -> None:
    records = list(all_snvs(genome))
    assert len(records) == 19 and all(len(record.variants) == 3 for record in records)
    assert [v.alt for v in records[4].variants] == ["C", "G", "T"] and records[4].variants[0].start == 5
    part = list(all_snvs(genome, [Interval("c2", 2, 4), Interval("c1", 0, 1)]))
    assert [(r.variants[0].contig, r.variants[0].start) for r in part] == [("c2", 2), ("c2", 3), ("c1", 0)]


def test_wrong_ref_alleles(genome: Fasta) -> None:
    wrong = Record((Variant("c1", 1, "GG", "T"), Variant("c1", 1, "GG", "A", ".", 2)))
    others = [Record((Variant("c1", 4, "C", "T"),)), Record((Variant("c1", 9, "AAA", "T"),))]  # N; beyond the end
    used = Intake([wrong, *others], genome, on_ref_mismatch="use-genome")
    assert [variant.ref for variant in used.variants()] == ["CG", "CG", "C", "AAA"]
    assert used.first_replaced == wrong.variants[0]
    strict = Intake([wrong], genome, on_ref_mismatch="error")
    with pytest.raises(InputError, match="c1:2: REF is GG, the genome has CG"):
        list(strict.variants())


def test_names_are_read_as_bcftools_reads_them(tmp_path: Path, genome: Fasta) -> None:
    path = tmp_path / "names"
    path.write_text("chr1\tc1\n\n# comment\nchr1 c1\nchr2   c2\n")
    assert read_names(str(path), genome.lengths) == {"chr1": "c1", "chr2": "c2"}
    path.write_text("a c1\na c2\n")
    with pytest.raises(InputError, match="second time"):
        read_names(str(path), genome.lengths)
