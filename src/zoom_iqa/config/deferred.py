"""A part that is made when it is called, so that what is heavy waits until all else is known to be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hydra.utils import instantiate


def deferred(*, node: Any) -> Callable[[], Any]:
    """A function that makes ``node``."""
    return lambda: instantiate(node)
