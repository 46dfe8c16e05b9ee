"""Warms a randomly initialised vision tower up until its tokens tell what is wrong where.

From random weights and a score alone the tower learns next to nothing in minutes of CPU time. A first block that
measures the energy of fine detail and dense targets in every cell carry it there (numbers: experiments/tiny_policy).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.data.collation import single_thread_worker
from zoom_iqa.data.datasets import MadeImages
from zoom_iqa.objectives.schedules import Schedule
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.energy_filters import install_energy_filters
from zoom_iqa.tiny_policy.probe import VisionProbe
from zoom_iqa.tiny_policy.statistics import cell_statistics
from zoom_iqa.tiny_policy.teacher import Teacher
from zoom_iqa.tiny_policy.views import ViewPairs, ViewPool, Views, join_views

_PROBED_VIEWS = 256  # from which the scales of filters and statistics are estimated; a smaller pool gives all it has
_CLIP_NORM = 1.0
_TOLD_EVERY = 50  # steps; reading a figure waits for the device


class TowerWarmup:
    """``steps`` optimizer steps: on ``part_batch_size`` parts of views (``part_height`` x ``part_width`` pixels) and on
    ``batch_size`` whole views (``view_height`` x ``view_width``) by turns.

    ``images`` are distorted by ``workers`` loader workers, ``fresh_images`` a step; each gives two views of a pool of
    ``pool_views``. ``probe`` makes the heads from the token width and the scale of the statistics; ``teacher`` is asked
    for every cell beside them, None for no teacher. ``device`` is where the tower learns; it is brought back after.
    """

    def __init__(
        self,
        *,
        images: MadeImages,
        probe: Callable[..., VisionProbe],
        teacher: Teacher | None,
        optimizer: Callable[..., Optimizer],
        lr_factor: Schedule,
        steps: int,
        batch_size: int,
        view_height: int,
        view_width: int,
        part_batch_size: int,
        part_height: int,
        part_width: int,
        pool_views: int,
        fresh_images: int,
        workers: int,
        device: str,
        seed: int,
    ) -> None:
        self._images, self._probe, self._teacher = images, probe, teacher
        self._optimizer, self._lr_factor = optimizer, lr_factor
        self._steps, self._batch_size = steps, batch_size
        self._height, self._width = view_height, view_width
        self._part_batch_size, self._part_height, self._part_width = part_batch_size, part_height, part_width
        self._pool_views, self._fresh_images = pool_views, fresh_images
        self._workers, self._device, self._seed = workers, torch.device(device), seed

    def run(self, policy: Policy, *, goes_on: bool = False) -> VisionProbe:
        """Train the tower of ``policy`` in place; the probe is returned for whoever wants to measure with it."""
        return self.learn(policy, self.pool(), refresh=True, goes_on=goes_on)

    def pool(self) -> ViewPool:
        """A filled pool of views on the device."""
        pool = ViewPool(
            stream=self._stream(),
            capacity=self._pool_views,
            rng=np.random.default_rng(self._seed),
            device=self._device,
        )
        pool.fill()
        return pool

    def learn(self, policy: Policy, pool: ViewPool, *, refresh: bool, goes_on: bool = False) -> VisionProbe:
        """Train on a pool that is filled; ``refresh`` takes fresh views into it at every step.

        A tower that ``goes_on`` keeps what it has learned; any other begins with energy filters.
        """
        torch.manual_seed(self._seed)
        first = pool.draw(min(_PROBED_VIEWS, self._pool_views), height=self._height, width=self._width)
        if not goes_on:
            start_tower(policy, first.pixels_BHW3.cpu(), seed=self._seed)
        if self._teacher is not None:
            self._teacher.fit(first.pixels_BHW3)
        visual = policy.model.model.visual.to(self._device)
        probe = self._make_probe(policy, first)
        parameters = [*visual.parameters(), *probe.parameters()]
        optimizer = self._optimizer(parameters)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor.value)
        with ProgressLine("vision warm-up", total=self._steps) as progress:
            for step in range(self._steps):
                if refresh:
                    pool.refresh()
                figures = self._step(policy, probe, self._draw(pool, step), optimizer)
                nn.utils.clip_grad_norm_(parameters, _CLIP_NORM)
                optimizer.step()
                schedule.step()
                told = step % _TOLD_EVERY == 0 or step == self._steps - 1
                progress.advance(figures={name: value.item() for name, value in figures.items()} if told else None)
        visual.cpu()
        return probe.cpu()

    def _draw(self, pool: ViewPool, step: int) -> Views:
        if step % 2:
            return pool.draw(self._batch_size, height=self._height, width=self._width)
        return pool.draw(self._part_batch_size, height=self._part_height, width=self._part_width)

    def _step(self, policy: Policy, probe: VisionProbe, views: Views, optimizer: Optimizer) -> dict[str, Tensor]:
        teacher_BNF = None if self._teacher is None else self._teacher(views.pixels_BHW3)
        loss, figures = probe.loss(view_tokens(policy, views.pixels_BHW3), views, teacher_BNF)
        optimizer.zero_grad()
        loss.backward()
        return figures

    def _stream(self) -> Iterator[Views]:
        pairs = ViewPairs(images=self._images, height=self._height, width=self._width, seed=self._seed)
        loader = DataLoader(
            pairs,
            batch_size=self._fresh_images,
            collate_fn=join_views,
            num_workers=self._workers,
            prefetch_factor=4 if self._workers else None,
            worker_init_fn=single_thread_worker,
        )
        return itertools.chain.from_iterable(itertools.repeat(loader))

    def _make_probe(self, policy: Policy, views: Views) -> VisionProbe:
        statistics = cell_statistics(views.pixels_BHW3).flatten(0, 1)
        return self._probe(
            token_width=policy.model.config.vision_config.out_hidden_size,
            statistics_mean_K=statistics.mean(0),
            statistics_std_K=statistics.std(0).clamp_min(1e-3),
            teacher_features=0 if self._teacher is None else self._teacher.features,
        ).to(self._device)


def start_tower(policy: Policy, pixels_BHW3: Tensor, *, seed: int) -> None:
    """Give the tower energy filters, scaled on these views."""
    patches, _ = patchify(policy, pixels_BHW3)
    image_std = torch.tensor(policy.image_processor.image_std)
    install_energy_filters(policy.model.model.visual, patches, image_std=image_std, seed=seed)


def view_tokens(policy: Policy, pixels_BHW3: Tensor) -> Tensor:
    """The language-model tokens (B, N, D) of views of one size, row by row.

    It computes what ``visual`` does, all views at once where every block attends to the whole view: transformers
    attends to one window after the other, thousands of kernels a step.
    """
    visual: Any = policy.model.model.visual
    patches, grid = patchify(policy, pixels_BHW3)
    if len(visual.fullatt_block_indexes) < len(visual.blocks):
        tokens: Tensor = visual(patches, grid).pooler_output
        return tokens.view(len(pixels_BHW3), -1, tokens.shape[-1])
    _, rows, columns = (int(n) for n in grid[0])
    hidden_BPW = visual.patch_embed(patches).view(len(pixels_BHW3), rows * columns, -1)
    head_width = hidden_BPW.shape[-1] // visual.blocks[0].attn.num_heads
    angles_PD = _angles(rows, columns, visual.spatial_merge_size, head_width).to(patches.device)
    for block in visual.blocks:
        hidden_BPW = hidden_BPW + _attention(block.attn, block.norm1(hidden_BPW), angles_PD)
        hidden_BPW = hidden_BPW + block.mlp(block.norm2(hidden_BPW))
    merged: Tensor = visual.merger(hidden_BPW.flatten(0, 1))
    return merged.view(len(pixels_BHW3), -1, merged.shape[-1])


def _angles(rows: int, columns: int, merge: int, head_width: int) -> Tensor:
    """Rotary angles (P, D) of patches, those of a token together: row in the first half of the pairs, then column."""
    places = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1)
    places = places.view(rows // merge, merge, columns // merge, merge, 2).transpose(1, 2).reshape(-1, 2)
    rates = 10_000.0 ** -(torch.arange(0, head_width // 2, 2) / (head_width // 2))
    return (places[..., None] * rates).flatten(1).repeat(1, 2)


def _attention(attention: Any, hidden_BPW: Tensor, angles_PD: Tensor) -> Tensor:
    batch, patches, width = hidden_BPW.shape
    qkv_3BHPD = attention.qkv(hidden_BPW).view(batch, patches, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    query, key = (_rotated(part, angles_PD) for part in qkv_3BHPD[:2])
    mixed_BHPD = F.scaled_dot_product_attention(query, key, qkv_3BHPD[2])
    out: Tensor = attention.proj(mixed_BHPD.transpose(1, 2).reshape(batch, patches, width))
    return out


def _rotated(part_BHPD: Tensor, angles_PD: Tensor) -> Tensor:
    first, second = part_BHPD.chunk(2, dim=-1)
    return part_BHPD * angles_PD.cos() + torch.cat([-second, first], -1) * angles_PD.sin()


def patchify(policy: Policy, pixels_BHW3: Tensor) -> tuple[Tensor, Tensor]:
    """Patches (P, D) and grids (B, 3), as the policy's image processor gives them for images that need no resizing."""
    processor: Any = policy.image_processor
    side, merge = processor.patch_size, processor.merge_size
    device = pixels_BHW3.device
    mean, std = (torch.tensor(values, device=device) for values in (processor.image_mean, processor.image_std))
    batch, height, width, _ = pixels_BHW3.shape
    rows, columns = height // side, width // side
    scaled = (pixels_BHW3.float() / 255 - mean) / std
    blocks = scaled.reshape(batch, rows // merge, merge, side, columns // merge, merge, side, 3)
    patches = blocks.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(batch * rows * columns, -1)
    return patches, torch.tensor([[1, rows, columns]] * batch, device=device)
