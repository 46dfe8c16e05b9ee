#!/usr/bin/env bash
# Every row of README.md: experiments/chains/run.sh [SEED ...]
# What is finished is not made again: a run goes on where it was stopped. CHAINS_MORE adds overrides to every training,
# such as "grpo.images=240" for short runs; CHAINS_ARMS names some of the arms.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python
runs=${CHAINS_RUNS:-runs/chains}
read -ra more <<<"${CHAINS_MORE:-}"
read -ra arms <<<"${CHAINS_ARMS:-zoom flat pcr evidence random}"
seeds=("$@")
[ $# -gt 0 ] || seeds=(0 1 2)

declare -A parts=(
  [flat]="reward=tolerant filters=none"             # against zoom: looks in one conversation, the same reward
  [pcr]="reward=curriculum filters=none"            # against flat: the ladder
  [evidence]="reward=curriculum filters=evidence"   # against pcr: tokens that depend on what was seen
  [random]="reward=curriculum filters=random_share" # against evidence: as many tokens, drawn by chance
)

common=(data.train.scores=null) # as types and levels give them: what these figures were made with

judge() { # policy, task, name of its row
  $python -m zoom_iqa.evaluate policy.path="$1" benchmark=embedded task="$2" samples_per_image=4 \
    paths.run_dir="$runs/$3/judged"
}

control() { # policy, name of its row
  [ -e "$runs/$2/control.json" ] || $python experiments/chains/crop_control.py "$1" --out "$runs/$2/control.json"
}

for seed in "${seeds[@]}"; do
  sft=$runs/sft_seed$seed
  $python -m zoom_iqa.train +experiment=deepsight_quickstart "${common[@]}" stages=[sft] seed="$seed" \
    paths.run_dir="$sft/trained"
  judge "$sft/trained/policy" chain "sft_seed$seed"
  control "$sft/trained/policy" "sft_seed$seed"
  for arm in "${arms[@]}"; do
    run=$runs/${arm}_seed$seed
    if [ "$arm" = zoom ]; then
      $python -m zoom_iqa.train +experiment=quickstart "${common[@]}" size.grpo.images=480 seed="$seed" \
        paths.run_dir="$run/trained" "${more[@]}"
      judge "$run/trained/policy" zoom "zoom_seed$seed"
    else
      read -ra overrides <<<"${parts[$arm]}"
      $python -m zoom_iqa.train +experiment=deepsight_quickstart "${common[@]}" stages=[grpo] seed="$seed" \
        policy.path="$sft/trained/policy" paths.run_dir="$run/trained" "${overrides[@]}" "${more[@]}"
      judge "$run/trained/policy" chain "${arm}_seed$seed"
      control "$run/trained/policy" "${arm}_seed$seed"
    fi
  done
done
$python experiments/chains/collect.py "$runs"
