"""Train a policy: ``python -m zoom_iqa.train [+experiment=quickstart] [group=choice] [key=value]``.

Runs the stages of the config in order, each from the policy the one before left, and evaluates after each. Started
again with the same ``paths.run_dir`` and config, it goes on where it was stopped.
"""

from __future__ import annotations

from zoom_iqa.config.help import choices, help_of
from zoom_iqa.config.late import run_late

HELP = help_of(
    "python -m zoom_iqa.train [+experiment=NAME] [GROUP=CHOICE] [KEY=VALUE]",
    summary="Trains a policy stage by stage and judges it after each.",
    given={
        "+experiment": choices("experiment"),
        "policy": choices("policy"),
        "data": f"{choices('data')}; data=manifest manifest=FILE for your own images (.csv, .jsonl or .json with an "
        "image and a score column)",
        "machine": choices("machine"),
        "trainer": choices("trainer"),
        "KEY=VALUE": "seed=1, grpo.steps=20, and whatever --cfg job prints; paths.run_dir=FOLDER goes on with a run",
        "-m KEY=A,B": "a run for each value; +sweep=table3 is the paper's ablation",
        "--config-dir": "a folder of yours with benchmark/NAME.yaml, experiment/NAME.yaml and the like",
    },
    example="python -m zoom_iqa.train +experiment=quickstart sft.steps=5 grpo.steps=2",
)


def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_late("zoom_iqa.config.training_run", help_text=HELP)


if __name__ == "__main__":
    main()
