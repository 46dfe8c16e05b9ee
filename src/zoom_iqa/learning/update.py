"""The optimizer steps made from one rollout batch: mini-batches, micro-batches, gradients; knows no Lightning.

Everything ranked or normalised over the batch (token weights, the regularizer's plan) is fixed per optimizer step,
over all processes, before micro-batching: the micro-batch budget changes memory and never results.

Legend: K turn samples, T generated tokens of the rollout batch, S selected tokens, V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.learning.old_log_probabilities import SamplerCheck, old_policy
from zoom_iqa.learning.token_table import TrainingBatch
from zoom_iqa.objectives.aggregation import Aggregation
from zoom_iqa.objectives.measures import Mean, Measures, mean_of, merge, peak_of, reduce_measures, to_floats
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss, PolicyInputs
from zoom_iqa.objectives.regularizers.base import PenaltyInputs, Regularizer, RegularizerPlan, TokenBatch
from zoom_iqa.parallel.reducer import Reducer
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.reference import StartAdaptersLikelihood


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Some samples of the rollout batch, and where their tokens are in it."""

    samples_K: tuple[int, ...]
    tokens_T: Tensor


@dataclass(frozen=True, eq=False)
class MiniBatch:
    """What one optimizer step learns from: its micro-batches and, by token of the rollout batch, weights and plan."""

    micro_batches: tuple[MicroBatch, ...]
    weights_T: Tensor
    plan: RegularizerPlan


@dataclass(frozen=True, eq=False)
class SelectedLogProbs:
    """A pass without gradient. ``logp_T`` is 0 where no sample was forwarded; ``log_dist_SV``, where it was asked for,
    holds the selected tokens' distributions in the order of their indices ``tokens_S``.
    """

    logp_T: Tensor
    tokens_S: Tensor
    log_dist_SV: Tensor | None

    def rows(self, tokens_S: Tensor) -> Tensor | None:
        """The distributions of some of the selected tokens."""
        return None if self.log_dist_SV is None else self.log_dist_SV[torch.searchsorted(self.tokens_S, tokens_S)]


@dataclass(frozen=True, eq=False)
class Anchors:
    """What was computed before the first step: by token, and per mini-batch what its plan selected, if needed."""

    old_logp_T: Tensor
    selected: tuple[SelectedLogProbs | None, ...]
    figures: dict[str, float]


