#!/usr/bin/env bash
# Every row of README.md: experiments/quickstart/run.sh [SEED ...]
# What is finished is not made again, and a run that was stopped goes on. QUICKSTART_RUNS names another folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python
runs=${QUICKSTART_RUNS:-runs/quickstart}
seeds=("$@")
[ $# -gt 0 ] || seeds=(0 1 2 3 4)

for seed in "${seeds[@]}"; do
  run=$runs/quickstart_seed$seed cool=$runs/sft_cool_seed$seed
  [ -d "$run/policy" ] || $python -m zoom_iqa.train +experiment=quickstart seed="$seed" paths.run_dir="$run"
  [ -e "$cool/metrics.json" ] || $python experiments/quickstart/cool.py "$run" --out "$cool"
done
$python experiments/quickstart/collect.py "$runs"
