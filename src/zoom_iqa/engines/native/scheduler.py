"""Which waiting requests join, and when: equal prompts together, within a token budget, not one by one.

A joiner costs a prefill and makes a cohort of its own, so joiners wait until there are enough of them or nothing runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_share, require_whole
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Request
from zoom_iqa.policy.encoding import EncodedPrompt


@dataclass(frozen=True, eq=False)
class WaitingGroup:
    """Requests for one prompt that are sampled alike."""

    prompt: EncodedPrompt
    sampling: SamplingParams
    requests: list[Request]

    def part(self, rows: slice) -> WaitingGroup:
        """Some of the requests."""
        return WaitingGroup(self.prompt, self.sampling, self.requests[rows])


def check_admission(*, token_budget: int, join_share: float) -> None:
    """Refuse values that no scheduler can work with.

    Raises:
        ConfigError: naming the value.
    """
    require_whole("machine.token_budget", token_budget, least=1, note="it holds a prompt and its completion")
    require_share("machine.join_share", join_share)


class Scheduler:
    """First come, first served, by prompt.

    ``token_budget`` bounds prompt and completion tokens, the latter counted at their limit, that are held at a time.
    Requests join when they are at least ``join_share`` times as many as the rows running.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, *, token_budget: int, join_share: float) -> None:
        check_admission(token_budget=token_budget, join_share=join_share)
        self._budget = token_budget
        self._share = join_share
        self._waiting: dict[tuple[str, SamplingParams], WaitingGroup] = {}

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(len(group.requests) for group in self._waiting.values())

    def prompt_of(self, prompt_key: str) -> EncodedPrompt | None:
        """The encoded prompt of a group that is waiting already."""
        found = (group.prompt for (key, _), group in self._waiting.items() if key == prompt_key)
        return next(found, None)

    def add(self, request: Request, prompt: EncodedPrompt, sampling: SamplingParams) -> None:
        """Queue a request that is to be drawn with ``sampling``.

        Raises:
            ConfigError: it alone exceeds the budget.
        """
        limit = sampling.max_new_tokens
        needed = len(prompt.ids_L) + limit
        if needed > self._budget:
            raise ConfigError(
                f"machine.token_budget={self._budget} is below the {len(prompt.ids_L)} prompt tokens + "
                f"{limit} new tokens of {request.key}; raise it to at least {needed}, or lower policy.max_pixels "
                "(second turns, which show two images and quote the first answer, need about twice what first ones do)"
            )
        group = self._waiting.setdefault((request.prompt_key, sampling), WaitingGroup(prompt, sampling, []))
        group.requests.append(request)

    def clear(self) -> None:
        """Drop every request that waits."""
        self._waiting.clear()

    def admit(self, *, running: int, reserved: int) -> list[WaitingGroup]:
        """Take out the groups that join now, given rows running and tokens reserved; the rest of a group waits on."""
        if not self._waiting or self.waiting < self._share * running:
            return []
        joining: list[WaitingGroup] = []
        room = self._budget - reserved
        for key, group in list(self._waiting.items()):
            rows = len(group.requests)
            parts = (group.part(slice(count)) for count in range(rows, 0, -1))
            taken = next((part for part in parts if held([*joining, part]) <= room), None)
            if taken is None:
                break  # no overtaking: a long prompt would never get its turn
            joining.append(taken)
            del self._waiting[key]
            if len(taken.requests) < rows:
                self._waiting = {key: group.part(slice(len(taken.requests), None)), **self._waiting}
                break
        return joining


def held(groups: Sequence[WaitingGroup]) -> int:
    """Tokens that the cohorts of ``by_kind`` come to hold: a prompt is as long as the longest beside it."""
    return sum(
        len(cohort) * max(len(group.prompt.ids_L) for group in cohort)
        + sum(len(group.requests) for group in cohort) * cohort[0].sampling.max_new_tokens
        for cohort in by_kind(groups)
    )


def by_kind(groups: Sequence[WaitingGroup]) -> list[list[WaitingGroup]]:
    """At most two cohorts of each way to sample: the groups of the size that has most rows, and all others one request
    at a time.

    A cohort shares a prompt's keys among equally many rows; a prompt listed twice is still prefilled once.
    """
    alike: dict[SamplingParams, list[WaitingGroup]] = {}
    for group in groups:
        alike.setdefault(group.sampling, []).append(group)
    return [cohort for drawn_alike in alike.values() for cohort in _by_size(drawn_alike)]


def _by_size(groups: Sequence[WaitingGroup]) -> list[list[WaitingGroup]]:
    rows_of: dict[int, int] = {}
    for group in groups:
        size = len(group.requests)
        rows_of[size] = rows_of.get(size, 0) + size
    main = max(rows_of, key=lambda size: rows_of[size])
    alike = [group for group in groups if len(group.requests) == main]
    others = [group for group in groups if len(group.requests) != main]
    single = [group.part(slice(row, row + 1)) for group in others for row in range(len(group.requests))]
    return [cohort for cohort in (alike, single) if cohort]
