"""The benchmark's own side runs: it builds modules by hand, so that a new setting of theirs would break it unseen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

OURS = Path(__file__).resolve().parents[2] / "experiments" / "throughput" / "ours.py"
SMALL = {"width": 56, "height": 56, "words": 5, "completion": 12, "group": 2, "steps": 1, "warmup": 0}


@pytest.mark.parametrize("kind", ["--turns 1", "--turns 2", "--chain 4"])
def test_ours_counts_every_token(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "ours.json"
    command = [
        sys.executable,
        str(OURS),
        "--setting",
        "A",
        *(f"--{name}={value}" for name, value in SMALL.items()),
        *kind.split(),
        "--count-products=1",
        "--out",
        str(out),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(out.read_text())
    assert result["completion_tokens"] == 2 * 2 * 12 * int(kind[-1])  # prompts, group, tokens, turns
    assert result["forwarded"].keys() == {"prefill", "update"}
    assert result["forwarded"]["update"] >= 2 * 2 * 11 * int(kind[-1])  # a last token predicts nothing
    assert {"rollout", "forward", "backward"} <= set(result["phases_s"])
    made: Counter[str] = Counter()
    for phase, batch, rows, inner, columns, share, count in result["products"]:
        made[phase] += 2 * batch * rows * inner * columns * share * count
    for phase in ("rollout", "prefill and vision", "forward"):  # two counts: from the config, and of what kernels got
        assert made[phase] == pytest.approx(result["needed"][phase], rel=0.02), phase
