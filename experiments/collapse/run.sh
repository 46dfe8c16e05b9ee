#!/usr/bin/env bash
# 300 rollouts with and without KL-Coverage: experiments/collapse/run.sh [SEED ...]
# What is finished is not made again, and a run that was stopped goes on; the table grows as runs go on.
# COLLAPSE_ARMS names some of the arms, COLLAPSE_RUNS another folder, COLLAPSE_SFT the folder that holds sft_seedN,
# COLLAPSE_MORE adds overrides to every run.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
runs=${COLLAPSE_RUNS:-runs/collapse}
from=${COLLAPSE_SFT:-runs/ablation} # the ablation's SFT, where it was run
read -ra more <<<"${COLLAPSE_MORE:-}"
seeds=("$@")
[ $# -gt 0 ] || seeds=(0 1 2 3 4)

declare -A parts=(
  [with]=""
  [decided]="penalties.kl_coverage.digits=decided" # of the rating where the text first writes it
  [without]="penalties=none"
)
read -ra arms <<<"${COLLAPSE_ARMS:-without with decided}"

common=(+experiment=quickstart data.train.scores=koniq data.test.size=1360 "${more[@]}")

for seed in "${seeds[@]}"; do
  sft=$from/sft_seed$seed
  [ -d "$sft/policy" ] || $python -m zoom_iqa.train "${common[@]}" stages=[sft] seed="$seed" paths.run_dir="$sft"
  for arm in "${arms[@]}"; do
    run=$runs/${arm}_seed$seed
    [ ! -d "$run/policy" ] || continue
    read -ra overrides <<<"${parts[$arm]}"
    # the rate stays: with the usual decay the last rollouts change next to nothing
    $python -m zoom_iqa.train "${common[@]}" stages=[grpo] policy.path="$sft/policy" seed="$seed" \
      grpo.images=7200 grpo.module.lr_factor.floor=1.0 callbacks=validation callbacks.validation.every=25 \
      paths.run_dir="$run" "${overrides[@]}"
    $python experiments/collapse/collect.py "$runs"
  done
done
$python experiments/collapse/collect.py "$runs"
$python experiments/collapse/ends.py "$runs"
