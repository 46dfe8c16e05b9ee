"""A benchmark as its config and a few overrides make it."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.utils import instantiate

from zoom_iqa.config.data_commands import compose_config
from zoom_iqa.data.benchmarks import Benchmark


def load_benchmark(name: str, overrides: Sequence[str]) -> Benchmark:
    """The benchmark of conf/benchmark/<name>.yaml with values set by ``overrides`` (``benchmark.root=...``)."""
    (node,) = compose_config([f"benchmark={name}", *overrides]).benchmarks.values()
    benchmark: Benchmark = instantiate(node)
    return benchmark
