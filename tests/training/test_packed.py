"""Two bits per base and back: exact for any codes, any stretch, any cut."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Codes
from dnahnet_cli.training.packed import Corpus, Genome, Packed, check_held_out
from tests.conftest import random_codes
from tests.training.genomes import N, genome


def codes_of(text: bytes) -> Codes:
    return np.frombuffer(text, dtype=np.uint8) % 5


# Random codes rarely have long stretches of one kind, so runs are drawn as well.
RUNS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=12).map(
    lambda runs: np.concatenate([np.full(length, code, dtype=np.uint8) for code, length in runs])
)
CONTIG = st.one_of(st.binary(min_size=1, max_size=40).map(codes_of), RUNS)
CONTIGS = st.lists(CONTIG, min_size=1, max_size=5)


def assert_same(packed: Packed, contigs: Sequence[Codes]) -> None:
    assert len(packed) == len(contigs)
    assert packed.lengths.tolist() == [len(codes) for codes in contigs]
    assert packed.num_bases == sum(len(codes) for codes in contigs)
    for found, expected in zip(packed, contigs, strict=True):
        assert found.dtype == np.uint8 and np.array_equal(found, expected)
    stretches = packed.unknown.ravel()
    assert np.all(np.diff(packed.unknown) > 0) and np.all(np.diff(stretches) >= 0)
    assert np.all((stretches >= 0) & (stretches <= 4 * len(packed.bases)))


@given(CONTIGS, st.data())
def test_any_stretch_of_any_contig(contigs: list[Codes], data: st.DataObject) -> None:
    packed = Packed.pack(contigs)
    assert_same(packed, contigs)
    contig = data.draw(st.integers(0, len(contigs) - 1))
    start = data.draw(st.integers(0, len(contigs[contig])))
    end = data.draw(st.integers(start, len(contigs[contig])))
    assert np.array_equal(packed.codes(contig, start, end), contigs[contig][start:end])


@given(st.lists(CONTIGS, max_size=4))
def test_joining_keeps_the_order(groups: list[list[Codes]]) -> None:
    packed = Packed.joined([Packed.pack(contigs) for contigs in groups])
    assert_same(packed, [codes for contigs in groups for codes in contigs])
    assert len(packed.bases) == packed.edges[-1]


@given(CONTIGS, st.data())
def test_a_range_of_contigs(contigs: list[Codes], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(contigs)))
    last = data.draw(st.integers(first, len(contigs)))
    assert_same(Packed.pack(contigs).between(first, last), contigs[first:last])


@given(CONTIGS.filter(lambda contigs: len(contigs) > 1 or len(contigs[0]) > 4))
def test_halves_are_the_whole(contigs: list[Codes]) -> None:
    left, right = Packed.pack(contigs).halves()
    assert left.num_bases and right.num_bases
    if len(contigs) > 1:
        assert_same(left, contigs[: len(left)])
        assert_same(right, contigs[len(left) :])
    else:
        cut = left.num_bases
        assert_same(left, [contigs[0][:cut]])
        assert_same(right, [contigs[0][cut:]])


def test_halves_are_about_equal() -> None:
    for lengths in ((1000,), (300, 300, 300, 300), (10, 10, 980, 1000)):
        left, right = genome("g", *lengths).contigs.halves()
        assert 0.9 < left.num_bases / right.num_bases < 1.1


def test_what_is_unpacked_is_a_copy() -> None:
    packed = Packed.pack([random_codes(50, 0)])
    before = packed[0].copy()
    packed[0][:] = N
    packed.codes(0, 3, 9)[:] = 0
    assert np.array_equal(packed[0], before)


def test_a_base_takes_two_bits_and_n_hardly_more() -> None:
    codes = random_codes(400_000, 0)
    codes[1000:2000] = codes[300_000:300_001] = N
    packed = Packed.pack([codes])
    assert packed.bases.nbytes == 100_000
    assert packed.unknown.tolist() == [[1000, 2000], [300_000, 300_001]]


def test_no_contig_beyond_the_last() -> None:
    packed = Packed.pack([random_codes(5, 0)])
    with pytest.raises(IndexError):
        packed[1]
    assert len(Packed.pack([])) == Packed.pack([]).num_bases == 0


# --- genomes and corpora ---


@given(CONTIGS)
def test_the_digest_is_of_the_codes(contigs: list[Codes]) -> None:
    expected = hashlib.sha256(b"".join(codes.tobytes() for codes in contigs)).hexdigest()
    assert Genome("g", "G", contigs).sha256 == expected
    assert Genome("h", "H", Packed.pack(contigs)).sha256 == expected


def test_a_genus_is_either_trained_on_or_held_out() -> None:
    one, two, other = genome("Big", 50), genome("Big", 60, name="second"), genome("Small", 10)
    check_held_out([one, two], [other])
    with pytest.raises(InputError, match=r"Big sp\. is held out, but genus Big is trained on, with second"):
        check_held_out([other, two], [one])
    with pytest.raises(InputError, match="genus Big"):
        Corpus((one,), (other,)) + Corpus(heldout=(two,))


def test_a_name_is_given_once() -> None:
    one = Genome("x", "A", [random_codes(9, 0)], origin="a.fa")
    with pytest.raises(InputError, match=r"named 'x' \(a\.fa and b\.fa\)"):
        Corpus((one,), (Genome("x", "B", [random_codes(9, 1)], origin="b.fa"),))
    with pytest.raises(InputError, match=r"named 'x' \(a\.fa\)"):
        Corpus((one,)) + Corpus((one,))


def test_records_say_what_there_is() -> None:
    named = Genome("b", "B", [random_codes(7, 0), random_codes(5, 1)], {"accession": "NC_1", "source": "here"})
    train, heldout = genome("A", 20), genome("C", 30)
    corpus = Corpus((named, train), (heldout,))
    assert corpus.num_bases == 62
    columns = ("name", "genus", "split", "accession", "bases", "sha256")
    assert [tuple(record[column] for column in columns) for record in corpus.records()] == [
        ("A sp.", "A", "train", None, 20, train.sha256),
        ("b", "B", "train", "NC_1", 12, named.sha256),
        ("C sp.", "C", "val", None, 30, heldout.sha256),
    ]
