"""Limits of the cost of a server's answers, and their cost so far."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from zoom_iqa.base.errors import BudgetError, ConfigError
from zoom_iqa.base.ranges import require_not_negative
from zoom_iqa.engines.speaker import written_amount

MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Requests made, every attempt counted, and the tokens that the server counted."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The most that may be spent; None is no limit. Prices are of a million tokens, in any one currency.

    Raises:
        ConfigError: a number is below 0, or money is limited and no price given.
    """

    requests: int | None
    tokens: int | None
    money: float | None
    input_price: float
    output_price: float

    def __post_init__(self) -> None:
        for name in ("requests", "tokens", "money", "input_price", "output_price"):
            value = getattr(self, name)
            if value is not None:
                require_not_negative(f"budget.{name}", value)
        if self.money is not None and self.input_price == self.output_price == 0:
            raise ConfigError(
                f"budget.money={self.money} needs budget.input_price and budget.output_price, of a million tokens"
            )

    def cost(self, spent: Spent) -> float:
        """The money that tokens cost."""
        return (spent.input_tokens * self.input_price + spent.output_tokens * self.output_price) / MILLION

    def exhausted(self, spent: Spent) -> str | None:
        """The first limit that is reached, as a message; None while there is room."""
        tokens = spent.input_tokens + spent.output_tokens
        for name, limit, used in (
            ("requests", self.requests, spent.requests),
            ("tokens", self.tokens, tokens),
            ("money", self.money, self.cost(spent)),
        ):
            if limit is not None and used >= limit:
                return f"budget.{name}={limit} is spent ({written_amount(used)}); raise it and the same command goes on"
        return None


class Ledger:
    """Counts what is spent, from several threads; ``before`` is what earlier runs have spent of the same budget.

    Tokens are known when an answer is in, so that answers under way may go over a limit of tokens or money.
    """

    def __init__(self, budget: Budget, *, before: Spent) -> None:
        self.budget = budget
        self._spent = before
        self._lock = threading.Lock()

    @property
    def spent(self) -> Spent:
        """All so far."""
        return self._spent

    def admit(self) -> None:
        """Count one more request.

        Raises:
            BudgetError: a limit is reached.
        """
        with self._lock:
            reached = self.budget.exhausted(self._spent)
            if reached is not None:
                raise BudgetError(reached)
            self._spent = replace(self._spent, requests=self._spent.requests + 1)

    def charge(self, *, input_tokens: int, output_tokens: int) -> None:
        """Count the tokens of an answer."""
        with self._lock:
            self._spent = replace(
                self._spent,
                input_tokens=self._spent.input_tokens + input_tokens,
                output_tokens=self._spent.output_tokens + output_tokens,
            )
