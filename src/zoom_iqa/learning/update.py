"""The optimizer steps made from one token table: signals, filters and plans, then micro-batches; knows no Lightning.

Two phases come before the first step: signals over all tokens, from which filters and penalties choose tokens over all
processes; then signals at the chosen tokens. Everything ranked or normalised over a batch is fixed there, per optimizer
step, before micro-batching: the micro-batch budget changes memory, and results by no more than the rounding of sums of
gradients, which in bfloat16 grows with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_whole
from zoom_iqa.learning.micro_batch_loss import MicroBatchLoss
from zoom_iqa.learning.micro_batches import images_to_come, micro_batches_of, split_trajectories
from zoom_iqa.learning.mini_batch import MiniBatch, Planner, mean_figures
from zoom_iqa.learning.old_log_probabilities import SamplerCheck, old_policy
from zoom_iqa.learning.signals import AnyLikelihood, SignalPasses, missing_everywhere
from zoom_iqa.learning.token_table import TokenTable
from zoom_iqa.objectives.aggregation import Aggregation
from zoom_iqa.objectives.filters.base import TokenFilter
from zoom_iqa.objectives.measures import Measures, mean_of, merge, reduce_measures, to_floats
from zoom_iqa.objectives.penalties.base import Penalty
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss
from zoom_iqa.objectives.signals import OLD, SAMPLED
from zoom_iqa.objectives.views import View
from zoom_iqa.parallel.reducer import Reducer
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.tasks.task import Given


class PolicyUpdate:
    """Runs ``epochs`` passes over ``mini_batches`` parts of a token table, one optimizer step each.

    Tokens that a filter drops have no part in the policy gradient; penalties add up. ``micro_batch_tokens`` bounds
    prompt and completion tokens that are forwarded together. ``old_logp`` is ``sampled`` (the sampler's own
    log-probabilities), ``recomputed`` (one more pass; the first step's ratios are then 1), or ``measured`` (recomputed
    where ``sampler_check`` finds that the sampler's own differ too much).

    Raises:
        ConfigError: a value is out of range, an entry is no filter or penalty, or a penalty would silently do nothing.
    """

    def __init__(
        self,
        *,
        loss: ClippedPolicyLoss,
        aggregation: Aggregation,
        filters: Mapping[str, TokenFilter],
        penalties: Mapping[str, Penalty],
        epochs: int,
        mini_batches: int,
        micro_batch_tokens: int,
        old_logp: str,
        sampler_check: SamplerCheck,
    ) -> None:
        require_whole("update.epochs", epochs, least=1)
        require_whole("update.mini_batches", mini_batches, least=1)
        require_whole("update.micro_batch_tokens", micro_batch_tokens, least=1)
        self._planner = Planner(aggregation=aggregation, filters=filters, penalties=penalties)
        for penalty in self._planner.penalties.values():
            penalty.check(updates_per_rollout=epochs * mini_batches)
        self._loss = MicroBatchLoss(policy_loss=loss, penalties=self._planner.penalties)
        self._epochs = epochs
        self._mini_batches = mini_batches
        self._budget = micro_batch_tokens
        self._old_policy = old_policy(old_logp, check=sampler_check)

    @property
    def steps_per_rollout(self) -> int:
        """Optimizer steps that one rollout batch makes."""
        return self._epochs * self._mini_batches

    def check_trajectories(self, count: int) -> None:
        """Refuse more mini-batches than a token table has trajectories.

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
        return any(signal.weights == "reference" for signal in self._planner.signals)

    @property
    def views(self) -> Mapping[str, View]:
        """The views of prompts that a token table has to have, by name."""
        return self._planner.views

    @property
    def needs(self) -> Mapping[str, frozenset[Given]]:
        """The parts of a trajectory that filters and penalties choose by, by their keys in the config."""
        return self._planner.needs

    def state_dict(self) -> dict[str, Any]:
        """State that a continued run needs."""
        return {**self._old_policy.state_dict(), "parts": self._planner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            ConfigError: other filters or penalties have a state there.
        """
        self._old_policy.load_state_dict(state)
        self._planner.load_state_dict(state.get("parts", {}))

    def run(
        self,
        table: TokenTable,
        *,
        likelihood: Likelihood,
        reference: AnyLikelihood | None,
        backward: Callable[[Tensor], None],
        optimizer_step: Callable[[bool], float | None],
        step: int,
        reducer: Reducer,
    ) -> dict[str, float]:
        """Learn from one rollout batch.

        ``backward`` accumulates gradients of a micro-batch's share of the loss; ``optimizer_step`` is told whether the
        loss of this process is finite, sums gradients over processes, clips, steps, and returns their norm, or None
        where no process steps. ``step`` counts rollouts so far: it is what schedules of coefficients and the draws of
        filters go by. Returns what to log: means over the optimizer steps made, of filters and penalties over all
        that were planned, and how many were skipped.
        """
        self.check_trajectories(int(table.trajectory_T.max()) + 1)
        passes = SignalPasses(policy=likelihood, reference=reference, budget=self._budget)
        table, old_figures = self._with_signals(table, passes, step, reducer)
        parts = self._mini_batches_of(table, step, reducer)
        at_selected = passes.at_selected(table, self._planner.read_at_selected(table, parts))
        measures: list[Measures] = []
        skipped = 0
        for epoch in range(self._epochs):
            for number, part in enumerate(parts):
                found: list[Measures] = []
                finite = True
                to_come = images_to_come(table, part.micro_batches)
                more = likelihood.passes_more(len(part.micro_batches))
                for micro, images in zip(part.micro_batches, to_come, strict=True):
                    loss, of_micro = self._loss(table, part, micro, at_selected, likelihood)
                    backward(loss)
                    likelihood.finish_images(images)
                    finite = finite and bool(loss.isfinite())
                    found.append(of_micro)
                for _ in range(more):
                    backward(likelihood.idle())
                norm = optimizer_step(finite)
                if norm is None:
                    skipped += 1
                    continue
                first = epoch == 0 and number == 0
                measures += [
                    *(found if first else map(_without_gap, found)),
                    {"policy/grad_norm": mean_of(torch.tensor(norm, device=loss.device))},
                ]
        learned = to_floats(reduce_measures(merge(measures), reducer=reducer))
        return {**learned, **mean_figures(parts), **old_figures, "policy/skipped_steps": float(skipped)}

    def _with_signals(
        self, table: TokenTable, passes: SignalPasses, step: int, reducer: Reducer
    ) -> tuple[TokenTable, dict[str, float]]:
        """The table with all signals over all tokens, and how the old policy's were come by."""
        recomputed_T = passes.everywhere(table, OLD) if self._old_policy.wants_pass(step) else None
        sampled_T = table.signals[SAMPLED]
        old_T, figures = self._old_policy.choose(sampled_T, recomputed_T, step=step, reducer=reducer)
        table = table.with_signals({OLD.name: old_T})
        missing = missing_everywhere(self._planner.signals, table)
        return table.with_signals({signal.name: passes.everywhere(table, signal) for signal in missing}), figures

    def _mini_batches_of(self, table: TokenTable, step: int, reducer: Reducer) -> list[MiniBatch]:
        return [
            self._planner.plan(
                table,
                micro_batches_of(table, sequences, self._budget),
                step=step,
                mini_batch=number,
                reducer=reducer,
            )
            for number, sequences in enumerate(split_trajectories(table, self._mini_batches))
        ]


def _without_gap(measures: Measures) -> Measures:
    """Later steps leave the sampling policy on purpose: only the first shows how sampler and likelihood differ."""
    return {name: measure for name, measure in measures.items() if name != "policy/sampler_gap"}
