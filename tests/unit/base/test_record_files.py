"""Files of records: whole lines only, whatever happened while they were written; shares of several processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.made_rollouts import record
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec


def records_at(path: Path) -> RecordFile[Record]:
    return RecordFile(path, RecordCodec())


def test_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictions.jsonl"
    first, second = record("a"), record("b", rating=None, text="ü – 日本\u2028\n\x85 🙂")
    with records_at(path) as file:
        assert file.written == ()
        file.append([first])
        assert records_at(path).read() == (first,)  # on disk at once
        file.append([second])
    with records_at(path) as file:
        assert file.written == (first, second)
    assert len(path.read_bytes().splitlines()) == 2


@given(cut=st.integers(min_value=0, max_value=3000))
def test_a_file_cut_anywhere_goes_on(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "predictions.jsonl"
    everything = [record(name, text="ü" * 20) for name in "abc"]
    with records_at(path) as file:
        file.append(everything)
    raw = path.read_bytes()
    path.write_bytes(raw[:cut])
    with records_at(path) as file:
        kept = raw[:cut].count(b"\n")
        assert file.written == tuple(everything[:kept])
        file.append(everything[kept:])
    assert path.read_bytes() == raw


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    with records_at(path) as file:
        file.append([record("a")])
    with path.open("a") as text:
        text.write('{"id": "b"}\nnonsense\n{"schema": 9}\n')
    with pytest.raises(DataError, match="line 2") as named:
        records_at(path).read()
    assert len(named.value.rows) == 3
    assert "schema 9 is not known" in named.value.rows[2]
    with pytest.raises(DataError, match="line 3"), records_at(path):
        pass


@pytest.mark.parametrize(
    ("field", "value"),
    [("probes", None), ("probes", []), ("id", ["x"]), ("steps", []), ("mos", "3")],
)
def test_a_line_with_a_damaged_field_is_named(tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "predictions.jsonl"
    records_at(path).write([record("a"), record("b")])
    first, second = path.read_text().splitlines()
    path.write_text(f"{first}\n{json.dumps(json.loads(second) | {field: value})}\n")
    with pytest.raises(DataError, match="line 2"):
        records_at(path).read()


def test_a_doubled_line_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    with records_at(path) as file:
        file.append([record("a", rating=2.0), record("b"), record("a", rating=5.0)])
    assert records_at(path).read() == (record("a", rating=2.0), record("b"))


def test_shares_are_merged_once_however_often_it_is_tried(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    with records_at(path) as file:
        file.append([record("a")])
    for rank, names in enumerate(("ab", "c", "d")):  # "a" was merged before a crash that left its share
        with records_at(path).share(rank) as share:
            share.append([record(name) for name in names])
    with records_at(path).share(2).path.open("a") as text:
        text.write('{"id": "cut o')
    for _ in range(2):
        records_at(path).merge_shares()
        assert [r.example.id for r in records_at(path).read()] == ["a", "b", "c", "d"]
    assert [left.name for left in tmp_path.iterdir()] == ["predictions.jsonl"]


def test_a_copy_beside_the_file_is_no_share(tmp_path: Path) -> None:
    for name in ("predictions-7b.jsonl", "predictions-2026-01-01.jsonl"):
        with records_at(tmp_path / name) as copy:
            copy.append([record("foreign")])
    path = tmp_path / "predictions.jsonl"
    with records_at(path) as file:
        file.append([record("a")])
    records_at(path).merge_shares()
    assert [r.example.id for r in records_at(path).read()] == ["a"]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_replacement_that_fails_midway_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    records_at(path).write([record("a")])

    def some() -> Iterator[Record]:
        yield record("b")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        records_at(path).write(some())
    assert records_at(path).read() == (record("a"),)
    assert list(tmp_path.iterdir()) == [path]
