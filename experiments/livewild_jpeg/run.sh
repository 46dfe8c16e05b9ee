#!/usr/bin/env bash
# Every row of README.md: ZOOM_IQA_DATA=/folder/that/holds/livec experiments/livewild_jpeg/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${ZOOM_IQA_DATA:?set it to the folder that holds livec}"
python=.venv/bin/python
runs=runs/livewild_jpeg

judge() { # policy, name of its row
  $python -m zoom_iqa.evaluate policy.path="$1" benchmark=livewild_jpeg samples_per_image=16 paths.run_dir=$runs/"$2"
}

for peer in mean niqe brisque ridge ridge_tower; do
  $python -m zoom_iqa.evaluate_peer peer=$peer benchmark=livewild_jpeg paths.run_dir=$runs/$peer
done
judge src/zoom_iqa/assets/tiny_policy zero_shot
for seed in 0 1 2; do
  sft=$runs/train/sft_seed$seed grpo=$runs/train/grpo_seed$seed
  $python -m zoom_iqa.train +experiment=livewild_jpeg stages=[sft] seed=$seed paths.run_dir=$sft
  judge $sft/policy sft_seed$seed
  $python -m zoom_iqa.train +experiment=livewild_jpeg stages=[grpo] policy.path=$sft/policy seed=$seed paths.run_dir=$grpo
  judge $grpo/policy grpo_seed$seed
done
$python experiments/livewild_jpeg/collect.py $runs
