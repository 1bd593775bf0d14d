"""Gather what a page shows from a genome and from what the commands wrote about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from dnahnet_cli.consequences.load import GeneSet, read_gene_set, rename_hint
from dnahnet_cli.errors import InputError
from dnahnet_cli.genome import Interval
from dnahnet_cli.io.fasta import Fasta
from dnahnet_cli.io.streams import counted, name_some
from dnahnet_cli.report import genes as gene_rows
from dnahnet_cli.report import variants as variant_rows
from dnahnet_cli.report.contigs import Contigs, Place, sequence
from dnahnet_cli.report.genes import RankedGenes, gene_blocks, rank_genes
from dnahnet_cli.report.page import Page, Section, definitions, items, small_table
from dnahnet_cli.report.pictures import FITNESS_NEEDED, MutantMap, draw_map, draw_ranking, mutant_map
from dnahnet_cli.report.signals import BIN_BP, ChunkTracks, read_chunks, read_signal
from dnahnet_cli.report.tables import ScoredTable, read_scored
from dnahnet_cli.report.variants import Variants, first_places, select_variants
from dnahnet_cli.report.windows import MAX_BP, choose_windows

_AROUND_BP = 250  # of a variant, shown base by base
_NUM_TOP_GENES = 10


@dataclass(frozen=True)
class Inputs:
    """What to show, as files; `renamed` are the genome's names of contigs by those in the other files."""

    genes: str | None = None
    variants: str | None = None
    essentiality: str | None = None
    chunks: str | None = None
    tracks: Sequence[str] = ()
    fitness: Sequence[str] = ()
    regions: Sequence[Interval] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    top: int = 1000
    title: str | None = None


@dataclass
class Report:
    """A page, and what to say about it: what it leaves out."""

    page: Page
    left_out: list[str]


class _Gathered:
    """Everything that was read, with where it came from."""

    def __init__(self, fasta: Fasta, inputs: Inputs) -> None:
        self.fasta, self.inputs = fasta, inputs
        self.contigs = contigs = Contigs(fasta.lengths, inputs.renamed)
        self.made_by: list[tuple[str, Mapping[str, str]]] = []
        self.left_out: list[str] = []
        self.genes: GeneSet | None = None
        self.variants: Variants | None = None
        self.ranking: RankedGenes | None = None
        self.chunks: ChunkTracks | None = None
        self.scopes: list[Interval] = []  # where the chunks are
        self.maps: list[tuple[str, MutantMap]] = []
        if inputs.genes is not None:
            self.genes = read_gene_set(inputs.genes, fasta.lengths, inputs.renamed, circles=fasta.circular)
        if inputs.variants is not None:
            table = self._open(inputs.variants, variant_rows.NEEDED, "score-variants")
            self.variants = select_variants(table, contigs, inputs.top)
            self._check_places(inputs.variants, "variant", self.variants.places, self.variants.rows)
        if inputs.essentiality is not None:
            table = self._open(inputs.essentiality, gene_rows.NEEDED, "essentiality")
            self.ranking = rank_genes(table, contigs)
            self._check_places(inputs.essentiality, "gene", self.ranking.places, self.ranking.rows)
        if inputs.chunks is not None:
            self.chunks = read_chunks(inputs.chunks, fasta.lengths)
            self.scopes = self.chunks.scopes()
            self.made_by.append((inputs.chunks, self.chunks.provenance))
        for path in inputs.fitness:
            self._add_map(path)
        self.windows = choose_windows(self._wanted())
        self.signals = [read_signal(path, self.windows, contigs) for path in inputs.tracks]
        for path, signal in zip(inputs.tracks, self.signals, strict=True):
            if not signal["parts"]:
                self.left_out.append(f"{Path(path).name}, which has no value in the places shown base by base.")

    def _open(self, path: str, needed: Sequence[str], command: str) -> ScoredTable:
        table = read_scored(path, needed, command)
        self.made_by.append((path, table.provenance))
        return table

    def _add_map(self, path: str) -> None:
        rows = list(self._open(path, FITNESS_NEEDED, "fitness").rows)
        found = mutant_map(rows)
        if found is None:
            raise InputError(f"{path} has no scored single substitutions of residues, of which a map could be made.")
        if found.num_left_out:
            self.left_out.append(f"{found.num_left_out:,} rows of {Path(path).name} that are no cell of its map.")
        self.maps.append((path, found))

    def _check_places(self, path: str, what: str, places: Sequence[Place | None], rows: Sequence[Any]) -> None:
        missing = [row for row, place in zip(rows, places, strict=True) if place is None]
        if missing and len(missing) == len(rows):
            theirs, lengths = str(missing[0].get("chrom")), self.fasta.lengths
            raise InputError(
                f"{path}: none of its {what}s is on the genome; the first is on {theirs!r}, the genome has "
                f"{name_some(lengths)}.\n{rename_hint(theirs, lengths)}"
            )
        if missing:
            self.left_out.append(
                f"In the table but not in the browser: {counted(len(missing), what)} of no place on the genome "
                f"(first: {missing[0].get('chrom')})."
            )

    def _wanted(self) -> Iterable[Interval]:
        """Yield what should be shown base by base, the most wanted first."""
        found = list(self.inputs.regions)
        if sum(map(len, self.scopes)) <= MAX_BP:
            found += self.scopes
        if self.variants:
            found += [self.contigs.window(place, _AROUND_BP) for place in first_places(self.variants.places, MAX_BP)]
        if self.ranking:
            found += [self.contigs.window(place, 50) for place in first_places(self.ranking.places, _NUM_TOP_GENES)]
        return found or self.scopes or [Interval(name, 0, length) for name, length in self.fasta.lengths.items()]

    def _has_chunks(self, place: Place) -> bool:
        here = self.contigs.window(place, 0)
        return any(scope.contig == here.contig and scope.start <= here.start < scope.end for scope in self.scopes)

    def has_more_chunks(self) -> bool:
        """Tell whether there are chunks outside what is shown base by base."""
        return sum(map(len, self.scopes)) > sum(map(len, self.windows))

    def start(self) -> Place:
        """Return what the browser shows first."""
        if self.inputs.regions:
            first = self.inputs.regions[0]
        elif self.variants and (places := first_places(self.variants.places, len(self.variants.places))):
            worst = next((place for place in places if self._has_chunks(place)), places[0])
            first = self.contigs.window(worst, 500)  # the gene it lies in can be seen
        elif self.ranking and (places := first_places(self.ranking.places, 1)):
            first = self.contigs.window(places[0], 300)
        elif self.windows:
            first = Interval(self.windows[0].contig, self.windows[0].start, self.windows[0].end)
        else:
            first = next(Interval(name, 0, length) for name, length in self.fasta.lengths.items() if length)
        shown = self.contigs.place(first.contig, first.start, min(first.end, first.start + 20_000))
        assert shown is not None
        return shown


