"""An error of one process's answers is raised in all, after each has come to the end of its block."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from zoom_iqa.base.errors import AnswersError, LateError, ServerError
from zoom_iqa.parallel.agreement import agreed_answers, gathered_lines
from zoom_iqa.parallel.processes import current_reducer
from zoom_iqa.parallel.reducer import LocalReducer


def test_one_alone_raises_what_it_met() -> None:
    with pytest.raises(ServerError, match="gone"), agreed_answers(LocalReducer()):
        raise ServerError("gone")
    with agreed_answers(LocalReducer()):
        pass


def worker(number: int, port: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=number, world_size=2)
    met = []
    for at_fault in (None, 1):
        try:
            with agreed_answers(current_reducer()):
                if number == at_fault:
                    raise LateError(f"late in {number}")
        except AnswersError as error:
            met.append((type(error).__name__, str(error)))
    lines = gathered_lines([f"{number}\n{k}" for k in range(number)], current_reducer())
    torch.save({"met": met, "lines": lines}, Path(folder) / f"{number}.pt")
    dist.destroy_process_group()


def test_both_processes_end(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(worker, args=(port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{number}.pt") for number in (0, 1))
    assert first["met"] == [("AnswersError", "another process of this run: late in 1")]
    assert second["met"] == [("LateError", "late in 1")]
    assert first["lines"] == second["lines"] == ["1\\n0"]
