"""The soak's script compares what it should, and a short run of it writes its files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "soak" / "run.py"


def test_some_steps(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--steps", "4", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(",") for line in (tmp_path / "results.csv").read_text().splitlines()]
    assert rows[0] == ["step", "resident_mb", "open_files", "threads", "cpu_s", "wall_s"]
    assert [row[0] for row in rows[1:]] == ["0", "1", "2", "3"]
    assert all(100 < float(row[1]) < 20_000 and float(row[4]) > 0 for row in rows[1:])
    assert (tmp_path / "soak.png").stat().st_size > 1000
    said = [line for line in done.stdout.splitlines() if " at the begin, " in line]
    assert [line.partition(":")[0] for line in said] == ["resident_mb", "cpu_s", "open_files"]
    first, last = float(rows[1][1]), float(rows[4][1])  # after a warm-up of none of four, a window of one
    assert said[0] == f"resident_mb: {first:.4g} at the begin, {last:.4g} at the end: {100 * (last / first - 1):+.1f} %"
