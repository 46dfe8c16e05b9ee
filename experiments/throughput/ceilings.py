"""Limits of the GPU, measured: bytes moved per second and bfloat16 products per second; and what they imply.

    python experiments/throughput/ceilings.py [--shape 7b]

A decode step must read every weight of the language model once: its bytes over the bandwidth are the least time a step
can take. An update of T tokens must do 6 products per weight and token (8 with gradient checkpointing).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from models import TRUE_SHAPES


def seconds(work: Callable[[], object], repeats: int = 20) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def text_weights(shape: str) -> float:
    """Weights a token passes through: the layers and the output head."""
    s = TRUE_SHAPES[shape]
    width, heads, key_heads = s["hidden_size"], s["num_attention_heads"], s["num_key_value_heads"]
    attention = 2 * width * width * (1 + key_heads / heads)
    return float(s["num_hidden_layers"] * (attention + 3 * width * s["intermediate_size"]) + width * s["vocab_size"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=TRUE_SHAPES, default="7b")
    shape = parser.parse_args().shape
    if not torch.cuda.is_available():
        raise SystemExit("ceilings.py needs a CUDA device; none is here")
    source = torch.randn(2 * 2**30, dtype=torch.bfloat16, device="cuda")
    target = torch.empty_like(source)
    bandwidth = 2 * source.nbytes / seconds(lambda: target.copy_(source))  # every byte is read and written
    a = torch.randn(8192, 8192, dtype=torch.bfloat16, device="cuda")
    rate = 2 * 8192**3 / seconds(lambda: a @ a)
    weights = text_weights(shape)
    print(f"bandwidth {bandwidth / 1e9:.0f} GB/s, bfloat16 products {rate / 1e12:.0f} TFLOP/s")
    print(f"{shape}: a decode step takes at least {1e3 * 2 * weights / bandwidth:.2f} ms for its weights")
    print(f"{shape}: an update takes at least {1e6 * 6 * weights / rate:.1f} us a token (8/6 of it with checkpointing)")


if __name__ == "__main__":
    main()
