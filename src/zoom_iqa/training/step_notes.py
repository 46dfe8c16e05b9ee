"""Files of lines about single steps of a stage; a step that is made again, after a kill, writes its lines once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoom_iqa.base.atomic_files import named_errors


def write_once(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Append each entry as a line of JSON, but for those that are there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with named_errors(path):
        known = set(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else set()
        lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines if line not in known)
