"""Several runs on one page: their figures with intervals, curves over each other, and the images they disagree on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from PIL.Image import Image

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.printable import printable
from zoom_iqa.base.record_labels import changed_labels
from zoom_iqa.base.records import Record
from zoom_iqa.evaluation.figures import ImageRatings
from zoom_iqa.reports.answers import key_of, visible
from zoom_iqa.reports.contents import Judged, RunContents, last_of_each, read_contents
from zoom_iqa.reports.curves import PANELS, charts_of
from zoom_iqa.reports.findings import Finding, change
from zoom_iqa.reports.html import as_script_text, filled, finding_item, note_items, table_cell
from zoom_iqa.reports.pictures import Picture, Wanted
from zoom_iqa.reports.sweep import FIGURES, config_value, differing, values_of

DISAGREED = 40
"""Images shown: those on which ratings of the runs lie farthest apart."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A run under the name it is given, with the evaluation that it is compared by: its last on ``dataset``."""

    name: str
    contents: RunContents
    judged: Judged


def compared(named: Sequence[tuple[str, Path]]) -> list[Compared]:
    """Read runs, each by its last evaluation on one data set: of those that all were judged on the first run's last.

    Raises:
        DataError: a folder is not a finished run's, two runs share a name, no data set is one of all, or one was judged
            with other labels of the same images.
    """
    names = [name for name, _ in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{', '.join(twice)}: runs share a name; give them different ones (NAME=FOLDER)")
    found = [(name, read_contents(path)) for name, path in named]
    shared = _shared(found)
    if not shared:
        each = "; ".join(f"{name} on {', '.join(_datasets(run))}" for name, run in found)
        raise DataError(f"runs were judged on no data set in common ({each}); compare runs of one data set")
    dataset = shared[-1]
    runs = [Compared(name=name, contents=run, judged=_judged_on(dataset, run)) for name, run in found]
    for other in runs[1:]:
        changed = changed_labels(_firsts(runs[0]), [record.example for record in _firsts(other)])
        if changed:
            raise DataError(
                f"{runs[0].name} (then) and {other.name} (now) were judged by other labels of {dataset}; evaluate one "
                "again, with the labels of the other",
                changed,
            )
    return runs


def _firsts(run: Compared) -> list[Record]:
    """The first answer about each image."""
    return [image.trajectories[0] for image in run.judged.images]


def _keys(run: Compared) -> set[str]:
    return {key_of(record) for record in _firsts(run)}


def disagreed(runs: Sequence[Compared]) -> list[dict[str, Any]]:
    """The images that most runs differ on, farthest first: their opinion score and the rating of each run.

    A method with a scale of its own says nothing of how far apart ratings are: it counts nowhere, and has no rating.
    """
    by_key: dict[str, dict[str, ImageRatings]] = {}
    for run in (run for run in runs if run.judged.on_mos_scale):
        for image in run.judged.images:
            by_key.setdefault(key_of(image.trajectories[0]), {})[run.name] = image
    rows: list[dict[str, Any]] = []
    for key, images in by_key.items():
        ratings = {name: image.rating for name, image in images.items() if image.rating is not None}
        if len(ratings) > 1:
            example = next(iter(images.values())).trajectories[0].example
            spread = max(ratings.values()) - min(ratings.values())
            row = {"key": key, "id": visible(example.id), "mos": example.mos, "spread": spread}
            rows.append({**row, "ratings": [ratings.get(run.name, _why_none(run, images)) for run in runs]})
    return sorted(rows, key=lambda row: -row["spread"])[:DISAGREED]


def _why_none(run: Compared, judges: Collection[str]) -> str:
    """Why no rating of a run stands beside those of others; ``judges`` are those that were asked."""
    if not run.judged.on_mos_scale:
        return "own scale"
    return "unreadable" if run.name in judges else "not judged"


def wanted_of(rows: Sequence[Mapping[str, Any]], loaders: Mapping[str, Callable[[], Image | None]]) -> list[Wanted]:
    """The pictures of images that runs disagree on."""
    return [Wanted(key=row["key"], load=loaders[row["key"]], boxes=()) for row in rows if row["key"] in loaders]


def comparison_page(
    runs: Sequence[Compared],
    rows: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, Picture],
    notes: Sequence[str],
) -> str:
    """The page as HTML; ``rows`` are those of ``disagreed``, ``notes`` say what it does without."""
    first = runs[0]
    findings = [change(_named(first), _named(run)) for run in runs[1:]]
    title = f"{len(runs)} runs on {first.judged.dataset}"
    return filled(
        "compare.html",
        scripts=("plotly-basic.min.js", "charts.js", "gallery.js", "compare.js"),
        title=escape(printable(title)),
        findings="\n".join(map(finding_item, _best_first(findings))),
        table=_table(runs),
        differences=_differences(runs),
        notes=note_items([*notes, *_others(runs), *_counts(runs), *_off_scale(runs)]),
        data=as_script_text(
            {
                "runs": [_run_data(run) for run in runs],
                "charts": _charts(runs),
                "disagreed": list(rows),
                "pictures": {key: asdict(picture) for key, picture in pictures.items()},
            }
        ),
    )


