"""Written-out trajectories -> prompts and completions, with the mask of their answers' numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoom_iqa.data.supervised.trajectories import Trajectory
from zoom_iqa.learning.token_table import numeric_tokens
from zoom_iqa.policy.log_probabilities import PromptCompletion
from zoom_iqa.policy.policy import Policy


def supervised_samples(trajectories: Sequence[Trajectory], policy: Policy) -> tuple[list[PromptCompletion], Tensor]:
    """Every turn as prompt and completion, and which completion tokens belong to the answer's numbers (T,)."""
    samples: list[PromptCompletion] = []
    numeric: list[bool] = []
    for trajectory in trajectories:
        for number, turn in enumerate(trajectory.turns, start=1):
            ids = policy.completion_ids(turn.response)
            key = f"{trajectory.item.dataset}:{trajectory.item.id}/{number}"
            samples.append(PromptCompletion(policy.encode(turn.prompt), key, torch.tensor(ids)))
            numeric.extend(numeric_tokens(policy, ids, turn.response))
    return samples, torch.tensor(numeric)
