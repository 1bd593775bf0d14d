"""How genomes come into memory: manifests, files, folders, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import decode
from dnahnet_cli.training.corpus import Corpus, Genome, Sampler, read_corpus, read_genome, read_manifest
from dnahnet_cli.training.parts import write_parts
from tests.conftest import SHARED, random_codes
from tests.io.conftest import COMPRESSIONS
from tests.training.genomes import N, genome, write_2bit, write_fasta

PROTEIN = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVVHSLAKWKRQTLGQHDFSAGEGLYTHMKALRPDEDRL"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a FASTA and a 2bit genome and a manifest of both."""
    pytest.importorskip("py2bit")
    (tmp_path / "a.fa").write_text(">c1 first\nACGTN\nacgu\n>empty\n>c2\nRYGG\n")
    write_2bit(tmp_path / "b.2bit", "chr", np.array([0, 1, 2, 3, 4, 4, 0, 3, 3], dtype=np.uint8))
    rows = [
        "name\tgenus\taccession\tsplit\tfile",
        "A one\tA\tNC_1\ttrain\ta.fa",
        "B two\tB\t\tval\tb.2bit",
        "C more\tC\t\ttrain\tb.2bit",
    ]
    (tmp_path / "manifest.tsv").write_text("\n".join(rows) + "\n\n")
    return tmp_path


@pytest.fixture
def fastas(tmp_path: Path) -> Path:
    """Return a folder of FASTA files without a manifest."""
    folder = tmp_path / "genomes"
    folder.mkdir()
    for seed, name in enumerate(["Vibrio_cholerae.fa", "Bacillus_subtilis_168.fna", "GCF_000005845.2.fasta"]):
        write_fasta(folder / name, random_codes(300, seed), random_codes(200, 10 + seed))
    return folder


def sides(corpus: Corpus) -> tuple[set[str], set[str]]:
    return {genome.name for genome in corpus.train}, {genome.name for genome in corpus.heldout}


# --- manifests ---


def test_manifest_reads_the_genomes_of_a_split(folder: Path) -> None:
    train = read_manifest(folder / "manifest.tsv", "train")
    assert [(g.name, g.genus, g.length) for g in train] == [("A one", "A", 13), ("C more", "C", 9)]
    assert [decode(contig) for contig in train[0].contigs] == ["ACGTNACGT", "NNGG"]
    assert [g.about for g in train] == [{"accession": "NC_1"}, {}]
    (val,) = read_manifest(folder / "manifest.tsv", "val")
    assert val.name == "B two"
    assert [decode(contig) for contig in val.contigs] == ["ACGTNNATT"]