class PolicyUpdate:
    """Runs ``epochs`` passes over ``mini_batches`` parts of a rollout batch, one optimizer step each.

    ``micro_batch_tokens`` bounds prompt and completion tokens that are forwarded together. ``old_logp`` is
    ``sampled`` (the sampler's own log-probabilities), ``recomputed`` (one more pass; the first step's ratios are then
    1), or ``measured`` (recomputed where ``sampler_check`` finds that the sampler's own differ too much).

    Raises:
        ConfigError: a value is out of range, or the regularizer would silently do nothing.
    """

    def __init__(
        self,
        *,
        loss: ClippedPolicyLoss,
        aggregation: Aggregation,
        regularizer: Regularizer,
        epochs: int,
        mini_batches: int,
        micro_batch_tokens: int,
        old_logp: str,
        sampler_check: SamplerCheck,
    ) -> None:
        for name, value in (
            ("epochs", epochs),
            ("mini_batches", mini_batches),
            ("micro_batch_tokens", micro_batch_tokens),
        ):
            if value < 1:
                raise ConfigError(f"update.{name}={value} must be at least 1")
        regularizer.check(updates_per_rollout=epochs * mini_batches)
        self.regularizer = regularizer
        self._loss = loss
        self._aggregation = aggregation
        self._epochs = epochs
        self._mini_batches = mini_batches
        self._budget = micro_batch_tokens
        self._old_policy = old_policy(old_logp, check=sampler_check)

    def check_trajectories(self, count: int) -> None:
        """Refuse more mini-batches than a rollout batch has trajectories.

        Raises:
            ConfigError: there are.
        """
        if count < self._mini_batches:
            raise ConfigError(
                f"update.mini_batches={self._mini_batches} exceeds the {count} trajectories of a rollout batch"
            )

    @property
    def needs_reference(self) -> bool:
        """Whether a frozen reference policy has to be kept."""
        return any(need.startswith("reference") for need in self.regularizer.needs)

    def state_dict(self) -> dict[str, Any]:
        """What a continued run must know."""
        return self._old_policy.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._old_policy.load_state_dict(state)

    def run(
        self,
        batch: TrainingBatch,
        *,
        likelihood: Likelihood,
        reference: Likelihood | StartAdaptersLikelihood | None,
        backward: Callable[[Tensor], None],
        optimizer_step: Callable[[], float],
        step: int,
        reducer: Reducer,
    ) -> dict[str, float]:
        """Learn from one rollout batch.

        ``backward`` accumulates gradients of a micro-batch's share of the loss; ``optimizer_step`` sums them over
        processes, clips, steps, and returns their norm. ``step`` counts rollouts so far. Returns what to log: means
        over the optimizer steps made.
        """
        self.check_trajectories(int(batch.trajectory_T.max()) + 1)
        parts = [self._mini_batch(batch, part, step, reducer) for part in split_trajectories(batch, self._mini_batches)]
        anchors = self._anchors(batch, parts, likelihood, reference, step, reducer)
        measures: list[Measures] = []
        for epoch in range(self._epochs):
            for number, part in enumerate(parts):
                first = epoch == 0 and number == 0
                for micro, to_come in zip(part.micro_batches, _images_to_come(batch, part), strict=True):
                    loss, found = self._forward(
                        batch, part, micro, anchors.old_logp_T, anchors.selected[number], likelihood
                    )
                    backward(loss)
                    likelihood.finish_images(to_come)
                    measures.append(found if first else _without_gap(found))
                norm = torch.tensor(optimizer_step())
                measures.append({"policy/grad_norm": mean_of(norm)})
        learned = to_floats(reduce_measures(merge(measures), reducer=reducer))
        return {**learned, **_mean_figures(parts), **anchors.figures}

    def _mini_batch(self, batch: TrainingBatch, part: Sequence[int], step: int, reducer: Reducer) -> MiniBatch:
        micro_batches = tuple(micro_batches_of(batch, part, self._budget))
        tokens = torch.cat([micro.tokens_T for micro in micro_batches])
        trajectory = batch.trajectory_T[tokens]
        counts = reducer.sum(torch.tensor([len(trajectory.unique()), len(tokens)], dtype=torch.float64))
        weights = self._aggregation(trajectory, n_trajectories=int(counts[0]), n_tokens=int(counts[1]))
        plan = self.regularizer.plan(
            TokenBatch(
                old_logp_T=batch.old_logp_T[tokens],
                advantages_T=batch.advantages_T[tokens].float(),
                weights_T=weights,
                numeric_T=batch.numeric_T[tokens],
            ),
            step=step,
            reducer=reducer,
        )
        return MiniBatch(micro_batches, _scattered(batch, tokens, weights), _scattered_plan(batch, tokens, plan))

    @torch.no_grad()
    def _anchors(
        self,
        batch: TrainingBatch,
        parts: Sequence[MiniBatch],
        likelihood: Likelihood,
        reference: Likelihood | StartAdaptersLikelihood | None,
        step: int,
        reducer: Reducer,
    ) -> Anchors:
        needs = self.regularizer.needs
        recomputed_T = None
        if self._old_policy.wants_pass(step):
            everything = [micro for part in parts for micro in part.micro_batches]
            recomputed_T = _log_probs_of(batch, everything, likelihood, select_T=None).logp_T
        old_logp_T, figures = self._old_policy.choose(batch.old_logp_T, recomputed_T, step=step, reducer=reducer)
        selected: list[SelectedLogProbs | None] = [None] * len(parts)
        if self.needs_reference or "old_distribution" in needs:
            anchor = reference if self.needs_reference else likelihood
            assert anchor is not None, "the regularizer needs a reference policy"
            whole = not needs.isdisjoint(("old_distribution", "reference_distribution"))
            selected = [self._at_selected(batch, part, anchor, distributions=whole) for part in parts]
        return Anchors(old_logp_T, tuple(selected), figures)

    def _at_selected(
        self,
        batch: TrainingBatch,
        part: MiniBatch,
        anchor: Likelihood | StartAdaptersLikelihood,
        *,
        distributions: bool,
    ) -> SelectedLogProbs:
        """Only samples that hold a selected token are forwarded: of a few per cent of digits, few samples do."""
        selected_T = part.plan.selected
        sample_T = torch.arange(len(batch.samples)).repeat_interleave(batch.lengths_K)
        holding = sample_T[selected_T].unique().tolist()
        micro_batches = list(micro_batches_of(batch, holding, self._budget))
        return _log_probs_of(batch, micro_batches, anchor, select_T=selected_T if distributions else None)

    def _forward(
        self,
        batch: TrainingBatch,
        part: MiniBatch,
        micro: MicroBatch,
        old_logp_T: Tensor,
        anchor: SelectedLogProbs | None,
        likelihood: Likelihood,
    ) -> tuple[Tensor, Measures]:
        """Loss share and measures of one micro-batch."""
        needs, tokens = self.regularizer.needs, micro.tokens_T
        plan = part.plan.at(tokens)
        anchor_log_dist_SV = None if anchor is None else anchor.rows(tokens[plan.selected])
        reference_logp_T = anchor.logp_T[tokens] if anchor is not None and "reference_logp" in needs else None
        scores = likelihood(
            [batch.samples[k] for k in micro.samples_K],
            entropy="entropy" in needs,
            select_S=None if anchor_log_dist_SV is None else plan.selected.nonzero()[:, 0],
        )
        device = scores.logp_T.device
        plan = RegularizerPlan(
            coefficient_T=plan.coefficient_T.to(device), detached_T=plan.detached_T.to(device), figures=plan.figures
        )
        old_logp_T = old_logp_T[tokens].to(device)
        loss, measures = self._loss(
            PolicyInputs(
                logp_T=plan.policy_logp(scores.logp_T),
                old_logp_T=old_logp_T,
                advantages_T=batch.advantages_T[tokens].to(device, scores.logp_T.dtype),
                weights_T=part.weights_T[tokens].to(device),
            )
        )
        penalty, found = self.regularizer.penalty(
            PenaltyInputs(
                plan=plan,
                logp_T=scores.logp_T,
                old_logp_T=old_logp_T,
                reference_logp_T=None if reference_logp_T is None else reference_logp_T.to(device),
                entropy_T=scores.entropy_T,
                log_dist_SV=scores.log_dist_SV,
                anchor_log_dist_SV=None if anchor_log_dist_SV is None else anchor_log_dist_SV.to(device),
            )
        )
        gap_T = (scores.logp_T.detach() - batch.old_logp_T[tokens].to(device)).abs()
        total = loss + penalty
        # weights sum to 1 over the micro-batches of all processes: the mean is that of the steps' whole losses
        whole = Mean(total.detach().double(), part.weights_T[tokens].sum(dtype=torch.float64).to(device))
        return total, {**measures, **found, "policy/loss": whole, "policy/sampler_gap": peak_of(gap_T)}


