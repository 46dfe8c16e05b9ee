"""Parts of an objective that learn as they go: what of them a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from zoom_iqa.base.errors import ConfigError

PLAIN = (bool, int, float, str, bytes)
"""Types of a checkpoint's values, and no subclass: numpy's float64 is a float that torch refuses to load."""


@runtime_checkable
class KeepsState(Protocol):
    """The protocol of a reward term, penalty or filter whose doings follow from what it has seen so far."""

    def state_dict(self) -> dict[str, Any]:
        """The state, of plain values, that a continued run needs."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        ...


def states_of(parts: Mapping[str, KeepsState], *, group: str) -> dict[str, Any]:
    """The states of parts, by name; ``group`` is theirs in the config.

    Raises:
        ConfigError: a state holds what no checkpoint can be loaded with: anything but plain values and tensors.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    for name, state in states.items():
        odd = _first_odd(state, f"{group}.{name}: its state")
        if odd is not None:
            raise ConfigError(f"{odd}; give numbers, texts, lists, dicts and tensors, such as float(...) of it")
    return states


def _first_odd(value: Any, where: str) -> str | None:
    """The first value below ``value`` that is not plain, and what it is; None where all are."""
    if value is None or isinstance(value, Tensor) or type(value) in PLAIN:
        return None
    if type(value) not in (dict, list, tuple):
        return f"{where} is a {type(value).__module__}.{type(value).__name__}"
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = (_first_odd(key, f"a key of {where}") or _first_odd(one, f"{where}[{key!r}]") for key, one in items)
    return next((odd for odd in found if odd is not None), None)


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
