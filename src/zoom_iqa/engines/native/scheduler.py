"""Which waiting requests join, and when: equal prompts together, within a token budget, not one by one.

A joiner costs a prefill and makes a cohort of its own, so joiners wait until there are enough of them or nothing runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import Request
from zoom_iqa.policy.encoding import EncodedPrompt


@dataclass(frozen=True, eq=False)
class WaitingGroup:
    """Requests for one prompt."""

    prompt: EncodedPrompt
    requests: list[Request]


def check_admission(*, token_budget: int, join_share: float) -> None:
    """Refuse values that no scheduler can work with.

    Raises:
        ConfigError: naming the value.
    """
    if token_budget < 1:
        raise ConfigError(f"machine.token_budget={token_budget} must be at least 1: a prompt and its completion")
    if not 0 <= join_share <= 1:
        raise ConfigError(f"machine.join_share={join_share} must be between 0 and 1")


class Scheduler:
    """First come, first served, by prompt.

    ``token_budget`` bounds prompt and completion tokens, the latter counted at their limit, that are held at a time.
    Requests join when they are at least ``join_share`` times as many as the rows running.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, *, token_budget: int, join_share: float, max_new_tokens: int) -> None:
        check_admission(token_budget=token_budget, join_share=join_share)
        self._budget = token_budget
        self._share = join_share
        self._limit = max_new_tokens
        self._waiting: dict[str, WaitingGroup] = {}

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(len(group.requests) for group in self._waiting.values())

    def prompt_of(self, prompt_key: str) -> EncodedPrompt | None:
        """The encoded prompt of a group that is waiting already."""
        group = self._waiting.get(prompt_key)
        return None if group is None else group.prompt

    def add(self, request: Request, prompt: EncodedPrompt) -> None:
        """Queue a request.

        Raises:
            ConfigError: it alone exceeds the budget.
        """
        needed = len(prompt.ids_L) + self._limit
        if needed > self._budget:
            raise ConfigError(
                f"machine.token_budget={self._budget} is below the {len(prompt.ids_L)} prompt tokens + "
                f"{self._limit} new tokens of {request.key}; raise it to at least {needed}, or lower policy.max_pixels "
                "(second turns, which show two images and quote the first answer, need about twice what first ones do)"
            )
        self._waiting.setdefault(request.prompt_key, WaitingGroup(prompt, [])).requests.append(request)

    def admit(self, *, running: int, reserved: int) -> list[WaitingGroup]:
        """Take out the groups that join now, given rows running and tokens reserved; the rest of a group waits on."""
        if not self._waiting or self.waiting < self._share * running:
            return []
        joining: list[WaitingGroup] = []
        room = self._budget - reserved
        for key, group in list(self._waiting.items()):
            fitting = (room - len(group.prompt.ids_L)) // self._limit
            if fitting < 1:
                break  # no overtaking: a long prompt would never get its turn
            taken = WaitingGroup(group.prompt, group.requests[:fitting])
            joining.append(taken)
            room -= len(group.prompt.ids_L) + self._limit * len(taken.requests)
            del self._waiting[key]
            if len(taken.requests) < len(group.requests):
                self._waiting = {key: WaitingGroup(group.prompt, group.requests[fitting:]), **self._waiting}
                break
        return joining


def by_size(groups: list[WaitingGroup]) -> list[list[WaitingGroup]]:
    """At most two cohorts: the groups of the size that has most rows, and all others one request at a time.

    A cohort shares a prompt's keys among equally many rows; a prompt listed twice is still prefilled once.
    """
    rows_of: dict[int, int] = {}
    for group in groups:
        size = len(group.requests)
        rows_of[size] = rows_of.get(size, 0) + size
    if not rows_of:
        return []
    main = max(rows_of, key=lambda size: rows_of[size])
    alike = [group for group in groups if len(group.requests) == main]
    single = [
        WaitingGroup(group.prompt, [request])
        for group in groups
        if len(group.requests) != main
        for request in group.requests
    ]
    return [cohort for cohort in (alike, single) if cohort]
