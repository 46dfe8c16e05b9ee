"""A plain engine: one request at a time through transformers' own forward and cache.

Slow and short: what faster engines are compared with, and a fallback for models they do not know.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import DynamicCache

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.sampler import Sampler, check_drawn, uniform_draws
from zoom_iqa.engines.stopping import StopCheck
from zoom_iqa.policy.embedding import embed
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache


class TransformersEngine:
    """Generates requests one after the other, the oldest first; one token a step."""

    def __init__(self, *, policy: Policy, sampling: SamplingParams, features: VisionCache) -> None:
        self.sampling = sampling
        self._policy = policy
        self._features = features
        self._stops: dict[tuple[str, ...], StopCheck] = {}
        self._waiting: list[Request] = []
        self._writing: Iterator[Generation | None] | None = None
        self._ids: list[int] = []

    @property
    def busy(self) -> bool:
        """Whether a request is waiting."""
        return bool(self._waiting)

    def submit(self, request: Request) -> None:
        """Queue a request."""
        self._waiting.append(request)

    def refresh(self) -> None:
        """Drop the vision features, which were made by older weights."""
        self._features.clear()

    @torch.no_grad()
    def step(self) -> list[Generation]:
        """Draw a token of the oldest request."""
        if not self._waiting:
            return []
        if self._writing is None:
            self._writing = self._generated(self._waiting[0])
        generation = next(self._writing)
        if generation is None:
            return []
        self._waiting.pop(0)
        self._writing = None
        return [generation]

    @property
    def unfinished(self) -> dict[str, str]:
        """The text so far of the oldest request, once it is begun."""
        return {} if self._writing is None else {self._waiting[0].key: self._policy.decode(self._ids)}

    def abandon(self) -> None:
        """Drop every request."""
        self._waiting.clear()
        self._writing = None

    def release(self) -> None:
        """Nothing is kept of what has run."""

    def _generated(self, request: Request) -> Iterator[Generation | None]:
        """None after each token but the last."""
        sampling = request.sampled_by(self.sampling)
        if sampling.stop_strings not in self._stops:
            self._stops[sampling.stop_strings] = StopCheck(sampling.stop_strings, self._policy)
        stop = self._stops[sampling.stop_strings]
        sampler = Sampler(self._policy)
        draws_C = uniform_draws(request.seed, sampling.max_new_tokens).to(self._policy.device)
        prompt = self._policy.encode(request.prompt)
        cache = DynamicCache(config=self._policy.model.config.get_text_config())
        embedded_LH = embed(self._policy, prompt.ids_L.to(self._policy.device), self._features(prompt.images))
        hidden_1H = self._forward(embedded_LH, prompt.positions_3L, cache)
        ids = self._ids = []
        logprobs: list[float] = []
        entropies: list[float] = []
        for draw_1 in draws_C.split(1):
            if ids:
                embedded_1H = self._policy.model.get_input_embeddings()(torch.tensor(ids[-1:], device=draw_1.device))
                position_31 = torch.full((3, 1), prompt.next_position + len(ids) - 1)
                hidden_1H = self._forward(embedded_1H, position_31, cache)
            drawn = sampler(hidden_1H, draw_1, sampling)
            ids.append(int(drawn.token_R))
            logprobs.append(float(drawn.logp_R))
            entropies.append(float(drawn.entropy_R))
            if stop(ids):
                break
            if len(ids) < sampling.max_new_tokens:
                yield None
        check_drawn(logprobs)
        yield Generation(
            key=request.key,
            text=self._policy.decode(ids),
            token_ids=tuple(ids),
            logprobs=tuple(logprobs),
            entropies=tuple(entropies),
            finish="stop" if stop(ids) else "length",
            prompt=prompt,
        )

    def _forward(self, embedded_LH: Tensor, positions_3L: Tensor, cache: DynamicCache) -> Tensor:
        """Last hidden state (1, H) after appending to the cache."""
        out = self._policy.model.model.language_model(
            inputs_embeds=embedded_LH[None],
            position_ids=positions_3L[:, None].to(embedded_LH.device),
            past_key_values=cache,
            use_cache=True,
        )
        hidden: Tensor = out.last_hidden_state[0, -1:]
        return hidden
