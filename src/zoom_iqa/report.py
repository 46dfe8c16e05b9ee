"""Pages and tables of runs: ``python -m zoom_iqa.report run FOLDER``, ``... table1 RUN...``, ``... table3 MULTIRUN``.

``run`` writes one HTML file that needs nothing else: figures, charts, and every answer with its picture.
``table1`` takes folders of zoom_iqa.evaluate or zoom_iqa.train as FOLDER or NAME=FOLDER; runs of one name share a row.
``table3`` takes the folder of ``python -m zoom_iqa.train -m +sweep=table3``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from PIL.Image import Image

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.config.commands import expected_errors
from zoom_iqa.config.kept_images import judged_images
from zoom_iqa.reports.ablation import ablation_table, read_multirun
from zoom_iqa.reports.benchmarks import PLCC_KINDS, benchmark_table, merged
from zoom_iqa.reports.contents import kept_rollouts, read_contents
from zoom_iqa.reports.pictures import pictures_within
from zoom_iqa.reports.rendering import FORMATS, TextTable
from zoom_iqa.reports.run_page import PICTURE_CHARACTERS, page_of, wanted_pictures
from zoom_iqa.reports.runs import read_run


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
    made: TextTable | Path = options.make(options)
    if isinstance(made, Path):
        return f"{made} ({made.stat().st_size / 1e6:.1f} MB)\n"
    return FORMATS[options.format](made)


def _run(options: argparse.Namespace) -> Path:
    contents = read_contents(options.folder)
    loaders, notes = _loaders(options.folder / "config.yaml")
    wanted = wanted_pictures(contents, loaders)
    with ProgressLine("pictures", total=len(wanted)) as line:
        pictures = pictures_within(PICTURE_CHARACTERS, wanted, advance=line.advance) if wanted else {}
    page = page_of(contents, kept_rollouts(options.folder), pictures, notes)
    return _written(options.output or options.folder / "report.html", page)


def _loaders(config: Path) -> tuple[Mapping[str, Callable[[], Image | None]], list[str]]:
    """What loads the images that a run judged; none, and a note that says why, where they are not here."""
    try:
        return judged_images(config), []
    except DataError as error:
        return {}, [f"There are no pictures: {error}."]


def _written(path: Path, page: str) -> Path:
    try:
        with whole_text_file(path) as file:
            file.write(page)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; give another file with --output") from error
    return path


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
        description="Pages of runs, and tables of the paper with our rows.",
        epilog="example:\n  python -m zoom_iqa.report table1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tables = parser.add_subparsers(required=True, metavar="KIND")
    run = tables.add_parser("run", help="a run as one HTML file: figures, charts, and every answer with its picture")
    run.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of a run, finished or at a later stage")
    run.add_argument("--output", type=Path, metavar="FILE", help="the page; report.html in the folder unless given")
    run.set_defaults(make=_run)
    table1 = tables.add_parser("table1", help="PLCC / SRCC on benchmarks beside published figures, of runs")
    table1.add_argument("runs", nargs="*", metavar="[NAME=]FOLDER", help="run folders; none shows what is published")
    table1.add_argument("--plcc", choices=PLCC_KINDS, default="raw", help="which PLCC of ours is shown")
    table1.set_defaults(make=_table1)
    table3 = tables.add_parser("table3", help="the ablation over seeds, of a run of train -m +sweep=table3")
    table3.add_argument("multirun", type=Path, metavar="FOLDER", help="the folder of a multirun")
    table3.set_defaults(make=_table3)
    for table in (table1, table3):
        table.add_argument("--format", choices=FORMATS, default="markdown")
    return parser


if __name__ == "__main__":
    main()
