"""A policy update against explicit loops over steps, trajectories, turns and tokens through transformers' own forward.

The loops share nothing with the code under test but the model: no packing, no cached features, no flat tokens.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from support.blinded import BLANK, DependentTokens, blinded_sequences, naive_dependent, threshold
from support.naive_update import (
    BETA,
    FRACTION,
    GROUP,
    IMAGES,
    copied,
    flat_gradient,
    flat_weights,
    naive_numeric,
    naive_update,
    relative,
    rollouts,
    start_policy,
)
from support.updates import (
    COMBINED,
    PARTS,
    CountingScorer,
    assert_same,
    off_by,
    the_table,
    updated,
    vision_of,
)
from support.written_rollouts import varied_advantages
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.learning.micro_batches import micro_batches_of, split_trajectories
from zoom_iqa.learning.token_table import TokenTable
from zoom_iqa.objectives.aggregation import TokenMean
from zoom_iqa.objectives.filters.base import TokenFilter
from zoom_iqa.objectives.penalties.kl_at_answer_digits import Divergence, KLCoverage
from zoom_iqa.policy.encoding import EncodedImage
from zoom_iqa.policy.log_probabilities import Likelihood, PromptCompletion
from zoom_iqa.policy.vision_cache import encode_images


def test_the_rollouts_hold_what_the_tests_are_about() -> None:
    flat = [rollout for group in rollouts() for rollout in group.rollouts]
    assert {rollout.cropped for rollout in flat} == {True, False}
    assert all(rollout.well_formed for rollout in flat)


@pytest.mark.parametrize("names", ["none", *PARTS, *COMBINED])
def test_update_equals_the_loops(names: str) -> None:
    """Two passes over two mini-batches: the later steps are off-policy, clipped, and away from every anchor."""
    found = updated(names, epochs=2, mini_batches=2)
    assert_same(found, naive_update(names, epochs=2, mini_batches=2))
    assert found.figures["policy/clip_fraction"] > 0.05


@pytest.mark.parametrize("divergence", ["sampled", "exact"])
def test_the_reference_sees_only_sequences_that_hold_a_selected_token(divergence: Divergence) -> None:
    table, reference = the_table(), CountingScorer()
    coverage = KLCoverage(beta=BETA, fraction=0.05, digits="answer", anchor="reference", divergence=divergence)
    found = updated({"kl_coverage": coverage}, table=table, reference=reference)
    assert 0 < reference.samples <= found.figures["kl_coverage/selected"] < len(table.sequences)
    everywhere = CountingScorer()
    updated("kl reference + coverage reference exact", reference=everywhere)
    assert everywhere.samples == len(table.sequences)  # both penalties share a pass


def test_a_filter_may_read_a_signal_under_another_view_of_the_prompt() -> None:
    """The images of all prompts are blank in it: which tokens depend on them decides who is learned from."""
    level = threshold()
    table = replace(the_table(), views={BLANK: blinded_sequences()})
    dependent = DependentTokens(level)
    dropped = ~naive_dependent(level)
    assert 0.2 < dropped.double().mean() < 0.8
    for budget in (1_000_000, 500):
        found = updated({"dependent": dependent}, table=table, budget=budget, epochs=2, mini_batches=2)
        assert_same(found, naive_update("none", epochs=2, mini_batches=2, dropped=dropped))
        assert found.figures["dependent/kept"] == pytest.approx((~dropped).double().mean().item(), abs=0.05)
    both = updated({"dependent": dependent, "clip cov": PARTS["clip cov"]}, table=table)
    assert_same(both, naive_update("clip cov", dropped=dropped))  # a token must pass both filters
    with pytest.raises(ValueError, match=f"no view '{BLANK}'; it has shown"):
        updated({"dependent": dependent})


def test_a_filter_shapes_the_advantages_of_the_policy_loss() -> None:
    """As if the trajectories had had the products as their advantages."""
    factors = torch.tensor([2.0, 0.0, 1.0, 0.5, 3.0, 1.0])

    class Shaping(TokenFilter):
        def keep(self, tokens: Any, *, step: int, mini_batch: int, reducer: Any) -> Any:
            return torch.ones(len(tokens), dtype=torch.bool), {}

        def advantage_factors(self, tokens: Any, *, reducer: Any) -> Tensor:
            return factors[tokens.trajectory_M]

    table = the_table(varied_advantages(len(factors)) * factors)
    assert_same(updated({"shaping": Shaping()}, mini_batches=2), updated(table=table, mini_batches=2))


def test_filters_and_penalties_are_told_which_part_of_which_rollout_they_see() -> None:
    seen: list[tuple[int, int]] = []

    class Watching(DependentTokens):
        signals = frozenset()

        def keep(self, tokens: Any, *, step: int, mini_batch: int, reducer: Any) -> Any:
            seen.append((step, mini_batch))
            return torch.ones(len(tokens), dtype=torch.bool), {}

    updated({"watching": Watching(0.0)}, epochs=3, mini_batches=2)
    assert seen == [(0, 0), (0, 1)]


def test_token_mean_equals_the_loops() -> None:
    assert_same(updated(aggregation=TokenMean()), naive_update("none", token_mean=True))


@pytest.mark.parametrize("name", ["coverage old exact", "coverage reference sampled", "clip cov", "entropy"])
def test_micro_batches_change_nothing(name: str) -> None:
    whole, small, single = (updated(name, budget=budget, epochs=1, mini_batches=2) for budget in (1_000_000, 500, 1))
    for cut in (small, single):
        assert_same(cut, whole)
        assert cut.figures == pytest.approx(whole.figures, rel=1e-3, abs=1e-5)


def test_an_image_goes_through_a_tower_that_learns_once_per_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def encode(model: Any, images: Sequence[EncodedImage]) -> list[Tensor]:
        seen.extend(image.key for image in images)
        return encode_images(model, images)

    monkeypatch.setattr("zoom_iqa.policy.vision_gradients.encode_images", encode)
    monkeypatch.setattr("zoom_iqa.policy.vision_cache.encode_images", encode)
    shown = sorted({image.key for sequence in the_table().sequences for image in sequence.prompt.images})
    found = updated(budget=1, epochs=2)
    assert sorted(seen) == sorted(2 * shown)
    assert_same(found, updated(epochs=2))
    seen.clear()
    updated("coverage old exact", budget=1, mini_batches=2, old_logp="recomputed")
    assert sorted(seen) == sorted(2 * shown)  # passes before the first step share one; a step has images of its own


def test_a_step_that_failed_leaves_nothing_once_cleared() -> None:
    policy = copied(start_policy())
    vision = vision_of(policy)
    likelihood = Likelihood(policy=policy, temperature=1.0, features=vision, logit_chunk=64)
    samples = the_table().sequences

    def gradient_of(part: Sequence[PromptCompletion]) -> Tensor:
        likelihood(part, entropy=False, select_S=None).logp_T.sum().backward()
        likelihood.finish_images(())
        found = flat_gradient(policy)
        policy.model.zero_grad()
        return found

    expected = gradient_of(samples[:2])
    likelihood(samples[:2], entropy=False, select_S=None).logp_T.sum().backward()  # its images are never finished
    policy.model.zero_grad()
    vision.clear()
    assert relative(gradient_of(samples[:2]), expected) < 1e-6


def distinct_tokens(sequences: Sequence[PromptCompletion]) -> int:
    """How many beginnings there are, by brute force; the last token of each predicts nothing."""
    pad = start_policy().encoder.image_pad_id
    beginnings = set()
    for sequence in sequences:
        named: list[Any] = []
        images = iter(sequence.prompt.images)
        for token in [*sequence.prompt.ids_L.tolist(), *sequence.completion_C[:-1].tolist()]:
            shown = next(images).key if token == pad and (not named or named[-1][0] != pad) else ""
            named.append((token, shown))
            beginnings.add(tuple(named))
    return len(beginnings)


def test_packing_fills_the_budget_and_counts_what_sequences_share_once() -> None:
    table = the_table()
    everything = range(len(table.sequences))
    for budget in (1, 300, 700, 1_000_000):
        runs = micro_batches_of(table, everything, budget)
        sizes = [distinct_tokens([table.sequences[k] for k in run.sequences]) for run in runs]
        assert all(size <= budget or len(run.sequences) == 1 for size, run in zip(sizes, runs, strict=True))
        for one, after in itertools.pairwise(runs):  # nothing more would have fitted
            assert distinct_tokens([table.sequences[k] for k in (*one.sequences, after.sequences[0])]) > budget
        assert sorted(k for run in runs for k in run.sequences) == list(everything)
        assert torch.cat([run.tokens_U for run in runs]).sort().values.tolist() == list(range(len(table.trajectory_T)))
    for run in runs:
        prompts = [table.sequences[k].prompt_key for k in run.sequences]
        assert len(set(prompts)) == 1 + sum(a != b for a, b in itertools.pairwise(prompts))  # side by side
    whole = distinct_tokens(table.sequences)
    assert len(micro_batches_of(table, everything, whole)) == 1
    assert len(micro_batches_of(table, everything, whole - 1)) == 2
    assert len(micro_batches_of(table, everything, 1)) == len(table.sequences)


def test_mini_batches_hold_whole_trajectories() -> None:
    table = the_table()
    lengths = torch.tensor([len(sample.completion_C) for sample in table.sequences])
    trajectory_K = table.trajectory_T[lengths.cumsum(0) - 1]
    for parts in (1, 2, 4, 6):
        cut = split_trajectories(table, parts)
        assert sorted(k for part in cut for k in part) == list(range(len(table.sequences)))
        owners = [{int(trajectory_K[k]) for k in part} for part in cut]
        assert sum(map(len, owners)) == 6
        assert max(map(len, owners)) - min(map(len, owners)) <= 1


def test_only_tokens_with_an_advantage_are_trained() -> None:
    """A crop trajectory with advantage 1 among others with 0: the gradient is that of its two turns' own tokens.

    The mask is written over the whole conversation of each turn: prompt, images and the repeated first answer are 0.
    """
    flat = [rollout for group in rollouts() for rollout in group.rollouts]
    chosen = next(n for n, rollout in enumerate(flat) if rollout.cropped)
    advantages = torch.zeros(len(flat))
    advantages[chosen] = 1.0
    found = updated(table=the_table(advantages))

    policy = copied(start_policy())
    total, trained = torch.zeros(()), 0
    for number, turn in enumerate(flat[chosen].steps, start=1):
        prompt, ids = policy.encode(turn.request.prompt), torch.tensor(turn.generation.token_ids)
        tokens = torch.cat([prompt.ids_L, ids])
        mask = torch.cat([torch.zeros(len(prompt.ids_L)), torch.ones(len(ids))])
        assert policy.decode(tokens[mask == 1].tolist()) == turn.generation.text
        context = policy.decode(tokens[mask == 0].tolist())
        assert (flat[chosen].steps[0].generation.text in context) == (number == 2)
        assert int((tokens[mask == 0] == policy.encoder.image_pad_id).sum()) > 0
        out = policy.model(
            input_ids=tokens[None],
            attention_mask=torch.ones_like(tokens)[None],
            pixel_values=torch.cat([image.pixels_PD for image in prompt.images]),
            image_grid_thw=torch.tensor([image.grid for image in prompt.images]),
            mm_token_type_ids=(tokens == policy.encoder.image_pad_id).int()[None],
        )
        logits = out.logits[0].index_fill(1, torch.tensor(policy.banned_ids), -torch.inf)
        log_p = logits[:-1].log_softmax(-1).gather(1, tokens[1:, None])[:, 0]
        total = total + log_p[mask[1:] == 1].sum()
        trained += int(mask.sum())
    (-total / trained / len(flat)).backward()
    assert relative(found.gradients[0], flat_gradient(policy)) < 1e-5


def test_without_advantages_there_is_no_gradient_but_that_of_penalties() -> None:
    nothing = the_table(torch.zeros(IMAGES * GROUP))
    idle = updated(table=nothing, epochs=2)
    assert all(not gradient.any() for gradient in idle.gradients)
    assert torch.equal(idle.weights, flat_weights(start_policy()))
    held = updated("kl reference", table=nothing)
    assert held.gradients[0].norm() > 0


def test_recomputed_log_probabilities_make_up_for_a_sampler_that_is_off() -> None:
    right = the_table()
    off = off_by(right, 0.5)
    recomputed = updated(table=off, old_logp="recomputed", epochs=2)
    sampled = updated(table=right, epochs=2)
    for ours, theirs in zip(recomputed.gradients, sampled.gradients, strict=True):
        assert relative(ours, theirs) < 1e-4
    assert recomputed.figures["policy/sampler_gap"] == pytest.approx(0.5, abs=1e-4)
    assert sampled.figures["policy/sampler_gap"] < 1e-4
    biased = updated(table=off)
    assert relative(biased.gradients[0], sampled.gradients[0]) > 0.1


@pytest.mark.parametrize(("tolerance", "stands_for"), [(0.6, "sampled"), (0.4, "recomputed")])
def test_a_measured_gap_decides_whose_log_probabilities_are_used(tolerance: float, stands_for: str) -> None:
    """The sampler is off by 0.5 nats: over mini-batches and micro-batches the update is one of the two fixed ones."""
    right = the_table()
    off = off_by(right, 0.5)
    cut = {"table": off, "epochs": 2, "mini_batches": 2, "budget": 500}
    measured = updated(old_logp="measured", tolerance=tolerance, **cut)
    fixed = updated(old_logp=stands_for, **cut)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(measured.gradients, fixed.gradients, strict=True))
    assert measured.figures.pop("policy/sampler_gap_mean") == pytest.approx(0.5, abs=1e-4)
    assert measured.figures == fixed.figures
    assert measured.figures["policy/old_recomputed"] == (stands_for == "recomputed")


def test_the_gap_between_sampler_and_scorer_is_that_of_the_first_step() -> None:
    """Later steps leave the sampling policy on purpose."""
    found = updated(epochs=3)
    assert found.figures["policy/sampler_gap"] < 1e-4
    assert found.figures["policy/ratio_max"] > 1.01


def test_a_mini_batch_without_a_finite_loss_is_left_out() -> None:
    """The last trajectory has no advantage that is a number: the steps are those of the first half alone."""
    advantages = varied_advantages(IMAGES * GROUP)
    advantages[-1] = math.nan
    found = updated("kl reference", table=the_table(advantages), epochs=2, mini_batches=2, budget=500)
    assert found.figures["policy/skipped_steps"] == 2
    assert all(math.isfinite(value) for value in found.figures.values())
    half = updated("kl reference", table=halved(the_table(advantages)), epochs=2)
    assert len(found.gradients) == 2
    for ours, theirs in zip(found.gradients, half.gradients, strict=True):
        assert relative(ours, theirs) < 1e-4
    assert half.figures["policy/skipped_steps"] == 0


def halved(table: TokenTable) -> TokenTable:
    """The trajectories of the first half."""
    kept = split_trajectories(table, 2)[0]
    tokens = torch.arange(int(table.lengths_K[: len(kept)].sum()))
    return TokenTable(
        sequences=table.sequences[: len(kept)],
        trajectory_T=table.trajectory_T[tokens],
        advantages_T=table.advantages_T[tokens],
        marks={name: mark[tokens] for name, mark in table.marks.items()},
        signals={name: logp[tokens] for name, logp in table.signals.items()},
    )


def test_figures_are_means_over_the_steps() -> None:
    found = updated("coverage reference sampled", mini_batches=2)
    candidates = [
        sum(sum(naive_numeric(start_policy(), t.generation.token_ids)) for t in rollout.steps)
        for group in rollouts()
        for rollout in group.rollouts
    ]
    halves = sum(candidates[:3]), sum(candidates[3:])
    name, selected = "coverage reference sampled", [math.floor(FRACTION * half) for half in halves]
    assert found.figures[f"{name}/candidates"] == sum(halves) / 2
    assert found.figures[f"{name}/selected"] == sum(selected) / 2
    norms = [gradient.norm().item() for gradient in found.gradients]
    assert found.figures["policy/grad_norm"] == pytest.approx(sum(norms) / 2)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"update\.epochs=0"):
        updated(epochs=0)
    with pytest.raises(ConfigError, match=r"update\.micro_batch_tokens=0"):
        updated(budget=0)
    with pytest.raises(ConfigError, match="choose one of measured, sampled, recomputed"):
        updated(old_logp="guessed")
    with pytest.raises(ConfigError, match="exactly zero"):
        updated("coverage old exact")
    with pytest.raises(ConfigError, match="mini_batches=7 exceeds the 6 trajectories"):
        updated(mini_batches=7)
