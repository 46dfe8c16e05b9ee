"""Tests of rollout=vllm, all in one process and with one shape of policy; skipped by name where vLLM is not."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from support.plain_policy import plain_policy
from zoom_iqa.policy.policy import Policy


@pytest.fixture(scope="session")
def shipped() -> Policy:
    """The shipped policy. Shared by the session: do not change its weights."""
    if find_spec("vllm") is None:
        pytest.skip("needs vLLM and its environment: make vllm-env, then make test-vllm")
    return plain_policy()