@pytest.mark.parametrize("name", ["manifest.tsv", "genomes.tsv", "."])
def test_a_manifest_is_found_by_content_or_in_its_folder(folder: Path, name: str) -> None:
    if name == "genomes.tsv":
        (folder / "manifest.tsv").rename(folder / name)
    lines = []
    corpus = read_corpus([folder / name], advance=lines.append)
    assert sides(corpus) == ({"A one", "C more"}, {"B two"})
    assert sorted(lines) == [9, 9, 13]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\tgenus\tfile\nA\tA\ta.fa\n", "lacks the columns split"),
        ("name,genus,split,file\nA,A,train,a.fa\n", "lacks the columns"),
        ("", r"manifest\.tsv is empty"),
        ("name\tgenus\tsplit\tfile\n", "no genome (to train on )?in "),
        ("name\tgenus\tsplit\tfile\nA\tA\tval\ta.fa\n", "no genome (to train on )?in .*"),
        ("name\tgenus\tsplit\tfile\n\nA\tA\ttrain\n", r"manifest\.tsv:3 has 3 columns, the header 4"),
        ("name\tgenus\tsplit\tfile\nA\tA\ttrain\tnone.fa\n", r"manifest\.tsv:2: .*none\.fa does not exist"),
        ("name\tgenus\tsplit\tfile\nA\tA\ttrain\tnone.2bit\n", r"none\.2bit does not exist"),
        ("name\tgenus\tsplit\tfile\nA\tA\ttrain\tnot.2bit\nB\tB\tval\ta.fa\n", r"not\.2bit is a manifest file"),
        (
            "name\tgenus\tsplit\tfile\nA\tA\ttest\ta.fa\n",
            r"manifest\.tsv:2 has the split 'test': expected train, or val",
        ),
        ("name\tgenus\tsplit\tfile\nA\t\ttrain\ta.fa\n", r"manifest\.tsv:2 has no genus"),
        ("name\tgenus\tsplit\tfile\nA\tA\ttrain\t\n", r"manifest\.tsv:2 has no file"),
        ("name\tgenus\tsplit\tfile\nA\tA\ttrain\ta.fa\nA\tB\tval\tb.2bit\n", r"named 'A' \(.*a\.fa and .*b\.2bit\)"),
    ],
)
@pytest.mark.parametrize("read", [lambda path: read_manifest(path, "train"), lambda path: read_corpus([path])])
def test_unusable_manifests_are_explained(
    folder: Path, text: str, message: str, read: Callable[[Path], object]
) -> None:
    (folder / "not.2bit").write_text("not 2bit")
    (folder / "manifest.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read(folder / "manifest.tsv")


def test_a_genus_on_both_sides_is_refused_before_anything_is_read(folder: Path) -> None:
    (folder / "manifest.tsv").write_text("name\tgenus\tsplit\tfile\nA\tG\ttrain\ta.fa\nB\tG\tval\tb.2bit\n")
    (folder / "a.fa").write_text("no FASTA")
    with pytest.raises(InputError, match=r"B is held out, but genus G is trained on, with A \(.*b\.2bit and .*a\.fa\)"):
        read_corpus([folder])


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tsv"):
        read_manifest(tmp_path / "none.tsv", "train")


# --- files, folders, and what is held out ---


def test_without_a_manifest_names_come_from_files(fastas: Path) -> None:
    (fastas / "README.txt").write_text("nothing to read")
    (fastas / ".hidden.fa").write_text("nothing to read")
    corpus = read_corpus([fastas], ["Vibrio_cholerae"])
    assert [(g.name, g.genus) for g in corpus.train] == [
        ("Bacillus_subtilis_168", "Bacillus"),
        ("GCF_000005845.2", "GCF_000005845.2"),
    ]
    assert [(g.name, g.genus) for g in corpus.heldout] == [("Vibrio_cholerae", "Vibrio")]
    assert corpus.train[0].length == 500 and len(corpus.train[0].contigs) == 2


@pytest.mark.parametrize("wanted", ["Vibrio_cholerae", "Vibrio_cholerae.fa", "{folder}/Vibrio_cholerae.fa"])
def test_held_out_by_name_or_file(fastas: Path, wanted: str) -> None:
    corpus = read_corpus(sorted(fastas.iterdir()), [wanted.format(folder=fastas)])
    assert sides(corpus) == ({"Bacillus_subtilis_168", "GCF_000005845.2"}, {"Vibrio_cholerae"})


def test_held_out_files_may_lie_elsewhere(fastas: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("Listeria_a.fa", "Listeria_b.fa"):
        write_fasta(other / name, random_codes(100, len(name)))
    corpus = read_corpus([fastas], [str(other / "Listeria_a.fa")])
    assert sides(corpus)[1] == {"Listeria_a"} and len(corpus.train) == 3
    assert sides(read_corpus([fastas], [str(other)]))[1] == {"Listeria_a", "Listeria_b"}


def test_what_is_held_out_is_asked_for(fastas: Path) -> None:
    with pytest.raises(InputError, match=r"no genome is held out in .*genomes(.|\n)*--heldout(.|\n)*--no-heldout"):
        read_corpus([fastas])
    assert len(read_corpus([fastas], need_heldout=False).train) == 3
    with pytest.raises(InputError, match="no genome or file 'Vibro' to hold out; there are Bacillus_subtilis_168, GCF"):
        read_corpus([fastas], ["Vibro"])
    one = fastas / "Vibrio_cholerae.fa"
    with pytest.raises(InputError, match=r"no genome to train on in .*: all are held out"):
        read_corpus([one], ["Vibrio_cholerae"])


def test_one_genome_given_twice_is_refused(fastas: Path) -> None:
    with pytest.raises(InputError, match=r"two genomes are named 'Vibrio_cholerae' \(.*Vibrio_cholerae\.fa\)"):
        read_corpus([fastas, fastas / "Vibrio_cholerae.fa"], need_heldout=False)
    write_fasta(fastas / "Vibrio_cholerae.fna", random_codes(50, 0))
    with pytest.raises(InputError, match=r"Vibrio_cholerae\.fa and .*Vibrio_cholerae\.fna"):
        read_corpus([fastas], need_heldout=False)


def test_a_folder_without_genomes_says_what_it_expects(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds no genomes: expected manifest\.tsv"):
        read_corpus([tmp_path])
    with pytest.raises(InputError, match=r"none does not exist"):
        read_corpus([tmp_path / "none"])


def test_part_files_and_their_folder_are_sources(fastas: Path, tmp_path: Path) -> None:
    corpus = read_corpus([fastas], ["Vibrio_cholerae"])
    parts = write_parts(corpus, tmp_path / "parts")
    for sources in ([tmp_path / "parts"], parts):
        again = read_corpus(sources)
        assert again.records() == corpus.records()
        batches = [Sampler(genomes, seed=1).batch(3, 8, 90).tokens for genomes in (corpus.train, again.train)]
        assert np.array_equal(*batches)
    more = write_fasta(tmp_path / "Listeria_x.fa", random_codes(80, 5))
    assert sides(read_corpus([*parts, more], ["GCF_000005845.2"])) == (
        {"Bacillus_subtilis_168", "Listeria_x"},
        {"Vibrio_cholerae", "GCF_000005845.2"},
    )


# --- what is in a file ---


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("suffix", [".fa", ".fna.gz", ".fasta.bgz", ""])
def test_fasta_in_any_wrapping(tmp_path: Path, compression: str, suffix: str) -> None:
    path = tmp_path / f"Vibrio_x{suffix}"
    path.write_bytes(COMPRESSIONS[compression](b">abcdefg{x\nACGTN\nAC\n>b\nGG\n"))
    (found,) = read_corpus([path], need_heldout=False).train
    assert (found.name, found.genus) == ("Vibrio_x", "Vibrio")
    assert [decode(contig) for contig in found.contigs] == ["ACGTNAC", "GG"]


@pytest.mark.parametrize("codes", [random_codes(1003, 1), np.full(17, N, np.uint8), genome("g", 64).contigs[0]])
def test_2bit_reads_as_it_was_written(tmp_path: Path, codes: np.ndarray) -> None:
    pytest.importorskip("py2bit")
    codes = codes.copy()
    codes[3:9] = N
    (contig,) = read_genome(write_2bit(tmp_path / "any.name", "chr", codes), "g", "G").contigs
    assert np.array_equal(contig, codes)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.02, 0.1, 0.5, 0.999])
def test_a_2bit_file_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    """py2bit alone would read the missing bases as T, or end the process."""
    pytest.importorskip("py2bit")
    whole = write_2bit(tmp_path / "whole.2bit", "chr", random_codes(4000, 0)).read_bytes()
    path = tmp_path / "cut.2bit"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"cut\.2bit"):
        read_genome(path, "g", "G")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b">a\n>b\n\n", "holds no bases"),
        (b">p1\n" + PROTEIN.encode(), "letters of p1 are not nucleotide codes. Is it a protein file"),
        (b">c\n" + b"ACGT" * 3000 + b"\n>p2\n" + PROTEIN.encode() * 3, "letters of p2, in .* Is it a protein file"),
        (b"##gff-version 3\n", "is a GFF file: genomes are read from FASTA"),
        (b"LOCUS x", "is a GenBank file"),
        (b"@r1\nACGT\n+\nIIII\n", "is a FASTQ or SAM file"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09", "is a binary file"),
    ],
)
def test_what_is_no_genome_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "odd.fa"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_corpus([path], need_heldout=False)
    assert "odd.fa" in str(caught.value)


