"""An error of one process's answers is raised in all, after each has come to the end of its block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.two_processes import in_two
from zoom_iqa.base.errors import AnswersError, LateError, ServerError
from zoom_iqa.parallel.agreement import agreed_answers, gathered_lines
from zoom_iqa.parallel.processes import current_reducer
from zoom_iqa.parallel.reducer import LocalReducer


def test_one_alone_raises_what_it_met() -> None:
    with pytest.raises(ServerError, match="gone"), agreed_answers(LocalReducer()):
        raise ServerError("gone")
    with agreed_answers(LocalReducer()):
        pass


def of_process(number: int, folder: Path) -> dict[str, list[Any]]:
    met = []
    for at_fault in (None, 1):
        try:
            with agreed_answers(current_reducer()):
                if number == at_fault:
                    raise LateError(f"late in {number}")
        except AnswersError as error:
            met.append((type(error).__name__, str(error)))
    lines = gathered_lines([f"{number}\n{k}" for k in range(number)], current_reducer())
    return {"met": met, "lines": lines}


def test_both_processes_end(tmp_path: Path) -> None:
    first, second = in_two(of_process, tmp_path)
    assert first["met"] == [("AnswersError", "another process of this run: late in 1")]
    assert second["met"] == [("LateError", "late in 1")]
    assert first["lines"] == second["lines"] == ["1\\n0"]
