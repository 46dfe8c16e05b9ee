"""The main program's command line in this process: exit status and what it said, in a fraction of the time."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest
from hydra.core.global_hydra import GlobalHydra

from zoom_iqa import train


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


def run_train(arguments: list[str], patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> Ended:
    """``python -m zoom_iqa.train`` with ``arguments``; what it raises on purpose is its exit status."""
    GlobalHydra.instance().clear()
    handlers = list(logging.getLogger().handlers)
    patch.setattr("sys.argv", ["train.py", *arguments])
    capture.readouterr()
    try:
        train.main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    finally:
        logging.getLogger().handlers[:] = handlers  # Hydra's write into the run's folder
    said = capture.readouterr()
    return Ended(status, said.out, said.err)
