#!/usr/bin/env bash
# Every row of README.md: experiments/crops/run.sh [SEED ...]
# What is finished is not made again, and a run that was stopped goes on; the tables grow as policies are measured.
# CROPS_ARMS names some of the arms, CROPS_RUNS another folder, CROPS_ABLATION the folder of the ablation, whose policies
# are those of the usual arm where they are there; CROPS_MORE adds overrides to every training, CROPS_CONTROL arguments
# to every control.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
runs=${CROPS_RUNS:-runs/crops}
ablation=${CROPS_ABLATION:-runs/ablation}
read -ra more <<<"${CROPS_MORE:-}"
read -ra control <<<"${CROPS_CONTROL:-}"
seeds=("$@")
[ $# -gt 0 ] || seeds=(0 1 2 3 4)

# regions of 5 to 15 % of the area, and boxes to a hundredth: here place may matter
small="data.train.local_area=[0.05,0.15] benchmark.local_area=[0.05,0.15] data.trajectories.writer.box_decimals=2 \
data.trajectories.writer.box_jitter=0.03"
declare -A parts=([usual]="" [small]="$small" [small_half]="$small data.train.local_fraction=0.5")
read -ra arms <<<"${CROPS_ARMS:-usual small small_half}"

common=(+experiment=quickstart grpo.images=1680 data.train.scores=koniq data.test.size=1360 "${more[@]}")

shared() { # run of the ablation, run here: the same set-up
  [ -e "$2/policy" ] || [ ! -d "$ablation/$1/policy" ] ||
    { mkdir -p "$2" && ln -s "$(realpath "$ablation/$1/policy")" "$2/policy"; }
}

measure() { # policy, name of its row
  [ -e "$runs/$2/control.json" ] || $python experiments/crops/crop_control.py "$1" --out "$runs/$2/control.json" \
    "${control[@]}" 'benchmark.local_area=[0.05,0.30]' # of every size, so that sizes can be told apart
  $python experiments/crops/collect.py "$runs" --resamples 0
}

for seed in "${seeds[@]}"; do
  for arm in "${arms[@]}"; do
    read -ra overrides <<<"${parts[$arm]}"
    sft=$runs/${arm}_sft_seed$seed grpo=$runs/${arm}_grpo_seed$seed
    if [ "$arm" = usual ]; then
      shared "sft_seed$seed" "$sft"
      shared "kl_coverage_seed$seed" "$grpo"
    fi
    [ -d "$sft/policy" ] || $python -m zoom_iqa.train "${common[@]}" stages=[sft] seed="$seed" paths.run_dir="$sft" \
      "${overrides[@]}"
    measure "$sft/policy" "${arm}_sft_seed$seed"
    [ -d "$grpo/policy" ] || $python -m zoom_iqa.train "${common[@]}" stages=[grpo] policy.path="$sft/policy" \
      seed="$seed" paths.run_dir="$grpo" "${overrides[@]}"
    measure "$grpo/policy" "${arm}_grpo_seed$seed"
  done
done
$python experiments/crops/collect.py "$runs"
$python experiments/crops/answers.py "$runs"
