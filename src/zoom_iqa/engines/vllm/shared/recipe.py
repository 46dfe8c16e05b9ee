"""``rollout=vllm_server``: an engine whose model is in another process, which trainers share."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_positive_or_inf
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.engines.vllm.engine import VllmEngine
from zoom_iqa.engines.vllm.shared.remote import RemoteModel
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache


@dataclass(frozen=True, kw_only=True)
class VllmServerRecipe:
    """All of the engine but the policy and what follows from it; called with those, it makes the engine.

    See conf/rollout/vllm_server.yaml. The server is first asked when there is something to ask.

    Raises:
        ConfigError: a value is out of range.
    """

    url: str
    push_folder: str | None
    lost_after_s: float
    stalled_after_s: float
    probe_tolerance: float

    def __post_init__(self) -> None:
        place = urllib.parse.urlsplit(self.url)
        if place.scheme != "http" or place.hostname is None or place.path.strip("/"):
            raise ConfigError(f"machine.vllm_url={self.url} must be http://HOST:PORT, as zoom_iqa.serve prints it")
        require_positive_or_inf("machine.vllm_lost_after_s", self.lost_after_s, inf_means="waits for ever")
        require_positive_or_inf("machine.vllm_stalled_after_s", self.stalled_after_s, inf_means="waits for ever")
        require_positive_or_inf("rollout.probe_tolerance", self.probe_tolerance, inf_means="allows any gap (nats)")

    def __call__(self, *, policy: Policy, sampling: SamplingParams, features: VisionCache) -> VllmEngine:
        """The engine that samples from ``policy``."""
        remote = RemoteModel(
            self.url,
            push_folder=None if self.push_folder is None else Path(self.push_folder),
            lost_after_s=self.lost_after_s,
            stalled_after_s=self.stalled_after_s,
        )
        return VllmEngine(
            policy=policy, sampling=sampling, features=features, served=remote, probe_tolerance=self.probe_tolerance
        )
