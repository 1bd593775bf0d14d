"""Genetic codes: what NCBI's tables say of their peculiar codons."""

from __future__ import annotations

import pytest

from dnahnet_cli.errors import UsageError
from dnahnet_cli.genetic_code import CODES, genetic_code


def test_tables_differ_where_they_should() -> None:
    standard = genetic_code(11)
    assert len(standard.amino_acid_of) == 64 and standard.translate("ATGGCNTAATG") == "MX*"
    assert {code: genetic_code(code).translate("TGATAGTAA") for code in CODES} == {
        1: "***",
        4: "W**",
        11: "***",
        15: "*Q*",
        25: "G**",
    }
    assert sorted(standard.starts) == ["ATA", "ATC", "ATG", "ATT", "CTG", "GTG", "TTG"]
    assert all("ATG" in genetic_code(code).starts for code in CODES)
    with pytest.raises(UsageError, match="1, 4, 11, 15, 25"):
        genetic_code(2)


def test_every_residue_has_a_codon() -> None:
    for code in CODES:
        assert set(genetic_code(code).amino_acid_of.values()) == set("ACDEFGHIKLMNPQRSTVWY*")
