"""A page of curated data: examples of every fate, kept or refused by a step for a reason, with picture and texts."""

from __future__ import annotations

import html
from collections.abc import Iterator

from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Mos
from zoom_iqa.curation.pipeline import Curated
from zoom_iqa.curation.verification import Answer, Verification
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.reports.pictures import shrunk

SIDE, QUALITY = 320, 68
_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "article{display:flex;gap:1rem;margin:1rem 0}img{max-width:20rem;align-self:flex-start}"
    "pre{white-space:pre-wrap;margin:.3rem 0}.why{border-left:3px solid #999;padding-left:.6rem;color:#444}"
)


def curation_page(curated: Curated, *, dataset: ImageDataset, examples: int) -> str:
    """HTML that needs nothing else: at most ``examples`` of each fate, in the order of the images.

    Below a trajectory stand the answers that decided about it: VRF's, with the image and without it, and the rater's.
    """
    index_of = {item.key: index for index, item in enumerate(dataset.items())}
    fates: dict[str, list[Record]] = {}
    for one in curated.verdicts:
        fate = "kept" if one.kept else f"refused by {one.step}: {one.reason}"
        fates.setdefault(fate, []).append(curated.records[one.dataset, one.id])
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><title>Curated data</title>", f"<style>{_STYLE}</style>"]
    why = _Why(curated)
    for fate, found in sorted(fates.items()):
        parts.append(f"<h2>{html.escape(fate)} ({len(found)})</h2>")
        parts += [_article(record, dataset, index_of[record.image_key], why) for record in found[:examples]]
    return "\n".join(parts) + "\n"


class _Why:
    """The answers that decided, by trajectory."""

    def __init__(self, curated: Curated) -> None:
        self._verifications = {(one.dataset, one.id, one.sample): one for one in curated.verifications}
        self._rater_answers = {(one.dataset, one.id, one.sample): one.text for one in curated.rater_answers}

    def __call__(self, record: Record) -> str:
        place = (*record.image_key, record.sample)
        found = self._verifications.get(place)
        said = "" if found is None else f"<p>VRF asked again: {'; '.join(_answers(found))}.</p>"
        rater_answer = self._rater_answers.get(place)
        said += "" if rater_answer is None else f"<p>The rater:</p><pre>{html.escape(rater_answer)}</pre>"
        return f'<div class="why">{said}</div>' if said else ""


def _answers(found: Verification) -> Iterator[str]:
    for name, answer in (("with the image", found.with_image), ("without it", found.without_image)):
        yield f"{name} {_shown(answer)}"


def _shown(answer: Answer) -> str:
    if answer.rating is None:
        return f"no rating can be read in {html.escape(repr(answer.text))}"
    box = "" if answer.bbox is None else f", box {', '.join(f'{edge:.2f}' for edge in answer.bbox)}"
    entropy = "" if answer.entropy is None else f", entropy {answer.entropy:.3f}"
    return f"{answer.rating:.2f}{box}{entropy}"


def _article(record: Record, dataset: ImageDataset, index: int, why: _Why) -> str:
    boxes = [look.box for step in record.steps for look in step.looks if look.box is not None]
    picture = shrunk(dataset[index].image, boxes, side=SIDE, quality=QUALITY)
    sources = [picture.source, *picture.crops.values()]
    target = record.example.target
    people = f", people {target.mean:.2f}" if isinstance(target, Mos) else ""
    rating = "no rating" if record.rating is None else f"rated {record.rating:.2f}"
    texts = "".join(f"<pre>{html.escape(step.text)}</pre>" for step in record.steps)
    images = "".join(f'<img alt="" src="{source}">' for source in sources)
    said = f"<b>{html.escape(record.example.name)}</b>: {rating}{people}{texts}{why(record)}"
    return f"<article><div>{images}</div><div>{said}</div></article>"
