"""How near each phase of a step comes to what the machine's matrix products allow: one table, a row a phase.

    python experiments/throughput/limits.py [--settings A Z]

A step is run once to count, and again to be timed. The operations that it needs follow from the config (needed.py).
Their rate is that of the products it made (products.py), each shape timed by itself. So the least time is that of a
phase in which nothing but what is needed is computed, as fast as the library of this machine does it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from run import CONVERSATIONS, run_side
from workload import single_thread

SETTINGS = {
    "A": ["--setting", "A"],
    "Z": ["--setting", "Z"],
    "512 tokens": ["--setting", "A", "--completion", "512"],
    "two turns": ["--setting", "A", *CONVERSATIONS["two turns"]],
    "chain": ["--setting", "A", *CONVERSATIONS["chain"]],
}


def seconds_of(batch: int, rows: int, inner: int, columns: int) -> float:
    """The median time of a product, each time from the same place in memory."""
    a, b = torch.randn(batch, rows, inner), torch.randn(batch, inner, columns)
    out = torch.empty(batch, rows, columns)
    repeats = max(3, min(50, int(2e8 / (2 * batch * rows * inner * columns))))
    times = []
    for _ in range(5):
        start = time.thread_time()
        for _ in range(repeats):
            torch.bmm(a, b, out=out)
        times.append((time.thread_time() - start) / repeats)
    return statistics.median(times)


def libraries() -> str:
    """Float32 products by the library that torch takes, and by oneDNN, which is then allowed to round to bfloat16."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    exact = a.double() @ b.double()
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    usual = matmul.fp32_precision
    found = []
    for name, precision in (("as loaded", usual), ("through oneDNN", "bf16")):
        matmul.fp32_precision = precision
        rate, error = 2 * 1024**3 / seconds_of(1, 1024, 1024, 1024), float((a @ b - exact).abs().max())
        found.append(f"{rate / 1e9:.0f} GFLOP/s {name} (largest error {error:.0e})")
    matmul.fp32_precision = usual
    return "Products of 1024 x 1024 x 1024: " + ", ".join(found)


def table(name: str, options: list[str]) -> str:
    """Rows of a setting."""
    common = [*options, "--steps", "1"]
    counted = run_side("ours", "ours.py", [*common, "--warmup", "0", "--count-products", "1"]).result
    taken = run_side("ours", "ours.py", [*options, "--steps", "3"]).result["phases_s"]
    known: dict[tuple[int, ...], float] = {}
    alone: dict[str, float] = {}
    made: dict[str, float] = {}
    for phase, batch, rows, inner, columns, share, count in counted["products"]:
        shape = (batch, rows, inner, columns)
        if shape not in known:
            known[shape] = seconds_of(*shape)
        alone[phase] = alone.get(phase, 0.0) + count * share * known[shape]
        made[phase] = made.get(phase, 0.0) + 2.0 * count * share * batch * rows * inner * columns
    lines = []
    for phase in ("rollout", "prefill and vision", "forward", "backward"):
        rate, needed = made[phase] / alone[phase], counted["needed"][phase]
        least = needed / rate
        lines.append(
            f"| {name}: {phase} | {needed / 1e9:.2f} | {made[phase] / 1e9:.2f} | {rate / 1e9:.0f} "
            f"| {least:.3f} | {taken[phase]:.3f} | {least / taken[phase]:.0%} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=["A", "Z"])
    args = parser.parse_args()
    single_thread()
    print(libraries(), end="\n\n", flush=True)
    print("| setting: phase | GFLOP needed | made | GFLOP/s of its products alone | least, s | taken, s | share |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in args.settings:
        print(table(name, SETTINGS[name]), flush=True)


if __name__ == "__main__":
    main()
