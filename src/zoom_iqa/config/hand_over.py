"""The end of a training run: its policy and predictions in their places, and copies for loggers that keep them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from zoom_iqa.base.run_folder import RunFolder
from zoom_iqa.config.run_report import write_report
from zoom_iqa.evaluation.figure_kinds import of_comparisons
from zoom_iqa.policy.policy import Policy
from zoom_iqa.training.stage_logs import StageLogs


def publish(folder: RunFolder, policy: Policy, *, last: str, card: Mapping[str, str]) -> None:
    """Put the predictions of the stage ``last``, and the policy with the files of its ``card``, in their places."""
    folder.publish_predictions(last)
    if not folder.policy.exists():
        policy.save(folder.policy, files=card)


def hand_over(folder: RunFolder, *, last: str, logs: StageLogs) -> bool:
    """Give the best policy and the page of the run to loggers that keep them; whether there was something to give.

    A run that stopped here goes on, and what ``say_handed_over`` has marked is not given twice.
    """
    if _mark(folder, last=last).exists() or not (logs.keeps("policy") or logs.keeps("report")):
        return False
    if logs.keeps("policy"):
        best = sorted((folder.logs(last) / "best").glob("step-*"))
        logs.keep("policy", best[-1] if best else folder.policy)
    if logs.keeps("report") and not of_comparisons(folder.metrics()[last]):  # the page shows ratings
        logs.keep("report", write_report(folder.path))
    return True


def say_handed_over(folder: RunFolder, *, last: str) -> None:
    """Mark that nothing is left to hand over."""
    _mark(folder, last=last).touch()


def _mark(folder: RunFolder, *, last: str) -> Path:
    return folder.logs(last) / "handed"
