"""The native engine: prefill each prompt once, decode all rows together, let them come and go.

prefill.py fills a cohort's cache (cache.py) with prompts that their rows share; decode.py moves every row one token on;
the sampler draws; finished rows leave (cohort.py) and waiting requests join (scheduler.py). Keys and values of finished
rows are kept where there is room (prefix_store.py), because the next turn of a conversation begins with them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from zoom_iqa.base.errors import SessionError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.native.cache import CohortCache
from zoom_iqa.engines.native.cohort import Cohort, alike_side_by_side
from zoom_iqa.engines.native.decode import decode
from zoom_iqa.engines.native.graph import ReplayedStep
from zoom_iqa.engines.native.prefill import Prefilled, prefill
from zoom_iqa.engines.native.prefix_store import PrefixStore
from zoom_iqa.engines.native.scheduler import Scheduler, WaitingGroup, by_kind, check_admission
from zoom_iqa.engines.native.weights import read_weights
from zoom_iqa.engines.sampler import Draw, Sampler, check_drawn
from zoom_iqa.engines.stopping import StopCheck
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.shared_prefix import install
from zoom_iqa.policy.vision_cache import VisionCache


@dataclass(frozen=True, kw_only=True)
class NativeEngineRecipe:
    """All of a native engine but the policy and what follows from it; called with those, it makes the engine.

    Wrong values show before there is a policy.

    Raises:
        ConfigError: a value is out of range.
    """

    token_budget: int
    join_share: float
    cuda_graphs: bool

    def __post_init__(self) -> None:
        check_admission(token_budget=self.token_budget, join_share=self.join_share)

    def __call__(self, *, policy: Policy, sampling: SamplingParams, features: VisionCache) -> NativeEngine:
        """The engine that samples from ``policy``."""
        return NativeEngine(
            policy=policy,
            sampling=sampling,
            features=features,
            token_budget=self.token_budget,
            join_share=self.join_share,
            cuda_graphs=self.cuda_graphs,
        )


class NativeEngine:
    """Continuous batching over a policy's own weights; one token per step for every running row.

    ``cuda_graphs`` captures the step and replays it, which spares a GPU the launching of its many small kernels; on a
    CPU it only makes memory and shapes as fixed as a capture would need them. ``refresh`` is needed after every change
    of the weights, before the first request that shall see it.

    Raises:
        ConfigError: ``token_budget`` is too small for a request.
        PolicyError: the model does something the decode loop does not know.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        sampling: SamplingParams,
        features: VisionCache,
        token_budget: int,
        join_share: float,
        cuda_graphs: bool,
    ) -> None:
        install(policy.model)
        self.sampling = sampling
        self._policy = policy
        self._features = features
        self._budget = token_budget
        self._scheduler = Scheduler(token_budget=token_budget, join_share=join_share)
        self._cohorts: list[Cohort] = []
        self._store = PrefixStore()
        self._stops: dict[tuple[str, ...], StopCheck] = {}
        self._fixed_shapes = cuda_graphs
        self.refresh()

    @property
    def busy(self) -> bool:
        """Whether requests wait or run."""
        return bool(self._cohorts) or self._scheduler.waiting > 0

    def submit(self, request: Request) -> None:
        """Queue a request; ConfigError when it alone exceeds the token budget."""
        prompt = self._scheduler.prompt_of(request.prompt_key)
        self._scheduler.add(
            request,
            self._policy.encode(request.prompt) if prompt is None else prompt,
            request.sampled_by(self.sampling),
        )

    def refresh(self) -> None:
        """Read the weights anew and drop what was made by older ones.

        Raises:
            SessionError: a request is under way, which would go on over keys and values of older weights.
        """
        if self.busy:
            raise SessionError("requests are unfinished; finish or abandon them before the weights change")
        self._features.clear()
        self._store.clear()
        self._weights = read_weights(self._policy.model)
        self._sampler = Sampler(self._policy)
        replayed = self._fixed_shapes and self._policy.device.type == "cuda"
        self._step = ReplayedStep(self._draw_next) if replayed else self._draw_next

    def drop_weights(self) -> None:
        """Give the copied weights back, and the replayed steps that read them."""
        self._store.clear()
        del self._weights, self._step

    def release(self) -> None:
        """Drop the keys and values of finished rows."""
        self._store.clear()

    @property
    def unfinished(self) -> dict[str, str]:
        """The texts so far of running requests, by key."""
        return {
            request.key: self._policy.decode(cohort.tail(row, cohort.drawn))
            for cohort in self._cohorts
            for row, request in cohort.unfinished(range(cohort.cache.rows))
        }

    def abandon(self) -> None:
        """Drop every request that waits or runs; what finished rows have left is kept."""
        self._cohorts = []
        self._scheduler.clear()

    def step(self) -> list[Generation]:
        """Let waiting requests join, then draw one token for every running row; what finished by it."""
        with torch.no_grad():  # no inference mode: features made here may later meet an autograd graph
            finished = self._admit()
        if self._cohorts:
            with torch.inference_mode():
                finished.extend(self._advance())
        return finished

    @property
    def _reserved(self) -> int:
        return sum(cohort.reserved for cohort in self._cohorts)

    @property
    def _room(self) -> int:
        return max(0, self._budget - self._reserved)

    def _admit(self) -> list[Generation]:
        running = sum(cohort.alive for cohort in self._cohorts)
        joining = self._scheduler.admit(running=running, reserved=self._reserved)
        if not joining:
            return []
        distinct = {id(group.prompt): group.prompt for group in joining}
        prefilled = prefill(self._policy, list(distinct.values()), self._features, self._store)
        place = {key: number for number, key in enumerate(distinct)}
        started = [
            self._start(groups, [place[id(group.prompt)] for group in groups], prefilled) for groups in by_kind(joining)
        ]
        self._cohorts = alike_side_by_side([*self._cohorts, *started])
        self._store.shrink_to(self._room)
        return self._harvest(started)

    def _start(self, groups: Sequence[WaitingGroup], prompts: Sequence[int], prefilled: Prefilled) -> Cohort:
        """Make a cohort of groups of equal size and draw its first tokens, which prefilling has predicted."""
        size = len(groups[0].requests)
        cache = CohortCache(
            prefix=prefilled.padded(prompts),
            lengths_n=[len(group.prompt.ids_L) for group in groups],
            rows_per_prompt=size,
            fixed_shapes=self._fixed_shapes,
        )
        cohort = Cohort(cache=cache, groups=groups)
        hidden_RH = prefilled.hidden_nH[list(prompts)].repeat_interleave(size, 0)
        cohort.record(self._sampler(hidden_RH, cohort.next_uniform, cohort.sampling))
        return cohort

    def _advance(self) -> list[Generation]:
        for cohort in self._cohorts:
            cohort.reserve()
        self._step(self._cohorts)
        return self._harvest(self._cohorts)

    def _draw_next(self, cohorts: Sequence[Cohort]) -> None:
        """One token further for every row: work on the device alone, and the same until a cohort's version changes."""
        hidden_RH = decode(
            self._weights,
            [cohort.cache for cohort in cohorts],
            _joined([cohort.last_token_R for cohort in cohorts]),
            _joined([cohort.last_position_R for cohort in cohorts]),
        )
        start = 0
        for sampling, neighbours in itertools.groupby(cohorts, key=lambda cohort: cohort.sampling):
            alike = list(neighbours)
            counts = [cohort.cache.rows for cohort in alike]
            rows = slice(start, start + sum(counts))
            drawn = self._sampler(hidden_RH[rows], _joined([cohort.next_uniform for cohort in alike]), sampling)
            parts = zip(alike, *(x.split(counts) for x in (drawn.token_R, drawn.logp_R, drawn.entropy_R)), strict=True)
            for cohort, token_R, logp_R, entropy_R in parts:
                cohort.record(Draw(token_R, logp_R, entropy_R))
            start = rows.stop

    def _harvest(self, cohorts: Sequence[Cohort]) -> list[Generation]:
        """After a draw: take out the rows it completes, and drop what nobody needs any more."""
        finished: list[Generation] = []
        for cohort in cohorts:
            cohort.drawn += 1
            done = self._completed(cohort)
            finished.extend(done)
            if done:
                cohort.shrink()
        self._cohorts = [cohort for cohort in self._cohorts if cohort.alive]
        return finished

    def _completed(self, cohort: Cohort) -> list[Generation]:
        stop = self._stop_of(cohort.sampling)
        suspects = range(cohort.cache.rows) if cohort.full else stop.suspects(cohort.last_token_R)
        found: list[Generation] = []
        for row, request in cohort.unfinished(suspects):
            stopped = stop(cohort.tail(row, stop.window))
            if stopped or cohort.full:
                self._keep(cohort, row)
                ids, logprobs, entropies = cohort.finish(row)
                check_drawn(logprobs)
                found.append(
                    Generation(
                        key=request.key,
                        text=self._policy.decode(ids),
                        token_ids=tuple(ids),
                        logprobs=tuple(logprobs),
                        entropies=tuple(entropies),
                        finish="stop" if stopped else "length",
                        prompt=cohort.prompt(row),
                    )
                )
        return found

    def _keep(self, cohort: Cohort, row: int) -> None:
        """Store what a finished row holds, if running rows leave room for it in the budget."""
        tokens_5L = cohort.sequence(row).tokens_5L
        if tokens_5L.shape[1] <= self._room:
            self._store.add(tokens_5L, partial(cohort.cache.read, row))
            self._store.shrink_to(self._room)

    def _stop_of(self, sampling: SamplingParams) -> StopCheck:
        if sampling.stop_strings not in self._stops:
            self._stops[sampling.stop_strings] = StopCheck(sampling.stop_strings, self._policy)
        return self._stops[sampling.stop_strings]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
