"""The page of a run: one HTML file that needs nothing else, from a folder's contents and small pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

import yaml
from PIL.Image import Image

from zoom_iqa.base.printable import printable
from zoom_iqa.base.records import Record
from zoom_iqa.evaluation.table import FIGURES, titles_of
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.metrics.undefined import value_or_none
from zoom_iqa.reports.answers import answer_row, expected_and_single, key_of, most_telling_first, rollout_row
from zoom_iqa.reports.contents import Judged, RunContents, last_of_each
from zoom_iqa.reports.curves import charts_of
from zoom_iqa.reports.findings import findings_of
from zoom_iqa.reports.html import as_script_text, filled, finding_item, note_items, table_cell
from zoom_iqa.reports.pictures import Picture, Wanted

PICTURE_CHARACTERS = 2_300_000
TEXT_CHARACTERS = 1_000_000
"""The room on a page for pictures and for texts of models; beside them lies a megabyte of plotting library."""
ROLLOUTS = 80
"""Kept rollouts that are shown, the last ones."""
TILES = {
    "srcc": "SRCC: 1 is the order that people give",
    "srcc_expected": "SRCC of expected ratings",
    "plcc": "PLCC, raw: 1 is a straight line",
    "rmse": "RMSE: points on 1-5",
    "valid_rate": "answers could be read",
    "crop_rate": "looked closer at a part",
    "unique_score_ratio": "distinct scores an image",
}
SHARES = ("valid_rate", "crop_rate")
SCRIPTS = ("plotly-basic.min.js", "charts.js", "gallery.js", "page.js")


def page_of(
    contents: RunContents, rollouts: Sequence[Record], pictures: Mapping[str, Picture], notes: Sequence[str]
) -> str:
    """The page as HTML; ``notes`` say what it does without, such as pictures that are not on this machine."""
    told = [*notes, *_left_out(contents, rollouts, pictures)]
    return filled(
        "run.html",
        scripts=SCRIPTS,
        title=escape(printable(f"{contents.name}: run report")),
        name=escape(printable(contents.name)),
        description=escape(printable(_introduction(contents))),
        tiles=_tiles(contents.judged),
        findings="\n".join(map(finding_item, findings_of(contents))),
        summary=_summary(contents.judged),
        notes=note_items(told),
        origin=escape(yaml.safe_dump(dict(contents.origin), sort_keys=False, allow_unicode=True, width=1000)),
        config=escape(yaml.safe_dump(contents.run.config, sort_keys=False, allow_unicode=True)),
        data=as_script_text(_data(contents, rollouts, pictures)),
    )


def wanted_pictures(contents: RunContents, loaders: Mapping[str, Callable[[], Image | None]]) -> list[Wanted]:
    """The pictures of judged images in the order of their importance; ``loaders`` load them by key."""
    boxes: dict[str, list[Any]] = {}
    for judged in contents.judged:
        for image in judged.images:
            first = image.trajectories[0]
            looks = [look.box for step in first.steps for look in step.looks if look.box is not None]
            boxes.setdefault(key_of(first), []).extend(looks)
    keys = [key_of(image.trajectories[0]) for image in most_telling_first(contents.judged)]
    return [Wanted(key=key, load=loaders[key], boxes=list(dict.fromkeys(boxes[key]))) for key in keys if key in loaders]


def _data(contents: RunContents, rollouts: Sequence[Record], pictures: Mapping[str, Picture]) -> dict[str, Any]:
    with_text = _within_room(contents)
    return {
        "judged": [_judged_data(judged, with_text) for judged in contents.judged],
        "pictures": {key: asdict(picture) for key, picture in pictures.items()},
        "stages": [
            {"name": stage, "charts": [asdict(chart) for chart in charts_of(rows)]}
            for stage, rows in contents.logs.items()
        ],
        "rollouts": [rollout_row(record) for record in rollouts[-ROLLOUTS:]],
    }


def _judged_data(judged: Judged, with_text: set[tuple[str, str]]) -> dict[str, Any]:
    figures = judged.figures
    return {
        "name": judged.name,
        "on_scale": judged.on_mos_scale,
        "answers": [
            answer_row(
                image,
                with_text=(judged.name, key_of(image.trajectories[0])) in with_text,
                on_scale=judged.on_mos_scale,
            )
            for image in judged.images
        ],
        "figures": {key: figures[key] for key in FIGURES.values() if key in figures},
        "histograms": [figures["score_histogram"], figures["mos_histogram"]],
        "expected": _expected_data(judged),
    }


def _expected_data(judged: Judged) -> dict[str, Any] | None:
    """Single answers beside expected ratings; None where there are none."""
    pairs = expected_and_single(judged.images)
    if not pairs:
        return None
    expected, singles, mos = (list(column) for column in zip(*pairs, strict=True))
    agreement = [value_or_none(srcc, ratings, mos) for ratings in (singles, expected)]  # None: the page says undefined
    return {"pairs": [pair[:2] for pair in pairs], "srcc": agreement}


def _within_room(contents: RunContents) -> set[tuple[str, str]]:
    """The evaluations and images of which texts are shown: as many as there is room for, the most telling first."""
    by_key = {judged.name: {key_of(i.trajectories[0]): i for i in judged.images} for judged in contents.judged}
    left = TEXT_CHARACTERS
    chosen: set[tuple[str, str]] = set()
    for key in [key_of(image.trajectories[0]) for image in most_telling_first(contents.judged)]:
        for name, images in by_key.items():
            if key in images:
                left -= sum(len(step.text) for step in images[key].trajectories[0].steps)
                chosen.add((name, key))
        if left < 0:
            break
    return chosen


def _left_out(contents: RunContents, rollouts: Sequence[Record], pictures: Mapping[str, Picture]) -> list[str]:
    """Sentences for what the page has no room for."""
    keys = {key_of(image.trajectories[0]) for judged in contents.judged for image in judged.images}
    rows = sum(len(judged.images) for judged in contents.judged)
    texts = len(_within_room(contents))
    said = []
    if pictures and len(pictures) < len(keys):
        said.append(
            f"{len(pictures):,} of {len(keys):,} images have a picture here: there is no room for others, or no file."
        )
    if any(len(image.trajectories) > 1 for judged in contents.judged for image in judged.images):
        said.append("Of several answers about an image the first is shown turn by turn; predictions.jsonl has all.")
    if texts < rows:
        said.append(f"{texts:,} of {rows:,} images have their text here; predictions.jsonl has all.")
    if len(rollouts) > ROLLOUTS:
        said.append(f"The last {ROLLOUTS} of {len(rollouts):,} kept rollouts are here; rollouts.jsonl has all.")
    return said


def _introduction(contents: RunContents) -> str:
    """A sentence or two for a reader who knows nothing of the run."""
    run, last = contents.run, contents.judged[-1]
    if "peer" in run.config:
        return f"Another method rated images in the same harness: {run.description}."
    asked = "The policy looks at an image, may look closer at a part of it, and rates it from 1 to 5."
    if not run.trained:
        return f"{asked} {run.description}."
    stages = ", then ".join(str(stage) for stage in run.config["stages"])
    return (
        f"{asked} It was trained by {stages} from {run.config['policy']['path']}, and rated "
        f"{len(last.images):,} images of {last.dataset} after each stage."
    )


def _tiles(judged: Sequence[Judged]) -> str:
    """A row of tiles for each data set, under its name where there are several."""
    lasts = last_of_each(judged)
    rows = []
    for last in lasts:
        same = [one for one in judged if one.dataset == last.dataset]
        name = f"<h3>{escape(printable(last.dataset))}</h3>" if len(lasts) > 1 else ""
        rows.append(f'{name}<div class="tiles">{_tiles_of(last, same[-2] if len(same) > 1 else None)}</div>')
    return "\n".join(rows)


def _tiles_of(last: Judged, before: Judged | None) -> str:
    """The few figures of an evaluation that are looked for first, beside those of the one before it."""
    tiles = []
    for key, title in TILES.items():
        if key not in last.figures:
            continue
        told = [f"{before.name}: {_shown(before.figures, key)}"] if before is not None else []
        interval = last.figures.get(f"{key}_interval")
        if isinstance(interval, Mapping):
            told.insert(0, f"{interval['low']:.3f} to {interval['high']:.3f}")
        small = "".join(f"<small>{escape(printable(text))}</small>" for text in told)
        tiles.append(f"<div><b>{_shown(last.figures, key)}</b><span>{escape(title)}</span>{small}</div>")
    return "".join(tiles)


def _shown(figures: Mapping[str, Any], key: str) -> str:
    value = figures.get(key)
    if not isinstance(value, float):
        return "undefined"
    return f"{100 * value:.1f} %" if key in SHARES else f"{value:.3f}"


def _summary(judged: Sequence[Judged]) -> str:
    """The figures as a table, readable where no script runs."""
    head = "".join(f"<th>{escape(printable(one.name))}</th>" for one in judged)
    rows = []
    for title, key in titles_of([one.figures for one in judged]).items():
        if key.endswith("_interval"):
            continue
        cells = "".join(f"<td>{escape(table_cell(one.figures, key))}</td>" for one in judged)
        rows.append(f'<tr><th scope="row">{escape(title)}</th>{cells}</tr>')
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
