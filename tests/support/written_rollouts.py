"""Two-turn rollouts of a random policy with written texts, and advantages for them: what updates are tested on."""

from __future__ import annotations

import torch
from torch import Tensor

from support.random_policy import noise_image
from support.written_engine import SECTIONS, WrittenEngine
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import RolloutGroup, Sample, rated_example
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.rollout.collect import collect_groups
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.zoom import ZoomTask

PROMPTS = PromptSet(
    questions=["How good?", "Rate it."],
    turn1="{question} Rate.",
    turn2="Look closer.",
    sections_turn1=SECTIONS["turn1"],
    sections_turn2=SECTIONS["turn2"],
    original_label="Original image: ",
    crop_label="Cropped Image: ",
    terse=True,
)
SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=200, stop_strings=())


def image_samples(count: int) -> list[Sample]:
    return [
        Sample.of(
            rated_example(id=f"image{i}", dataset="noise", mos=1.5 + i % 4), noise_image(i, 48 + 16 * (i % 2), 48)
        )
        for i in range(count)
    ]


def written_groups(policy: Policy, *, images: int, group_size: int, seed: int = 0) -> list[RolloutGroup]:
    features = VisionCache(model=policy.model, capacity=10_000)
    engine = WrittenEngine(policy=policy, sampling=SAMPLING, features=features)
    task = ZoomTask(prompts=PROMPTS)
    samples = image_samples(images)
    return collect_groups(samples, task=task, engines={"policy": engine}, group_size=group_size, seed=seed)


def varied_advantages(count: int) -> Tensor:
    """One for each trajectory, from -1.5 to 1.5, in an order that is not sorted."""
    return torch.linspace(-1.5, 1.5, count)[torch.randperm(count, generator=torch.Generator().manual_seed(5))]
