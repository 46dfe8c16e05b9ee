#!/usr/bin/env bash
# Every row of README.md: ZOOM_IQA_DATA=/folder/that/holds/livec experiments/livewild_jpeg/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${ZOOM_IQA_DATA:?set it to the folder that holds livec}"
python=.venv/bin/python
runs=runs/livewild_jpeg
for peer in mean niqe brisque ridge ridge_tower; do
  $python -m zoom_iqa.evaluate_peer peer=$peer benchmark=livewild_jpeg output=$runs/$peer
done
$python -m zoom_iqa.evaluate policy.path=src/zoom_iqa/assets/tiny_policy benchmark=livewild_jpeg samples_per_image=4 output=$runs/zero_shot
for seed in 0 1 2; do
  $python -m zoom_iqa.train +experiment=livewild_jpeg seed=$seed paths.run_dir=$runs/sft_seed$seed
  $python -m zoom_iqa.evaluate policy.path=$runs/sft_seed$seed/policy benchmark=livewild_jpeg samples_per_image=4 output=$runs/fine_tuned_seed$seed
done
$python experiments/livewild_jpeg/collect.py $runs
