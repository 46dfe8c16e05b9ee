"""The body of ``zoom_iqa.data``: checks benchmarks, and prints what was found."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.printable import printable
from zoom_iqa.config import own_labels
from zoom_iqa.config.checks import check_config, check_read, hint
from zoom_iqa.config.command_line import overrides_of, require_benchmarks, with_benchmarks
from zoom_iqa.config.commands import run_command
from zoom_iqa.config.composition import composed, parsed, prefix_of
from zoom_iqa.config.conversions import convert
from zoom_iqa.config.help import CHECK_USAGE
from zoom_iqa.data.benchmarks import Benchmark, Source
from zoom_iqa.data.benchmarks.check import Report, finding_text, inspect

OF_THE_ROOT = (*own_labels.KEYS, "benchmark")


def run() -> None:
    """The command, when its help was not asked for."""
    command = convert if sys.argv[1:2] == ["convert"] else check
    run_command(lambda: command(sys.argv[1:]))


def check(arguments: Sequence[str]) -> None:
    """Check each named benchmark and print what was found.

    Raises:
        ConfigError: the arguments are wrong.
        SystemExit: status 1 when a set is not sound.
    """
    if not arguments or arguments[0] != "check":
        raise ConfigError(f"usage: {CHECK_USAGE}")
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
    overrides = overrides_of(arguments)
    _refuse_unknown_keys(overrides)
    cfg = composed("check", with_benchmarks([_of_benchmarks(override) for override in overrides]))
    own_labels.check(cfg)
    check_config(cfg)
    check_read(cfg, read=(*own_labels.KEYS, "benchmarks"))
    require_benchmarks(cfg, CHECK_USAGE)
    return cfg


def _refuse_unknown_keys(overrides: Sequence[str]) -> None:
    """Pass overrides whose keys the root has or a benchmark: an error names a key as it was typed.

    Raises:
        ConfigError: there is no such key.
    """
    given = parsed(overrides)
    for one in given:
        if one.key_or_group == "split":
            raise ConfigError(f"{one.input_line}: a check looks at every split; leave it out")
    typed = [one.key_or_group for one in given if not prefix_of(one) and not _is_of_the_root(one.key_or_group)]
    names = [str(one.input_line) for one in given if one.key_or_group in (*OF_THE_ROOT, "hydra.searchpath")]
    for node in composed("check", with_benchmarks(names)).benchmarks.values() if typed else ():
        for key in typed:
            if (part := key.partition(".")[0]) not in node:
                valid = [*OF_THE_ROOT, *(str(name) for name in node if not str(name).startswith("_"))]
                raise ConfigError(f"{part}: there is no such key{hint(part, valid)}")


def _is_of_the_root(key: str) -> bool:
    return key in OF_THE_ROOT or key.startswith(("benchmark.", "benchmark/", "benchmarks.", "hydra."))


def _of_benchmarks(override: str) -> str:
    """An override as it is, or of the benchmarks where it is not one of the root's."""
    ((key, prefix),) = ((one.key_or_group, prefix_of(one)) for one in parsed([override]))
    return override if _is_of_the_root(key) else f"{prefix}benchmark.{override.removeprefix(prefix)}"


def _check_one(benchmark: Benchmark) -> bool:
    """Print one report; True when the set is sound."""
    print(printable(f"{benchmark.source.title} ({benchmark.name}) at {benchmark.folder}"))
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
        print(finding_text(finding))


def _print_source(source: Source) -> None:
    print(f"  source     {source.homepage} (licence: {source.licence})")
    print(f"  cite       {source.citation}")
    for step in source.download:
        print(f"  download   {step}")
