"""Turns of several trajectories in one padded batch: few large kernels, where packing makes many small ones.

Packing (``policy.packing``) shares what prompts have in common and wastes nothing, which pays for long prompts and many
completions of each; here turns are short and all different. Both give the same states: nothing follows the padding.

Legend: B turns, L tokens of the longest, T completion tokens of all turns, H hidden width, N tokens of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoom_iqa.policy.head import banned_bias, token_log_probs
from zoom_iqa.policy.log_probabilities import PromptCompletion
from zoom_iqa.policy.policy import Policy


@dataclass(frozen=True, eq=False)
class Turn:
    """A prompt and its completion, and the tower's tokens (N, H) of each image, in half precision."""

    ids_L: Tensor
    positions_3L: Tensor
    prompt_length: int
    features: tuple[Tensor, ...]

    @staticmethod
    def of(sample: PromptCompletion, features: Sequence[Tensor]) -> Turn:
        """The turn of a sample, and the tower's tokens of its images in order."""
        prompt, completion_C = sample.prompt, sample.completion_C
        following = prompt.next_position + torch.arange(len(completion_C))
        return Turn(
            torch.cat([prompt.ids_L, completion_C]),
            torch.cat([prompt.positions_3L, following.expand(3, -1)], 1),
            len(prompt.ids_L),
            tuple(image_NH.half() for image_NH in features),
        )

    @property
    def completion(self) -> Tensor:
        """The tokens that are learned."""
        return self.ids_L[self.prompt_length :]


def hidden_states(policy: Policy, turns: Sequence[Turn]) -> Tensor:
    """The language model's last states (B, L, H), padded on the right."""
    longest = max(len(turn.ids_L) for turn in turns)
    ids_BL = torch.full((len(turns), longest), policy.pad_id)
    positions_3BL = torch.zeros(3, len(turns), longest, dtype=torch.long)
    for row, turn in enumerate(turns):
        ids_BL[row, : len(turn.ids_L)] = turn.ids_L
        positions_3BL[:, row, : len(turn.ids_L)] = turn.positions_3L
    ids_BL = ids_BL.to(policy.device)
    embedded_BLH: Tensor = policy.model.get_input_embeddings()(ids_BL)
    features = torch.cat([image_NH for turn in turns for image_NH in turn.features]).to(embedded_BLH.dtype)
    is_image_BL1 = (ids_BL == policy.encoder.image_pad_id)[..., None]
    states: Tensor = policy.model.model.language_model(
        inputs_embeds=embedded_BLH.masked_scatter(is_image_BL1, features),
        position_ids=positions_3BL.to(policy.device),
        use_cache=False,
    ).last_hidden_state
    return states


def prompt_states(policy: Policy, turns: Sequence[Turn]) -> Tensor:
    """The state (B, H) at the end of each prompt, which predicts the first token of its completion."""
    ends = torch.tensor([turn.prompt_length - 1 for turn in turns], device=policy.device)
    states_BLH = hidden_states(policy, turns)
    return states_BLH[torch.arange(len(turns), device=policy.device), ends]


def completion_log_probs(policy: Policy, turns: Sequence[Turn]) -> Tensor:
    """Log-probabilities (T,) of all completion tokens, turn after turn, at temperature 1 with banned ids masked."""
    states_BLH = hidden_states(policy, turns)
    rows = torch.cat([torch.full((len(turn.completion),), row) for row, turn in enumerate(turns)])
    places = torch.cat([torch.arange(turn.prompt_length - 1, len(turn.ids_L) - 1) for turn in turns])
    weight_VH = policy.model.lm_head.weight
    logp_T, _ = token_log_probs(
        states_BLH[rows.to(policy.device), places.to(policy.device)],
        weight_VH,
        banned_bias(policy.banned_ids, weight_VH),
        torch.cat([turn.completion for turn in turns]).to(policy.device),
        temperature=1.0,
        chunk=1 << 16,
        entropy=False,
    )
    return logp_T