def _counts(runs: Sequence[Compared]) -> list[str]:
    keys = [_keys(run) for run in runs]
    if all(own == keys[0] for own in keys):
        return []
    said = ", ".join(f"{len(own):,}" for own in keys)
    shared = len(set.intersection(*keys))
    return [
        f"Runs were judged on different images ({said}, {shared:,} of them by all): figures in the table are of each "
        "run's own."
    ]


def _off_scale(runs: Sequence[Compared]) -> list[str]:
    names = ", ".join(run.name for run in runs if not run.judged.on_mos_scale)
    return [f"Scores of {names} are on a scale of their own and stand beside no rating of an image."] if names else []


def _named(run: Compared) -> Judged:
    """A run's evaluation under the name that the run is given."""
    return replace(run.judged, name=run.name)


def _datasets(run: RunContents) -> list[str]:
    return [judged.dataset for judged in last_of_each(run.judged)]


def _shared(found: Sequence[tuple[str, RunContents]]) -> list[str]:
    """The data sets that all runs were judged on, in the first one's order."""
    return [one for one in _datasets(found[0][1]) if all(one in _datasets(run) for _, run in found)]


def _others(runs: Sequence[Compared]) -> list[str]:
    names = ", ".join(_shared([(run.name, run.contents) for run in runs])[:-1])
    return [f"All were judged on {names} too, which `zoom-iqa report table1` shows."] if names else []


def _judged_on(dataset: str, run: RunContents) -> Judged:
    return next(judged for judged in reversed(run.judged) if judged.dataset == dataset)


def _best_first(findings: Sequence[Finding]) -> list[Finding]:
    order = {"good": 0, "watch": 1, "plain": 2}
    return sorted(findings, key=lambda finding: order[finding.kind])


def _run_data(run: Compared) -> dict[str, Any]:
    figures = run.judged.figures
    return {
        "name": visible(run.name),
        "on_scale": run.judged.on_mos_scale,
        "figures": {key: figures.get(key) for key in ("srcc", "plcc", "srcc_interval", "plcc_interval")},
        "points": [
            [round(image.trajectories[0].example.mos, 3), round(image.rating, 3)]
            for image in run.judged.images
            if image.rating is not None
        ],
    }


def _charts(runs: Sequence[Compared]) -> list[dict[str, Any]]:
    """A chart a figure and stage, a line a run; in the order of the panels."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    titles = [panel.title for panel in PANELS]
    for run in runs:
        for stage, rows in run.contents.logs.items():
            for chart in charts_of(rows):
                for series in chart.series:
                    place = lines.setdefault(
                        (stage, series.name),
                        {"title": f"{stage}: {series.name}", "unit": chart.unit, "series": [], "panel": chart.title},
                    )
                    place["series"].append({**asdict(series), "name": visible(run.name)})
    return sorted(lines.values(), key=lambda line: titles.index(line["panel"]))


def _table(runs: Sequence[Compared]) -> str:
    """A row a run; the highest SRCC is marked, and figures that no run has are left out."""
    found = [run.judged.figures["srcc"] for run in runs]
    best = max((value for value in found if isinstance(value, float)), default=None)
    kept = {title: key for title, key in FIGURES.items() if any(key in run.judged.figures for run in runs)}
    rows = []
    for run in runs:
        cells = "".join(f"<td>{escape(table_cell(run.judged.figures, key))}</td>" for key in kept.values())
        marked = ' class="best"' if best is not None and run.judged.figures["srcc"] == best else ""
        rows.append(f'<tr{marked}><th scope="row">{escape(printable(run.name))}</th>{cells}</tr>')
    return _rows(["run", *kept], rows)


def _differences(runs: Sequence[Compared]) -> str:
    """A row for each value of the configs in which runs differ."""
    configs = [values_of(run.contents.run) for run in runs]
    rows = []
    for key in differing([run.contents.run for run in runs]):
        cells = "".join(f"<td>{escape(printable(config_value(config.get(key))))}</td>" for config in configs)
        rows.append(f'<tr><th scope="row">{escape(printable(key))}</th>{cells}</tr>')
    return _rows(["", *(run.name for run in runs)], rows) if rows else "<p>Their configs are the same.</p>"


def _rows(head: Sequence[str], rows: Sequence[str]) -> str:
    titles = "".join(f"<th>{escape(printable(title))}</th>" for title in head)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
