"""Policies loaded as they lie in a folder: in float32, with pixel bounds of their own."""

from __future__ import annotations

from pathlib import Path

from zoom_iqa.policy.loading import load_policy
from zoom_iqa.policy.lora import LoraSettings
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.shipped import shipped_policy_folder


def plain_policy(folder: Path | None = None, *, lora: LoraSettings | None = None) -> Policy:
    """The policy of a folder, or the shipped one."""
    return load_policy(
        path=str(folder or shipped_policy_folder()),
        dtype="float32",
        attention="sdpa",
        min_pixels=None,
        max_pixels=None,
        image_cache=8,
        lora=lora,
        gradient_checkpointing=False,
    )
