#!/usr/bin/env bash
# The making, or the comparison of its levers, on any machine with CUDA:
#   experiments/tiny_policy/gpu.sh make OUT SECONDS [key=value ...]   # policy.tar, warmed.tar, levels.csv
#   experiments/tiny_policy/gpu.sh levers OUT SECONDS [STEPS]         # levers.csv
# The photographs are fetched on Debian 12; where there is no network, bring runs/tiny_policy/photographs along.
# warmed.tar of a run that was cut off, laid into OUT, is gone on from.
set -euo pipefail
cd "$(dirname "$0")/../.."
what=${1:?make or levers} out=$(mkdir -p "${2:?OUT}" && cd "$2" && pwd) seconds=${3:?SECONDS}
shift 3
python=${PYTHON:-.venv/bin/python}
made=runs/tiny_policy/made
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
workers=$("$python" -c 'import os; print(max(1, len(os.sched_getaffinity(0)) - 1))') # nproc counts OMP_NUM_THREADS
echo "$workers workers; $(nvidia-smi -L)"
case $what in
make)
  if [ -f "$out/warmed.tar" ] && [ ! -d $made/warmed ]; then
    mkdir -p $made && tar xf "$out/warmed.tar" -C $made
  fi
  "$python" experiments/tiny_policy/timed.py "$out" --seconds "$seconds" device=cuda workers="$workers" "$@" 2>&1 | tee "$out/log.txt"
  "$python" experiments/tiny_policy/levels.py $made/policy "$out" --device cuda --workers "$workers" 2>&1 | tee -a "$out/log.txt"
  ;;
levers)
  "$python" experiments/tiny_policy/levers.py runs/tiny_policy/photographs "$out" --seconds "$seconds" device=cuda \
    workers="$workers" vision.steps="${1:-600}" vision.batch_size=128 vision.part_batch_size=128 vision.pool_views=40000
  ;;
*) echo "$what: give make or levers" >&2 && exit 2 ;;
esac
