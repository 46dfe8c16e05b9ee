"""The page of a run, from its folder: the pictures come from the data sets that its config names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL.Image import Image

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.config.kept_images import judged_images
from zoom_iqa.reports.compare_page import compared, comparison_page, disagreed, wanted_of
from zoom_iqa.reports.contents import RunContents, kept_rollouts, read_contents
from zoom_iqa.reports.files import check_page, write_page
from zoom_iqa.reports.pictures import pictures_within
from zoom_iqa.reports.run_page import PICTURE_CHARACTERS, page_of, wanted_pictures
from zoom_iqa.reports.runs import read_run

REPORT = "report.html"


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Write the page of the run in ``folder``, there or to ``output``; returns where it is.

    Raises:
        OutputError: nothing can be written there.
        DataError: the folder is not a run's, a file of it is damaged, or it has no figures yet.
    """
    read_run(folder)  # a name that is mistyped is no place to write to
    output = folder / REPORT if output is None else output
    check_page(output)
    contents = read_contents(folder)
    _require_ratings(contents)
    loaders, notes = _loaders(folder / "config.yaml")
    wanted = wanted_pictures(contents, loaders)
    with ProgressLine("pictures", total=len(wanted)) as line:
        pictures = pictures_within(PICTURE_CHARACTERS, wanted, advance=line.advance) if wanted else {}
    page = page_of(contents, kept_rollouts(folder), pictures, notes)
    write_page(page, output)
    return output


def write_comparison(named: Sequence[tuple[str, Path]], output: Path) -> Path:
    """Write the page of several runs side by side to ``output``; returns where it is.

    Raises:
        OutputError: nothing can be written there.
        DataError: a folder is not a run's, or the runs do not go together.
    """
    check_page(output)
    runs = compared(named)
    for run in runs:
        _require_ratings(run.contents)
    rows = disagreed(runs)
    loaders, notes = _loaders(named[0][1] / "config.yaml")
    wanted = wanted_of(rows, loaders)
    pictures = pictures_within(PICTURE_CHARACTERS // 2, wanted) if wanted else {}
    write_page(comparison_page(runs, rows, pictures, notes), output)
    return output


def _require_ratings(contents: RunContents) -> None:
    """Pass a run that a page can show."""
    if any(judged.compares for judged in contents.judged):
        folder = contents.run.path
        raise DataError(
            f"{folder} compares images, and the page shows ratings; its overview.png has figures, and "
            f"`zoom-iqa report preferences {folder}` a table"
        )


def runs_in(folder: Path) -> list[Path]:
    """The runs that a folder stands for: itself, or of the folder of a multirun those below it that have figures."""
    if (folder / "config.yaml").is_file():
        return [folder]
    return sorted(path.parent for path in folder.rglob("metrics.json") if (path.parent / "config.yaml").is_file())


def _loaders(config: Path) -> tuple[Mapping[str, Callable[[], Image | None]], list[str]]:
    """Loaders of the images that a run judged; none, and a note that says why, where they are not here."""
    try:
        return judged_images(config), []
    except DataError as error:
        return {}, [f"There are no pictures: {error}."]
