"""The reference policy: the policy a stage started from, frozen."""

from __future__ import annotations

import copy

from zoom_iqa.policy.policy import Policy


def frozen_copy(policy: Policy) -> Policy:
    """A copy whose weights never change; tokenizer, image processor and preprocessed images are shared."""
    reference = copy.copy(policy)
    reference.model = copy.deepcopy(policy.model).requires_grad_(False).eval()
    return reference
