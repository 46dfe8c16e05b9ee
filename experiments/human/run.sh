#!/usr/bin/env bash
# Every row of README.md but those of people's texts: experiments/human/run.sh [SEED ...]
# What is finished is not made again: a run goes on where it was stopped. HUMAN_RUNS names another folder, HUMAN_MORE adds
# overrides to every training: ratings=truth makes the rows of true ratings.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python
runs=${HUMAN_RUNS:-runs/human}
read -ra more <<<"${HUMAN_MORE:-}"
seeds=("$@")
[ $# -gt 0 ] || seeds=(0 1 2)

declare -A terms=(
  [accuracy]="~reward.self_consistency ~reward.human"
  [consistency]="~reward.human"
  [human]=""
)

common=(data.train.scores=null) # as types and levels give them: what these figures were made with

judge() { # policy, name of its row
  $python -m zoom_iqa.evaluate policy.path="$1" benchmark=embedded task=caption_reason views=[image,caption] \
    references=synthetic samples_per_image=4 paths.run_dir="$runs/$2/judged"
}

for seed in "${seeds[@]}"; do
  sft=$runs/sft_seed$seed
  $python -m zoom_iqa.train +experiment=human_quickstart stages=[sft] seed="$seed" paths.run_dir="$sft/trained" \
    "${common[@]}" "${more[@]}"
  judge "$sft/trained/policy" "sft_seed$seed"
  for name in accuracy consistency human; do
    grpo=$runs/${name}_seed$seed
    # shellcheck disable=SC2086
    $python -m zoom_iqa.train +experiment=human_quickstart stages=[grpo] policy.path="$sft/trained/policy" \
      seed="$seed" paths.run_dir="$grpo/trained" ${terms[$name]} "${common[@]}" "${more[@]}"
    judge "$grpo/trained/policy" "${name}_seed$seed"
  done
done
$python experiments/human/collect.py "$runs"
