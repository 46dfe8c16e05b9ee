"""Evaluate another method in the same harness: ``python -m zoom_iqa.evaluate_peer peer=niqe benchmark=koniq,livew``.

Peers are those of conf/peer; benchmarks and their settings are named as for ``python -m zoom_iqa.evaluate``, and the
folder holds the same files, so that ``python -m zoom_iqa.report table1`` takes it. A peer that learns does so on each
benchmark's own training split. Stopped and started again with the same command it goes on.

<run folder>/config.yaml  metrics.json  <data set>/{predictions.jsonl,scores.csv}
"""

from __future__ import annotations

from zoom_iqa.config.help import EVALUATE_PEER_USAGE, choices, help_of
from zoom_iqa.config.late import run_late

HELP = help_of(
    EVALUATE_PEER_USAGE,
    summary="Has another method rate the images of benchmarks in the same harness as a policy.",
    given={
        "peer": f"one of {choices('peer')}",
        "benchmark": f"one or more of {choices('benchmark')}",
        "manifest": "your own images: a .csv, .jsonl or .json file with an image and a score column; "
        "range=[0,100] direction=lower_is_better where scores are not 1 to 5, 5 best",
        "split, limit": "train, val, test or all; so many images",
        "KEY=VALUE": "benchmark.root=FOLDER, learn_split=train, and whatever conf/evaluate_peer.yaml has",
        "--config-dir": "a folder of yours with benchmark/NAME.yaml and the like",
    },
    example="python -m zoom_iqa.evaluate_peer peer=niqe benchmark=embedded limit=8",
)


def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_late("zoom_iqa.config.peer_run", help_text=HELP)


if __name__ == "__main__":
    main()
