"""The SFT policy of a finished quickstart, asked at a lower temperature: repeating itself gains in single answers too.

    python experiments/quickstart/cool.py runs/quickstart/... --out FOLDER [--temperature 0.7]

The demo's test images, as many answers each as the run's own evaluation has.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from zoom_iqa.config.evaluation_run import compose_config, evaluate
from zoom_iqa.policy.loading import load_policy
from zoom_iqa.policy.shipped import shipped_policy_folder
from zoom_iqa.reports.runs import read_run


def sft_policy(run: Path, folder: Path) -> Path:
    """The policy after SFT in transformers' layout, made from the stage's checkpoint once."""
    if not folder.exists():
        policy = load_policy(
            path=str(shipped_policy_folder()), dtype="float32", attention="sdpa", min_pixels=None, max_pixels=None,
            image_cache=1, lora=None, gradient_checkpointing=False,
        )  # fmt: skip
        state = torch.load(run / "checkpoints" / "sft" / "done.ckpt", weights_only=True)["state_dict"]
        policy.model.load_state_dict({key.removeprefix("model."): value for key, value in state.items()}, strict=True)
        policy.save(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--temperature", type=float, default=0.7)
    asked = parser.parse_args()
    answers = read_run(asked.run).metrics["sft"]["samples_per_image"]
    arguments = [
        f"policy.path={sft_policy(asked.run, asked.run / 'policy-sft')}", "benchmark=embedded",
        f"samples_per_image={answers}", f"evaluator.sampling.temperature={asked.temperature}",
        f"paths.run_dir={asked.out}",
    ]  # fmt: skip
    evaluate(compose_config(arguments))


if __name__ == "__main__":
    main()
