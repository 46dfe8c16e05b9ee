"""A policy with the images of an experiment, for studies that ask it questions of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from zoom_iqa.base.types import Rollout, Sample
from zoom_iqa.config.composition import composed
from zoom_iqa.config.training_run import check
from zoom_iqa.engines.engine import Engine
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.rollout.collect import collect
from zoom_iqa.tasks.task import Task

BATCH = 64


@dataclass(frozen=True, kw_only=True)
class AskedPolicy:
    """A policy's engine, with the task, the prompts and the images that the experiment judges on."""

    cfg: DictConfig
    task: Task
    engine: Engine
    features: VisionCache
    samples: Sequence[Sample]

    def opened(self) -> list[Any]:
        """A session of the task about each image."""
        return [self.task.open(sample, index=0, seed=0) for sample in self.samples]

    def collected(self, sessions: Sequence[Any]) -> list[Rollout]:
        """The rollouts of sessions, in their order."""
        found: list[Rollout] = []
        for start in range(0, len(sessions), BATCH):
            found += collect(sessions[start : start + BATCH], engines={"policy": self.engine})
        return found


def asked_policy(experiment: str, policy_path: str, overrides: Sequence[str]) -> AskedPolicy:
    """The policy in a folder, which answers greedily.

    Raises:
        ConfigError: there is no such experiment, or the overrides or the policy cannot be.
    """
    fixed = [f"+experiment={experiment}", "evaluator=greedy", f"policy.path={policy_path}", "paths.run_dir=unused"]
    cfg = composed("train", [*fixed, *overrides])
    check(cfg)
    policy = instantiate(cfg.policy)
    policy.model.eval()
    features = VisionCache(model=policy.model, capacity=cfg.machine.features_capacity)
    engine = instantiate(cfg.rollout)(policy=policy, sampling=instantiate(cfg.evaluator.sampling), features=features)
    data = instantiate(cfg.data.test)
    samples = [data[index] for index in range(len(data))]
    return AskedPolicy(cfg=cfg, task=instantiate(cfg.task), engine=engine, features=features, samples=samples)
