"""Entry point ``python -m zoom_iqa.data check``: is a benchmark's copy on this disk complete and sound?

    python -m zoom_iqa.data check benchmark=koniq root=/data/koniq10k
    python -m zoom_iqa.data check benchmark=kadid,csiq
    python -m zoom_iqa.data check benchmark=manifest name=mine root=. reader.labels=mine.csv benchmark/split=seeded ...

Every key=value sets a value of conf/benchmark/<name>.yaml. The exit status is 0 when every set is sound, else 1.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.config.checks import check_config
from zoom_iqa.config.commands import run_command
from zoom_iqa.config.location import conf_dir
from zoom_iqa.data.benchmarks import Benchmark, Source
from zoom_iqa.data.benchmarks.check import Finding, Report, inspect

USAGE = "usage: python -m zoom_iqa.data check benchmark=NAME[,NAME...] [root=FOLDER] [key=value ...]"
ROWS_SHOWN = 10


def main() -> None:
    """Run the command line."""
    run_command(lambda: check(sys.argv[1:]))


def check(arguments: Sequence[str]) -> None:
    """Check each named benchmark and print what was found.

    Raises:
        ConfigError: the arguments are wrong.
        SystemExit: status 1 when a set is not sound.
    """
    names, overrides = parse(arguments)
    sound = [_check_one(load_benchmark(name, overrides)) for name in names]
    if not all(sound):
        sys.exit(1)


def parse(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Benchmark names and overrides of their values.

    Raises:
        ConfigError: the command, a key or the benchmark is missing or unknown.
    """
    known = benchmark_names()
    if not arguments or arguments[0] != "check" or not all("=" in argument for argument in arguments[1:]):
        raise ConfigError(f"{USAGE}; benchmarks: {', '.join(known)}")
    names: list[str] = []
    overrides: list[str] = []
    for argument in arguments[1:]:
        key, _, value = argument.partition("=")
        if key == "benchmark":
            names = value.split(",")
        else:
            overrides.append(argument if key.startswith(("benchmark.", "benchmark/")) else f"benchmark.{argument}")
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ConfigError(f"benchmark={','.join(unknown) or '(not given)'}: use one or more of {', '.join(known)}")
    return names, overrides


def benchmark_names() -> list[str]:
    """The names of conf/benchmark/*.yaml."""
    return sorted(path.stem for path in (conf_dir() / "benchmark").glob("*.yaml"))


def load_benchmark(name: str, overrides: Sequence[str]) -> Benchmark:
    """The benchmark of conf/benchmark/<name>.yaml with values set by ``overrides`` (``benchmark.root=...``)."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose(f"benchmark/{name}", overrides=list(overrides))
    check_config(cfg)
    benchmark: Benchmark = instantiate(cfg.benchmark)
    return benchmark


def _check_one(benchmark: Benchmark) -> bool:
    """Print one report; True when the set is sound."""
    print(f"{benchmark.source.title} ({benchmark.name}) at {benchmark.folder}")
    try:
        report = _inspect_with_progress(benchmark)
    except DataError as error:
        print(f"  not usable: {error}")
        _print_source(benchmark.source)
        return False
    _print_report(benchmark, report)
    _print_source(benchmark.source)
    print(f"  verdict    {'sound' if report.sound else 'not sound: see above'}")
    return report.sound


def _inspect_with_progress(benchmark: Benchmark) -> Report:
    columns = ("  decoding", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("decoding", total=benchmark.source.count)
        return inspect(benchmark, on_image=lambda: progress.advance(task))


def _print_report(benchmark: Benchmark, report: Report) -> None:
    total = sum(report.counts.values())
    counts = ", ".join(
        f"{split} {report.counts[split]:,}" for split in ("train", "val", "test", "-") if split in report.counts
    )
    low, high = benchmark.scale.native_range
    print(f"  labels     {total:,} images ({counts}); standard deviation known for {report.with_std:,}")
    print(
        f"  scores     {report.native_range[0]:g} to {report.native_range[1]:g} of {low:g} to {high:g}, "
        f"{benchmark.scale.direction.replace('_', ' ')}; on 1-5: {report.mos_range[0]:.2f} to {report.mos_range[1]:.2f}"
    )
    sizes = "" if report.sizes is None else "; {}x{} to {}x{}".format(*report.sizes[0], *report.sizes[1])
    print(f"  images     {report.readable:,} of {total:,} readable{sizes}")
    for finding in report.findings:
        _print_finding(finding)


def _print_finding(finding: Finding) -> None:
    print(f"  {'PROBLEM' if finding.serious else 'note':<10} {len(finding.rows):,} {finding.title}")
    for row in finding.rows[:ROWS_SHOWN]:
        print(f"             {row}")
    if len(finding.rows) > ROWS_SHOWN:
        print(f"             ... and {len(finding.rows) - ROWS_SHOWN:,} more")


def _print_source(source: Source) -> None:
    print(f"  source     {source.homepage} (licence: {source.licence})")
    print(f"  cite       {source.citation}")
    for step in source.download:
        print(f"  download   {step}")


if __name__ == "__main__":
    main()
