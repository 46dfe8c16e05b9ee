"""Prompts and completions -> one packed sequence in which equal prompts stand once.

Legend: T packed tokens, N completion tokens, C tokens of one completion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoom_iqa.policy.encoding import EncodedImage, EncodedPrompt
from zoom_iqa.policy.shared_prefix import PackedLayout, PromptGroup, Run


@dataclass(frozen=True, eq=False)
class PromptCompletion:
    """A prompt and one completion of it. Equal ``prompt_key`` means an identical prompt, which is forwarded once."""

    prompt: EncodedPrompt
    prompt_key: str
    completion_C: Tensor


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Everything on the CPU. ``images`` stand in the order of their tokens.

    ``predicting_N``: for each completion token, in the order the samples came in, which packed token predicts it.
    """

    ids_T: Tensor
    positions_3T: Tensor
    images: tuple[EncodedImage, ...]
    layout: PackedLayout
    predicting_N: Tensor


def pack_samples(samples: Sequence[PromptCompletion]) -> PackedBatch:
    """Lay out each prompt once, then its completions, shortest first, without last tokens, which predict nothing."""
    members: dict[str, list[int]] = {}
    for k, sample in enumerate(samples):
        members.setdefault(sample.prompt_key, []).append(k)
    ids: list[Tensor] = []
    positions: list[Tensor] = []
    images: list[EncodedImage] = []
    groups: list[PromptGroup] = []
    predicting: dict[int, Tensor] = {}
    total = 0
    for members_of_prompt in members.values():
        prompt = samples[members_of_prompt[0]].prompt
        ids.append(prompt.ids_L)
        positions.append(prompt.positions_3L)
        images.extend(prompt.images)
        start, total = total, total + len(prompt.ids_L)
        end_of_prompt, lengths = total, []
        for k in sorted(members_of_prompt, key=lambda k: len(samples[k].completion_C)):
            head_C = samples[k].completion_C[:-1]
            ids.append(head_C)
            positions.append((prompt.next_position + torch.arange(len(head_C))).expand(3, -1))
            predicting[k] = torch.cat([torch.tensor([end_of_prompt - 1]), total + torch.arange(len(head_C))])
            lengths.append(len(head_C))
            total += len(head_C)
        groups.append(PromptGroup(start, end_of_prompt, tuple(_runs(end_of_prompt, lengths))))
    return PackedBatch(
        ids_T=torch.cat(ids),
        positions_3T=torch.cat(positions, 1),
        images=tuple(images),
        layout=PackedLayout(tuple(groups)),
        predicting_N=torch.cat([predicting[k] for k in range(len(samples))]),
    )


def _runs(start: int, lengths: Iterable[int]) -> list[Run]:
    """Adjacent completions of equal length, as runs; empty ones are left out."""
    runs: list[Run] = []
    for length in lengths:
        if runs and runs[-1].length == length:
            runs[-1] = Run(runs[-1].start, runs[-1].count + 1, length)
        elif length:
            runs.append(Run(start, 1, length))
        start += length
    return runs
