"""Export a policy: ``python -m zoom_iqa.export checkpoint=RUN out=FOLDER`` writes it in transformers' layout.

Tensors are loaded strictly. Adapters are merged into the weights in float32, or kept alone with ``adapter=true``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from zoom_iqa.config.help import asks_for_help, help_of
from zoom_iqa.config.late import run_after_help, told_output
from zoom_iqa.config.plain_arguments import count, given_of, required, truth

HELP = help_of(
    "python -m zoom_iqa.export checkpoint=RUN out=FOLDER [adapter=true] [head_width=N]",
    summary="Writes the policy of a training run in transformers' layout, with tokenizer, image processor, chat "
    "template, and a model card that has the run's figures and config.",
    given={
        "checkpoint": "a run's folder (the last stage that has a checkpoint), a .ckpt file in it, or a policy kept in "
        "it, such as logs/grpo/best/step-000100",
        "out": "the folder to make",
        "adapter=true": "keep the adapter of a policy/lora run alone, as peft and transformers load it; without it the "
        "adapter is merged in float32",
        "head_width=N": "the same policy, in float32, with attention heads of N numbers: vLLM's kernels for CPUs know "
        "32, 64, 80, 96, 112, 128 and wider, and the tiny policy has 40",
    },
    example="python -m zoom_iqa.export checkpoint=runs/quickstart/a out=exported",
)
KEYS = ("checkpoint", "out", "adapter", "head_width")


@told_output()
def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    if asks_for_help(sys.argv[1:]):
        print(HELP, end="")
        return
    run_after_help(_command)


def _command() -> None:
    given = given_of(sys.argv[1:], KEYS)
    checkpoint, out = (Path(required(given, key, "export checkpoint=RUN out=FOLDER")) for key in ("checkpoint", "out"))
    adapter = truth(given, "adapter", otherwise=False)
    head_width = count(given, "head_width")

    from zoom_iqa.config.exporting import export

    export(checkpoint, out, adapter=adapter, head_width=head_width)
    print(f"{out} ({sum(file.stat().st_size for file in out.iterdir()) / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
