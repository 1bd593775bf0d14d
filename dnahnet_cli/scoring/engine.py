"""Scan and branch: the only way this package computes a number from a sequence.

A scan walks a reading tile by tile and keeps what the network predicts. A branch takes the network's state just before
an edit from that scan, runs the replacement and the bases that follow, and compares with what the scan already has.
Everything before an edit is computed once for all alleles, which is exact because every part of the network is causal.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from threading import Event
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dnahnet_cli.errors import DnahnetError
from dnahnet_cli.genome import N_CODE, Codes, Edit, GenomeSource, Strand
from dnahnet_cli.model.chunking import StageTrace
from dnahnet_cli.model.config import BOS
from dnahnet_cli.model.network import Network
from dnahnet_cli.model.state import State, stack, take
from dnahnet_cli.ops.capture import Capture
from dnahnet_cli.scoring.graphs import branch_pass
from dnahnet_cli.scoring.reading import LocalEdit, Reading, TileGrid

Floats = npt.NDArray[np.float32]
BOTH_STRANDS = (Strand.FORWARD, Strand.REVERSE)
JOB_BATCHES: Final = 4  # of tokens, at most, in the passes of one job
JOB_BRANCHES: Final = 1024

Item = TypeVar("Item")
Result = TypeVar("Result")


class NumericalError(DnahnetError):
    """The network produced a value that is not a number: never printed, always raised."""

    @classmethod
    def at(cls, place: str) -> NumericalError:
        """Return the error, with where it is and what to do."""
        return cls(
            f"{place}: the network computes NaN or infinity, so nothing there has a score.\n"
            "With --dtype bfloat16, try float32. Otherwise the weights are damaged: dnahnet doctor --model tests them."
        )


@dataclass(frozen=True)
class EngineOptions:
    """`suffix` bases are scored after an edit; `batch_tokens` and `batch_branches` only trade memory for speed.

    `workers` threads compute side by side, each with operations of one thread, so that none waits for another within an
    operation. What is computed together does not depend on them, and so no byte of a result does.
    """

    grid: TileGrid = field(default_factory=TileGrid)
    suffix: int = 128
    batch_tokens: int = 8192
    batch_branches: int = 64
    workers: int = 1


@dataclass(frozen=True)
class StrandScore:
    """Log-probabilities (natural log) of the same number of reference and edited bases on one strand."""

    ref_logp: float
    alt_logp: float
    scored_bp: int


ScanUnit = tuple[str, Strand, Sequence[int]]  # tiles that are computed together: contig, strand, their numbers


@dataclass(frozen=True)
class TileCuts:
    """Where the network cuts one tile's own bases, in reading direction. L bases, S stages.

    At a stage, a base that does not open a chunk of the stage outside it has probability NaN and mask False.
    """

    reading: Reading
    start: int
    probability_SL: Floats
    mask_SL: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TileScan(TileCuts):
    """What a scan knows of one tile's own bases."""

    log_probs_L4: Floats  # of each base given all before it


@dataclass
class _Branch:
    """An edit on one strand: the edited bases that are compared (`codes`), and the sums as they become known."""

    reading: Reading
    local: LocalEdit
    codes: Codes
    ref_logp: float = float("nan")
    alt_logp: float = float("nan")

    @property
    def place(self) -> str:
        """Return where the edit is, for messages."""
        return self.reading.place(self.local.start, self.local.end)

    @property
    def score(self) -> StrandScore:
        return StrandScore(self.ref_logp, self.alt_logp, len(self.codes))


