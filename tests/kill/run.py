"""Kill runs of every kind at random moments, go on with them, and compare their ends with runs that were left alone.

``make test-kill KILLS=1000`` kills so many times in all, by turns of the kinds; ``--kinds`` names some of them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("WANDB_MODE", "disabled")

import torch

from support.killing import KINDS, Killing
from support.small_run import save_policy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=None, help="of moments, signals and processes; else a random one")
    args = parser.parse_args()
    torch.set_num_threads(1)
    seed = random.SystemRandom().randrange(10**6) if args.seed is None else args.seed
    draw, begin = random.Random(seed), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))  # stays where something is wrong
    print(f"seed {seed}, in {folder}", flush=True)
    policy = save_policy(folder)
    kinds = [name for name in args.kinds if KINDS[name].possible]
    for name in sorted(set(args.kinds) - set(kinds)):
        print(f"{name}: left out, since {KINDS[name].needs} is not installed", flush=True)
    if not kinds:
        raise SystemExit("no kind is left to kill: pip install -e '.[deepspeed]'")
    running = {name: Killing(KINDS[name], policy, folder / name, draw) for name in kinds}
    for number in range(args.kills):
        name = kinds[number % len(kinds)]
        running[name].kill()
        print(f"kill {number + 1}, of {name}: {dict(running[name].counts)}", flush=True)
    for name, killing in running.items():
        killing.finish()
        print(f"{name}: {', '.join(f'{key} {count}' for key, count in sorted(killing.counts.items()))}", flush=True)
    shutil.rmtree(folder)
    print(f"{args.kills} kills, every end as that of a run left alone, {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
