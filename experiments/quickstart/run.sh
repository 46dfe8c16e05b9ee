#!/usr/bin/env bash
# Three seeds of the quickstart, judged on four times its images, and their table: experiments/quickstart/run.sh [key=value ...]
set -euo pipefail
cd "$(dirname "$0")/../.."
for seed in 0 1 2; do
  .venv/bin/python -m zoom_iqa.train +experiment=quickstart seed=$seed data.test.size=1360 paths.run_dir=runs/quickstart/seed$seed "$@"
done
.venv/bin/python experiments/quickstart/collect.py runs/quickstart/seed*