def split_trajectories(batch: TrainingBatch, parts: int) -> list[list[int]]:
    """Sample indices of ``parts`` runs of whole trajectories, as equal as can be."""
    trajectory_K = batch.trajectory_T[batch.lengths_K.cumsum(0) - 1]
    total = int(trajectory_K.max()) + 1
    bounds = [round(total * i / parts) for i in range(parts + 1)]
    return [
        [k for k, n in enumerate(trajectory_K.tolist()) if low <= n < high] for low, high in itertools.pairwise(bounds)
    ]


def micro_batches_of(batch: TrainingBatch, part: Sequence[int], budget: int) -> Iterator[MicroBatch]:
    """Cut samples into runs of at most ``budget`` tokens, equal prompts side by side and counted once.

    A sample over the budget makes a run of its own.
    """
    lengths_K = batch.lengths_K
    starts_K = lengths_K.cumsum(0) - lengths_K
    first_seen: dict[str, int] = {}
    for k in part:
        first_seen.setdefault(batch.samples[k].prompt_key, k)
    run: list[int] = []
    keys: set[str] = set()
    size = 0
    for k in sorted(part, key=lambda k: (first_seen[batch.samples[k].prompt_key], k)):
        sample = batch.samples[k]
        prompt = 0 if sample.prompt_key in keys else len(sample.prompt.ids_L)
        cost = prompt + len(sample.completion_C)
        if run and size + cost > budget:
            yield _micro_batch(run, starts_K, lengths_K)
            run, keys, size = [], set(), 0
            cost = len(sample.prompt.ids_L) + len(sample.completion_C)
        run.append(k)
        keys.add(sample.prompt_key)
        size += cost
    if run:
        yield _micro_batch(run, starts_K, lengths_K)