@dataclass
class _Pass:
    """One tile's run through the network, and the edits that branch off it."""

    reading: Reading
    start: int  # local position of the first context base
    codes: Codes
    branches: list[_Branch] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Return what is read, for messages."""
        return self.reading.place(self.start, self.start + len(self.codes))


_Key = tuple[str, Strand, tuple[int, int, bytes]]  # what tells branches apart: contig, strand, edit


@dataclass
class _Unit:
    """Edits that are computed together: which branch is whose, and the passes that they branch off."""

    where: list[dict[Strand, _Key]] = field(default_factory=list)
    branches: dict[_Key, _Branch | None] = field(default_factory=dict)
    passes: dict[tuple[str, Strand, int], _Pass] = field(default_factory=dict)

    def scores(self) -> list[dict[Strand, StrandScore | None]]:
        found = {key: branch.score if branch else None for key, branch in self.branches.items()}
        return [{strand: found[key] for strand, key in keys.items()} for keys in self.where]


class Engine:
    """Scores edits of a genome, and scans it, with one network."""

    def __init__(
        self,
        model: Network,
        genome: GenomeSource,
        options: EngineOptions | None = None,
        circular: frozenset[str] = frozenset(),
        strands: Sequence[Strand] = BOTH_STRANDS,
    ) -> None:
        self.model, self.genome, self.circular, self.strands = model.eval(), genome, circular, tuple(strands)
        self.options = options or EngineOptions()
        self.device = next(model.parameters()).device
        self.branch_pass = branch_pass(self.model, self.options.batch_branches)
        self._readings: OrderedDict[tuple[str, Strand], Reading] = OrderedDict()

    def reading(self, contig: str, strand: Strand) -> Reading:
        """Return a contig along a strand; the last few are kept."""
        key = (contig, strand)
        if key not in self._readings:
            self._readings[key] = Reading.of(
                self.genome, contig, strand, circular=contig in self.circular, grid=self.options.grid
            )
            while len(self._readings) > 8:
                self._readings.popitem(last=False)
        self._readings.move_to_end(key)
        return self._readings[key]

    # --- scan ---

    def scan(self, reading: Reading, tiles: Sequence[int]) -> Iterator[TileScan]:
        """Scan the given tiles of a reading, in the order given."""
        at_once = self.tiles_at_once(reading)
        batches = (tiles[first : first + at_once] for first in range(0, len(tiles), at_once))
        for scans in self.scan_units((reading.contig, reading.strand, batch) for batch in batches):
            yield from scans

    def tiles_at_once(self, reading: Reading) -> int:
        """Return how many tiles of a reading make a unit."""
        return max(1, self.options.batch_tokens // (reading.grid.tile + reading.grid.context))

    def scan_units(self, units: Iterable[ScanUnit]) -> Iterator[list[TileScan]]:
        """Scan tiles unit by unit; the workers are a little ahead.

        What is computed together is of one unit, so no byte of a scan depends on the units before and after it.
        """
        readings = ((self.reading(contig, strand), tiles) for contig, strand, tiles in units)
        yield from self._side_by_side(lambda unit: self._scan_batch(*unit), readings)

    @torch.inference_mode()
    def _scan_batch(self, reading: Reading, tiles: Sequence[int]) -> list[TileScan]:
        bounds = [reading.tile_bounds(tile) for tile in tiles]
        token_BL, length_B = self._tokens([reading.window(begin, end) for begin, _, end in bounds])
        output, _ = self.model(token_BL, length_B=length_B, capture=Capture.nowhere(self.device))
        log_probs = _log_probs(output.logits_BL4, lambda row: reading.place(*bounds[row][1:]))
        probability_BSL, mask_BSL = _per_base(output.traces, *token_BL.shape)
        scans = []
        for row, (begin, start, end) in enumerate(bounds):
            own = slice(start - begin, end - begin)
            shifted = slice(own.start + 1, own.stop + 1)  # the token of a base comes one after its prediction
            scans.append(
                TileScan(
                    reading, start, probability_BSL[row, :, shifted], mask_BSL[row, :, shifted], log_probs[row, own]
                )
            )
        return scans

    def _side_by_side(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the results of `work` in the order of the items; the workers are a few items ahead."""
        if self.options.workers == 1:
            yield from map(work, items)
            return
        ahead: deque[Future[Result]] = deque()
        try:
            for item in items:
                ahead.append(self._workers.submit(work, item))
                if len(ahead) > self.options.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()

    @cached_property
    def _workers(self) -> ThreadPoolExecutor:
        # A thread of Python takes the number of threads that torch computes with from where it is set first.
        return ThreadPoolExecutor(self.options.workers, "dnahnet", torch.set_num_threads, (1,))

    # --- branch ---

    def score(
        self, edits: Sequence[Edit], progress: Callable[[int], None] = lambda done: None
    ) -> list[dict[Strand, StrandScore | None]]:
        """Score edits against the reference on each strand; None where no base could be compared.

        Edits that make the same sequence are computed once. `progress` is called with the number of strand-edits done.
        """
        return next(self.score_units([edits], progress))

    def score_units(
        self, units: Iterable[Sequence[Edit]], progress: Callable[[int], None] = lambda done: None
    ) -> Iterator[list[dict[Strand, StrandScore | None]]]:
        """Score edits unit by unit, as `score` does; the workers are a little ahead.

        What is computed together is of one unit, so no byte of its scores depends on the units before and after it.
        """
        abandoned = Event()

        def work(item: tuple[list[_Pass], _Unit | None]) -> _Unit | None:
            passes, finished = item
            if passes:
                self._run_job(passes, progress, abandoned)
            return finished

        try:
            for finished in self._side_by_side(work, self._items(units)):
                if finished is not None:
                    yield finished.scores()
        finally:
            abandoned.set()

    def _items(self, units: Iterable[Sequence[Edit]]) -> Iterator[tuple[list[_Pass], _Unit | None]]:
        """Yield the jobs of the units in order; with its last job, the unit."""
        for edits in units:
            unit = self._unit(edits)
            jobs = list(self._jobs(list(unit.passes.values()))) or [[]]
            for job in jobs[:-1]:
                yield job, None
            yield jobs[-1], unit

    def _unit(self, edits: Sequence[Edit]) -> _Unit:
        unit = _Unit()
        for edit in edits:
            keys = {}
            for strand in self.strands:
                reading = self.reading(edit.contig, strand)
                local = reading.localise(edit)
                key = keys[strand] = (edit.contig, strand, local.key)
                if key not in unit.branches:
                    branch = unit.branches[key] = self._branch(reading, local)
                    if branch is not None:
                        self._pass_of(unit.passes, reading, local).branches.append(branch)
            unit.where.append(keys)
        return unit

    def _branch(self, reading: Reading, local: LocalEdit) -> _Branch | None:
        """Return the bases to compare: as many after the edit's first base as both alleles have, up to the first N."""
        replacement = np.frombuffer(local.replacement, dtype=np.uint8)
        num_scored = max(local.end - local.start, len(replacement)) + self.options.suffix
        num_scored = min(num_scored, reading.grid.max_scored)
        ref = reading.window(local.start, local.start + num_scored)
        alt = np.concatenate(
            [replacement, reading.window(local.end, local.end + max(0, num_scored - len(replacement)))]
        )[:num_scored]
        num_scored = min(_leading_acgt(ref), _leading_acgt(alt))
        return _Branch(reading, local, alt[:num_scored]) if num_scored else None

    def _pass_of(self, passes: dict[tuple[str, Strand, int], _Pass], reading: Reading, local: LocalEdit) -> _Pass:
        tile = reading.tile_of(local.start)
        key = (reading.contig, reading.strand, tile)
        if key not in passes:
            begin, _, end = reading.tile_bounds(tile)
            passes[key] = _Pass(reading, begin, reading.window(begin, end + reading.grid.max_scored))
        return passes[key]

    def _jobs(self, passes: Sequence[_Pass]) -> Iterator[list[_Pass]]:
        """Divide the passes into jobs of limited size, whatever the number of workers.

        Jobs pool the branches of several passes, so that sparse edits still fill a batch.
        """
        job: list[_Pass] = []
        tokens = branches = 0
        for whole in passes:
            ordered = sorted(whole.branches, key=lambda branch: branch.local.start)
            for first in range(0, len(ordered), JOB_BRANCHES):
                own = ordered[first : first + JOB_BRANCHES]
                # Nothing beyond the last compared base is needed.
                needed = max(branch.local.start + len(branch.codes) for branch in own) - whole.start
                part = replace(whole, codes=whole.codes[:needed], branches=own)
                tokens, branches = tokens + needed, branches + len(own)
                if job and (tokens > JOB_BATCHES * self.options.batch_tokens or branches > JOB_BRANCHES):
                    yield job
                    job, tokens, branches = [], needed, len(own)
                job.append(part)
        if job:
            yield job

    @torch.inference_mode()
    def _run_job(self, passes: Sequence[_Pass], progress: Callable[[int], None], abandoned: Event) -> None:
        pool = _Pool(self, progress, abandoned)
        longest = max(len(run.codes) for run in passes)
        per_batch = max(1, self.options.batch_tokens // longest)
        for first in range(0, len(passes), per_batch):
            self._run_batch(passes[first : first + per_batch], pool)
        pool.flush()

    def _run_batch(self, passes: Sequence[_Pass], pool: _Pool) -> None:
        """Walk a few tiles in lock-step, stopping often enough that few states are held at once."""
        token_BL, length_B = self._tokens([run.codes for run in passes])
        places: dict[tuple[int, int], list[_Branch]] = {}  # (tokens consumed, row) just before each edit
        for row, run in enumerate(passes):
            for branch in run.branches:
                places.setdefault((branch.local.start - run.start + 1, row), []).append(branch)
        waiting = sorted(places)
        rows = torch.arange(len(passes), device=self.device)
        state: State | None = None
        log_probs: list[Floats] = []
        begin = 0
        while begin < token_BL.shape[1]:
            # Where rows branch off at the place that was reached, none can wait: the next call begins behind it.
            number = max(self.options.batch_branches, sum(at == begin for at, _ in waiting))
            taken, waiting = waiting[:number], waiting[number:]
            end = max(taken[-1][0], begin + 1) if waiting else token_BL.shape[1]
            capture = Capture(
                torch.cat([rows, torch.tensor([row for _, row in taken], device=self.device, dtype=torch.long)]),
                torch.tensor([end - begin] * len(passes) + [at - begin for at, _ in taken], device=self.device),
            )
            length = (length_B - begin).clamp(0, end - begin)
            output, states = self.model(token_BL[:, begin:end], state, length_B=length, capture=capture)
            log_probs.append(_log_probs(output.logits_BL4, lambda row: passes[row].place))
            for index, (at, row) in enumerate(taken):
                # What precedes an edit was read in this call, or as the last token of the one before.
                before = log_probs[-1][row, at - 1 - begin] if at > begin else log_probs[-2][row, -1]
                for branch in places[at, row]:
                    pool.add(branch, before, states, len(passes) + index)
            state = take(states, rows) if waiting else None
            begin = end
        known = np.concatenate(log_probs, axis=1)
        for row, run in enumerate(passes):
            for branch in run.branches:
                first = branch.local.start - run.start
                own = slice(first, first + len(branch.codes))
                branch.ref_logp = _sum_of(known[row, own], run.codes[own])

    def _tokens(self, sequences: Sequence[Codes]) -> tuple[Tensor, Tensor]:
        """Return BOS and the bases of each sequence, padded on the right, and the numbers of tokens."""
        token_BL = np.full((len(sequences), 1 + max(len(s) for s in sequences)), N_CODE, dtype=np.int64)
        token_BL[:, 0] = BOS
        for row, sequence in enumerate(sequences):
            token_BL[row, 1 : 1 + len(sequence)] = sequence
        length_B = torch.tensor([1 + len(s) for s in sequences], device=self.device)
        return torch.from_numpy(token_BL).to(self.device), length_B


class _Pool:
    """Branches waiting to fill a batch, with the states they start from."""

    def __init__(self, engine: Engine, progress: Callable[[int], None], abandoned: Event) -> None:
        self.engine, self.progress, self.abandoned = engine, progress, abandoned
        self.waiting: list[tuple[_Branch, State, int]] = []

    def add(self, branch: _Branch, log_probs_4: Floats, states: State, row: int) -> None:
        """Queue a branch. Its first base is predicted from what precedes the edit, so the scan has that already."""
        branch.alt_logp = float(log_probs_4[branch.codes[0]])
        if len(branch.codes) == 1:
            self.progress(1)
            return
        self.waiting.append((branch, states, row))
        if len(self.waiting) >= self.engine.options.batch_branches:
            self.flush()

    def flush(self) -> None:
        """Run what is waiting: each branch reads its bases but the last and predicts those after the first."""
        if not self.waiting:
            return
        if self.abandoned.is_set():
            raise CancelledError
        branches = [branch for branch, _, _ in self.waiting]
        state = self._states()
        self.waiting = []
        lengths = [len(branch.codes) - 1 for branch in branches]
        token_BL = np.full((len(branches), max(lengths)), N_CODE, dtype=np.int64)
        for row, branch in enumerate(branches):
            token_BL[row, : lengths[row]] = branch.codes[:-1]
        device = self.engine.device
        tokens, length_B = torch.from_numpy(token_BL).to(device), torch.tensor(lengths, device=device)
        log_probs = _log_probs(self.engine.branch_pass(tokens, state, length_B), lambda row: branches[row].place)
        for row, branch in enumerate(branches):
            branch.alt_logp += _sum_of(log_probs[row, : lengths[row]], branch.codes[1:])
        self.progress(len(branches))

    def _states(self) -> State:
        """Return the states that the waiting branches start from, as one batch."""
        groups = []
        for _, group in groupby(self.waiting, key=lambda item: id(item[1])):
            items = list(group)
            rows = torch.tensor([row for _, _, row in items], device=self.engine.device)
            groups.append(take(items[0][1], rows))
        return stack(groups)


def _log_probs(logits_BL4: Tensor, place_of: Callable[[int], str]) -> Floats:
    """Return log-probabilities. Raises NumericalError, with the place of a row, instead of what is not a number."""
    result: Floats = logits_BL4.float().log_softmax(-1).cpu().numpy()
    if not np.isfinite(result).all():
        raise NumericalError.at(place_of(int(np.argmin(np.isfinite(result).all(axis=(1, 2))))))
    return result


def _sum_of(log_probs_L4: Floats, codes: Codes) -> float:
    """Return the summed log-probability of `codes` (ACGT only), accumulated in float64."""
    return float(log_probs_L4[np.arange(len(codes)), codes].sum(dtype=np.float64))


def _leading_acgt(codes: Codes) -> int:
    """Return how many bases come before the first that is not ACGT."""
    unknown = np.flatnonzero(codes == N_CODE)
    return int(unknown[0]) if len(unknown) else len(codes)


def _per_base(traces: Sequence[StageTrace], batch: int, length: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return boundary probability (NaN where a stage has no position) and mask of every stage per token, (B, S, L)."""
    probability = np.full((batch, len(traces), length), np.nan, dtype=np.float32)
    mask = np.zeros((batch, len(traces), length), dtype=np.bool_)
    for row in range(batch):
        position = np.arange(length)  # of this stage's sequence, in tokens of the outermost one
        for stage, trace in enumerate(traces):
            valid = int(trace.length_B[row])
            position = position[:valid]
            own_mask = trace.mask_BL[row, :valid].cpu().numpy()
            probability[row, stage, position] = trace.probability_BL[row, :valid].cpu().numpy()
            mask[row, stage, position] = own_mask
            position = position[own_mask]
    return probability, mask
