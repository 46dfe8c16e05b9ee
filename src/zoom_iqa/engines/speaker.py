"""The one who answers in curation and judging: a model behind a server, or a policy in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.engines.engine import Engine

Cost = Callable[[], Mapping[str, float]]
"""Amounts spent so far, by name; nothing where answers are free."""


def written_amount(value: float) -> str:
    """Whole numbers (requests, tokens) in full, their thousands apart; money to at most four decimals."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, eq=False)
class Speaking:
    """An engine at work, and what its answers have cost."""

    engine: Engine
    cost: Cost


class Speaker(Protocol):
    """Makes an engine for a folder, in which it may keep what it needs to go on."""

    @property
    def identity(self) -> str:
        """All of it that decides an answer."""
        ...

    def opened(self, folder: Path, *, name: str, sampling: SamplingParams) -> AbstractContextManager[Speaking]:
        """The engine within the block; ``name`` begins the names of its files."""
        ...
