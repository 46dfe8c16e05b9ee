#!/bin/bash
# The 7B shape with random weights on one GPU, ours and TRL's in one session, with the limits measured beside them.
# 8 images of 1024x768, 8 completions of 256 tokens each, frozen vision tower. SHAPE=3b for the smaller one.
set -euo pipefail
cd "$(dirname "$0")"
SHAPE=${SHAPE:-7b}
OUT=${OUT:-gpu_results}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-8}  # images are preprocessed on the CPU, on both sides
COMMON=(--setting GPU --shape "$SHAPE" --clock wall --steps 2 --warmup 1)
python ceilings.py --shape "$SHAPE"
python ours.py "${COMMON[@]}" --cuda-graphs 1 --gradient-checkpointing 1 --micro-batch-tokens 16384 --out "$OUT/ours.json"
python ours.py "${COMMON[@]}" --cuda-graphs 1 --gradient-checkpointing 1 --micro-batch-tokens 16384 --turns 2 \
  --out "$OUT/ours_two_turns.json"
python trl_side.py "${COMMON[@]}" --batch 8 --out "$OUT/trl.json"
for result in "$OUT"/*.json; do echo "$result"; cat "$result"; done
