"""Tables of the paper with our rows: ``python -m zoom_iqa.report table1 RUN...`` and ``... table3 MULTIRUN``.

``table1`` takes folders of zoom_iqa.evaluate or zoom_iqa.train as FOLDER or NAME=FOLDER; runs of one name share a row.
``table3`` takes the folder of ``python -m zoom_iqa.train -m +sweep=table3``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.commands import expected_errors
from zoom_iqa.reports.ablation import ablation_table, read_multirun
from zoom_iqa.reports.benchmarks import PLCC_KINDS, benchmark_table, merged
from zoom_iqa.reports.rendering import FORMATS, TextTable
from zoom_iqa.reports.runs import read_run


def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    with expected_errors():
        print(report(sys.argv[1:]), end="")


def report(arguments: Sequence[str]) -> str:
    """The table that a command line asks for, as text.

    Raises:
        ConfigError: an argument is wrong.
        DataError: a folder is not a finished run's, or runs do not go together.
    """
    options = _parser().parse_args(arguments)
    table: TextTable = options.table(options)
    return FORMATS[options.format](table)


def _table1(options: argparse.Namespace) -> TextTable:
    runs = [(name, read_run(path)) for name, path in map(_named, options.runs)]
    rows = merged([(name, run.by_dataset) for name, run in runs])
    remarks = [f"{name}: {run.description}" for name, run in runs]
    return benchmark_table(rows, plcc=options.plcc, paired=options.format != "csv", remarks=remarks)


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
        description="Tables of the paper with our rows.",
        epilog="example:\n  python -m zoom_iqa.report table1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tables = parser.add_subparsers(required=True, metavar="TABLE")
    table1 = tables.add_parser("table1", help="PLCC / SRCC on benchmarks beside published figures, of runs")
    table1.add_argument("runs", nargs="*", metavar="[NAME=]FOLDER", help="run folders; none shows what is published")
    table1.add_argument("--plcc", choices=PLCC_KINDS, default="raw", help="which PLCC of ours is shown")
    table1.set_defaults(table=_table1)
    table3 = tables.add_parser("table3", help="the ablation over seeds, of a run of train -m +sweep=table3")
    table3.add_argument("multirun", type=Path, metavar="FOLDER", help="the folder of a multirun")
    table3.set_defaults(table=_table3)
    for table in (table1, table3):
        table.add_argument("--format", choices=FORMATS, default="markdown")
    return parser


if __name__ == "__main__":
    main()
