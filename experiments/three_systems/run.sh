#!/usr/bin/env bash
# Two turns, chains and human-like reasoning under one set-up: experiments/three_systems/run.sh [SEED ...]
# What is finished is not made again, and a run that was stopped goes on; results.csv grows as rows end.
# SYSTEMS names some of the systems, SYSTEMS_RUNS another folder, SYSTEMS_ABLATION the folder of the ablation, whose runs
# are those of the two turns where they are there, SYSTEMS_MORE adds overrides to every run.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
runs=${SYSTEMS_RUNS:-runs/three_systems}
ablation=${SYSTEMS_ABLATION:-runs/ablation}
read -ra more <<<"${SYSTEMS_MORE:-}"
read -ra systems <<<"${SYSTEMS:-zoom chain human}"
seeds=("$@")
[ $# -gt 0 ] || seeds=(0 1 2 3 4)

declare -A experiment=(
  [zoom]="quickstart"
  [chain]="deepsight_quickstart"
  [human]="human_quickstart"
)

# the same images, ratings, rollouts and answers for all; each form takes the SFT that its words need
common=(data.train.scores=koniq data.test.size=1360 evaluator.samples_per_image=4)

shared() { # run of the ablation, run here: the same set-up
  [ -e "$2" ] || [ ! -d "$ablation/$1/policy" ] || ln -s "$(realpath "$ablation/$1")" "$2"
}

for seed in "${seeds[@]}"; do
  for system in "${systems[@]}"; do
    read -ra chosen <<<"${experiment[$system]}"
    sft=$runs/${system}_sft_seed$seed grpo=$runs/${system}_grpo_seed$seed
    if [ "$system" = zoom ]; then
      mkdir -p "$runs"
      shared "sft_seed$seed" "$sft"
      shared "kl_coverage_seed$seed" "$grpo"
    fi
    [ -d "$sft/policy" ] || $python -m zoom_iqa.train +experiment="${chosen[@]}" "${common[@]}" stages=[sft] \
      seed="$seed" paths.run_dir="$sft" "${more[@]}"
    [ -d "$grpo/policy" ] || $python -m zoom_iqa.train +experiment="${chosen[@]}" "${common[@]}" stages=[grpo] \
      grpo.images=1680 seed="$seed" paths.run_dir="$grpo" "${more[@]}" policy.path="$sft/policy"
    $python experiments/three_systems/collect.py "$runs" --resamples 0
  done
done
$python experiments/three_systems/collect.py "$runs"