def test_ambiguous_bases_and_gaps_are_no_protein(tmp_path: Path) -> None:
    codes = random_codes(5000, 0)
    codes[1000:4000] = N
    codes[4100:4900:50] = N
    path = write_fasta(tmp_path / "g.fa", codes, np.array([0, N, 1, N, 2], dtype=np.uint8))
    assert np.array_equal(read_genome(path, "g", "G").contigs[0], codes)


def test_parts_need_neither_fasta_nor_2bit_nor_vcf_libraries(tmp_path: Path) -> None:
    corpus = Corpus((Genome("a", "A", [random_codes(90, 0)]),), (Genome("b", "B", [random_codes(80, 1)]),))
    write_parts(corpus, tmp_path)
    code = (
        "import sys\n"
        "for name in ('pysam', 'pyfaidx', 'py2bit', 'pandas', 'pyarrow'):\n    sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from dnahnet_cli.training.corpus import Sampler, read_corpus\n"
        f"corpus = read_corpus([Path({str(tmp_path)!r})])\n"
        "assert Sampler(corpus.train, 1).batch(0, 2, 50).tokens.shape == (2, 50)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_2bit_file_without_py2bit_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_2bit(tmp_path / "g.2bit", "chr", random_codes(40, 0))
    monkeypatch.setitem(sys.modules, "py2bit", None)
    with pytest.raises(InputError, match=r"py2bit.*dnahnet\[train\]"):
        read_genome(path, "g", "G")


def test_real_genomes_pack_exactly() -> None:
    """A real genome with stretches of N: the same bases as py2bit reads, in a quarter of the memory."""
    py2bit = pytest.importorskip("py2bit")
    files = sorted((SHARED / "data" / "genomes" / "train").glob("*.2bit"), key=lambda path: path.stat().st_size)
    if not files:
        pytest.skip("the shared genomes are not beside this checkout")
    for path in files[:3]:
        file = py2bit.open(str(path))
        found = read_genome(path, "g", "G")
        expected = [file.sequence(name) for name in file.chroms()]
        file.close()
        assert [decode(contig) for contig in found.contigs] == expected
        assert found.contigs.bases.nbytes <= found.length / 4 + len(expected)
