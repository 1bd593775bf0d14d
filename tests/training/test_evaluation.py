"""Held-out figures against each window by itself, and against a Markov model by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dnahnet_cli.baselines.markov import MarkovModel
from dnahnet_cli.model.hnet import HNet
from dnahnet_cli.training.evaluation import HeldOut, evaluate, markov_bits
from dnahnet_cli.training.packed import Genome
from dnahnet_cli.training.sampler import to_batch
from tests.conftest import random_codes
from tests.training.runs import MOTIF, RANDOM, N


def with_gaps() -> Genome:
    codes = random_codes(400, 5)
    codes[30:50] = N
    return Genome("with gaps", "g", [random_codes(50, 6), codes])


def test_bits_are_those_of_each_window_by_itself(model: HNet) -> None:
    genome = with_gaps()
    total, count = 0.0, 0
    cuts, probabilities = np.zeros(2), np.zeros(2)
    lengths = np.zeros(2)
    for start in (0, 150, 300):
        batch = to_batch(genome.contigs[1][None, start : start + 100])
        with torch.no_grad():
            output, _ = model(torch.from_numpy(batch.tokens))
        log_probs = output.logits_BL4.double().log_softmax(-1)[0].numpy()
        known = batch.targets[0] < N
        total -= log_probs[known, batch.targets[0][known]].sum()
        count += int(known.sum())
        for stage, trace in enumerate(output.traces):
            valid = int(trace.length_B)
            cuts[stage] += int(trace.mask_BL[0, :valid].sum())
            probabilities[stage] += float(trace.probability_BL[0, :valid].sum())
            lengths[stage] += valid
    assert count == 280
    result = evaluate(model, [genome], 3, 100)
    assert result.bits == {"with gaps": pytest.approx(total / count / math.log(2), abs=1e-5)}
    assert result.cuts == pytest.approx(cuts / lengths, abs=1e-5)
    assert result.probabilities == pytest.approx(probabilities / lengths, abs=1e-5)


def test_each_genome_counts_once(model: HNet) -> None:
    one, other = (evaluate(model, [genome], 3, 100) for genome in (MOTIF, with_gaps()))
    both = evaluate(model, [MOTIF, with_gaps()], 3, 100)
    assert both.bits == {**one.bits, **other.bits}
    assert both.mean == pytest.approx((one.mean + other.mean) / 2)
    assert both.cuts == pytest.approx(np.mean([one.cuts, other.cuts], axis=0))


def test_evaluation_leaves_no_trace(model: HNet) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert evaluate(model, [RANDOM], 2, 50) == evaluate(model, [RANDOM], 2, 50)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_without_genomes_there_is_no_figure(model: HNet) -> None:
    nothing = evaluate(model, [], 2, 50)
    assert nothing == HeldOut({}, (), ())
    assert math.isnan(nothing.mean)


def test_markov_bits_are_those_of_the_same_windows() -> None:
    genome = with_gaps()
    bits = markov_bits([RANDOM], [genome, MOTIF], 2, 3, 100)
    assert list(bits) == ["with gaps", "motif"]
    markov = MarkovModel.fit(RANDOM.contigs, 2)
    windows = [genome.contigs[1][start : start + 100] for start in (0, 150, 300)]
    known = [(window < N).sum() for window in windows]
    expected = np.average([markov.bits_per_base(window) for window in windows], weights=known)
    assert bits["with gaps"] == pytest.approx(expected, abs=1e-6)


def test_a_markov_model_knows_what_it_has_seen() -> None:
    assert markov_bits([MOTIF], [MOTIF], 6, 4, 500)["motif"] < 1.4
    assert markov_bits([MOTIF], [RANDOM], 6, 4, 500)["random"] > 1.9
