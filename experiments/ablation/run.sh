#!/usr/bin/env bash
# Every row of README.md: experiments/ablation/run.sh [SEED ...]
# What is finished is not made again, and a run that was stopped goes on; results.csv grows as rows end.
# ABLATION_ARMS names some of the arms, ABLATION_RUNS another folder, ABLATION_IMAGES the number of test images,
# ABLATION_MORE adds overrides to every training.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
runs=${ABLATION_RUNS:-runs/ablation}
read -ra more <<<"${ABLATION_MORE:-}"
seeds=("$@")
[ $# -gt 0 ] || seeds=(0 1 2 3 4)

declare -A parts=(
  # the paper's rows 2 to 6; its row 1 is SFT alone
  [rank]="~reward.score"
  [score]="~reward.rank"
  [score_rank]="penalties=none"
  [kl_coverage]=""
  [progressive]="resampling=progressive"
  # rows it lacks: the penalty's digits, its divergence, its anchor, other penalties
  [decided]="penalties.kl_coverage.digits=decided"
  [sampled]="penalties.kl_coverage.divergence=sampled"
  [two_updates]="grpo.module.update.epochs=2"
  [old_anchor]="penalties.kl_coverage.anchor=old grpo.module.update.epochs=2"
  [kl_reference]="penalties=kl_reference"
  [kl_cov]="penalties=kl_cov grpo.module.update.epochs=2"
  [clip_cov]="penalties=none filters=clip_cov"
  # re-sampling, advantages, aggregation, the tower
  [inverse_frequency]="resampling=inverse_frequency"
  [no_std]="loss=no_std"
  [token_mean]="loss=token_mean"
  [tower]="grpo.module.freeze_vision_tower=false"
)
read -ra arms <<<"${ABLATION_ARMS:-rank score score_rank kl_coverage progressive decided sampled two_updates old_anchor \
kl_reference kl_cov clip_cov inverse_frequency no_std token_mean tower}"

common=(+experiment=quickstart grpo.images=1680 data.train.scores=koniq data.test.size="${ABLATION_IMAGES:-1360}" "${more[@]}")

for seed in "${seeds[@]}"; do
  sft=$runs/sft_seed$seed # one for all rows of a seed
  [ -d "$sft/policy" ] || $python -m zoom_iqa.train "${common[@]}" stages=[sft] name=table3_sft seed="$seed" \
    paths.run_dir="$sft"
  cool=$runs/sft_cool_seed$seed # SFT drawn less at random: what repeats itself more gains in single answers too
  [ -e "$cool/metrics.json" ] || $python -m zoom_iqa.evaluate policy.path="$sft/policy" benchmark=embedded \
    benchmarks.embedded.sizes.test="${ABLATION_IMAGES:-1360}" samples_per_image=4 \
    evaluator.sampling.temperature=0.7 seed="$seed" paths.run_dir="$cool"
  for arm in "${arms[@]}"; do
    run=$runs/${arm}_seed$seed
    [ ! -d "$run/policy" ] || continue
    read -ra overrides <<<"${parts[$arm]}"
    name=$arm # the paper's rows have their names in zoom-iqa report table3
    case $arm in rank | score | score_rank | kl_coverage | progressive) name=table3_$arm ;; esac
    $python -m zoom_iqa.train "${common[@]}" stages=[grpo] policy.path="$sft/policy" name="$name" seed="$seed" \
      paths.run_dir="$run" "${overrides[@]}"
    $python experiments/ablation/collect.py "$runs" --resamples 0
  done
done
$python experiments/ablation/collect.py "$runs"
