"""Fixtures every test may use; one torch thread, because two OpenMP threads on busy cores are far slower than one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WANDB_MODE", "disabled")

import pytest
import torch
from absl import logging as absl_logging
from hypothesis import settings

if TYPE_CHECKING:
    from zoom_iqa.policy.policy import Policy

torch.set_num_threads(1)
# rouge-score brings it: closed by Hydra's set-up of logging, it would close the capture of the test that imported it
absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__
# for a shared, busy machine: the same examples every run, and no limit on a single example's time
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the files of tests/golden anew instead of comparing with them; look at the difference in git",
    )


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real label files and photographs beside the checkout; the test is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the real label files and photographs in ../shared, which are not here")
    return folder


@pytest.fixture(scope="session")
def random_policy() -> Policy:
    """A random policy of 0.1 M parameters. Shared by the session: do not change its weights."""
    from support.random_policy import build_random_policy

    return build_random_policy()
