from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import decode, encode
from dnahnet_cli.io import fasta as fasta_module
from dnahnet_cli.io.fasta import Fasta

from .conftest import COMPRESSIONS


def read_all(path: Path) -> dict[str, str]:
    with Fasta(path) as fasta:
        return {name: decode(fasta.codes(name, 0, length)) for name, length in fasta.lengths.items()}


@pytest.fixture
def write(tmp_path: Path):
    def write(data: bytes, name: str = "genome.fa") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("suffix", [".fa", ".fa.gz"])
def test_content_decides_about_compression(write, compression: str, suffix: str) -> None:
    path = write(COMPRESSIONS[compression](b">b one\nACGTA\nCC\n>a two\nggntu\n"), "genome" + suffix)
    assert list(read_all(path).items()) == [("b", "ACGTACC"), ("a", "GGNTT")]


@pytest.mark.parametrize(
    "text",
    [
        b">a\nACGT\nACGT\nAC\n>b\nGG\n",
        b">a\r\nACGT\r\nACGT\r\nAC\r\n>b\r\nGG\r\n",
        b">a\nACGT\r\nACGT\nAC\n>b\nGG\n",
        b"\n\n>a\nACGT\nACGT\nAC\n>b\nGG",
        b"; a comment\n>a\nACGT\nACGT\nAC\n\n>b\n\nGG\n\n",
        b"\xef\xbb\xbf>a\nACGTACGTAC\n>b\nGG",
        b">a\nACG\nTACGTA\nC\n>b\nG\nG\n",
        b">a\nACGT\nACGTAC\n>b\nGG\n",
        b">a\nACGT\nACGTA\nC\n>b\nGG\n",
        b">a\nACGT \nACGT\nAC\n>b\nG G\n",
        b">a\nACGT\n\nACGT\nAC\n>b\nGG",
    ],
)
def test_layouts_of_the_same_genome_read_the_same(write, text: bytes) -> None:
    assert read_all(write(text)) == {"a": "ACGTACGTAC", "b": "GG"}


@given(
    sequences=st.lists(st.text("ACGTN", max_size=30), min_size=1, max_size=4),
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    line_end=st.sampled_from(["\n", "\r\n"]),
    block=st.sampled_from([1, 2, 5, 13, 1 << 20]),
    data=st.data(),
)
def test_any_stretch_of_any_layout(
    sequences: list[str], widths: list[int], line_end: str, block: int, data: st.DataObject
) -> None:
    text = ""
    for number, sequence in enumerate(sequences):
        text += f">c{number}{line_end}"
        start = line = 0
        while start < len(sequence):
            width = widths[line % len(widths)]
            text += sequence[start : start + width] + line_end
            start, line = start + width, line + 1
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fasta_module, "_BLOCK", block)
        path = Path(folder) / "genome.fa"
        path.write_bytes(text.encode())
        with Fasta(path) as fasta:
            assert list(fasta.lengths.values()) == [len(sequence) for sequence in sequences]
            for number, sequence in enumerate(sequences):
                start = data.draw(st.integers(0, len(sequence)))
                end = data.draw(st.integers(start, len(sequence)))
                np.testing.assert_array_equal(fasta.codes(f"c{number}", start, end), encode(sequence[start:end]))


def test_contigs_without_sequence_have_length_zero(write) -> None:
    with Fasta(write(b">a\n>b\nAC\n>c")) as fasta:
        assert fasta.lengths == {"a": 0, "b": 2, "c": 0}
        assert len(fasta.codes("a", 0, 0)) == 0


def test_names_with_bars_and_circular_headers(write) -> None:
    text = (
        b">gi|9626243|ref|NC_001416.1| phage lambda [topology=linear]\nAC\n>p1 len=2 circular=true\nAC\n"
        b">p2 [topology=CIRCULAR] [completeness=complete]\nAC\n>p3 Topology=circular\nAC\n>p4 not circular\nAC\n"
        b">p5 circular=false\nAC\n"
    )
    with Fasta(write(text)) as fasta:
        assert next(iter(fasta.lengths)) == "gi|9626243|ref|NC_001416.1|"
        assert fasta.circular == {"p1", "p2", "p3"}


