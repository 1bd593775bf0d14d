"""Which rows a shard has: whatever the records and the number of shards, all of them once, and whole units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.cli.shard import Shard, parse_shard, plan_shard
from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genome import Variant
from dnahnet_cli.io.shards import Part, in_order
from dnahnet_cli.scoring.variants import UNIT, units


class Known:
    """Stands for an intake and a scorer that knows the assembly."""

    wants_statuses = False

    def __init__(self, alts: Sequence[int]) -> None:
        self.alts = alts

    def variants(self) -> Iterator[Variant]:
        for start, number in enumerate(self.alts):
            for index in range(1, number + 1):
                yield Variant("c", start, "A", "C", ".", index)

    def check_assembly(self, statuses: object, *, last: bool = False) -> None:
        assert not statuses


class File:
    kind = "tsv"

    def __init__(self, name: str, shard: Shard) -> None:
        self.name, self.provenance = name, {"shard": str(shard)}
        self.part = Part.of(name, self.provenance)


def planned(alts: Sequence[int], number: int, **made_by: str) -> list[Shard]:
    known = cast(Any, Known(alts))
    return [plan_shard((index, number), known, known, made_by) for index in range(1, number + 1)]


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), max_size=60).map(lambda few: few * 30), st.integers(1, 20))
def test_shards_are_the_whole_in_whole_units(alts: list[int], number: int) -> None:
    shards = planned(alts, number)
    assert [row for shard in shards for row in shard.rows] == list(range(sum(alts)))
    whole = list(units(Known(alts).variants()))
    assert [v for unit in whole for v in unit] == list(Known(alts).variants())
    assert all(unit[0].alt_index == 1 for unit in whole)  # no record is divided
    assert all(len(unit) < UNIT + 4 for unit in whole)
    again = []
    for shard in shards:
        own = list(Known(alts).variants())[shard.rows.start : shard.rows.stop]
        again += list(units(own, shard.first_unit))
    assert again == whole


@settings(deadline=None)
@given(st.integers(1, 12))
def test_they_are_about_equal(number: int) -> None:
    sizes = [len(shard.rows) for shard in planned([1] * 20_000, number)]
    assert max(sizes) - min(sizes) <= 2 * UNIT


@settings(deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=40), st.integers(1, 6), st.randoms())
def test_what_stands_in_a_header_brings_them_in_order(alts: list[int], number: int, random: Any) -> None:
    shards = planned(alts, number)
    files = [File(str(index), shard) for index, shard in enumerate(shards)]
    random.shuffle(files)
    ordered = in_order(cast(Any, files))
    assert [file.name for file in ordered] == list(map(str, range(number)))
    for file, shard in zip(ordered, shards, strict=True):
        assert range(file.part.start, file.part.end) == shard.rows
    with pytest.raises(InputError, match="are both shard"):
        in_order(cast(Any, [*files, random.choice(files)]))
    if number > 1:
        files.pop(random.randrange(number))
        with pytest.raises(InputError, match=r"1 of .* missing"):
            in_order(cast(Any, files))


def test_shards_of_different_runs_do_not_fit() -> None:
    one, other, third = planned([1] * 100, 2, model="a"), planned([1] * 100, 2, model="b"), planned([1] * 99, 2)
    assert len({shard.run for shard in (*one, *other, *third)}) == 3
    with pytest.raises(InputError, match="different runs"):
        in_order(cast(Any, [File("one", one[0]), File("other", other[1])]))


def test_bounds_follow_the_sizes_of_units() -> None:
    sizes = [len(unit) for unit in units(Known([1] * 2000).variants())]
    ends = [*accumulate(sizes, initial=0)]
    for shard in planned([1] * 2000, 3):
        assert {shard.rows.start, shard.rows.stop} <= set(ends)
    assert all(a < b for a, b in pairwise(ends))


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "-1/3", "a/b", "1/3/5", "1/ 3", ""])
def test_what_is_no_shard_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="I/N"):
        parse_shard(text)
    assert parse_shard("3/3") == (3, 3)
