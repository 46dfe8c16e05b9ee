"""Parts of a policy that are trained, and those that are not."""

from __future__ import annotations

from zoom_iqa.policy.policy import Policy


def freeze_vision(policy: Policy) -> None:
    """Keep the vision tower as it is: its features can then be computed once per image and reused."""
    policy.model.model.visual.requires_grad_(False)


def vision_is_frozen(policy: Policy) -> bool:
    """Whether no parameter of the vision tower is trained."""
    return not any(parameter.requires_grad for parameter in policy.model.model.visual.parameters())
