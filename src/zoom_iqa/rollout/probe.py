"""Questions that a reward wants asked about a finished rollout, such as the same one from its description alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from zoom_iqa.base.types import Rollout
from zoom_iqa.tasks.task import Session


class Probe(Protocol):
    """Asks further questions about a rollout; ``collect`` asks them before any weight moves.

    The answers lie in ``Rollout.probes`` under the probe's name in the config; they are not trained.
    """

    def sessions(self, rollout: Rollout) -> Sequence[Session]:
        """The sessions to run about this rollout; none if there is nothing to ask."""
        ...