def build(fasta: Fasta, inputs: Inputs) -> Report:
    """Read everything and return the page. Raises InputError and UsageError for inputs that cannot be shown."""
    if not any(fasta.lengths.values()):
        raise InputError(f"{fasta.path} has no bases to show.")
    gathered = _Gathered(fasta, inputs)
    tracks, num_genes_left_out = _tracks(gathered)
    letters, is_whole = sequence(fasta, gathered.contigs, _neighbourhood(gathered))
    left_out = [*_left_out(gathered, num_genes_left_out, is_whole), *gathered.left_out]
    data = {
        "contigs": gathered.contigs.as_json(),
        "tracks": tracks,
        "variants": gathered.variants.as_json() if gathered.variants else None,
        "genes": gathered.ranking.as_json() if gathered.ranking else None,
        "maps": [found.as_json() for _, found in gathered.maps],
        "start": gathered.start(),
    }
    title = inputs.title or f"dnahnet report: {Path(fasta.path).name}"
    sections = [own for own in _sections(gathered, left_out) if own is not None]
    return Report(Page(title, sections, data, letters, _warnings(gathered.made_by)), left_out)


def _tracks(gathered: _Gathered) -> tuple[list[dict[str, Any]], int]:
    """Return the tracks from top to bottom, and the number of genes left out."""
    tracks: list[dict[str, Any]] = []
    num_left_out = 0
    if gathered.genes:
        blocks, num_left_out = gene_blocks(gathered.genes, gathered.contigs)
        tracks.append({"kind": "genes", "name": "genes", "blocks": blocks})
    elif gathered.ranking:
        tracks.append({"kind": "genes", "name": "genes", "blocks": gathered.ranking.blocks()})
    if gathered.variants:
        tracks.append({"kind": "variants", "name": "variants"})
    if gathered.ranking:
        tracks.append({"kind": "values", "name": "essentiality score", "values": gathered.ranking.values()})
    if gathered.chunks:
        tracks += gathered.chunks.tracks(gathered.windows, gathered.contigs)
    tracks += gathered.signals
    if gathered.chunks and gathered.has_more_chunks():
        tracks += gathered.chunks.overviews(gathered.contigs)
    return tracks, num_left_out


def _neighbourhood(gathered: _Gathered) -> list[Interval]:
    """Return the stretches whose bases are needed where a genome is too large to be there as a whole."""
    found = list(gathered.windows)
    for rows in (gathered.variants, gathered.ranking):
        if rows:
            found += [gathered.contigs.window(place, 1000) for place in rows.places if place]
    return found


