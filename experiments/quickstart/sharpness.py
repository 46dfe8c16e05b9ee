"""Are GRPO's answers better, or only sharper? Single answers, means of eight, expected ratings, a lower temperature.

    python experiments/quickstart/sharpness.py runs/quickstart/... [--samples 8] [--temperature 0.7]

Evaluates the policy after each stage of a finished quickstart; the tables go to RUN/sharpness/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from zoom_iqa.config.evaluation_run import compose_config, evaluate
from zoom_iqa.policy.loading import load_policy
from zoom_iqa.policy.shipped import shipped_policy_folder

COLUMNS = {
    "SRCC of single answers": "srcc_single",
    "SRCC of means": "srcc",
    "SRCC of expected ratings, means": "srcc_expected",
    "variance within images": "rating_variance",
    "squared bias": "squared_bias",
    "spread of digits": "expected_spread",
}


def stage_policy(run: Path, stage: str) -> Path:
    """The policy after a stage, in transformers' layout; made from the stage's checkpoint once."""
    folder = run / "sharpness" / f"policy-{stage}"
    if not folder.exists():
        policy = load_policy(
            path=str(shipped_policy_folder()), dtype="float32", attention="sdpa", min_pixels=None, max_pixels=None,
            image_cache=1, lora=None, gradient_checkpointing=False,
        )  # fmt: skip
        state = torch.load(run / "checkpoints" / stage / "done.ckpt", weights_only=True)["state_dict"]
        policy.model.load_state_dict({key.removeprefix("model."): value for key, value in state.items()}, strict=True)
        policy.save(folder)
    return folder


def row(name: str, policy: Path, out: Path, *, samples: int, temperature: float) -> str:
    """Figures of an evaluation."""
    arguments = [
        f"policy.path={policy}", "benchmark=embedded", f"samples_per_image={samples}",
        f"evaluator.sampling.temperature={temperature}", f"paths.run_dir={out}",
    ]  # fmt: skip
    metrics, _ = evaluate(compose_config(arguments))
    figures = metrics["embedded"]
    numbers = [figures[key] for key in COLUMNS.values()]
    return f"| {name} | {' | '.join(f'{number:.3f}' for number in numbers)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.7, help="of the SFT policy's second row")
    args = parser.parse_args()
    if args.samples < 2:
        parser.error("--samples: variance within images needs at least 2")
    print(f"| policy, temperature | {' | '.join(COLUMNS)} |")
    print(f"| --- {'| --- ' * len(COLUMNS)}|")
    for stage, temperature in (("sft", 1.0), ("sft", args.temperature), ("grpo", 1.0)):
        policy, out = stage_policy(args.run, stage), args.run / "sharpness" / f"{stage}-{temperature:g}"
        print(row(f"{stage}, {temperature:g}", policy, out, samples=args.samples, temperature=temperature), flush=True)


if __name__ == "__main__":
    main()
