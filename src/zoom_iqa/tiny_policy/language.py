"""Teaches the language model to read a warmed-up vision tower, then to write the protocol's answers.

From random weights a language model learns the template of the answers long before it looks at the image: few tokens of
a trajectory depend on it. So its last state of the prompt is first asked for the score alone, in every turn: the second
must read the crop. The tower is frozen, so every image goes through it once.

Legend: B examples, P prompts (a turn each), H hidden width, T completion tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Subset

from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.data.collation import as_list, single_thread_worker
from zoom_iqa.data.supervised.trajectories import Trajectory, WrittenTrajectories
from zoom_iqa.learning.supervised import supervised_samples
from zoom_iqa.objectives.schedules import Schedule
from zoom_iqa.objectives.sft_loss import ResponseCrossEntropy
from zoom_iqa.policy.encoding import EncodedImage, EncodedPrompt
from zoom_iqa.policy.freezing import freeze_vision
from zoom_iqa.policy.log_probabilities import Likelihood, PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

_MIDDLE = 3.0  # of the score's scale
_CLIP_NORM = 1.0
_LOGIT_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Example:
    """A trajectory whose image features are kept: its turns, which tokens belong to numbers, and the score (1-5)."""

    turns: tuple[PromptCompletion, ...]
    numeric_T: Tensor
    mos: float


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """``steps`` optimizer steps on ``batch_size`` examples drawn anew each time."""

    steps: int
    batch_size: int
    optimizer: Callable[..., Optimizer]
    lr_factor: Schedule


class LanguageWarmup:
    """Runs two lessons on the first ``examples`` trajectories of a set: ``reading`` the score, then ``writing``."""

    def __init__(
        self,
        *,
        trajectories: WrittenTrajectories,
        examples: int,
        workers: int,
        reading: Lesson,
        writing: Lesson,
        loss: ResponseCrossEntropy,
        seed: int,
    ) -> None:
        self._trajectories, self._count, self._workers = trajectories, examples, workers
        self._reading, self._writing, self._loss, self._seed = reading, writing, loss, seed

    def run(self, policy: Policy) -> None:
        """Train the language model of ``policy`` in place."""
        torch.manual_seed(self._seed)
        freeze_vision(policy)
        features = VisionCache(model=policy.model, capacity=2**62)
        examples = self._examples(policy, features)
        likelihood = Likelihood(policy=policy, temperature=1.0, features=features, logit_chunk=_LOGIT_CHUNK)
        head = nn.Linear(policy.model.config.get_text_config().hidden_size, 1)
        language = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]

        def reading_loss(batch: Sequence[Example]) -> Tensor:
            prompts = [turn.prompt for example in batch for turn in example.turns]
            mos_P = torch.tensor([example.mos for example in batch for _ in example.turns])
            return F.smooth_l1_loss(_MIDDLE + head(likelihood.prompt_states(prompts))[:, 0], mos_P)

        def writing_loss(batch: Sequence[Example]) -> Tensor:
            numeric_T = torch.cat([example.numeric_T for example in batch])
            turns = [turn for example in batch for turn in example.turns]
            logp_T = likelihood(turns, entropy=False, select_S=None).logp_T
            loss, _ = self._loss(logp_T, numeric_T, denominator=float(self._loss.token_weights(numeric_T).sum()))
            return loss

        rng = np.random.default_rng(self._seed)
        _teach("read scores", self._reading, [*language, *head.parameters()], examples, reading_loss, rng)
        _teach("write answers", self._writing, language, examples, writing_loss, rng)
        policy.model.requires_grad_(True)

    def _examples(self, policy: Policy, features: VisionCache) -> list[Example]:
        examples: list[Example] = []
        loader: DataLoader[Any] = DataLoader(
            Subset(self._trajectories, range(self._count)),
            batch_size=16,
            num_workers=self._workers,
            collate_fn=as_list,
            worker_init_fn=single_thread_worker,
        )
        with ProgressLine("see examples", total=self._count) as progress:
            for batch in loader:
                examples.extend(_example(trajectory, policy, features) for trajectory in batch)
                progress.advance(len(batch))
        return examples


def _example(trajectory: Trajectory, policy: Policy, features: VisionCache) -> Example:
    """Encode a trajectory; its pixels are dropped once their features are kept."""
    samples, numeric_T = supervised_samples([trajectory], policy)
    features([image for sample in samples for image in sample.prompt.images])
    turns = tuple(
        PromptCompletion(_without_pixels(sample.prompt), sample.prompt_key, sample.completion_C) for sample in samples
    )
    return Example(turns, numeric_T, trajectory.example.mos)


def _without_pixels(prompt: EncodedPrompt) -> EncodedPrompt:
    images = tuple(EncodedImage(image.key, torch.empty(0), image.grid) for image in prompt.images)
    return replace(prompt, images=images)


def _teach(
    title: str,
    lesson: Lesson,
    parameters: Sequence[nn.Parameter],
    examples: Sequence[Example],
    loss_of: Callable[[Sequence[Example]], Tensor],
    rng: np.random.Generator,
) -> None:
    optimizer = lesson.optimizer(parameters)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lesson.lr_factor.value)
    with ProgressLine(title, total=lesson.steps) as progress:
        for _ in range(lesson.steps):
            picked = rng.choice(len(examples), lesson.batch_size, replace=False)
            loss = loss_of([examples[index] for index in picked])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, _CLIP_NORM)
            optimizer.step()
            schedule.step()
            progress.advance(figures={"loss": loss.item()})
