"""Prompts -> keys, values and first hidden states, each distinct prompt once, without padding.

Legend: n prompts, T packed tokens, J key heads, P longest prompt, D head width, H hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoom_iqa.policy.embedding import embed
from zoom_iqa.policy.encoding import EncodedPrompt
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.shared_prefix import PackedLayout, Run, forward_packed
from zoom_iqa.policy.vision_cache import VisionCache


@dataclass(frozen=True, eq=False)
class Prefilled:
    """Per prompt the hidden state (n, H) that predicts its first completion token; per layer packed keys and values."""

    hidden_nH: Tensor
    kept: tuple[tuple[Tensor, Tensor], ...]
    spans_n: tuple[tuple[int, int], ...]

    def padded(self, prompts: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Keys and values (len(prompts), J, P, D) of every layer; shorter prompts end in padding."""
        starts = torch.tensor([self.spans_n[i][0] for i in prompts])
        lengths = torch.tensor([self.spans_n[i][1] - self.spans_n[i][0] for i in prompts])
        offsets = torch.arange(int(lengths.max()))
        index_nP = starts[:, None] + offsets.minimum(lengths[:, None] - 1)
        index_nP = index_nP.to(self.hidden_nH.device)
        return [tuple(x[0][:, index_nP].transpose(0, 1).contiguous() for x in pair) for pair in self.kept]  # type: ignore[misc]


def prefill(policy: Policy, prompts: Sequence[EncodedPrompt], features: VisionCache) -> Prefilled:
    """One forward over all prompts, laid end to end."""
    spans, total = [], 0
    for prompt in prompts:
        spans.append((total, total + len(prompt.ids_L)))
        total += len(prompt.ids_L)
    kept: dict[int, tuple[Tensor, Tensor]] = {}
    layout = PackedLayout(tuple(Run(start, 1, stop - start) for start, stop in spans), (), kept)
    ids_T = torch.cat([prompt.ids_L for prompt in prompts]).to(policy.device)
    images = [image for prompt in prompts for image in prompt.images]
    embedded = embed(policy, ids_T, features(images) if images else [])
    positions_3T = torch.cat([prompt.positions_3L for prompt in prompts], 1)
    hidden_TH = forward_packed(policy.model, embedded, positions_3T, layout)
    last = torch.tensor([stop - 1 for _, stop in spans], device=hidden_TH.device)
    return Prefilled(hidden_TH[last], tuple(kept[i] for i in sorted(kept)), tuple(spans))
