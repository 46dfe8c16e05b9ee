#!/usr/bin/env bash
# Every row of README.md: ZOOM_IQA_DATA=/folder/that/holds/livec experiments/livewild_jpeg/run.sh [SEED ...]
# LIVEWILD_SPLIT=livewild_scenes takes the split by scene and writes results_livewild_scenes.csv; LIVEWILD_ARMS names
# some of the arms, LIVEWILD_MORE adds overrides to every training. What is finished is not made again.
# LIVEWILD_DRAW=1 (2, 3, ...) beside LIVEWILD_SPLIT=livewild_scenes draws that split from another seed; arms.py compares
# arms over seeds and draws.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${ZOOM_IQA_DATA:?set it to the folder that holds livec}"
python=${PYTHON:-.venv/bin/python}
split=${LIVEWILD_SPLIT:-held_out}
read -ra arms <<<"${LIVEWILD_ARMS:-peers grpo}"
read -ra more <<<"${LIVEWILD_MORE:-}"
if [ -n "${LIVEWILD_DRAW:-}" ] && { [ "$split" = held_out ] || [ "$LIVEWILD_DRAW" = 0 ]; }; then
  echo "LIVEWILD_DRAW=$LIVEWILD_DRAW: give LIVEWILD_SPLIT=livewild_scenes and a draw from 1 on; 0 is the split itself" >&2
  exit 2
fi
if [ "$split" = held_out ]; then
  runs=runs/livewild_jpeg results=results.csv
else
  drawn=$split${LIVEWILD_DRAW:+_draw$LIVEWILD_DRAW}
  runs=runs/$drawn results=results_$drawn.csv
fi
chosen=(benchmark/split="$split" ${LIVEWILD_DRAW:+benchmark.split.seed="$LIVEWILD_DRAW"})
seeds=("$@")
[ $# -gt 0 ] || seeds=(0 1 2)

judge() { # policy, name of its row
  $python -m zoom_iqa.evaluate policy.path="$1" benchmark=livewild_jpeg "${chosen[@]}" samples_per_image=16 \
    paths.run_dir="$runs/$2"
}

trained() { # stages, name of its row, overrides
  local stages=$1 run=$runs/train/$2
  shift 2
  [ -d "$run/policy" ] || $python -m zoom_iqa.train +experiment=livewild_jpeg "${chosen[@]}" \
    stages=["$stages"] paths.run_dir="$run" "$@" "${more[@]}"
  judge "$run/policy" "$(basename "$run")"
  $python experiments/livewild_jpeg/collect.py "$runs" "$results"
}

for arm in "${arms[@]}"; do
  if [ "$arm" = peers ]; then
    for peer in mean niqe brisque ridge ridge_tower; do
      $python -m zoom_iqa.evaluate_peer peer=$peer benchmark=livewild_jpeg "${chosen[@]}" \
        paths.run_dir="$runs/$peer"
    done
    judge src/zoom_iqa/assets/tiny_policy zero_shot
    continue
  fi
  for seed in "${seeds[@]}"; do
    case $arm in
    grpo)
      trained sft "sft_seed$seed" seed="$seed"
      trained grpo "grpo_seed$seed" seed="$seed" policy.path="$runs/train/sft_seed$seed/policy"
      ;;
    look_more) # half of SFT's trajectories look, so that GRPO has more looks to weigh
      trained sft "sft_look_more_seed$seed" seed="$seed" data.trajectories.writer.crop_rate=0.5
      trained grpo "look_more_seed$seed" seed="$seed" policy.path="$runs/train/sft_look_more_seed$seed/policy"
      ;;
    grpo_alone) # from the shipped policy, which looks where it suspects a defect: SFT here looks anywhere
      trained grpo "grpo_alone_seed$seed" seed="$seed"
      ;;
    paid) # a right answer earns more where it looked, while few of its group look
      trained sft "sft_seed$seed" seed="$seed"
      trained grpo "paid_seed$seed" seed="$seed" policy.path="$runs/train/sft_seed$seed/policy" +reward/terms=look
      ;;
    paid_alone) # the same from the shipped policy
      trained grpo "paid_alone_seed$seed" seed="$seed" +reward/terms=look
      ;;
    *) echo "$arm: give peers, grpo, look_more, grpo_alone, paid or paid_alone" >&2 && exit 2 ;;
    esac
  done
done
$python experiments/livewild_jpeg/collect.py "$runs" "$results"
