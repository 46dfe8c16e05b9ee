"""Pages and tables of runs: ``zoom-iqa report run FOLDER``, ``... table1 RUN...``, ``... table3 MULTIRUN``.

``run`` writes one HTML file that needs nothing else: figures, charts, and every image with its answer.
``table1`` takes folders of zoom_iqa.evaluate or zoom_iqa.train as FOLDER or NAME=FOLDER; runs of one name share a row.
``judges`` takes two folders of ``zoom-iqa judge`` about the same predictions.
``table3`` takes the folder of ``python -m zoom_iqa.train -m +sweep=table3`` or of ``experiments/ablation/run.sh``.
``human`` takes folders of zoom_iqa.evaluate with views=[image,caption], as ``table1`` does.
``preferences`` takes folders of task=compare, and of ratings of single images, which become choices.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.config.help import asks_for_help
from zoom_iqa.config.late import run_after_help, told_output
from zoom_iqa.config.options import Kind, call_kind, one_of
from zoom_iqa.reports.benchmarks import PLCC_KINDS
from zoom_iqa.reports.rendering import FORMATS

if TYPE_CHECKING:
    from zoom_iqa.reports.rendering import TextTable
    from zoom_iqa.reports.runs import FinishedRun

SUMMARY = "Pages of runs, and tables of the paper with our rows."
EXAMPLE = "zoom-iqa report table1"

Named = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME=]FOLDER ...", help="folders of runs; none shows what is published")
]
Format = Annotated[str, typer.Option("--format", metavar="NAME", help=" ".join(FORMATS))]
Table = Callable[[], "TextTable"]


@told_output()
def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    if asks_for_help(sys.argv[1:]):
        report(sys.argv[1:])
        return
    run_after_help(lambda: print(report(sys.argv[1:]), end=""))


def report(arguments: Sequence[str]) -> str:
    """The answer to a command line, as text: a table, or where a page lies; nothing where that was help.

    Raises:
        ConfigError: an argument is wrong, or a page cannot be written.
        DataError: a folder is not a finished run's, or runs do not go together.
    """
    return call_kind(KINDS, arguments, name="report", summary=SUMMARY, example=EXAMPLE) or ""


def _run(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="the folder of a run, at any stage")],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the page; report.html in the folder unless given")
    ] = None,
) -> str:
    from zoom_iqa.config.run_report import write_report

    _refuse_empty(folder, folder)
    return _written(write_report(Path(folder), output))


def _compare(
    runs: Annotated[list[str], typer.Argument(metavar="[NAME=]FOLDER ...", help="folders of runs, or of a multirun")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="the page; compare.html unless given")] = Path(
        "compare.html"
    ),
) -> str:
    from zoom_iqa.config.run_report import runs_in, write_comparison

    read = [(name, folder, runs_in(folder)) for name, folder in map(_named, runs)]
    multiruns = [folder for _, folder, found in read if found != [folder]]
    named: list[tuple[str, Path]] = []
    for name, folder, found in read:
        if not found:
            raise DataError(f"{folder} holds no run with figures; give the folders of runs, or that of a multirun")
        if found == [folder]:
            named.append((name, folder))
            continue
        # every multirun numbers its jobs from 0: what is given as NAME, and each of several, stays in the name
        prefix = f"{name}/" if len(multiruns) > 1 or name != folder.resolve().name else ""
        named += [(f"{prefix}{run.relative_to(folder)}", run) for run in found]
    return _written(write_comparison(named, output))


def _table1(
    runs: Named = None,
    plcc: Annotated[str, typer.Option(metavar="KIND", help=f"which PLCC of ours: {' '.join(PLCC_KINDS)}")] = "raw",
    form: Format = "markdown",
) -> str:
    from zoom_iqa.reports.benchmarks import benchmark_table, merged

    one_of("--plcc", plcc, PLCC_KINDS)
    found = _read(runs)

    def table() -> TextTable:
        rows = merged([(name, run.rated) for name, run in found])
        return benchmark_table(rows, plcc=plcc, paired=form != "csv", remarks=_remarks(found))

    return _rendered(table, form)


def _table2(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="FOLDER ...", help="of zoom-iqa judge; none shows what is published")
    ] = None,
    form: Format = "markdown",
) -> str:
    from zoom_iqa.reports.judged import judged_table, read_judged

    return _rendered(
        lambda: judged_table([read_judged(folder) for folder in folders or ()], paired=form != "csv"), form
    )


def _judges(
    one: Annotated[Path, typer.Argument(metavar="A", help="a folder of zoom-iqa judge")],
    other: Annotated[Path, typer.Argument(metavar="B", help="another judge's, about the same predictions")],
    form: Format = "markdown",
) -> str:
    from zoom_iqa.reports.judges import judges_table

    return _rendered(lambda: judges_table([one, other]), form)


def _table3(
    multirun: Annotated[Path, typer.Argument(metavar="FOLDER", help="the folder that holds its runs")],
    form: Format = "markdown",
) -> str:
    from zoom_iqa.reports.ablation import ablation_table, read_multirun

    return _rendered(lambda: ablation_table(*read_multirun(multirun)), form)


def _workspace(
    entity: Annotated[str, typer.Option(metavar="NAME", help="the user or team at Weights & Biases")],
    project: Annotated[str, typer.Option(metavar="NAME", help="that runs are logged to; zoom_iqa unless given")] = (
        "zoom_iqa"
    ),
) -> str:
    import wandb

    from zoom_iqa.reports.workspace import workspace

    made = workspace(entity=entity, project=project)
    try:
        made.save()
    except wandb.errors.Error as error:
        raise ConfigError(
            f"the workspace cannot be saved ({' '.join(str(error).split())}); run `wandb login`, with a network"
        ) from error
    return f"{made.url}\n"


def _human(runs: Named = None, form: Format = "markdown") -> str:
    from zoom_iqa.reports.benchmarks import merged
    from zoom_iqa.reports.human_like import human_like_table

    found = _read(runs)
    rows = merged([(name, run.rated) for name, run in found])
    return _rendered(lambda: human_like_table(rows, remarks=_remarks(found)), form)


def _preferences(
    runs: Named = None,
    pairs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="a run of task=compare, on whose pairs ratings are compared")
    ] = None,
    band: Annotated[float, typer.Option(metavar="NUMBER", help="ratings that differ by no more are similar")] = 0.0,
    form: Format = "markdown",
) -> str:
    from zoom_iqa.reports.preferences import preference_table

    if not band >= 0:
        raise ConfigError(f"--band={band} must be 0 or more")
    return _rendered(lambda: preference_table(list(map(_named, runs or ())), pairs=pairs, band=band), form)


def _read(runs: Sequence[str] | None) -> list[tuple[str, FinishedRun]]:
    from zoom_iqa.reports.runs import read_run

    return [(name, read_run(path)) for name, path in map(_named, runs or ())]


def _remarks(runs: Sequence[tuple[str, FinishedRun]]) -> list[str]:
    return [f"{name}: {run.description}" for name, run in runs]


def _rendered(table: Table, form: str) -> str:
    return FORMATS[one_of("--format", form, FORMATS)](table())


def _written(page: Path) -> str:
    return f"{page} ({page.stat().st_size / 1e6:.1f} MB)\n" if page.is_file() else ""


def _named(argument: str) -> tuple[str, Path]:
    """NAME=FOLDER; a folder alone gives the row its own name."""
    name, equals, folder = argument.partition("=")
    if not equals or Path(argument).is_dir():
        _refuse_empty(argument, argument)
        return Path(argument).resolve().name, Path(argument)
    _refuse_empty(argument, name, folder)
    return name, Path(folder)


def _refuse_empty(argument: str, *parts: str) -> None:
    if not all(parts):
        raise ConfigError(f"{argument!r}: a name is empty, as that of an unset variable is; give FOLDER or NAME=FOLDER")


KINDS = {
    "run": Kind(
        function=_run,
        summary="a run as one HTML file: figures, charts, and every image with its answer",
        example="zoom-iqa report run runs/quickstart/DATE",
    ),
    "compare": Kind(
        function=_compare,
        summary="runs side by side as one HTML file",
        example="zoom-iqa report compare before=runs/a after=runs/b",
    ),
    "table1": Kind(
        function=_table1,
        summary="PLCC / SRCC on benchmarks beside published figures, of runs",
        example="zoom-iqa report table1",
    ),
    "table2": Kind(
        function=_table2,
        summary="grades of reasoning beside published ones, of folders of zoom-iqa judge",
        example="zoom-iqa report table2",
    ),
    "judges": Kind(
        function=_judges,
        summary="agreement of two judges and the cost of each, of two folders of zoom-iqa judge",
        example="zoom-iqa report judges judged_a judged_b",
    ),
    "table3": Kind(
        function=_table3,
        summary="the ablation over seeds, of train -m +sweep=table3 or experiments/ablation",
        example="zoom-iqa report table3 runs/table3/DATE",
    ),
    "workspace": Kind(
        function=_workspace,
        summary="save the charts of a project's workspace at Weights & Biases",
        example="zoom-iqa report workspace --entity team",
    ),
    "human": Kind(
        function=_human,
        summary="judging from words alone, and likeness to what people wrote, of runs",
        example="zoom-iqa report human",
    ),
    "preferences": Kind(
        function=_preferences,
        summary="choices between two images, beside SRIQA-Bench's published figures",
        example="zoom-iqa report preferences",
    ),
}


if __name__ == "__main__":
    main()
