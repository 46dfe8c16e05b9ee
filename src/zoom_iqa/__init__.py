"""Train, ablate and evaluate image quality assessment models that look before they judge."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LOADED_WHEN_USED = {
    "Assessor": "zoom_iqa.config.assessor",
    "ZoomIQAScore": "zoom_iqa.evaluation.score_metric",
}
"""Names for users with their modules, which import torch."""


def __getattr__(name: str) -> Any:
    if name not in _LOADED_WHEN_USED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LOADED_WHEN_USED[name]), name)
