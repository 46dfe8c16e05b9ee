"""Rollouts and their advantages -> the flat tokens of a policy update.

Every generated token of both turns is a training token, in the order of rollouts, turns and positions; prompts, the
turn-1 answer repeated inside turn 2's prompt and image tokens are context and never appear here.

Legend: K turns (one sample each), T generated tokens of all turns, N trajectories.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoom_iqa.base.types import Rollout, Span
from zoom_iqa.policy.encoding import EncodedPrompt
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """K samples and what is known of each of their T tokens.

    ``old_logp_T`` and ``old_entropy_T`` were recorded while sampling (nats). ``trajectory_T`` counts rollouts from 0,
    both turns of one under the same index; ``turn_T`` is 1 or 2; ``numeric_T`` marks tokens with digits of numbers
    inside the turn's first ``<answer>``.
    """

    samples: tuple[PromptCompletion, ...]
    old_logp_T: Tensor
    old_entropy_T: Tensor
    advantages_T: Tensor
    trajectory_T: Tensor
    turn_T: Tensor
    numeric_T: Tensor

    @property
    def lengths_K(self) -> Tensor:  # noqa: N802 - a shape suffix, as everywhere
        """Tokens of each sample; those of sample k start at ``lengths_K[:k].sum()``."""
        return torch.tensor([len(sample.completion_C) for sample in self.samples])


def build_batch(rollouts: Sequence[Rollout], advantages_N: Tensor, *, policy: Policy) -> TrainingBatch:
    """Flatten rollouts; ``advantages_N`` holds one advantage per rollout, on any device. The result is on the CPU."""
    encoded: dict[str, EncodedPrompt] = {}
    samples: list[PromptCompletion] = []
    trajectory, turn_number, lengths = [], [], []
    logp: list[float] = []
    entropy: list[float] = []
    numeric: list[bool] = []
    for index, rollout in enumerate(rollouts):
        for number, step in enumerate(rollout.steps, start=1):
            key, generation = step.request.prompt_key, step.generation
            if key not in encoded:
                made = generation.prompt
                encoded[key] = made if isinstance(made, EncodedPrompt) else policy.encode(step.request.prompt)
            ids = generation.token_ids
            samples.append(PromptCompletion(encoded[key], key, torch.tensor(ids)))
            trajectory.append(index)
            turn_number.append(number)
            lengths.append(len(ids))
            logp.extend(generation.logprobs)
            entropy.extend(generation.entropies)
            numeric.extend(tokens_at(policy, ids, step.reading.spans["numbers"]))
    length_K = torch.tensor(lengths)
    trajectory_T = torch.tensor(trajectory).repeat_interleave(length_K)
    return TrainingBatch(
        samples=tuple(samples),
        old_logp_T=torch.tensor(logp),
        old_entropy_T=torch.tensor(entropy),
        advantages_T=advantages_N.cpu()[trajectory_T],
        trajectory_T=trajectory_T,
        turn_T=torch.tensor(turn_number).repeat_interleave(length_K),
        numeric_T=torch.tensor(numeric),
    )


def tokens_at(policy: Policy, ids: Sequence[int], spans: Sequence[Span]) -> list[bool]:
    """Which tokens of a completion hold a character of ``spans``, places in the text that ``ids`` spell."""
    return _touches(token_spans(policy, ids), spans)


def token_spans(policy: Policy, ids: Iterable[int]) -> list[Span]:
    """Character positions each token covers in the decoded text; a special token covers none.

    A character spelled by several tokens (bytes of UTF-8) belongs to the one that completes it.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    spans, position = [], 0
    for token_id in ids:
        end = position + len(decoder.decode(policy.token_bytes[token_id]))
        spans.append((position, end))
        position = end
    return spans


def _touches(tokens: Sequence[Span], wanted: Sequence[Span]) -> list[bool]:
    return [any(start < w_end and w_start < end for w_start, w_end in wanted) for start, end in tokens]
