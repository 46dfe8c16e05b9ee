"""Teaches the language model to read a warmed-up vision tower, then to write the protocol's answers.

From random weights a language model learns the template of the answers long before it looks at the image: few tokens of
a trajectory depend on it. So its last state of the prompt is first asked for the score alone, in every turn: the second
must read the crop. The tower is frozen, so every image goes through it once.

Legend: P prompts (a turn each), T completion tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.base.targets import RATING_MIDDLE
from zoom_iqa.data.collation import as_list, single_thread_worker
from zoom_iqa.data.supervised.trajectories import WrittenTrajectories
from zoom_iqa.learning.supervised import supervised_samples
from zoom_iqa.objectives.schedules import Schedule
from zoom_iqa.objectives.sft_loss import ResponseCrossEntropy
from zoom_iqa.policy.freezing import freeze_vision
from zoom_iqa.policy.log_probabilities import PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import encode_images
from zoom_iqa.tiny_policy.padded import Turn, completion_log_probs, prompt_states

_CLIP_NORM = 1.0
_TOLD_EVERY = 50  # steps; reading a figure waits for the device


@dataclass(frozen=True, eq=False)
class Example:
    """A trajectory whose image features are kept: its turns, which tokens belong to numbers, and the score (1-5)."""

    turns: tuple[Turn, ...]
    numeric_T: Tensor
    mos: float


@dataclass(frozen=True, eq=False)
class EncodedTrajectory:
    """A trajectory as a loader worker gives it: encoded, its pixels not yet seen by the tower."""

    samples: tuple[PromptCompletion, ...]
    numeric_T: Tensor
    mos: float


class EncodedTrajectories(Dataset[EncodedTrajectory]):
    """The first ``count`` trajectories of a set, encoded for ``policy``: the slow part, done in loader workers."""

    def __init__(self, *, trajectories: WrittenTrajectories, count: int, policy: Policy) -> None:
        self._trajectories, self._count, self._policy = trajectories, count, policy

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> EncodedTrajectory:
        trajectory = self._trajectories[index]
        samples, numeric_T = supervised_samples([trajectory], self._policy)
        return EncodedTrajectory(tuple(samples), numeric_T, trajectory.example.mos)


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """``steps`` optimizer steps on ``batch_size`` examples drawn anew each time."""

    steps: int
    batch_size: int
    optimizer: Callable[..., Optimizer]
    lr_factor: Schedule


class LanguageWarmup:
    """Runs two lessons on the first ``examples`` trajectories of a set: ``reading`` the score, then ``writing``.

    ``device`` is where the language model learns and the features lie; the policy is brought back after.
    """

    def __init__(
        self,
        *,
        trajectories: WrittenTrajectories,
        examples: int,
        workers: int,
        device: str,
        reading: Lesson,
        writing: Lesson,
        loss: ResponseCrossEntropy,
        seed: int,
    ) -> None:
        self._trajectories, self._count, self._workers = trajectories, examples, workers
        self._device = torch.device(device)
        self._reading, self._writing, self._loss, self._seed = reading, writing, loss, seed

    def run(self, policy: Policy) -> None:
        """Train the language model of ``policy`` in place."""
        self.learn(policy, self.examples(policy))

    def examples(self, policy: Policy) -> list[Example]:
        """The trajectories, their images seen by the tower of ``policy``."""
        policy.model.to(self._device)
        examples: list[Example] = []
        loader: DataLoader[Any] = DataLoader(
            EncodedTrajectories(trajectories=self._trajectories, count=self._count, policy=policy),
            batch_size=16,
            num_workers=self._workers,
            collate_fn=as_list,
            worker_init_fn=single_thread_worker,
        )
        with ProgressLine("see examples", total=self._count) as progress:
            for batch in loader:
                examples.extend(_seen(batch, policy))
                progress.advance(len(batch))
        return examples

    def learn(self, policy: Policy, examples: Sequence[Example]) -> None:
        """Both lessons on examples that the policy's own tower has seen."""
        torch.manual_seed(self._seed)
        freeze_vision(policy)
        policy.model.to(self._device)
        head = nn.Linear(policy.model.config.get_text_config().hidden_size, 1).to(self._device)
        language = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]

        def reading_loss(batch: Sequence[Example]) -> Tensor:
            turns = [turn for example in batch for turn in example.turns]
            mos_P = torch.tensor([example.mos for example in batch for _ in example.turns], device=self._device)
            return F.smooth_l1_loss(RATING_MIDDLE + head(prompt_states(policy, turns))[:, 0], mos_P)

        def writing_loss(batch: Sequence[Example]) -> Tensor:
            numeric_T = torch.cat([example.numeric_T for example in batch])
            weight = float(self._loss.token_weights(numeric_T).sum())
            logp_T = completion_log_probs(policy, [turn for example in batch for turn in example.turns])
            loss, _ = self._loss(logp_T, numeric_T.to(self._device), denominator=weight)
            return loss

        rng = np.random.default_rng(self._seed)
        _teach("read scores", self._reading, [*language, *head.parameters()], examples, reading_loss, rng)
        _teach("write answers", self._writing, language, examples, writing_loss, rng)
        policy.model.requires_grad_(True)
        policy.model.cpu()


@torch.no_grad()
def _seen(batch: Sequence[EncodedTrajectory], policy: Policy) -> list[Example]:
    """The tower's tokens take the place of the pixels."""
    shown = {image.key: image for example in batch for sample in example.samples for image in sample.prompt.images}
    features = dict(zip(shown, encode_images(policy.model, list(shown.values())), strict=True))
    return [
        Example(
            tuple(Turn.of(s, [features[image.key] for image in s.prompt.images]) for s in example.samples),
            example.numeric_T,
            example.mos,
        )
        for example in batch
    ]


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
        for step in range(lesson.steps):
            picked = rng.choice(len(examples), lesson.batch_size, replace=False)
            loss = loss_of([examples[index] for index in picked])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, _CLIP_NORM)
            optimizer.step()
            schedule.step()
            told = step % _TOLD_EVERY == 0 or step == lesson.steps - 1
            progress.advance(figures={"loss": loss.item()} if told else None)
