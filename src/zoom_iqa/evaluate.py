"""Evaluate a policy: ``python -m zoom_iqa.evaluate policy.path=FOLDER_OR_HUB_ID benchmark=koniq,livew [key=value]``.

Any Qwen2.5-VL in transformers' layout, on any of conf/benchmark. ``manifest=FILE`` takes labelled images of one's own.
``benchmark.KEY=VALUE`` and ``benchmark/split=CHOICE`` set a value of every benchmark named,
``benchmarks.NAME.KEY=VALUE`` of one. Stopped and
started again with the same command it goes on; under torchrun the processes share the images.

<run folder>/config.yaml  metrics.json  <data set>/{predictions.jsonl,scores.csv}
"""

from __future__ import annotations

from zoom_iqa.config.help import EVALUATE_USAGE, choices, help_of
from zoom_iqa.config.late import run_late

HELP = help_of(
    EVALUATE_USAGE,
    summary="Has a policy rate images of benchmarks, or compare pairs, as people have.",
    given={
        "policy.path": "any Qwen2.5-VL, a folder or a hub id; without it the small one shipped with the package",
        "benchmark": f"one or more of {choices('benchmark')}",
        "manifest": "your own images: a .csv, .jsonl or .json file with an image and a score column; "
        "range=[0,100] direction=lower_is_better where scores are not 1 to 5, 5 best",
        "views, references": "[image,caption] rates from the words alone, too; texts of people, as zoom_iqa.data "
        "convert makes them",
        "split, limit": "train, val, test or all; so many images",
        "KEY=VALUE": "benchmark.root=FOLDER, samples_per_image=4, evaluator=greedy, protocol=released, and whatever "
        "conf/evaluate.yaml has",
        "--config-dir": "a folder of yours with benchmark/NAME.yaml and the like",
    },
    example="python -m zoom_iqa.evaluate benchmark=embedded limit=8",
)


def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_late("zoom_iqa.config.evaluation_run", help_text=HELP)


if __name__ == "__main__":
    main()
