"""The page as text: nothing from a file becomes markup, and nothing is asked of the network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnahnet_cli.errors import InputError
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.report.build import Inputs, build
from dnahnet_cli.report.page import Page, Section, as_script, render, resource
from tests.report.pages import EVIL, LENGTHS, QUOTED, MadeUp, Read, gene_rows, make_run, variant_rows


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def read(run: MadeUp) -> Read:
    return Read(run.html())


def test_names_in_files_never_become_markup(read: Read) -> None:
    tags = [tag for tag, _ in read.elements]
    assert tags.count("script") == 4
    assert "img" not in tags and "b" not in tags
    assert not [attribute for _, attributes in read.elements for attribute in attributes if attribute.startswith("on")]
    assert EVIL in json.dumps(read.data(), ensure_ascii=False)


def test_the_policy_lets_the_two_scripts_run_and_nothing_else(read: Read) -> None:
    (policy,) = [own["content"] for tag, own in read.elements if tag == "meta" and "http-equiv" in own]
    assert policy is not None and policy.startswith("default-src 'none';")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digests = {base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for a, t in read.scripts if not a}
    assert len(digests) == 2
    assert set(rules["script-src"].split()) == {f"'sha256-{digest}'" for digest in digests}
    # What is not named falls back to default-src; style-src is the one place for text that the page makes itself.
    assert rules.keys() == {"default-src", "script-src", "style-src", "img-src", "font-src", "base-uri", "form-action"}
    assert not re.search(r"https?:|\*", policy)


def test_no_element_points_outside(read: Read) -> None:
    links = [own.get("src") or own.get("href") for _, own in read.elements if "src" in own or "href" in own]
    assert links and all(link is not None and link.startswith(("#", "data:")) for link in links)


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text() | st.floats(allow_nan=False, allow_infinity=False))))
def test_data_survive_the_way_into_a_script_and_out(data: dict[str, object]) -> None:
    text = as_script(data)
    assert json.loads(text) == data
    assert text.isascii() and not set("<>&") & set(text)


@settings(max_examples=15, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_placeholders_and_markup_in_texts_stay_texts(text: str) -> None:
    page = Page(text + "{{data}}", [], {"text": "{{script}}" + text}, "", (text,))
    read = Read(render(page))
    assert read.data() == {"text": "{{script}}" + text}
    assert [tag for tag, _ in read.elements].count("script") == 4


def test_the_library_in_the_page_is_the_one_that_was_published() -> None:
    """The sha256 of dist/igv.min.js in the npm package igv 3.8.10, and nothing in it can end a script element."""
    text = resource("igv.min.js")
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "87b991ae2a720978172e269dd5127c495e56df5af31144dff19c83124e2f5744"
    )
    assert "</script" not in text.lower() and "<!--" not in text
    assert "MIT" in resource("igv.LICENSE")


def test_all_inputs_are_on_the_page(read: Read) -> None:
    data = read.data()
    assert [contig["name"] for contig in data["contigs"]] == list(LENGTHS)
    kinds = [track["kind"] for track in data["tracks"]]
    assert kinds == ["genes", "variants", "values", *["chunks"] * 4, "signal"]
    assert len(data["variants"]["rows"]) == len(variant_rows())
    assert len(data["genes"]["rows"]) == len(gene_rows())
    assert {own["id"] for tag, own in read.elements if tag == "section"} == {
        *("summary", "browser", "variants", "genes", "mutants", "provenance")
    }


def test_the_genome_is_in_the_page(read: Read, run: MadeUp) -> None:
    (text,) = [text for attributes, text in read.scripts if attributes.get("id") == "sequence"]
    lines = gzip.decompress(base64.b64decode(text)).decode().splitlines()
    wanted = run.genome.read_text().splitlines()
    assert lines[1::2] == wanted[1::2]
    assert lines[0::2] == [">" + contig["plain"] for contig in read.data()["contigs"]]
    assert lines[0] == ">first" and not set("<>&:") & set(lines[2][1:])


def test_the_most_damaging_variants_are_kept_and_the_rest_is_counted(run: MadeUp) -> None:
    with Fasta(run.genome) as fasta:
        report = build(fasta, run.inputs(top=7))
    damage = sorted((row["damage"] for row in variant_rows() if "damage" in row), reverse=True)
    columns = [column["key"] for column in report.page.data["variants"]["columns"]]
    shown = [row[columns.index("damage")] for row in report.page.data["variants"]["rows"]]
    assert shown == [float(f"{value:.5g}") for value in damage[:7]]
    assert any("73 of 80 variants" in text for text in report.left_out)
    html = render(report.page)
    assert "72 of 80 scored; 8 ref_mismatch" in html and "73 of 80 variants" in html


def test_results_of_two_models_are_called_so(run: MadeUp, tmp_path: Path) -> None:
    other = tmp_path / "other.bed"
    other.write_text(run.chunks.read_text().replace("ab" * 32, "cd" * 32))
    with Fasta(run.genome) as fasta:
        page = build(fasta, Inputs(variants=str(run.variants), chunks=str(other))).page
    (warning,) = page.warnings
    assert "other.bed" in warning and "v.tsv" in warning
    assert 'class="warning"' in render(page)


def test_results_of_another_genome_are_refused(run: MadeUp, tmp_path: Path) -> None:
    genome = tmp_path / "other.fa"
    genome.write_text(">unheard_of\nACGTACGT\n")
    with Fasta(genome) as fasta, pytest.raises(InputError, match="none of its variants is on the genome"):
        build(fasta, Inputs(variants=str(run.variants)))


def test_contigs_can_be_renamed(run: MadeUp, tmp_path: Path) -> None:
    genome = tmp_path / "other.fa"
    genome.write_text(run.genome.read_text().replace(">first", ">renamed"))
    with Fasta(genome) as fasta:
        report = build(fasta, Inputs(variants=str(run.variants), renamed={"first": "renamed"}))
    assert None not in report.page.data["variants"]["places"]
    assert not report.left_out


def test_sections_are_escaped() -> None:
    html = render(Page(QUOTED, [Section("a", EVIL, "<p>body</p>")], {}, ""))
    tags = [tag for tag, _ in Read(html).elements]
    assert "img" not in tags and tags.count("script") == 4 and "<p>body</p>" in html
