"""A policy in this process as a speaker: it has log-probabilities, and its answers cost nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.engines.engine import Engine
from zoom_iqa.engines.speaker import Speaking
from zoom_iqa.policy.folder import fingerprint_of_files
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache


@dataclass(frozen=True, kw_only=True)
class LocalPolicy:
    """Loads ``policy`` when it is opened, on a GPU if there is one.

    ``path`` is its name; ``dtype`` and the bounds of an image's pixels are as it is loaded with.
    """

    path: str
    dtype: str
    min_pixels: int | None
    max_pixels: int | None
    policy: Callable[[], Policy]
    engine: Callable[..., Engine]
    features_capacity: int

    @property
    def identity(self) -> str:
        """Its name, its files and how it is loaded: all that decides an answer."""
        kept = {name: getattr(self, name) for name in ("path", "dtype", "min_pixels", "max_pixels")}
        return json.dumps({**kept, "files": fingerprint_of_files(Path(self.path))}, sort_keys=True)

    @contextmanager
    def opened(self, folder: Path, *, name: str, sampling: SamplingParams) -> Iterator[Speaking]:
        """The policy's engine; nothing is kept in ``folder``."""
        made: Any = self.policy()
        made.model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        made.model.eval()
        features = VisionCache(model=made.model, capacity=self.features_capacity)
        yield Speaking(self.engine(policy=made, sampling=sampling, features=features), dict)
