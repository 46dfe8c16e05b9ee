"""Warms a randomly initialised vision tower up until its tokens tell what is wrong where.

From random weights and a score alone the tower learns next to nothing in minutes of CPU time. A first block that
measures the energy of fine detail and dense targets in every cell carry it there (numbers: experiments/tiny_policy).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.data.collation import single_thread_worker
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.objectives.schedules import Schedule
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.energy_filters import install_energy_filters
from zoom_iqa.tiny_policy.probe import VisionProbe
from zoom_iqa.tiny_policy.statistics import cell_statistics
from zoom_iqa.tiny_policy.views import ViewPairs, ViewPool, Views

_PROBED_VIEWS = 256  # views from which the scales of filters and statistics are estimated
_CLIP_NORM = 1.0


class TowerWarmup:
    """``steps`` optimizer steps on ``batch_size`` sub-views of ``view_height`` x ``view_width`` pixels.

    ``images`` are distorted in one loader worker; each step replaces ``fresh_views`` of a pool of ``pool_views``.
    ``probe`` makes the heads from the token width and the scale of the statistics.
    """

    def __init__(
        self,
        *,
        images: EmbeddedSet,
        probe: Callable[..., VisionProbe],
        optimizer: Callable[..., Optimizer],
        lr_factor: Schedule,
        steps: int,
        batch_size: int,
        view_height: int,
        view_width: int,
        pool_views: int,
        fresh_views: int,
        seed: int,
    ) -> None:
        self._images, self._probe, self._optimizer, self._lr_factor = images, probe, optimizer, lr_factor
        self._steps, self._batch_size = steps, batch_size
        self._height, self._width = view_height, view_width
        self._pool_views, self._fresh_views = pool_views, fresh_views
        self._seed = seed

    def run(self, policy: Policy) -> VisionProbe:
        """Train the tower of ``policy`` in place; the probe is returned for whoever wants to measure with it."""
        torch.manual_seed(self._seed)
        rng = np.random.default_rng(self._seed)
        pool = ViewPool(stream=self._stream(), capacity=self._pool_views, rng=rng)
        first = pool.draw(_PROBED_VIEWS, height=self._height, width=self._width)
        start_tower(policy, first.pixels_BHW3, seed=self._seed)
        probe = self._make_probe(policy, first)
        parameters = [*policy.model.model.visual.parameters(), *probe.parameters()]
        optimizer = self._optimizer(parameters)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor.value)
        with ProgressLine("vision warm-up", total=self._steps) as progress:
            for _ in range(self._steps):
                pool.refresh(self._fresh_views)
                views = pool.draw(self._batch_size, height=self._height, width=self._width)
                loss, figures = probe.loss(view_tokens(policy, views.pixels_BHW3), views)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, _CLIP_NORM)
                optimizer.step()
                schedule.step()
                progress.advance(figures=figures)
        return probe

    def _stream(self) -> Iterator[Views]:
        pairs = ViewPairs(images=self._images, seed=self._seed)
        return iter(
            DataLoader(pairs, batch_size=None, num_workers=1, prefetch_factor=32, worker_init_fn=single_thread_worker)
        )

    def _make_probe(self, policy: Policy, views: Views) -> VisionProbe:
        statistics = cell_statistics(views.pixels_BHW3).flatten(0, 1)
        return self._probe(
            token_width=policy.model.config.vision_config.out_hidden_size,
            statistics_mean_K=statistics.mean(0),
            statistics_std_K=statistics.std(0).clamp_min(1e-3),
        )


def start_tower(policy: Policy, pixels_BHW3: Tensor, *, seed: int) -> None:
    """Give the tower energy filters, scaled on these views."""
    patches, _ = patchify(policy, pixels_BHW3)
    image_std = torch.tensor(policy.image_processor.image_std)
    install_energy_filters(policy.model.model.visual, patches, image_std=image_std, seed=seed)


def view_tokens(policy: Policy, pixels_BHW3: Tensor) -> Tensor:
    """The language-model tokens (B, N, D) of views, row by row."""
    patches, grid = patchify(policy, pixels_BHW3)
    tokens: Tensor = policy.model.model.visual(patches, grid).pooler_output
    return tokens.view(len(pixels_BHW3), -1, tokens.shape[-1])


def patchify(policy: Policy, pixels_BHW3: Tensor) -> tuple[Tensor, Tensor]:
    """Patches (P, D) and grids (B, 3), as the policy's image processor gives them for images that need no resizing."""
    processor: Any = policy.image_processor
    side, merge = processor.patch_size, processor.merge_size
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    batch, height, width, _ = pixels_BHW3.shape
    rows, columns = height // side, width // side
    scaled = (pixels_BHW3.float() / 255 - mean) / std
    blocks = scaled.reshape(batch, rows // merge, merge, side, columns // merge, merge, side, 3)
    patches = blocks.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(batch * rows * columns, -1)
    return patches, torch.tensor([[1, rows, columns]] * batch)
