"""Grade the reasoning of systems: ``zoom-iqa judge [NAME=]PREDICTIONS... judge.model=NAME benchmark=NAME out=FOLDER``.

PREDICTIONS are files of records, ``predictions.jsonl`` of a run or of an evaluation. A judge sees the image, measured
hints and one text at a time, without the system's name, and grades four criteria from 1 to 9. Controls (a text about
another image, a template, the opposite verdict) show whether the judge can be trusted.

<out>/judgements.jsonl  judged.json
"""

from __future__ import annotations

from zoom_iqa.config.help import JUDGE_USAGE, help_of
from zoom_iqa.config.late import run_late

HELP = help_of(
    JUDGE_USAGE,
    summary="Has a vision-language model grade what systems wrote about images.",
    given={
        "PREDICTIONS": "a predictions.jsonl; NAME is the row's, or the file's folder gives it",
        "judge.model": "behind judge.base_url, with the key in the variable that judge.key_variable names",
        "generator@judge=policy": "policy.path=FOLDER_OR_HUB_ID in this process instead",
        "benchmark, split": "whose images they are; the benchmark's evaluation split unless given",
        "KEY=VALUE": "repeats=3, limit=100, judge.budget.money=5, dry_run=true, and whatever conf/judge.yaml has",
    },
    example="zoom-iqa judge predictions.jsonl judge.model=gemini-2.5-flash out=judged",
)


def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_late("zoom_iqa.config.judging_run", help_text=HELP)


if __name__ == "__main__":
    main()
