#!/usr/bin/env bash
# A making that goes on from the shipped policy (commit f794c62) on a CPU; README.md says what it brought.
#   experiments/tiny_policy/go_on.sh [key=value ...]   # runs/tiny_policy/gone_on/policy, 50 minutes
# The photographs are fetched on Debian 12; a run that was stopped after the vision warm-up goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."
start=runs/tiny_policy/start
mkdir -p $start
git archive f794c62 src/zoom_iqa/assets/tiny_policy | tar x -C $start --strip-components=4
export OMP_NUM_THREADS=1
"${PYTHON:-.venv/bin/python}" -m zoom_iqa.make_tiny_policy start=$start workers=1 paths.run_dir=runs/tiny_policy/gone_on \
  vision_shape.max_pixels=49152 images.size=12000 \
  vision.teacher=null vision.steps=1800 vision.batch_size=16 vision.view_height=192 vision.view_width=256 \
  vision.part_batch_size=64 vision.part_height=96 vision.part_width=128 vision.pool_views=4096 vision.fresh_images=4 \
  vision.optimizer.lr=8e-4 \
  language.trajectories.images.size=10000 language.examples=10000 \
  language.reading.steps=100 language.reading.batch_size=48 language.reading.optimizer.lr=1e-3 \
  language.writing.steps=1600 language.writing.batch_size=16 language.writing.optimizer.lr=1e-3 "$@"
