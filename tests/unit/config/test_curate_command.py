"""``zoom-iqa curate`` refuses what it cannot write before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoom_iqa.base.errors import DataError
from zoom_iqa.config.curation_run import compose_config, curate


def test_pairs_are_refused_while_nothing_is_paid(tmp_path: Path) -> None:
    out = tmp_path / "curated"
    given = ["generator=policy", "hacf=near_mos", "benchmark=embedded_pairs", "split=val", "limit=2", f"out={out}"]
    with pytest.raises(DataError, match="the task asks about one image, and 2 of 2 examples have several"):
        curate(compose_config(given))
    assert not out.exists()
