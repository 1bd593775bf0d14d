"""Part files: what goes in comes out, in files of limited size; what is damaged is refused."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from dnahnet_cli.errors import InputError, OutputError
from dnahnet_cli.training.packed import Corpus, Genome, Packed
from dnahnet_cli.training.parts import PartFolder, read_part, write_parts
from dnahnet_cli.training.sampler import Sampler
from tests.conftest import random_codes
from tests.training.genomes import N, genome


def holey(name: str, genus: str, *lengths: int, seed: int = 0, **about: str) -> Genome:
    """Return a genome with a stretch of N in each contig."""
    contigs = [random_codes(length, seed + index) for index, length in enumerate(lengths)]
    for codes in contigs:
        codes[len(codes) // 3 : len(codes) * 3 // 5] = N
    return Genome(name, genus, contigs, about)


ABOUT = {"accession": "NC_1", "organism": 'Bacillus "é"', "source": "x"}
CORPUS = Corpus(
    tuple(holey(f"t{index}", f"Genus{index % 5}", 4000, 4001 + index, seed=10 * index) for index in range(30)),
    (holey("held one", "Held", 9000, seed=900, **ABOUT), holey("held two", "Other", 3, 5000, seed=950)),
)
PART_BYTES = 16_384


def contents(corpus: Corpus) -> dict[str, Any]:
    """Return all that a corpus holds, whatever its order."""
    return {
        genome.name: (split, genome.genus, genome.about, [contig.tobytes() for contig in genome.contigs])
        for split, genomes in (("train", corpus.train), ("val", corpus.heldout))
        for genome in genomes
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_parts(CORPUS, tmp_path / "parts", PART_BYTES)
    return tmp_path / "parts"


# --- writing ---


def test_what_goes_in_comes_out(folder: Path) -> None:
    corpus = PartFolder(folder).new_parts()
    assert contents(corpus) == contents(CORPUS)
    assert corpus.records() == CORPUS.records()
    assert {g.sha256 for g in corpus.train} == {Genome(g.name, g.genus, list(g.contigs)).sha256 for g in corpus.train}


def test_parts_are_numbered_limited_and_ready_one_by_one(folder: Path) -> None:
    paths = sorted(folder.iterdir())
    assert len(paths) > 4
    assert [path.name for path in paths] == [f"part-{number:03}.safetensors" for number in range(1, len(paths) + 1)]
    assert all(path.stat().st_size <= PART_BYTES for path in paths)
    assert all(path.stat().st_size > 0.7 * PART_BYTES for path in paths[:-1])
    parts = [read_part(path) for path in paths]
    assert [(part.number, part.num_parts) for part in parts] == [(n, len(paths)) for n in range(1, len(paths) + 1)]
    assert {genome.name for genome in parts[0].corpus.heldout} == {"held one", "held two"}
    assert parts[0].corpus.train, "training can begin with the first part alone"
    assert not any(part.corpus.heldout for part in parts[1:])


def test_each_part_is_a_fair_sample(tmp_path: Path) -> None:
    """200 genomes of 2 genera, given one genus after the other: each of 4 parts has both, about evenly."""
    corpus = Corpus(tuple(genome("A" if i < 100 else "B", 400, seed=i, name=f"g{i:03}") for i in range(200)))
    paths = write_parts(corpus, tmp_path, 24_000)
    assert len(paths) >= 3
    for path in paths[:-1]:
        counts = Counter(genome.genus for genome in read_part(path).corpus.train)
        assert 0.3 < counts["A"] / counts.total() < 0.7


def test_the_order_of_genomes_does_not_matter_to_the_bytes(tmp_path: Path, folder: Path) -> None:
    paths = write_parts(Corpus(CORPUS.train[::-1], CORPUS.heldout[::-1]), tmp_path / "again", PART_BYTES)
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("lengths", [(200_000,), (70_000, 70_000, 60_000), (150_000, 5, 20_000, 30_000)])
def test_a_genome_larger_than_a_part_is_cut(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    large = holey("large", "Large", *lengths, accession="NC_9")
    paths = write_parts(Corpus((large, CORPUS.train[0])), tmp_path, PART_BYTES)
    assert all(path.stat().st_size <= PART_BYTES for path in paths)
    corpus = PartFolder(tmp_path).new_parts()
    pieces = {genome.name: genome for genome in corpus.train if genome.genus == "Large"}
    names = [f"large ({number} of {len(pieces)})" for number in range(1, len(pieces) + 1)]
    assert len(pieces) > 3 and set(pieces) == set(names)
    assert all(piece.about == {"accession": "NC_9"} for piece in pieces.values())
    whole = np.concatenate([codes for name in names for codes in pieces[name].contigs])
    assert np.array_equal(whole, np.concatenate(list(large.contigs)))


def test_a_genome_of_scattered_n_still_fits(tmp_path: Path) -> None:
    """Every stretch of N takes 16 bytes, far more than the base beside it."""
    codes = random_codes(8000, 0)
    codes[::2] = N
    paths = write_parts(Corpus((Genome("g", "G", [codes]),)), tmp_path, PART_BYTES)
    assert all(path.stat().st_size <= PART_BYTES for path in paths)
    whole = sorted(PartFolder(tmp_path).new_parts().train, key=lambda piece: piece.name)
    assert np.array_equal(np.concatenate([contig for piece in whole for contig in piece.contigs]), codes)


def test_a_description_larger_than_a_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="description"):
        write_parts(Corpus((Genome("g", "G", [random_codes(90, 0)], {"source": "x" * PART_BYTES}),)), tmp_path, 9000)


def test_parts_of_two_corpora_are_not_mixed(folder: Path) -> None:
    with pytest.raises(OutputError, match="already holds part files"):
        write_parts(CORPUS, folder)
    with pytest.raises(OutputError, match="is a file"):
        write_parts(CORPUS, folder / "part-001.safetensors")
    with pytest.raises(OutputError, match="cannot be made"):
        write_parts(CORPUS, folder / "part-001.safetensors" / "below")


def test_an_interrupted_packing_leaves_whole_parts_only(tmp_path: Path) -> None:
    def stop(path: Path) -> None:
        if path.name == "part-002.safetensors":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parts(CORPUS, tmp_path, PART_BYTES, wrote=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part-001.safetensors", "part-002.safetensors"]
    assert PartFolder(tmp_path).new_parts().train


# --- damage ---


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None], *, sign: bool = False) -> None:
    """Change the description and the tensors of a part; `sign` gives it a digest that fits."""
    from dnahnet_cli.training import parts

    with safe_open(path, "numpy") as file:
        content = json.loads(file.metadata()["dnahnet_part"])
        tensors = {name: file.get_tensor(name) for name in parts._DTYPES}
    change(content, tensors)
    if sign:
        del content["sha256"]
        content["sha256"] = parts._digest(content, Packed(**tensors))
    save_file(tensors, path, {"dnahnet_part": json.dumps(content)})


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100, 1000, -1])
def test_a_part_that_is_cut_off_is_refused(folder: Path, size: int) -> None:
    path = folder / "part-001.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"part-001\.safetensors"):
        read_part(path)


def test_any_flipped_bit_is_noticed(folder: Path) -> None:
    path = folder / "part-001.safetensors"
    whole = path.read_bytes()
    for position in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        try:
            part = read_part(path)
        except InputError as error:
            assert "part-001.safetensors" in str(error)
        else:  # in a blank of the header, where nothing changes
            path.write_bytes(whole)
            assert contents(part.corpus) == contents(read_part(path).corpus)


def put(array: str, index: Any, value: int) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(content: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors[array][index] = value

    return change


def retype(array: str, dtype: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(content: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors[array] = tensors[array].astype(dtype)

    return change


def describe(key: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(content: dict[str, Any], tensors: dict[str, Any]) -> None:
        content["genomes"][0][key] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("lengths", 0, 1 << 62),
        put("lengths", 0, -4),
        put("lengths", 1, 0),
        put("unknown", (0, 0), -1),
        put("unknown", (-1, 1), 1 << 40),
        put("unknown", (1, 0), 0),
        retype("unknown", "float64"),
        retype("lengths", "int32"),
        retype("bases", "float16"),
        lambda content, tensors: tensors.update(bases=tensors["bases"][:-8]),
        lambda content, tensors: tensors.update(unknown=tensors["unknown"].reshape(-1)),
        describe("num_contigs", 3),
        describe("num_contigs", -1),
        describe("num_contigs", 10**9),
        describe("num_contigs", "2"),
        describe("num_bases", 9001),
        describe("split", "test"),
        describe("name", None),
        describe("genus", ["x"]),
        lambda content, tensors: content["genomes"].pop(),
        lambda content, tensors: content["genomes"].append(dict(content["genomes"][0])),
        lambda content, tensors: content.pop("genomes"),
        lambda content, tensors: content.pop("part"),
    ],
)
def test_a_part_that_contradicts_itself_is_refused(folder: Path, change: Any) -> None:
    """Even with a digest that fits: nothing in a file leads astray."""
    path = folder / "part-001.safetensors"
    rewritten(path, change, sign=True)
    with pytest.raises(InputError, match=r"part-001\.safetensors|named"):
        read_part(path)


def test_the_helper_signs_as_the_writer_does(folder: Path) -> None:
    path = folder / "part-001.safetensors"
    before = contents(read_part(path).corpus)
    rewritten(path, lambda content, tensors: None, sign=True)
    assert contents(read_part(path).corpus) == before


def test_other_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "part-001.safetensors"
    with pytest.raises(InputError, match="does not exist"):
        read_part(path)
    header = b'{"bases":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}}'
    for data in (
        b"text",
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", len(header)) + header,
        struct.pack("<Q", 90_000) + b"[" * 90_000,
    ):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"part-001\.safetensors: not a whole part file"):
            read_part(path)
    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(InputError, match="not a whole part file"):
        read_part(path)


def test_a_later_format_is_named(folder: Path) -> None:
    path = folder / "part-001.safetensors"
    rewritten(path, lambda content, tensors: content.update(version=2))
    with pytest.raises(InputError, match="version 2"):
        read_part(path)


# --- folders that fill ---


def test_parts_are_seen_when_they_are_complete(tmp_path: Path, folder: Path) -> None:
    paths = sorted(folder.iterdir())
    arriving = tmp_path / "arriving"
    arriving.mkdir()
    watched = PartFolder(arriving)
    assert watched.new_parts() == Corpus() and watched.num_parts is None

    (arriving / ".part-001.safetensors.abc.tmp").write_bytes(paths[0].read_bytes())
    (arriving / "README").write_text("parts")
    assert watched.new_parts() == Corpus() and watched.unusable == {}

    target = arriving / paths[1].name
    target.write_bytes(paths[1].read_bytes()[:-1])  # as a copy in progress
    assert watched.new_parts() == Corpus()
    assert list(watched.unusable) == [paths[1].name]

    target.write_bytes(paths[1].read_bytes())
    assert contents(watched.new_parts()) == contents(read_part(paths[1]).corpus)
    assert watched.unusable == {} and watched.num_parts == len(paths)
    assert watched.new_parts() == Corpus()

    for path in paths:
        (arriving / path.name).write_bytes(path.read_bytes())
    corpus = watched.new_parts()
    assert len(corpus.heldout) == 2
    assert watched.names == [paths[1].name, paths[0].name, *(path.name for path in paths[2:])]


def test_a_part_that_stays_unusable_is_told_of_once(tmp_path: Path, folder: Path) -> None:
    paths = sorted(folder.iterdir())
    first, other = tmp_path / "first", tmp_path / "other"
    write_parts(Corpus(CORPUS.train[:1]), other)
    first.mkdir()
    for path in paths:
        (first / path.name).write_bytes(path.read_bytes())
    (first / paths[1].name).write_bytes(paths[1].read_bytes()[:-9])
    (first / "part-099.safetensors").write_bytes((other / "part-001.safetensors").read_bytes())
    watched, said = PartFolder(first), list[str]()
    corpus = watched.new_parts(None, said.append)
    assert said == []  # they may be on their way
    for _ in range(3):
        assert watched.new_parts(corpus, said.append) == Corpus()
    assert len(said) == 2 and "cut off" in said[0] and "two genomes are named" in said[1]
    assert watched.left_out().startswith(f"{len(paths) - 1} of {len(paths)} parts were read")
    (first / paths[1].name).write_bytes(paths[1].read_bytes())
    assert watched.new_parts(corpus, said.append).train and len(said) == 2


def test_a_resumed_run_draws_the_same_batches(folder: Path) -> None:
    """A run meets its parts one by one; resumed, it reads by name those it had, and then draws the same."""
    names = sorted(path.name for path in folder.iterdir())
    grown = PartFolder(folder)
    sampler = Sampler(grown.read(names[2:3]).train, seed=1)
    for name in (names[1], names[0]):
        sampler.add(grown.read([name]).train)
    resumed = PartFolder(folder)
    again = Sampler(resumed.read(grown.names).train, seed=1)
    assert resumed.names == grown.names
    for step in range(3):
        assert np.array_equal(sampler.batch(step, 4, 64).tokens, again.batch(step, 4, 64).tokens)
    assert len(resumed.new_parts().train) == len(CORPUS.train) - sum(
        len(read_part(folder / name).corpus.train) for name in grown.names
    )


def test_a_part_that_is_asked_for_must_be_there(folder: Path) -> None:
    with pytest.raises(InputError, match=r"part-099\.safetensors does not exist"):
        PartFolder(folder).read(["part-099.safetensors"])
    with pytest.raises(InputError, match="not a folder"):
        PartFolder(folder / "none").new_parts()
