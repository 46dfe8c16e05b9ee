"""Parts of an objective that learn as they go: what of them a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from zoom_iqa.base.errors import ConfigError


@runtime_checkable
class KeepsState(Protocol):
    """The protocol of a reward term, penalty or filter whose doings follow from what it has seen so far."""

    def state_dict(self) -> dict[str, Any]:
        """The state, of plain values, that a continued run needs."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        ...


def states_of(parts: Mapping[str, KeepsState]) -> dict[str, Any]:
    """The states of parts, by name."""
    return {name: part.state_dict() for name, part in parts.items()}


def take_up(parts: Mapping[str, KeepsState], states: Mapping[str, Any], *, group: str) -> None:
    """Give each part its state of a checkpoint; ``group`` is theirs in the config.

    Raises:
        ConfigError: other parts have a state there.
    """
    if states.keys() != parts.keys():
        raise ConfigError(
            f"{group}: the checkpoint has states of {', '.join(states) or 'none'}, and of those here "
            f"{', '.join(parts) or 'none'} keeps one; keep the {group} to resume"
        )
    for name, part in parts.items():
        part.load_state_dict(states[name])
