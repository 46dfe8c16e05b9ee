"""Entry point ``python -m zoom_iqa.data``: is a benchmark's copy on this disk sound? And: published files, converted.

    python -m zoom_iqa.data check benchmark=koniq root=/data/koniq10k
    python -m zoom_iqa.data check benchmark=kadid,csiq
    python -m zoom_iqa.data check manifest=mine.csv range=[0,100]
    python -m zoom_iqa.data convert q-reasoning /data/q_reasoning references.jsonl
    python -m zoom_iqa.data convert livewild-jpeg data/livec data/livec/livec_jpg.csv

Every other key=value of ``check`` sets a value of the benchmarks. Its exit status is 0 when every set is sound, else 1.
"""

from __future__ import annotations

from zoom_iqa.config.help import CHECK_USAGE, choices, help_of
from zoom_iqa.config.late import run_late

HELP = help_of(
    CHECK_USAGE,
    summary="Reads the labels of benchmarks and decodes every image: what is missing, damaged, doubled or off the "
    "scale, and where to get the set.",
    given={
        "benchmark": f"one or more of {choices('benchmark')}",
        "manifest": "your images: a .csv, .jsonl or .json file with an image and a score column; "
        "range=[0,100] direction=lower_is_better where not 1 to 5, 5 best",
        "KEY=VALUE": "a value of the benchmarks: root=FOLDER, benchmark/split=seeded",
        "--config-dir": "a folder of yours with benchmark/NAME.yaml",
        "convert NAME SOURCE OUT": "instead of check: q-reasoning (its JSON files) to OUT, for data.references=OUT; "
        "livewild-jpeg (the release's folder) to OUT, the labels of benchmark=livewild_jpeg",
    },
    example="python -m zoom_iqa.data check benchmark=embedded",
)


def main() -> None:
    """Run the command line."""
    run_late("zoom_iqa.config.data_commands", help_text=HELP)


if __name__ == "__main__":
    main()
