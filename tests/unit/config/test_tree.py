"""A config as a tree: every value on a line of its own, as text."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from zoom_iqa.config.tree import print_tree


def test_every_value_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_tree(OmegaConf.create({"a": {"b": 1, "c": "${a.b}"}, "d": ["x", {"e": None}], "f": {}, "g": "[red]\x1b[31m"}))
    lines = [line.lstrip("│├└─ ").rstrip() for line in capsys.readouterr().err.splitlines()]
    assert lines == ["config", "a", "b: 1", "c: 1", "d", "0: x", "1", "e: null", "f: {}", "g: [red]\\x1b[31m"]
