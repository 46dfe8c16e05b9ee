"""Rollouts and their advantages -> the token table of a policy update.

Every generated token of both turns is a training token, in the order of rollouts, turns and positions; prompts, the
turn-1 answer repeated inside turn 2's prompt and image tokens are context and never appear here.

Legend: K sequences (a prompt and what was generated after it), T generated tokens of all sequences, N trajectories, M
tokens of one optimizer step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from zoom_iqa.base.types import Rollout, Span
from zoom_iqa.learning.views import views_of
from zoom_iqa.objectives.signals import SAMPLED, SHOWN
from zoom_iqa.objectives.token_batch import DECIDED, NUMBERS, TokenBatch
from zoom_iqa.objectives.views import View, hidden_mark
from zoom_iqa.policy.encoding import EncodedPrompt
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy


@dataclass(frozen=True, eq=False)
class TokenTable:
    """K sequences and what is known of each of their T generated tokens; everything on the CPU.

    ``trajectory_T`` counts rollouts from 0, both turns of one under the same index. ``marks`` are masks (T,) of the
    tokens that a task's readings give spans of, under the spans' names: ``numbers`` has those with digits of the
    answer's numbers. ``signals`` are named log-probabilities (T,) in nats: ``sampled`` was recorded while sampling, an
    update adds its own. ``views`` are other prompts for the same completions, by name, each K sequences; signals may be
    asked for under them. Tokens of sequences that a view changes have the mark ``hidden/<view>``.
    """

    sequences: tuple[PromptCompletion, ...]
    trajectory_T: Tensor
    advantages_T: Tensor
    marks: Mapping[str, Tensor]
    signals: Mapping[str, Tensor]
    views: Mapping[str, tuple[PromptCompletion, ...]] = field(default_factory=dict)

    @property
    def lengths_K(self) -> Tensor:  # noqa: N802 - a shape suffix, as everywhere
        """Generated tokens of each sequence."""
        return torch.tensor([len(sequence.completion_C) for sequence in self.sequences])

    @property
    def starts_K(self) -> Tensor:  # noqa: N802 - a shape suffix, as everywhere
        """The first token of each sequence among the T."""
        return self.lengths_K.cumsum(0) - self.lengths_K

    def seen_as(self, view: str) -> tuple[PromptCompletion, ...]:
        """The sequences under a view of the prompt.

        Raises:
            ValueError: the table has no such view.
        """
        if view == SHOWN:
            return self.sequences
        if view not in self.views:
            raise ValueError(f"the token table has no view {view!r}; it has {', '.join((SHOWN, *self.views))}")
        return self.views[view]

    def tokens_of(self, sequences: Sequence[int]) -> Tensor:
        """The mask (T,) of the tokens of some sequences, by index."""
        mask_K = torch.zeros(len(self.sequences), dtype=torch.bool)
        mask_K[list(sequences)] = True
        return mask_K.repeat_interleave(self.lengths_K)

    def changed_by(self, view: str) -> list[int]:
        """The sequences, by index, whose prompt a view changes."""
        pairs = zip(self.seen_as(view), self.sequences, strict=True)
        return [number for number, (seen, shown) in enumerate(pairs) if seen is not shown]

    def with_signals(self, signals: Mapping[str, Tensor]) -> TokenTable:
        """The same with more signals."""
        return replace(self, signals={**self.signals, **signals})

    def batch_of(self, tokens_M: Tensor, weights_M: Tensor) -> TokenBatch:
        """The part of the table that filters and penalties see, given the tokens' indices and weights."""
        return TokenBatch(
            trajectory_M=self.trajectory_T[tokens_M],
            advantages_M=self.advantages_T[tokens_M],
            weights_M=weights_M,
            marks={name: mark_T[tokens_M] for name, mark_T in self.marks.items()},
            signals={name: logp_T[tokens_M] for name, logp_T in self.signals.items()},
        )


def build_table(
    rollouts: Sequence[Rollout], advantages_N: Tensor, *, policy: Policy, views: Mapping[str, View] | None = None
) -> TokenTable:
    """Flatten rollouts; ``advantages_N`` holds one advantage per rollout, on any device; ``views`` are views to add.

    Raises:
        ConfigError: a generation comes from an engine that does not know its tokens or their log-probabilities.
    """
    encoded: dict[str, EncodedPrompt] = {}
    sequences: list[PromptCompletion] = []
    trajectory: list[int] = []
    sampled: list[float] = []
    spans: list[Mapping[str, Sequence[Span]]] = []
    for index, rollout in enumerate(rollouts):
        for step in rollout.steps:
            key, generation = step.request.prompt_key, step.generation
            drawn = generation.sampled
            if key not in encoded:
                made = generation.prompt
                encoded[key] = made if isinstance(made, EncodedPrompt) else policy.encode(step.request.prompt)
            sequences.append(PromptCompletion(encoded[key], key, torch.tensor(drawn.ids)))
            trajectory.extend([index] * len(drawn.ids))
            sampled.extend(drawn.logprobs)
            spans.append(step.reading.spans)
    trajectory_T = torch.tensor(trajectory)
    table = TokenTable(
        sequences=tuple(sequences),
        trajectory_T=trajectory_T,
        advantages_T=advantages_N.cpu().float()[trajectory_T],
        marks=_marks(sequences, spans, policy),
        signals={SAMPLED: torch.tensor(sampled)},
        views=views_of(rollouts, sequences, views or {}, policy=policy),
    )
    hidden = {hidden_mark(name): table.tokens_of(table.changed_by(name)) for name in table.views}
    return replace(table, marks={**table.marks, **hidden})


def _marks(
    sequences: Sequence[PromptCompletion], spans: Sequence[Mapping[str, Sequence[Span]]], policy: Policy
) -> dict[str, Tensor]:
    """A mask for each kind of span that some reading has, and for ``numbers`` and ``decided`` in any case."""
    covered = [policy.token_bytes.spans(sequence.completion_C.tolist()) for sequence in sequences]
    kinds = {NUMBERS, DECIDED, *(kind for found in spans for kind in found)}
    return {
        kind: torch.tensor(
            [
                touched
                for tokens, found in zip(covered, spans, strict=True)
                for touched in _touches(tokens, found.get(kind, ()))
            ],
            dtype=torch.bool,
        )
        for kind in sorted(kinds)
    }


def tokens_at(policy: Policy, ids: Sequence[int], spans: Sequence[Span]) -> list[bool]:
    """Tokens of a completion that hold a character of ``spans``, places in the text that ``ids`` spell."""
    return _touches(policy.token_bytes.spans(ids), spans)


def _touches(tokens: Sequence[Span], wanted: Sequence[Span]) -> list[bool]:
    return [any(start < w_end and w_start < end for w_start, w_end in wanted) for start, end in tokens]
