#!/usr/bin/env bash
# The rows of README.md: SFT, GRPO from it, and the shipped policy's ratings on the same pairs.
set -e
runs=${1:-runs/compare}
python -m zoom_iqa.train +experiment=compare_quickstart 'stages=[sft]' paths.run_dir="$runs/sft"
python -m zoom_iqa.train +experiment=compare_quickstart 'stages=[grpo]' grpo.images=384 \
    policy.path="$runs/sft/policy" paths.run_dir="$runs/grpo"
for stage in sft grpo; do
    python -m zoom_iqa.evaluate policy.path="$runs/$stage/policy" benchmark=embedded_pairs task=compare evaluator=greedy \
        paths.run_dir="$runs/${stage}_greedy"
done
python -m zoom_iqa.evaluate benchmark=embedded paths.run_dir="$runs/ratings"
for band in 0.0 0.3; do
    zoom-iqa report preferences sft="$runs/sft" grpo="$runs/grpo" ratings="$runs/ratings" --pairs "$runs/sft" --band $band
done
zoom-iqa report preferences ratings="$runs/ratings"
