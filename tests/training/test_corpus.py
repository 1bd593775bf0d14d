"""Which windows are drawn, and how genomes come into memory."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Codes, decode, reverse_complement
from dnahnet_cli.model.config import BOS
from dnahnet_cli.training.corpus import Genome, Sampler, check_held_out, heldout_windows, read_manifest, to_batch
from tests.conftest import random_codes

N = 4


def genome(genus: str, *lengths: int, seed: int = 0) -> Genome:
    return Genome(f"{genus} sp.", genus, tuple(random_codes(n, seed + 100 * i) for i, n in enumerate(lengths)))


# Distinct random contigs: a window of 50 bases says where it comes from.
BIG = genome("Big", 30_000, 10_000, seed=1)
SECOND_OF_BIG = genome("Big", 50_000, seed=2)
SMALL = genome("Small", 10_000, seed=3)
CONTIGS = [*BIG.contigs, *SECOND_OF_BIG.contigs, *SMALL.contigs]


def origins(windows: Codes, contigs: list[Codes]) -> list[tuple[int, bool, int]]:
    """Return (contig, whether reversed, forward start) of every window; fail for one that is nowhere."""
    found = []
    texts = [contig.tobytes() for contig in contigs]
    for window in windows.astype(np.uint8):
        hits = [
            (index, turned, text.find(piece))
            for index, text in enumerate(texts)
            for turned, piece in ((False, window.tobytes()), (True, reverse_complement(window).tobytes()))
            if piece in text
        ]
        assert len(hits) == 1, "a window must be a stretch of exactly one contig"
        found += hits
    return found


def draw(sampler: Sampler, num_windows: int, length: int = 50) -> Codes:
    return sampler.batch(0, num_windows, length).targets.astype(np.uint8)


# --- batches ---


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    one, other = (Sampler([BIG, SMALL], seed=5) for _ in range(2))
    for step in (7, 0, 3):  # the first sampler has been used, in another order
        one.batch(step, 4, 100)
    for step in (0, 3, 7):
        assert np.array_equal(one.batch(step, 4, 100).tokens, other.batch(step, 4, 100).tokens)
    assert not np.array_equal(one.batch(0, 4, 100).tokens, one.batch(1, 4, 100).tokens)
    assert not np.array_equal(one.batch(0, 4, 100).tokens, Sampler([BIG, SMALL], seed=6).batch(0, 4, 100).tokens)


def test_windows_lie_within_one_contig_on_either_strand() -> None:
    found = origins(draw(Sampler([BIG, SECOND_OF_BIG, SMALL], 1), 600), CONTIGS)
    num_reversed = sum(turned for _, turned, _ in found)
    assert 300 - 50 < num_reversed < 300 + 50  # 4 standard deviations


def test_no_window_crosses_from_one_contig_to_the_next() -> None:
    """Contigs scarcely longer than a window leave few starts: any other would cross."""
    fragments = genome("Fragments", *range(50, 60), seed=4)
    found = origins(draw(Sampler([fragments], 1), 300), list(fragments.contigs))
    assert {index for index, _, _ in found} == set(range(10))
    for index, contig in enumerate(fragments.contigs):
        starts = {start for where, _, start in found if where == index}
        assert starts <= set(range(len(contig) - 50 + 1))
    assert {start for where, _, start in found if where == 1} == {0, 1}  # first and last start both occur


def test_genera_are_drawn_by_the_root_of_their_bases() -> None:
    """Big has 90,000 bases in two genomes, Small 10,000: 3 to 1, and within Big by contig length."""
    found = origins(draw(Sampler([BIG, SECOND_OF_BIG, SMALL], 1), 2000), CONTIGS)
    counts = np.bincount([index for index, _, _ in found], minlength=4)
    expected = 2000 * np.array([0.75 * 3 / 9, 0.75 * 1 / 9, 0.75 * 5 / 9, 0.25])
    assert np.all(np.abs(counts - expected) < 4 * np.sqrt(expected))


def test_starts_are_spread_over_the_contig() -> None:
    starts = [start for _, _, start in origins(draw(Sampler([SMALL], 1), 500), list(SMALL.contigs))]
    tenths = np.bincount([10 * start // 9951 for start in starts], minlength=10)
    assert tenths.min() > 20 and tenths.max() < 90


def test_short_contigs_are_padded_with_n() -> None:
    short = genome("Short", 30, seed=6)
    batch = Sampler([short], 1).batch(0, 20, 50)
    assert np.all(batch.targets[:, 30:] == N) and np.all(batch.targets[:, :30] < N)
    forward, backward = short.contigs[0], reverse_complement(short.contigs[0])
    seen = {bytes(row[:30].astype(np.uint8)) for row in batch.targets}
    assert seen == {bytes(forward), bytes(backward)}


def test_n_in_a_genome_stays_n() -> None:
    codes = np.full(100, N, dtype=np.uint8)
    batch = Sampler([Genome("g", "g", (codes,))], 1).batch(0, 3, 40)
    assert np.all(batch.targets == N)


@given(st.integers(1, 5), st.integers(1, 30))
def test_tokens_are_bos_and_the_bases_before(num_windows: int, length: int) -> None:
    windows = np.random.default_rng(length).integers(0, 5, (num_windows, length)).astype(np.uint8)
    batch = to_batch(windows)
    assert batch.tokens.shape == batch.targets.shape == (num_windows, length)
    assert batch.tokens.dtype == batch.targets.dtype == np.int64
    assert np.all(batch.tokens[:, 0] == BOS)
    assert np.array_equal(batch.tokens[:, 1:], windows[:, :-1])
    assert np.array_equal(batch.targets, windows)


# --- held-out windows ---


def test_heldout_windows_span_the_longest_contig_evenly() -> None:
    windows = heldout_windows(BIG, 4, 90)
    assert [start for _, _, start in origins(windows, list(BIG.contigs))] == [0, 9970, 19940, 29910]
    assert np.array_equal(windows, heldout_windows(BIG, 4, 90))
    assert np.array_equal(heldout_windows(genome("g", 50), 1, 50)[0], genome("g", 50).contigs[0])


def test_a_heldout_genome_must_fill_a_window() -> None:
    with pytest.raises(InputError, match=r"Big sp\.: its longest contig has 30000 bases, fewer than 30001"):
        heldout_windows(BIG, 4, 30_001)


def test_a_genus_is_either_trained_on_or_held_out() -> None:
    check_held_out([BIG, SECOND_OF_BIG], [SMALL])
    with pytest.raises(InputError, match=r"Big sp\. is held out, but genus Big is trained on"):
        check_held_out([SMALL, BIG], [SECOND_OF_BIG])


# --- manifests ---


def write_2bit(path: Path, name: str, codes: Codes) -> None:
    """Write one sequence in UCSC's 2bit format: T C A G are 0 1 2 3, N is A within a block of Ns."""
    unknown = np.flatnonzero(np.diff(np.concatenate([[0], codes == N, [0]])))
    starts, ends = unknown[::2], unknown[1::2]
    bits = np.array([2, 1, 3, 0, 0])[codes]
    bits = np.concatenate([bits, np.zeros(-len(bits) % 4, dtype=int)]).reshape(-1, 4)
    packed = (bits * [64, 16, 4, 1]).sum(1).astype(np.uint8).tobytes()
    head = struct.pack("<4I", 0x1A412743, 0, 1, 0) + bytes([len(name)]) + name.encode()
    record = struct.pack("<2I", len(codes), len(starts))
    record += np.concatenate([starts, ends - starts]).astype("<u4").tobytes() + struct.pack("<2I", 0, 0) + packed
    path.write_bytes(head + struct.pack("<I", len(head) + 4) + record)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a FASTA and a 2bit genome and a manifest of both."""
    pytest.importorskip("py2bit")
    (tmp_path / "a.fa").write_text(">c1 first\nACGTN\nacgu\n>c2\nRYGG\n")
    write_2bit(tmp_path / "b.2bit", "chr", np.array([0, 1, 2, 3, 4, 4, 0, 3, 3], dtype=np.uint8))
    rows = ["name\tgenus\tsplit\tfile", "A one\tA\ttrain\ta.fa", "B two\tB\tval\tb.2bit", "B more\tB\ttrain\tb.2bit"]
    (tmp_path / "manifest.tsv").write_text("\n".join(rows) + "\n\n")
    return tmp_path


def test_manifest_reads_the_genomes_of_a_split(folder: Path) -> None:
    train = read_manifest(folder / "manifest.tsv", "train")
    assert [(g.name, g.genus, g.length) for g in train] == [("A one", "A", 13), ("B more", "B", 9)]
    assert [decode(contig) for contig in train[0].contigs] == ["ACGTNACGT", "NNGG"]
    (val,) = read_manifest(folder / "manifest.tsv", "val")
    assert val.name == "B two"
    assert [decode(contig) for contig in val.contigs] == ["ACGTNNATT"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\tgenus\tfile\nA\tA\ta.fa\n", "lacks the columns split"),
        ("name,genus,split,file\nA,A,train,a.fa\n", "lacks the columns"),
        ("", "manifest"),
        ("name\tgenus\tsplit\tfile\n", "no genome in split 'train'"),
        ("name\tgenus\tsplit\tfile\nA\tA\tval\ta.fa\n", "no genome in split 'train'"),
        ("name\tgenus\tsplit\tfile\nA\tA\ttrain\n", "manifest"),
        ("name\tgenus\tsplit\tfile\nA\tA\ttrain\tnone.fa\n", "none.fa"),
        ("name\tgenus\tsplit\tfile\nA\tA\ttrain\tnone.2bit\n", "none.2bit"),
        ("name\tgenus\tsplit\tfile\nA\tA\ttrain\tmanifest.2bit\n", "manifest.2bit"),
    ],
)
def test_unusable_manifests_are_explained(folder: Path, text: str, message: str) -> None:
    (folder / "manifest.2bit").write_text("not 2bit")
    (folder / "manifest.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(folder / "manifest.tsv", "train")


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tsv"):
        read_manifest(tmp_path / "none.tsv", "train")


def test_a_genus_on_both_sides_of_the_split_is_refused() -> None:
    one, other = Genome("a", "Same", (random_codes(10, 0),)), Genome("b", "Same", (random_codes(10, 1),))
    with pytest.raises(InputError, match="Same"):
        check_held_out([one], [other])
    check_held_out([one], [Genome("c", "Other", other.contigs)])
