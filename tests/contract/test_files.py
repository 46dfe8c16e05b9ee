"""Files stay short and say by their names what is inside."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for folder in ("src", "tests", "experiments") for path in (ROOT / folder).rglob("*.py"))
SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_name_says_nothing() -> None:
    names = {part for path in FILES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert names & SAY_NOTHING == set()