def _log_probs_of(
    batch: TrainingBatch,
    micro_batches: Sequence[MicroBatch],
    likelihood: Likelihood | StartAdaptersLikelihood,
    *,
    select_T: Tensor | None,
) -> SelectedLogProbs:
    """Score samples of the rollout batch, with the distributions at the tokens of ``select_T`` where it is given."""
    logp_T = torch.zeros_like(batch.old_logp_T)
    tokens: list[Tensor] = [torch.zeros(0, dtype=torch.long)]
    distributions: list[Tensor] = []
    for micro in micro_batches:
        select_S = None if select_T is None else select_T[micro.tokens_T].nonzero()[:, 0]
        scores = likelihood([batch.samples[k] for k in micro.samples_K], entropy=False, select_S=select_S)
        logp_T[micro.tokens_T] = scores.logp_T.cpu()
        if select_S is not None and scores.log_dist_SV is not None:
            tokens.append(micro.tokens_T[select_S])
            distributions.append(scores.log_dist_SV)
    tokens_S, order_S = torch.cat(tokens).sort()
    if select_T is None:
        return SelectedLogProbs(logp_T, tokens_S, None)
    none_here = torch.zeros(0, 1)  # all that was selected may be on other processes; without rows the width is free
    return SelectedLogProbs(logp_T, tokens_S, torch.cat(distributions)[order_S] if distributions else none_here)


def _micro_batch(run: Sequence[int], starts_K: Tensor, lengths_K: Tensor) -> MicroBatch:
    tokens = [torch.arange(int(starts_K[k]), int(starts_K[k] + lengths_K[k])) for k in run]
    return MicroBatch(tuple(run), torch.cat(tokens))


def _images_to_come(batch: TrainingBatch, part: MiniBatch) -> list[set[str]]:
    """For each micro-batch, the keys of the images that those after it show."""
    to_come: list[set[str]] = [set()]
    for micro in reversed(part.micro_batches[1:]):
        shown = {image.key for k in micro.samples_K for image in batch.samples[k].prompt.images}
        to_come.append(to_come[-1] | shown)
    return to_come[::-1]


def _scattered(batch: TrainingBatch, tokens: Tensor, values: Tensor) -> Tensor:
    """Values of a mini-batch's tokens, placed at their index in the rollout batch."""
    full = values.new_zeros(len(batch.old_logp_T))
    full[tokens] = values
    return full


def _scattered_plan(batch: TrainingBatch, tokens: Tensor, plan: RegularizerPlan) -> RegularizerPlan:
    return RegularizerPlan(
        coefficient_T=_scattered(batch, tokens, plan.coefficient_T),
        detached_T=_scattered(batch, tokens, plan.detached_T),
        figures=plan.figures,
    )


def _without_gap(measures: Measures) -> Measures:
    """Later steps leave the sampling policy on purpose: only the first shows how sampler and likelihood differ."""
    return {name: measure for name, measure in measures.items() if name != "policy/sampler_gap"}


def _mean_figures(parts: Sequence[MiniBatch]) -> dict[str, float]:
    """What plans say of their selections; a figure that some lack is averaged over those that have it."""
    found: dict[str, list[float]] = {}
    for part in parts:
        for name, value in part.plan.figures.items():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}