def test_out_of_range_and_unknown_contig_are_errors(write) -> None:
    with Fasta(write(b">a\nACGT\n")) as fasta:
        for start, end in [(0, 5), (-1, 2), (3, 2), (5, 5)]:
            with pytest.raises(InputError, match="not within a, which has 4 bases"):
                fasta.codes("a", start, end)
        with pytest.raises(InputError, match=r"no contig 'b'; it has a\."):
            fasta.codes("b", 0, 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "not FASTA"),
        (b"##fileformat=VCFv4.2\n#CHROM\tPOS\n", "is a VCF file, not FASTA"),
        (b"##gff-version 3\n", "is a GFF file, not FASTA"),
        (bytes(range(256)), "is a binary file, not FASTA"),
        (b"ACGT\n", "not FASTA"),
        (b"; comment\nACGT\n", "not FASTA"),
        (b"\nACGT\n>a\nAC\n", "not FASTA"),
        (b">a\nAC\n>b x\nAC\n>a y\nGG\n", "names two contigs 'a', at lines 1 and 5"),
        (b">a\nAC\n> \nGG\n", "genome.fa:3 is a header without a name"),
        (b">a\rACGT\rACGT\r", "old Macintosh line ends"),
        (b">p\nMKLVFFAEPQILEDMKLVFFAEPQ\n", "Is it a protein file"),
        (COMPRESSIONS["gzip"](b">a\n" + b"ACGT" * 500)[:-12], "cut off or damaged"),
        (COMPRESSIONS["bgzip"](b">a\n" + b"ACGT" * 50)[:-28], "no bgzip end marker"),
        (COMPRESSIONS["gzip"](b""), "is empty once decompressed"),
        (COMPRESSIONS["gzip"](COMPRESSIONS["gzip"](b">a\nAC\n")), "twice-compressed"),
    ],
)
def test_what_is_not_a_genome_is_refused(write, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Fasta(write(data))
    assert "genome.fa" in str(caught.value)
    assert str(caught.value).count("\n") < 2


def test_missing_file_directory_and_stdin(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Fasta(tmp_path / "none.fa")
    with pytest.raises(InputError, match="is a directory"):
        Fasta(tmp_path)
    with pytest.raises(UsageError, match="standard input"):
        Fasta(Path("-"))


def test_nothing_is_left_behind(write, tmp_path: Path) -> None:
    path = write(COMPRESSIONS["gzip"](b">a\nAC\nACG\nA\n"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Fasta(path, tmpdir=scratch) as fasta:
        assert fasta.lengths == {"a": 6}
        assert list(scratch.iterdir())
    assert list(scratch.iterdir()) == []
    write(b">a\nAC\n>a\nAC\n")
    with pytest.raises(InputError):
        Fasta(path, tmpdir=scratch)
    assert list(scratch.iterdir()) == []
    assert {entry.name for entry in tmp_path.iterdir()} == {"genome.fa", "scratch"}


def test_a_genome_that_is_written_into_while_it_is_open_is_refused(write) -> None:
    path = write(b">c\nACGTACGT\n")
    with Fasta(path) as fasta:
        assert decode(fasta.codes("c", 0, 4)) == "ACGT"
        path.write_bytes(b">c\nTTTTTTTTTT\n")
        with pytest.raises(InputError, match="changed while it was being read"):
            fasta.codes("c", 0, 4)


def test_a_changed_genome_is_read_anew(write) -> None:
    assert read_all(write(b">a\nACGT\n")) == {"a": "ACGT"}
    assert read_all(write(b">x\nGG\n>b\nTT\n")) == {"x": "GG", "b": "TT"}


def test_real_genomes(shared: Path) -> None:
    with Fasta(shared / "essentiality" / "ecoli_k12_mg1655" / "genome.fna.gz") as fasta:
        assert fasta.lengths == {"NC_000913.3": 4641652}
        assert decode(fasta.codes("NC_000913.3", 189, 201)) == "ATGAAACGCATT"
    with Fasta(shared / "variants" / "drprg_pandora_gene_refs" / "reference.fa.gz") as fasta:
        assert len(fasta.lengths) == 18
