"""Written-out trajectories -> prompts and completions, with the mask of their answers' numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoom_iqa.data.supervised.trajectories import Trajectory
from zoom_iqa.learning.token_table import tokens_at
from zoom_iqa.policy.log_probabilities import PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tasks.task import prompt_key


def supervised_samples(trajectories: Sequence[Trajectory], policy: Policy) -> tuple[list[PromptCompletion], Tensor]:
    """Every turn as prompt and completion, and which completion tokens belong to the answer's numbers (T,)."""
    samples: list[PromptCompletion] = []
    numeric: list[bool] = []
    for turn in (turn for trajectory in trajectories for turn in trajectory.turns):
        ids = policy.completion_ids(turn.response)
        samples.append(PromptCompletion(policy.encode(turn.prompt), prompt_key(turn.prompt), torch.tensor(ids)))
        numeric.extend(tokens_at(policy, ids, turn.numbers))
    return samples, torch.tensor(numeric)
