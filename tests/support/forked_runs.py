"""Small training runs in forks of this process, which spares each the import of torch."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch.utils.data._utils import signal_handling

from support.free_port import free_port
from support.small_run import small_run
from zoom_iqa.config.commands import run_command


def forked(
    run_dir: Path,
    policy: Path,
    *settings: str,
    first: Callable[[], object] = lambda: None,
    said: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """A process that does ``first`` and makes the run, with its stderr in ``said``; its number."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    if said is not None:
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    try:
        os.environ |= environment or {}
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # as in a new process, whatever ran in this one
        signal_handling._SIGCHLD_handler_set = False
        first()
        run_command(lambda: small_run(run_dir, policy, *settings) and None, go_on=lambda: "AGAIN")
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    finally:
        if status == 1:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(status)


def forked_pair(
    run_dir: Path,
    policy: Path,
    *settings: str,
    first: Callable[[], object] = lambda: None,
    said: Sequence[Path | None] = (None, None),
) -> list[int]:
    """Two processes that make one run, as a launcher would start them; ``settings`` name a trainer for both."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        forked(run_dir, policy, *settings, first=first, said=said[rank], environment={**place, "LOCAL_RANK": str(rank)})
        for rank in (0, 1)
    ]


def last_line(said: Path) -> str:
    """The last line of a process's stderr, which must hold no traceback."""
    text = said.read_text()
    assert "Traceback" not in text, text
    return text.splitlines()[-1]


def ended(pid: int) -> int:
    """Its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
