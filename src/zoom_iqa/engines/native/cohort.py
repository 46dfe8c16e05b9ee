"""Rows that were admitted together: their requests, their cache, and what has been drawn for them so far.

Legend: R rows, C completion tokens at most, g rows of each prompt.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from zoom_iqa.base.types import Request
from zoom_iqa.engines.native.cache import CohortCache
from zoom_iqa.engines.native.scheduler import WaitingGroup
from zoom_iqa.engines.sampler import Draw, uniform_draws
from zoom_iqa.policy.encoding import EncodedPrompt
from zoom_iqa.policy.prefix_tree import TokenSequence, sequence_of

WORTH_SHRINKING = 0.75  # rows are dropped once at most this share of them would remain


_versions = itertools.count()


class Cohort:
    """All rows have drawn equally many tokens. A finished row stays, unused, until enough of them can be dropped.

    ``drawn`` is what the host knows to have been recorded; ``version`` changes whenever memory or shapes do.
    """

    def __init__(self, *, cache: CohortCache, groups: Sequence[WaitingGroup]) -> None:
        """``groups`` are equally large and sampled alike."""
        device = cache.device
        requests = [request for group in groups for request in group.requests]
        positions = [group.prompt.next_position for group in groups for _ in group.requests]
        limit = groups[0].sampling.max_new_tokens
        self.cache = cache
        self.sampling = groups[0].sampling
        self._prompts = [group.prompt for group in groups]
        self._requests: list[Request | None] = list(requests)
        self._limit = limit
        self.drawn = 0
        self.version = next(_versions)
        self._drawn_1 = torch.zeros(1, dtype=torch.long, device=device)
        self.last_token_R = torch.zeros(len(requests), dtype=torch.long, device=device)
        self.last_position_R = torch.tensor(positions, device=device) - 1
        self._uniform_RC = torch.stack([uniform_draws(request.seed, limit) for request in requests]).to(device)
        self._token_RC = torch.zeros(len(requests), limit, dtype=torch.long, device=device)
        self._logp_RC = torch.zeros(len(requests), limit, device=device)
        self._entropy_RC = torch.zeros(len(requests), limit, device=device)

    @property
    def alive(self) -> int:
        """How many rows are unfinished."""
        return sum(request is not None for request in self._requests)

    @property
    def reserved(self) -> int:
        """Tokens whose keys and values this cohort may come to hold."""
        return self.cache.prompt_tokens + self.cache.rows * self._limit

    @property
    def next_uniform(self) -> Tensor:
        """The uniform numbers of the next draw."""
        return self._uniform_RC.index_select(1, self._drawn_1)[:, 0]

    def tail(self, row: int, count: int) -> list[int]:
        """The last ``count`` tokens of a row, or all there are."""
        ids: list[int] = self._token_RC[row, max(0, self.drawn - count) : self.drawn].tolist()
        return ids

    def reserve(self) -> None:
        """Make room for one more token of every row."""
        if self.cache.reserve():
            self.version = next(_versions)

    def record(self, draw: Draw) -> None:
        """Append a draw for every row; work on the device alone, so that it may be part of a captured step."""
        self._token_RC.index_copy_(1, self._drawn_1, draw.token_R[:, None])
        self._logp_RC.index_copy_(1, self._drawn_1, draw.logp_R[:, None])
        self._entropy_RC.index_copy_(1, self._drawn_1, draw.entropy_R[:, None])
        self.last_token_R.copy_(draw.token_R)
        self.last_position_R += 1
        self._drawn_1 += 1

    @property
    def full(self) -> bool:
        """Whether rows have reached the limit."""
        return self.drawn == self._limit

    def unfinished(self, rows: Sequence[int]) -> Iterator[tuple[int, Request]]:
        """Those of ``rows`` that are unfinished, with their requests."""
        for row in rows:
            request = self._requests[row]
            if request is not None:
                yield row, request

    def prompt(self, row: int) -> EncodedPrompt:
        """The prompt of a row."""
        return self._prompts[row // self.cache.rows_per_prompt]

    def sequence(self, row: int) -> TokenSequence:
        """A row's prompt and the tokens after it whose keys and values are there: all but the one drawn last."""
        return sequence_of(self.prompt(row), self._token_RC[row, : self.drawn - 1].cpu())

    def finish(self, row: int) -> tuple[list[int], list[float], list[float]]:
        """Mark a row finished; its tokens, log-probabilities and entropies."""
        self._requests[row] = None
        found = (x[row, : self.drawn].tolist() for x in (self._token_RC, self._logp_RC, self._entropy_RC))
        ids, logprobs, entropies = found
        return ids, logprobs, entropies

    def shrink(self) -> None:
        """Drop finished rows if that pays: prompts keep equally many rows, so some finished ones may have to stay."""
        g = self.cache.rows_per_prompt
        by_prompt = [range(first, first + g) for first in range(0, self.cache.rows, g)]
        alive = [[row for row in rows if self._requests[row] is not None] for rows in by_prompt]
        prompts = [i for i, rows in enumerate(alive) if rows]
        width = max((len(rows) for rows in alive), default=0)
        if not prompts or len(prompts) * width > WORTH_SHRINKING * self.cache.rows:
            return
        kept: list[int] = []
        for i in prompts:
            finished = [row for row in by_prompt[i] if self._requests[row] is None]
            kept.extend(sorted([*alive[i], *finished[: width - len(alive[i])]]))
        self.cache.keep(prompts, kept)
        self._requests = [self._requests[row] for row in kept]
        self._prompts = [self._prompts[prompt] for prompt in prompts]
        self.version = next(_versions)
        index = torch.tensor(kept, device=self.cache.device)
        self.last_token_R, self.last_position_R = self.last_token_R[index], self.last_position_R[index]
        self._uniform_RC, self._token_RC = self._uniform_RC[index], self._token_RC[index]
        self._logp_RC, self._entropy_RC = self._logp_RC[index], self._entropy_RC[index]


def alike_side_by_side(cohorts: Sequence[Cohort]) -> list[Cohort]:
    """Cohorts that are sampled alike next to each other, so that their rows are drawn together."""
    order = {sampling: number for number, sampling in enumerate(dict.fromkeys(cohort.sampling for cohort in cohorts))}
    return sorted(cohorts, key=lambda cohort: order[cohort.sampling])
