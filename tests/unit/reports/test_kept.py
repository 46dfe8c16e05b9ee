"""Tables that grow, and results that outlive their runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoom_iqa.base.errors import DataError
from zoom_iqa.reports.kept import add_rows, kept_file, kept_runs, read_kept, write_kept

HEAD = ["run", "seed", "figure"]


def test_rows_take_the_place_of_their_own_and_stand_beside_their_like(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    add_rows(path, HEAD, [["b", "10", "0.1"], ["b", "9", "0.2"], ["a", "3", "0.3"]], keys=2)
    assert path.read_text() == "run,seed,figure\nb,9,0.2\nb,10,0.1\na,3,0.3\n"
    add_rows(path, HEAD, [["c", "0", "0.6"], ["b", "9", "0.5"], ["a", "1", "0.7"]], keys=2)
    assert path.read_text() == "run,seed,figure\nb,9,0.5\nb,10,0.1\na,1,0.7\na,3,0.3\nc,0,0.6\n"
    add_rows(path, ["run", "value"], [["c", "0.6"]], keys=1)
    assert path.read_text() == "run,value\nc,0.6\n"


def test_a_table_of_nothing_gets_its_head(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.touch()
    add_rows(path, HEAD, [], keys=2)
    assert path.read_text() == "run,seed,figure\n"


def test_a_damaged_table_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("run,seed,figure\n<<<<<<< HEAD\n")
    with pytest.raises(DataError, match=r"table\.csv: damaged \(row 2 has 1 cells, not 3\); restore it"):
        add_rows(path, HEAD, [["a", "1", "2"]], keys=2)
    assert path.read_text() == "run,seed,figure\n<<<<<<< HEAD\n"


def test_a_damaged_result_is_named_whichever_byte_it_is(tmp_path: Path) -> None:
    path = kept_file(tmp_path, "sft_seed0")
    write_kept(path, {"values": list(range(50))})
    whole = path.read_bytes()
    for place in range(10, len(whole)):  # from behind gzip's header on
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(DataError, match=r"sft_seed0\.json\.gz"):
            read_kept(path)


def test_a_result_is_read_as_it_was_written_and_equal_ones_are_equal_files(tmp_path: Path) -> None:
    result = {"figures": {"srcc": 0.5, "why": "undefined (few)"}, "values": [[1.25, None]]}
    one, other = (kept_file(tmp_path / "kept", name) for name in ("sft_seed0", "sft_seed1"))
    write_kept(one, result)
    write_kept(other, result)
    assert one.read_bytes() == other.read_bytes()
    assert list(kept_runs(tmp_path / "kept")) == ["sft_seed0", "sft_seed1"]
    assert read_kept(one) == result
    assert kept_runs(tmp_path / "nowhere") == {}
