"""A run of `dnahnet score-variants`: from its options to a complete output and the closing words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from dnahnet_cli.cli.kept import check_resume, keeping, what_made
from dnahnet_cli.cli.reporter import Reporter, close
from dnahnet_cli.cli.session import Session
from dnahnet_cli.cli.shard import Shard, parse_shard, plan_shard
from dnahnet_cli.cli.variant_plan import say_plan
from dnahnet_cli.consequences.annotator import UPSTREAM_BP, Annotator
from dnahnet_cli.consequences.load import GeneSet, read_gene_set, rename_hint
from dnahnet_cli.errors import InputError, UsageError
from dnahnet_cli.genetic_code import genetic_code
from dnahnet_cli.genome import Variant
from dnahnet_cli.io.intake import Intake, OnRefMismatch, all_snvs, read_names
from dnahnet_cli.io.streams import name_some
from dnahnet_cli.io.variant_output import VariantFormat, VariantOutput, format_of
from dnahnet_cli.io.variants import VariantReader, read_variants
from dnahnet_cli.rows.variants import effects_of, fields, key_columns, reasons, row_of
from dnahnet_cli.scoring.calibration import Null, null_snvs, score_snvs
from dnahnet_cli.scoring.engine import Engine
from dnahnet_cli.scoring.variants import EXPLANATION, ScoreUnits, Status, VariantScorer

_LOOKED_AT = 1000  # variants, before a null is scored


@dataclass(frozen=True)
class Job:
    """What is asked for, beside what all scoring commands share. `variants` is None for all SNVs of the regions."""

    variants: str | None
    genes: str | None = None
    genetic_code: int | None = None
    upstream_bp: int = UPSTREAM_BP
    rename_contigs: str | None = None
    region: list[str] = field(default_factory=list)
    regions_file: str | None = None
    on_ref_mismatch: OnRefMismatch = "skip"
    max_indel: int = 500
    null: int = 0
    seed: int = 1
    output: str = "-"
    format: VariantFormat | None = None
    write_index: bool = True
    clobber: bool = True
    with_paths: bool = True
    json_summary: str | None = None
    strict: bool = False
    dry_run: bool = False
    shard: str | None = None
    resume: bool | None = None


def run(job: Job, session: Session, reporter: Reporter) -> None:
    """Do it. Raises DnahnetError for whatever a user can cause."""
    if job.genetic_code is not None:
        genetic_code(job.genetic_code)
    if job.format is None:
        format_of(job.output)  # what is wrong with the command is said before the files are read
    wanted = parse_shard(job.shard)
    _check_pipes(job)
    check_resume(job.resume, job.output)
    names = {} if job.rename_contigs is None else read_names(job.rename_contigs, session.fasta.lengths)
    tmpdir = Path(session.request.tmpdir) if session.request.tmpdir else None
    lengths = session.fasta.lengths
    gene_set = (
        None if job.genes is None else read_gene_set(job.genes, lengths, names, tmpdir=tmpdir, circles=session.circles)
    )
    reader, intake = _intake(job, session, names)
    with reader or nullcontext():
        scorer = VariantScorer(session.engine(gene_set.circular if gene_set else frozenset()), job.max_indel)
        made_by = _made_by(job, session, scorer.engine, gene_set)
        if wanted is None:
            _run(job, session, reporter, gene_set, reader.header if reader else (), intake, scorer, made_by)
            return
        shard = plan_shard(wanted, intake, scorer, made_by)
    reader, intake = _intake(job, session, names, shard.rows)
    with reader or nullcontext():
        scorer = VariantScorer(scorer.engine, job.max_indel, assembly_known=True)
        _run(job, session, reporter, gene_set, reader.header if reader else (), intake, scorer, made_by, shard)


def _check_pipes(job: Job) -> None:
    """Raise UsageError for two inputs from standard input, and for a pipe that a shard would read twice."""
    inputs = {"VARIANTS": job.variants, "-R": job.regions_file, "--genes": job.genes}
    piped = [name for name, path in inputs.items() if path == "-"]
    if len(piped) > 1:
        raise UsageError(f"{' and '.join(piped)} cannot both come from standard input: give one of them as a file.")
    for name in ("VARIANTS", "-R") if job.shard is not None else ():
        path = inputs[name]
        if path is not None and (path == "-" or Path(path).is_fifo()):
            instead = "'-'" if path == "-" else "the pipe"
            raise UsageError(
                f"--shard reads {name} twice, to know how many there are: give a file in place of {instead}."
            )


def _run(
    job: Job,
    session: Session,
    reporter: Reporter,
    gene_set: GeneSet | None,
    header: Sequence[bytes],
    intake: Intake,
    scorer: VariantScorer,
    made_by: Mapping[str, str],
    shard: Shard | None = None,
) -> None:
    format = job.format or format_of(job.output)
    snvs = null_snvs(session.fasta, job.null, job.seed) if job.null else []
    annotator = None if gene_set is None else _annotator(job, session, scorer.engine, gene_set)
    provenance = _provenance(job, session)
    if shard is not None:
        provenance["shard"] = str(shard)
    out = VariantOutput(
        job.output,
        format,
        key_columns(),
        fields(genes=annotator is not None, phred=bool(snvs) or format in ("tsv", "tsv.gz", "parquet")),
        header=header,
        provenance=provenance,
        lengths=session.fasta.lengths,
        forbidden=_inputs(job, session),
        clobber=job.clobber,
        index=job.write_index,
        tmpdir=Path(session.request.tmpdir) if session.request.tmpdir else None,
    )
    if job.dry_run:
        say_plan(reporter, job.variants, intake, scorer, out, len(snvs))
        return
    with keeping(job.output, scorer.engine, made_by, job.resume, reporter) as kept:
        scoring = _Scoring(session, reporter, scorer, annotator, kept.score_units, shard)
        consequences = scoring.write(intake, out, snvs)
    _say_more(reporter, intake, out, consequences)
    if (job.region or job.regions_file) and shard is None and not sum(scorer.counts.values()):
        names = name_some(session.fasta.lengths)
        reporter.note(
            f"no variant lies in the regions; if VARIANTS has another name for {names}, give --rename-contigs"
        )
    close(
        reporter,
        "score-variants",
        {status.value: scorer.counts[status] for status in Status},
        reasons(scorer.counts, scorer.first),
        provenance,
        json_summary=job.json_summary,
        strict=job.strict,
        skipped=[*gene_set.skipped, *annotator.skipped] if gene_set and annotator else (),
    )


def _intake(
    job: Job, session: Session, names: Mapping[str, str], rows: range | None = None
) -> tuple[VariantReader | None, Intake]:
    regions = session.regions(job.region, job.regions_file)
    if job.variants is None:
        return None, Intake(all_snvs(session.fasta, regions), session.fasta, rows=rows)
    reader = read_variants(job.variants, tmpdir=Path(session.request.tmpdir) if session.request.tmpdir else None)
    options = {"names": names, "regions": regions, "on_ref_mismatch": job.on_ref_mismatch, "rows": rows}
    return reader, Intake(reader.records(), session.fasta, **options)  # type: ignore[arg-type]


def _annotator(job: Job, session: Session, engine: Engine, genes: GeneSet) -> Annotator:
    options = (engine.circular, job.genetic_code, job.upstream_bp)
    return Annotator(session.fasta, genes.coding, genes.noncoding, *options)


def _provenance(job: Job, session: Session) -> dict[str, str]:
    made_by = session.provenance(with_paths=job.with_paths)
    if job.null:
        made_by |= {"null": f"{job.null} random SNVs", "seed": str(job.seed)}
    if job.on_ref_mismatch != "skip":
        made_by["on_ref_mismatch"] = job.on_ref_mismatch
    if job.genetic_code is not None:
        made_by["genetic_code"] = str(job.genetic_code)
    return made_by


def _made_by(job: Job, session: Session, engine: Engine, genes: GeneSet | None) -> dict[str, str]:
    """Return everything that the rows depend on, apart from the variants."""
    files = {"rename_contigs": job.rename_contigs, "regions_file": job.regions_file}
    return {
        **what_made("score-variants", session, engine, files, _provenance(replace(job, with_paths=False), session)),
        **({"genes": genes.sha256} if genes else {}),
        "region": ", ".join(job.region),
        "all_snvs": str(job.variants is None),
        "max_indel": str(job.max_indel),
        "upstream": str(job.upstream_bp),
        "shard": job.shard or "",
    }


def _inputs(job: Job, session: Session) -> list[Path]:
    given = (session.request.genome, job.variants, job.genes, job.rename_contigs, job.regions_file)
    return [Path(path) for path in given if path is not None and path != "-"]


@dataclass
class _Scoring:
    """From variants to rows."""

    session: Session
    reporter: Reporter
    scorer: VariantScorer
    annotator: Annotator | None
    score_units: ScoreUnits
    shard: Shard | None

    def write(self, intake: Intake, out: VariantOutput, snvs: list[Variant]) -> Counter[str]:
        """Score the null and all variants, write the output, and return how often each consequence occurs."""
        variants = intake.variants()
        # What cannot be read, or does not fit the genome, is said now, not after the null has been scored.
        first = list(islice(variants, _LOOKED_AT if snvs else 1))
        if snvs and self.shard is None:
            self._check_all(first)
        null = self._null(snvs) if snvs and first else None
        self.reporter.start("variants", None)
        consequences: Counter[str] = Counter()
        with out.opened() as rows:
            scores = self.scorer.score(
                chain(first, variants),
                self.reporter.advance,
                first_unit=self.shard.first_unit if self.shard else 0,
                score_units=self.score_units,
            )
            for record, own in intake.grouped(scores):
                effects = [effects_of(score, self.annotator) for score in own]
                consequences.update(found[0].term.value for found in effects if found)
                pairs = zip(record.variants, own, effects, strict=True)
                rows.write(record, [row_of(written, score, null, found) for written, score, found in pairs])
            if self.shard is None:
                self._check()
        return consequences

    def _null(self, snvs: list[Variant]) -> Null:
        engine = self.scorer.engine
        self.reporter.start("strands of random SNVs", len(snvs) * len(engine.strands))
        try:
            return Null.of(score_snvs(engine, snvs, self.reporter.advance, self.score_units))
        finally:
            self.reporter.stop()

    def _check_all(self, first: Sequence[Variant]) -> None:
        """Raise as `_check` would at the end, where these are all variants and no status is ok."""
        statuses = [self.scorer.status_of(variant) for variant in first]
        if len(first) < _LOOKED_AT and Status.OK not in statuses:
            self.scorer.counts.update(statuses)
            for variant, status in zip(first, statuses, strict=True):
                self.scorer.first.setdefault(status, variant)
            self._check()

    def _check(self) -> None:
        """Raise when there were rows and none could be scored; before the output is given its name."""
        scorer, lengths = self.scorer, self.session.fasta.lengths
        total = sum(scorer.counts.values())
        if not total or scorer.counts[Status.OK]:
            return
        if scorer.counts[Status.CONTIG_NOT_FOUND]:
            theirs = scorer.first[Status.CONTIG_NOT_FOUND].contig
            raise InputError(
                f"none of {total} variants could be scored: contig {theirs!r} is not in {self.session.request.genome}, "
                f"whose contigs are {name_some(lengths)}.\n{rename_hint(theirs, lengths)}"
            )
        reasons = ", ".join(f"{count} {status.value}" for status, count in scorer.counts.most_common())
        (most, _), *_ = scorer.counts.most_common(1)
        raise InputError(f"none of {total} variants could be scored: {reasons}.\nThe commonest: {EXPLANATION[most]}")


def _say_more(reporter: Reporter, intake: Intake, out: VariantOutput, consequences: Counter[str]) -> None:
    """Say what the counts of statuses leave out."""
    reporter.stop()
    if consequences:
        reporter.note(", ".join(f"{count:,} {term}" for term, count in consequences.most_common()))
    if intake.first_replaced is not None:
        first = f"{intake.first_replaced.contig}:{intake.first_replaced.start + 1}"
        reporter.note(f"{intake.num_replaced:,} REF alleles were replaced by the genome's (first: {first})")
    if out.problem is not None and out.index:
        reporter.note(f"{out.path} has no index, because it is not sorted: {out.problem}")
