"""What W&B has written down offline, read back: its file is LevelDB's log of protocol buffers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as proto

PATIENCE_S = 20.0
HEADER, BLOCK, RECORD_HEADER = 7, 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path, kind: str) -> list[Any]:
    """The records of one kind, such as ``history``, ``run``, ``metric``, ``artifact``, in their order."""
    found = []
    for raw in _raw(path.read_bytes()):
        record = proto.Record()
        record.ParseFromString(raw)
        if record.WhichOneof("record_type") == kind:
            found.append(getattr(record, kind))
    return found


def history(path: Path) -> list[dict[str, Any]]:
    """The rows that were logged."""
    return [_values(record.item) for record in records(path, "history")]


def config(path: Path) -> dict[str, Any]:
    """The run's config, under its top-level keys."""
    (run, *_) = records(path, "run")
    return _values(run.config.update)


def run_files(folder: Path) -> list[Path]:
    """The files of the ended runs below a folder, in the order in which they began."""
    found = sorted(path for path in folder.rglob("run-*.wandb") if "latest-run" not in path.parts)
    ends = time.monotonic() + PATIENCE_S
    while not all(records(path, "exit") for path in found):  # another process writes
        assert time.monotonic() < ends, "a run was not written to its end"
        time.sleep(0.05)
    return found


def steps_and_ids(folder: Path, *, axis: str, figure: str) -> tuple[list[int], set[str]]:
    """The steps at which a figure was logged, by all runs below a folder, ended or killed, and the runs' ids."""
    found = sorted(path for path in folder.rglob("run-*.wandb") if "latest-run" not in path.parts)
    rows = [row for path in found for row in history(path) if figure in row]
    return [row[axis] for row in rows], {path.stem.removeprefix("run-") for path in found}


def _values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _raw(data: bytes) -> Iterator[bytes]:
    place, parts = HEADER, b""
    while place < len(data):
        left = BLOCK - place % BLOCK
        if left < RECORD_HEADER:  # a block's end that no header fits into is padding
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        if place + RECORD_HEADER + length > len(data) or kind == 0:
            return  # a writer that was killed
        part = data[place + RECORD_HEADER : place + RECORD_HEADER + length]
        assert kind in (FULL, FIRST, MIDDLE, LAST), kind
        parts = part if kind in (FULL, FIRST) else parts + part
        place += RECORD_HEADER + length
        if kind in (FULL, LAST):
            yield parts
