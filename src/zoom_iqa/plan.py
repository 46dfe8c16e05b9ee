"""Plan a training run: ``python -m zoom_iqa.plan experiment=grpo_full gpus=8 gpu=h100`` says what fits, and how long.

Arithmetic alone: no policy is loaded, and no GPU is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.checks import hint
from zoom_iqa.config.help import asks_for_help, choices, help_of
from zoom_iqa.config.late import run_after_help, told_output
from zoom_iqa.planning.hardware import GPUS
from zoom_iqa.planning.plan import plan
from zoom_iqa.planning.text import ASSUMED, plan_text

HELP = help_of(
    "python -m zoom_iqa.plan [experiment=NAME] [gpus=N] [gpu=NAME] [KEY=VALUE ...]",
    summary="Says whether the stages of a training config fit on GPUs, what to change if not, and about how long a "
    "step takes.",
    given={
        "experiment": choices("experiment"),
        "gpus": "how many, all nodes together; 1 unless given",
        "gpu": f"{' '.join(GPUS)}; h100 unless given",
        "new_tokens": "tokens of a turn's answer; its limit, max_new_tokens, unless given",
        "KEY=VALUE": "as for training: policy/lora=r64, machine.micro_batch_tokens=8192",
        "--config-dir": "a folder of yours with experiment/NAME.yaml and the like",
    },
    example="python -m zoom_iqa.plan experiment=grpo_full gpus=8 gpu=h100",
)
OWN = {"gpus": "1", "gpu": "h100", "new_tokens": ""}


@told_output()
def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    if asks_for_help(sys.argv[1:]):
        print(HELP, end="")
        return
    run_after_help(lambda: print(planned(sys.argv[1:]), end=""))


def planned(arguments: Sequence[str]) -> str:
    """The plan of every stage, as text.

    Raises:
        ConfigError: an argument is wrong, or the policy's shape is not known.
    """
    from zoom_iqa.config.planned import config_of, settings_of

    pairs = [argument.partition("=") for argument in arguments]
    mine = [(key, value) for key, equals, value in pairs if equals and key in OWN]
    own = OWN | dict(mine)
    if len(mine) > len(dict(mine)):
        raise ConfigError(f"{' and '.join(OWN)}: one of them is given twice; give it once")
    others = ["".join(pair) for pair in pairs if not pair[1] or pair[0] not in OWN]
    if own["gpu"] not in GPUS:
        raise ConfigError(f"gpu={own['gpu']}: there is no such GPU{hint(own['gpu'], GPUS)}")
    gpu, gpus = GPUS[own["gpu"]], _count("gpus", own["gpus"])
    new_tokens = _count("new_tokens", own["new_tokens"]) if own["new_tokens"] else None
    stages = settings_of(config_of(others), gpus=gpus, new_tokens=new_tokens)
    shown = [plan_text(plan(settings, gpu), gpu_name=own["gpu"], gpu=gpu) for settings in stages]
    return "\n".join([*shown, f"{ASSUMED}\n"])


def _count(key: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ConfigError(f"{key}={value} must be a whole number of at least 1")
    return int(value)


if __name__ == "__main__":
    main()
