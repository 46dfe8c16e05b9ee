"""Command lines in this process: exit status and what was said, in a fraction of the time."""

from __future__ import annotations

import logging
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hydra.core.global_hydra import GlobalHydra

from zoom_iqa import train


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


def run_main(
    main: Callable[[], object], argv: list[str], patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
) -> Ended:
    """An entry point under ``argv``; what it raises on purpose is its exit status."""
    handlers = list(logging.getLogger().handlers)
    patch.setattr("sys.argv", argv)
    capture.readouterr()
    try:
        main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    finally:
        logging.getLogger().handlers[:] = handlers  # Hydra's write into the run's folder
    said = capture.readouterr()
    return Ended(status, said.out, said.err)


def run_train(arguments: list[str], patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> Ended:
    """``python -m zoom_iqa.train`` with ``arguments``."""
    GlobalHydra.instance().clear()
    return run_main(train.main, ["train.py", *arguments], patch, capture)


def run_module(
    module: str, arguments: list[str], patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
) -> Ended:
    """``python -m MODULE ARGUMENTS``, whatever its entry point is."""
    GlobalHydra.instance().clear()
    name = f"{module}.__main__" if module == "zoom_iqa.data" else module
    patch.delitem(sys.modules, name, raising=False)  # runpy warns of a module that is loaded already
    return run_main(lambda: runpy.run_module(module, run_name="__main__"), [module, *arguments], patch, capture)
