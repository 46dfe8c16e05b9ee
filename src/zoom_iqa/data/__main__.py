"""Entry point ``python -m zoom_iqa.data check``: is a benchmark's copy on this disk complete and sound?

    python -m zoom_iqa.data check benchmark=koniq root=/data/koniq10k
    python -m zoom_iqa.data check benchmark=kadid,csiq
    python -m zoom_iqa.data check manifest=mine.csv range=[0,100]

Every other key=value sets a value of the benchmarks. The exit status is 0 when every set is sound, else 1.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.config import own_labels
from zoom_iqa.config.checks import check_config, check_read
from zoom_iqa.config.command_line import overrides_of, require_benchmarks, with_benchmarks
from zoom_iqa.config.commands import run_command
from zoom_iqa.config.composition import composed, parsed, prefix_of
from zoom_iqa.config.help import choices, help_of
from zoom_iqa.data.benchmarks import Benchmark, Source
from zoom_iqa.data.benchmarks.check import Finding, Report, inspect

USAGE = "python -m zoom_iqa.data check benchmark=NAME[,NAME...] [root=FOLDER] [key=value ...]"
HELP = help_of(
    USAGE,
    summary="Reads the labels of benchmarks and decodes every image: what is missing, damaged, doubled or off the "
    "scale, and where to get the set.",
    given={
        "benchmark": f"one or more of {choices('benchmark')}",
        "manifest": "your own images: a .csv, .jsonl or .json file with an image and a score column; "
        "range=[0,100] direction=lower_is_better where scores are not 1 to 5, 5 best",
        "KEY=VALUE": "a value of the benchmarks: root=FOLDER, benchmark/split=seeded",
        "--config-dir": "a folder of yours with benchmark/NAME.yaml",
    },
    example="python -m zoom_iqa.data check benchmark=embedded",
)
OF_THE_ROOT = (*own_labels.KEYS, "benchmark")
ROWS_SHOWN = 10


def main() -> None:
    """Run the command line."""
    run_command(lambda: check(sys.argv[1:]), help_text=HELP)


def check(arguments: Sequence[str]) -> None:
    """Check each named benchmark and print what was found.

    Raises:
        ConfigError: the arguments are wrong.
        SystemExit: status 1 when a set is not sound.
    """
    if not arguments or arguments[0] != "check":
        raise ConfigError(f"usage: {USAGE}")
    cfg = compose_config(arguments[1:])
    own_labels.say_what_is_assumed(cfg)
    sound = [_check_one(instantiate(node)) for node in cfg.benchmarks.values()]
    if not all(sound):
        sys.exit(1)


def compose_config(arguments: Sequence[str]) -> DictConfig:
    """The checked config of a command line, in which ``root=...`` stands for ``benchmark.root=...``.

    Raises:
        ConfigError: an argument is wrong, or no benchmark is named.
    """
    cfg = composed("check", with_benchmarks([_of_benchmarks(override) for override in overrides_of(arguments)]))
    own_labels.check(cfg)
    check_config(cfg)
    check_read(cfg, read=(*own_labels.KEYS, "benchmarks"))
    require_benchmarks(cfg, USAGE)
    return cfg


def load_benchmark(name: str, overrides: Sequence[str]) -> Benchmark:
    """The benchmark of conf/benchmark/<name>.yaml with values set by ``overrides`` (``benchmark.root=...``)."""
    (node,) = compose_config([f"benchmark={name}", *overrides]).benchmarks.values()
    benchmark: Benchmark = instantiate(node)
    return benchmark


def _of_benchmarks(override: str) -> str:
    """An override as it is, or of the benchmarks where it is not one of the root's."""
    ((key, prefix),) = ((one.key_or_group, prefix_of(one)) for one in parsed([override]))
    if key in OF_THE_ROOT or key.startswith(("benchmark.", "benchmark/", "benchmarks.", "hydra.")):
        return override
    return f"{prefix}benchmark.{override.removeprefix(prefix)}"


def _check_one(benchmark: Benchmark) -> bool:
    """Print one report; True when the set is sound."""
    print(f"{benchmark.source.title} ({benchmark.name}) at {benchmark.folder}")
    try:
        report = _inspect_with_progress(benchmark)
    except DataError as error:
        print(f"  not usable: {error}")
        _print_source(benchmark.source)
        return False
    _print_report(report)
    _print_source(benchmark.source)
    print(f"  verdict    {'sound' if report.sound else 'not sound: see above'}")
    return report.sound


def _inspect_with_progress(benchmark: Benchmark) -> Report:
    columns = ("  decoding", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("decoding", total=benchmark.source.count)
        return inspect(benchmark, on_image=lambda: progress.advance(task))


def _print_report(report: Report) -> None:
    total = sum(report.counts.values())
    counts = ", ".join(
        f"{split} {report.counts[split]:,}" for split in ("train", "val", "test", "-") if split in report.counts
    )
    low, high = report.scale_range
    print(f"  labels     {total:,} images ({counts}); standard deviation known for {report.with_std:,}")
    print(
        f"  scores     {report.native_range[0]:g} to {report.native_range[1]:g} of {low:g} to {high:g}, "
        f"{report.direction.replace('_', ' ')}; on 1-5: {report.mos_range[0]:.2f} to {report.mos_range[1]:.2f}"
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