def _left_out(gathered: _Gathered, num_genes: int, is_whole: bool) -> list[str]:
    found = []
    variants, ranking = gathered.variants, gathered.ranking
    if variants and variants.num_left_out:
        found.append(
            f"{variants.num_left_out:,} of {variants.status.total():,} variants: the page has the "
            f"{len(variants.rows):,} of the highest damage (--top)."
        )
    if ranking and ranking.num_left_out:
        found.append(f"{ranking.num_left_out:,} of {ranking.status.total():,} ranked genes, those of the lowest score.")
    if num_genes:
        found.append(f"{num_genes:,} genes of the annotation, beyond the first {gene_rows.MAX_GENES:,} or not here.")
    num_bases = sum(map(len, gathered.windows))
    if (gathered.has_more_chunks() or gathered.signals) and num_bases < sum(gathered.fasta.lengths.values()):
        overview = (
            f" Elsewhere there is the mean chunk length of every {BIN_BP:,} bases."
            if gathered.has_more_chunks()
            else ""
        )
        found.append(
            f"Single chunks and values of single bases outside {num_bases:,} bases in "
            f"{len(gathered.windows):,} places, around what the page shows (--region chooses others).{overview}"
        )
    if not is_whole:
        found.append("Bases far from what the page shows, which are drawn as N.")
    return found


def _warnings(made_by: Sequence[tuple[str, Mapping[str, str]]]) -> list[str]:
    """Say so when the inputs are not of one model."""
    models: dict[str, list[str]] = {}
    for path, provenance in made_by:
        if sha256 := provenance.get("model_sha256"):
            models.setdefault(f"{provenance.get('model', '?')} ({sha256[:12]})", []).append(Path(path).name)
    if len(models) < 2:
        return []
    parts = "; ".join(f"{', '.join(names)} by {model}" for model, names in models.items())
    return [f"The results were not made by one model, so do not compare their scores: {parts}."]


def _sections(gathered: _Gathered, left_out: Sequence[str]) -> Iterable[Section | None]:
    yield Section("summary", "Summary", _summary(gathered))
    yield Section("browser", "Browser", '<div id="igv"></div><p id="place" class="hint" role="status"></p>')
    if gathered.variants:
        hint = "damage = -llr in nats; higher: the model finds the variant less likely. A row shows its place above."
        if any(row.get("phred") is not None for row in gathered.variants.rows):
            hint += (
                " phred: 10 where one in ten random SNVs of this genome scores like that or worse, 20 one in a hundred."
            )
        yield Section(
            "variants", "Variants", f'<p class="hint">{hint}</p><div class="rows" data-table="variants"></div>'
        )
    if gathered.ranking:
        hint = "score = log p(wild type) - log p(knock-out) in nats; higher: more likely essential."
        picture = draw_ranking(gathered.ranking.scores())
        body = f'<p class="hint">{hint}</p>{picture}<div class="rows" data-table="genes"></div>'
        yield Section("genes", "Essentiality", body)
    if gathered.maps:
        maps = [f"<h3>{escape(Path(path).name)}</h3>{draw_map(own, n)}" for n, (path, own) in enumerate(gathered.maps)]
        yield Section("mutants", "Mutants", f'{"".join(maps)}<p id="mutant" class="hint" role="status"></p>')
    if left_out:
        yield Section("left-out", "Not on this page", items(left_out))
    yield Section("provenance", "Where this comes from", _provenance(gathered))


def _summary(gathered: _Gathered) -> str:
    lengths = gathered.fasta.lengths
    count = f"{len(lengths):,} contigs" if len(lengths) > 1 else "1 contig"
    facts = [("genome", f"{Path(gathered.fasta.path).name}, {count}, {sum(lengths.values()):,} bases")]
    models = {
        f"{made.get('model', '?')}, sha256 {made['model_sha256'][:12]}": None
        for _, made in gathered.made_by
        if "model_sha256" in made
    }
    facts += [("model", model) for model in models]
    if gathered.genes:
        coding, others = len(gathered.genes.coding), len(gathered.genes.noncoding)
        facts.append(("annotation", f"{coding:,} coding genes, {others:,} RNA genes and pseudogenes"))
    if gathered.variants:
        facts.append(("variants", _counts(gathered.variants.status)))
    if gathered.ranking:
        facts.append(("genes ranked", _counts(gathered.ranking.status)))
    if gathered.chunks:
        read = sum(map(len, gathered.scopes))
        num_chunks = sum(map(len, gathered.chunks.chunks.values()))
        facts.append(("chunks", f"{num_chunks:,} over {read:,} bases"))
    tables = ""
    if gathered.variants and gathered.variants.damage:
        found = gathered.variants.by_consequence()
        rows = [[term, f"{number:,}", f"{value:.3g}".replace("-", "\N{MINUS SIGN}")] for term, number, value in found]
        tables = small_table("Scored variants by consequence", ["consequence", "variants", "median damage"], rows)
    return f'<div class="summary">{definitions(facts)}{tables}</div>'


def _provenance(gathered: _Gathered) -> str:
    parts = []
    for path, made in gathered.made_by:
        pairs = list(made.items()) or [("provenance", "the file says nothing of where it comes from")]
        parts.append(f"<details><summary>{escape(Path(path).name)}</summary>{definitions(pairs)}</details>")
    return "".join(parts) or '<p class="hint">No results of a model were given.</p>'


def _counts(status: Counter[str]) -> str:
    scored = f"{status['ok']:,} of {status.total():,} scored"
    others = [f"{count:,} {name or 'without status'}" for name, count in status.most_common() if name != "ok"]
    return "; ".join([scored, *others])
