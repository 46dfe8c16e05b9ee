#!/usr/bin/env bash
# Every number of README.md: experiments/curation/run.sh [SEED ...]
# What is finished is not made again: curation and training go on where they were stopped. LAUNCH goes before each command.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH=experiments/curation
python=.venv/bin/python
runs=${CURATION_RUNS:-runs/curation}
launch=${LAUNCH:-}
seeds=("$@")
[ $# -gt 0 ] || seeds=(0 1 2)

curate() { # folder, arguments
  [ -f "$runs/$1/card.json" ] || $launch $python -m zoom_iqa.curate out="$runs/$1" "${@:2}"
}
faulty=(--config-dir experiments/curation/conf generator=faulty size=tiny max_new_tokens=2000)

curate tiny generator=policy hacf=near_mos limit=400
for spread in 0.0 0.05 0.1 0.2; do
  curate "spread_$spread" "${faulty[@]}" generator.spread="$spread"
done
curate sentences "${faulty[@]}" hacf=sentences
curate unfiltered "${faulty[@]}" vrf=none hacf=none
$python experiments/curation/study.py curves "$runs"

train() { # name, file of turns, folder of its images, seed
  [ -f "$runs/sft/$1_seed$4/metrics.json" ] || $launch $python -m zoom_iqa.train data=koniq10k benchmark=embedded \
    stages=[sft] sft.images=640 size.sft.lr=3e-4 evaluator.samples_per_image=2 seed="$4" \
    data.trajectories.path="$2" data.trajectories.image_root="$3" paths.run_dir="$runs/sft/$1_seed$4"
}
for seed in "${seeds[@]}"; do
  $python experiments/curation/study.py draw "$runs" "$seed"
  train unfiltered "$runs/unfiltered/sft_train.jsonl" "$runs/unfiltered" "$seed"
  train filtered "$runs/spread_0.1/sft_train.jsonl" "$runs/spread_0.1" "$seed"
  train random "$runs/unfiltered/sft_random_seed$seed.jsonl" "$runs/unfiltered" "$seed"
done
shipped=$runs/sft/shipped_seed0
[ -f "$shipped/metrics.json" ] || $launch $python -m zoom_iqa.evaluate benchmark=embedded samples_per_image=2 \
  paths.run_dir="$shipped"
$python experiments/curation/study.py sft "$runs"
