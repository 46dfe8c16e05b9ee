"""Pages and tables of runs: ``python -m zoom_iqa.report run FOLDER``, ``... table1 RUN...``, ``... table3 MULTIRUN``.

``run`` writes one HTML file that needs nothing else: figures, charts, and every answer with its picture.
``table1`` takes folders of zoom_iqa.evaluate or zoom_iqa.train as FOLDER or NAME=FOLDER; runs of one name share a row.
``table3`` takes the folder of ``python -m zoom_iqa.train -m +sweep=table3``.
``human`` takes folders of zoom_iqa.evaluate with views=[image,caption], as ``table1`` does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import wandb

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.config.commands import expected_errors
from zoom_iqa.config.run_report import runs_in, write_comparison, write_report
from zoom_iqa.reports.ablation import ablation_table, read_multirun
from zoom_iqa.reports.benchmarks import PLCC_KINDS, benchmark_table, merged
from zoom_iqa.reports.human_like import human_like_table
from zoom_iqa.reports.judged import judged_table, read_judged
from zoom_iqa.reports.rendering import FORMATS, TextTable
from zoom_iqa.reports.runs import read_run
from zoom_iqa.reports.workspace import workspace


def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    with expected_errors():
        print(report(sys.argv[1:]), end="")


def report(arguments: Sequence[str]) -> str:
    """What a command line asks for, as text: a table, or where a page lies.

    Raises:
        ConfigError: an argument is wrong, or a page cannot be written.
        DataError: a folder is not a finished run's, or runs do not go together.
    """
    options = _parser().parse_args(arguments)
    made: TextTable | Path | str = options.make(options)
    if isinstance(made, Path):
        return f"{made} ({made.stat().st_size / 1e6:.1f} MB)\n"
    return FORMATS[options.format](made) if isinstance(made, TextTable) else made


def _run(options: argparse.Namespace) -> Path:
    return write_report(options.folder, options.output)


def _compare(options: argparse.Namespace) -> Path:
    named: list[tuple[str, Path]] = []
    for name, folder in map(_named, options.runs):
        runs = runs_in(folder)
        if not runs:
            raise DataError(f"{folder} holds no run with figures; give the folders of runs, or that of a multirun")
        single = runs == [folder]
        named += [(name, folder)] if single else [(str(run.relative_to(folder)), run) for run in runs]
    return write_comparison(named, options.output)


def _workspace(options: argparse.Namespace) -> str:
    made = workspace(entity=options.entity, project=options.project)
    try:
        made.save()
    except wandb.errors.Error as error:
        raise ConfigError(
            f"the workspace cannot be saved ({' '.join(str(error).split())}); run `wandb login`, with a network"
        ) from error
    return f"{made.url}\n"


def _table1(options: argparse.Namespace) -> TextTable:
    runs = [(name, read_run(path)) for name, path in map(_named, options.runs)]
    rows = merged([(name, run.by_dataset) for name, run in runs])
    remarks = [f"{name}: {run.description}" for name, run in runs]
    return benchmark_table(rows, plcc=options.plcc, paired=options.format != "csv", remarks=remarks)


def _human(options: argparse.Namespace) -> TextTable:
    runs = [(name, read_run(path)) for name, path in map(_named, options.runs)]
    rows = merged([(name, run.by_dataset) for name, run in runs])
    return human_like_table(rows, remarks=[f"{name}: {run.description}" for name, run in runs])


def _table2(options: argparse.Namespace) -> TextTable:
    return judged_table([read_judged(folder) for folder in options.folders])


def _table3(options: argparse.Namespace) -> TextTable:
    return ablation_table(*read_multirun(options.multirun))


def _named(argument: str) -> tuple[str, Path]:
    """NAME=FOLDER; a folder alone gives the row its own name."""
    name, equals, folder = argument.partition("=")
    if not equals or Path(argument).is_dir():
        return Path(argument).resolve().name, Path(argument)
    return name, Path(folder)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as for every mistake."""
        raise ConfigError(f"{message}; {self.prog} --help shows what can be given")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m zoom_iqa.report",
        description="Pages of runs, and tables of the paper with our rows.",
        epilog="example:\n  python -m zoom_iqa.report table1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    run = kinds.add_parser("run", help="a run as one HTML file: figures, charts, and every answer with its picture")
    run.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of a run, finished or at a later stage")
    run.add_argument("--output", type=Path, metavar="FILE", help="the page; report.html in the folder unless given")
    run.set_defaults(make=_run)
    compare = kinds.add_parser("compare", help="runs side by side as one HTML file")
    compare.add_argument("runs", nargs="+", metavar="[NAME=]FOLDER", help="folders of runs, or of a multirun")
    compare.add_argument("--output", type=Path, metavar="FILE", default=Path("compare.html"), help="the page")
    compare.set_defaults(make=_compare)
    table1 = kinds.add_parser("table1", help="PLCC / SRCC on benchmarks beside published figures, of runs")
    table1.add_argument("runs", nargs="*", metavar="[NAME=]FOLDER", help="run folders; none shows what is published")
    table1.add_argument("--plcc", choices=PLCC_KINDS, default="raw", help="which PLCC of ours is shown")
    table1.set_defaults(make=_table1)
    table2 = kinds.add_parser("table2", help="grades of reasoning beside published ones, of folders of zoom-iqa judge")
    table2.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="none shows what is published")
    table2.set_defaults(make=_table2)
    table3 = kinds.add_parser("table3", help="the ablation over seeds, of a run of train -m +sweep=table3")
    table3.add_argument("multirun", type=Path, metavar="FOLDER", help="the folder of a multirun")
    table3.set_defaults(make=_table3)
    space = kinds.add_parser("workspace", help="save the charts of a project's workspace at Weights & Biases")
    space.add_argument("--entity", required=True, help="the user or team at Weights & Biases")
    space.add_argument("--project", default="zoom_iqa", help="the project that runs are logged to")
    space.set_defaults(make=_workspace)
    human = kinds.add_parser("human", help="judging from words alone, and likeness to what people wrote, of runs")
    human.add_argument("runs", nargs="*", metavar="[NAME=]FOLDER", help="runs of evaluate with views=[image,caption]")
    human.set_defaults(make=_human)
    for table in (table1, table2, table3, human):
        table.add_argument("--format", choices=FORMATS, default="markdown")
    return parser


if __name__ == "__main__":
    main()
