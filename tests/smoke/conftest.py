"""The policy that small runs start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.small_run import save_policy


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of random weights, one for each file of tests."""
    return save_policy(tmp_path_factory.mktemp("policy"))
