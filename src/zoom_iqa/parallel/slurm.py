"""A SLURM batch job that is warned before its time is over saves after the step in hand and queues itself again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from zoom_iqa.base.errors import StoppedError
from zoom_iqa.parallel.processes import is_first
from zoom_iqa.parallel.stopping import REQUEUE


@contextmanager
def requeued(*, same_folder: bool) -> Iterator[None]:
    """When the warning has stopped the block, ask SLURM to start the job again; the first process does.

    Not unless it would go on in the ``same_folder``: a run whose folder bears the time would begin anew.
    """
    try:
        yield
    except StoppedError as error:
        if error.number == REQUEUE and is_first():
            print(_requeue() if same_folder else f"not requeued: {_NEEDS_FOLDER}", file=sys.stderr)
        raise


_NEEDS_FOLDER = "the job would begin anew; give paths.run_dir=FOLDER in its script, and it goes on there"


def _requeue() -> str:
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = os.environ["SLURM_JOB_ID"] if array is None else f"{array}_{task}"
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"not requeued: scontrol: {error.strerror}"
    return f"requeued as job {job}" if done.returncode == 0 else f"not requeued: {' '.join(done.stderr.split())}"
