"""Are GRPO's answers better, or only sharper? Single answers, means of eight, and SFT drawn at a lower temperature.

    python experiments/quickstart/sharpness.py runs/quickstart/... [--samples 8] [--temperature 0.7]

Evaluates the policy after each stage of a finished quickstart; the tables go to RUN/sharpness/.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

import torch

from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.evaluate import compose_config, evaluate
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.policy.loading import load_policy
from zoom_iqa.policy.shipped import shipped_policy_folder


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


def records(policy: Path, out: Path, *, samples: int, temperature: float) -> tuple[Record, ...]:
    arguments = [
        f"policy.path={policy}", "benchmark=embedded", f"samples_per_image={samples}",
        f"evaluator.sampling.temperature={temperature}", f"paths.run_dir={out}",
    ]  # fmt: skip
    evaluate(compose_config(arguments))
    return RecordFile(out / "embedded" / "predictions.jsonl", RecordCodec()).read()


def row(name: str, found: tuple[Record, ...]) -> str:
    """Unreadable answers are left out; an image without a readable one too."""
    ratings: dict[str, list[float]] = defaultdict(list)
    mos: dict[str, float] = {}
    by_sample: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for record in found:
        if record.rating is not None:
            ratings[record.example.id].append(record.rating)
            mos[record.example.id] = record.example.mos
            by_sample[record.sample].append((record.rating, record.example.mos))
    single = [srcc(*zip(*pairs, strict=True)) for pairs in by_sample.values()]
    means = [statistics.fmean(own) for own in ratings.values()]
    spread = statistics.fmean(statistics.variance(own) for own in ratings.values() if len(own) > 1)
    error = statistics.fmean((mean - mos[name]) ** 2 for name, mean in zip(ratings, means, strict=True))
    numbers = [statistics.fmean(single), srcc(means, [mos[name] for name in ratings]), spread, error]
    return f"| {name} | {' | '.join(f'{number:.3f}' for number in numbers)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.7, help="of the SFT policy's second row")
    args = parser.parse_args()
    print("| policy, temperature | SRCC of single answers | SRCC of means | variance within images | MSE of means |")
    print("| --- | --- | --- | --- | --- |")
    for stage, temperature in (("sft", 1.0), ("sft", args.temperature), ("grpo", 1.0)):
        out = args.run / "sharpness" / f"{stage}-{temperature:g}"
        found = records(stage_policy(args.run, stage), out, samples=args.samples, temperature=temperature)
        print(row(f"{stage}, {temperature:g}", found), flush=True)


if __name__ == "__main__":
    main()
