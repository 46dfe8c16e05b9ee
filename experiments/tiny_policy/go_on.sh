#!/usr/bin/env bash
# The making of the shipped policy: goings-on from the policy of commit f794c62, on one CPU core.
#   experiments/tiny_policy/go_on.sh [key=value ...]                 # runs/tiny_policy/shipped, four and a half hours
#   CODED_TOWER=1 experiments/tiny_policy/go_on.sh [key=value ...]   # and captured_coded/policy, which is not shipped
# The photographs are fetched on Debian 12; a run that was stopped goes on from the last finished vision warm-up.
set -euo pipefail
cd "$(dirname "$0")/../.."
runs=runs/tiny_policy
mkdir -p $runs/start
git archive f794c62 src/zoom_iqa/assets/tiny_policy | tar x -C $runs/start --strip-components=4
export OMP_NUM_THREADS=1
go_on() { # FROM TO key=value ...
  [ -e $runs/"$2"/policy/config.json ] && return
  "${PYTHON:-.venv/bin/python}" -m zoom_iqa.make_tiny_policy start=$runs/"$1" paths.run_dir=$runs/"$2" \
    workers=1 vision.teacher=null vision.batch_size=16 vision.fresh_images=4 \
    vision.part_batch_size=64 vision.part_height=96 vision.part_width=128 \
    language.reading.batch_size=48 language.reading.optimizer.lr=1e-3 \
    language.writing.batch_size=16 language.writing.optimizer.lr=1e-3 "${@:3}"
}
distorted=('images=${embedded}' 'language.trajectories.images=${written_about.embedded}') # no captures among them
go_on start 256x192 "${distorted[@]}" vision_shape.max_pixels=49152 embedded.size=12000 \
  vision.steps=1800 vision.view_height=192 vision.view_width=256 vision.pool_views=4096 vision.optimizer.lr=8e-4 \
  written_about.embedded.size=10000 language.examples=10000 language.reading.steps=100 language.writing.steps=1600 \
  "$@"
wide=(vision_shape.max_pixels=110592 vision.view_height=288 vision.view_width=384 vision.pool_views=3072
  vision.optimizer.lr=6e-4 language.reading.steps=150)
go_on 256x192/policy 384x288 "${distorted[@]}" "${wide[@]}" embedded.size=24000 vision.steps=3200 \
  written_about.embedded.size=12000 language.examples=12000 language.writing.steps=2000 "$@"
go_on 384x288/policy captured "${wide[@]}" images.share=0 embedded.size=16000 captured.size=8000 vision.steps=3400 \
  written_about.embedded.size=8000 written_about.captured.size=4000 language.examples=12000 \
  language.writing.steps=1600 "$@"
if [ ! -e $runs/coded/warmed ]; then # the language model alone goes on: the tower stays as it is
  mkdir -p $runs/coded
  rm -rf $runs/coded/copied
  cp -r $runs/captured/policy $runs/coded/copied
  mv -T $runs/coded/copied $runs/coded/warmed
fi
go_on captured/policy coded vision_shape.max_pixels=110592 written_about.embedded.size=5000 \
  written_about.captured.size=3000 language.examples=8000 language.reading.steps=100 language.writing.steps=1000 "$@"
"${PYTHON:-.venv/bin/python}" experiments/tiny_policy/mean_weights.py \
  $runs/captured/policy $runs/coded/policy $runs/shipped --second-share 0.4
[ -n "${CODED_TOWER:-}" ] || exit 0
go_on captured/policy captured_coded "${wide[@]}" images.share=0.4 embedded.size=14400 captured.size=9600 \
  vision.steps=3400 written_about.embedded.size=7200 written_about.captured.size=4800 language.examples=12000 \
  language.writing.steps=1600 "$@"
