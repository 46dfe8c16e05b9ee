"""A page of curated data: examples of every fate, kept or refused by a step for a reason, with picture and texts."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Mos
from zoom_iqa.curation.verdicts import Key, Verdict
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.reports.pictures import shrunk

SIDE, QUALITY = 320, 68
_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "article{display:flex;gap:1rem;margin:1rem 0}img{max-width:20rem;align-self:flex-start}"
    "pre{white-space:pre-wrap;margin:.3rem 0}"
)


def curation_page(
    verdicts: Sequence[Verdict], records: Mapping[Key, Record], *, dataset: ImageDataset, examples: int
) -> str:
    """HTML that needs nothing else: at most ``examples`` of each fate, in the order of the images."""
    index_of = {(item.dataset, item.id): index for index, item in enumerate(dataset.items())}
    fates: dict[str, list[Record]] = {}
    for one in verdicts:
        fate = "kept" if one.kept else f"refused by {one.step}: {one.reason}"
        fates.setdefault(fate, []).append(records[one.dataset, one.id])
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><title>Curated data</title>", f"<style>{_STYLE}</style>"]
    for fate, found in sorted(fates.items()):
        parts.append(f"<h2>{html.escape(fate)} ({len(found)})</h2>")
        parts += [
            _article(record, dataset, index_of[record.example.dataset, record.example.id])
            for record in found[:examples]
        ]
    return "\n".join(parts) + "\n"


def _article(record: Record, dataset: ImageDataset, index: int) -> str:
    boxes = [look.box for step in record.steps for look in step.looks if look.box is not None]
    picture = shrunk(dataset[index].image, boxes, side=SIDE, quality=QUALITY)
    sources = [picture.source, *picture.crops.values()]
    target = record.example.target
    people = f", people {target.mean:.2f}" if isinstance(target, Mos) else ""
    rating = "no rating" if record.rating is None else f"rated {record.rating:.2f}"
    texts = "".join(f"<pre>{html.escape(step.text)}</pre>" for step in record.steps)
    images = "".join(f'<img alt="" src="{source}">' for source in sources)
    said = f"<b>{html.escape(record.example.name)}</b>: {rating}{people}{texts}"
    return f"<article><div>{images}</div><div>{said}</div></article>"
