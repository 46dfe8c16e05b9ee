"""ROUGE-1 among people's own texts: what a value of it means before any policy is measured.

    python -m zoom_iqa.data convert q-reasoning /data/q_reasoning references.jsonl
    python experiments/human/people.py references.jsonl [--split test]

Each row is a mean over images (over persons first). Written to people.csv beside this file.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoom_iqa.data.references import Reference, read_references
from zoom_iqa.metrics.rouge import Rouge, agreement, best_rouge1, rouge1

TEMPLATE = (
    "The image shows the main subject. It is well composed and the colors are good. "
    "The image is a little dark and it is not in focus."
)
"""One sentence for every image, written before any value was seen."""

SHORT = "The image is good."
LONG = (
    "The image shows the main subject in the center of the frame with people, a building, trees, a flower, an "
    "animal or food in the foreground and the sky, water, a street or a room in the background. The composition is "
    "balanced, the subject is clear and in focus, the colors are bright and vivid, the lighting is natural and "
    "beautiful, and the details are captured well, which gives the photo a nice atmosphere. However, the image is "
    "too dark or too bright in places, the background is blurry and distracting, the subject is small and not "
    "clear, it is difficult to see what the photo is about, and the overall quality is low."
)
"""A hundred words that fit any photograph a little."""

SEED = 0


@dataclass(frozen=True)
class Image:
    """What people said of one image: one summary of it, and the persons' own texts."""

    summary: str
    persons: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("references", type=Path)
    parser.add_argument("--split", choices=("train", "test"), default=None)
    options = parser.parse_args()
    images = images_of(read_references(options.references), options.split)
    rows = [
        [title, len(values), *(f"{statistics.fmean(getattr(v, n) for v in values):.3f}" for n in Rouge._fields)]
        for title, values in measured(images).items()
    ]
    name = "people.csv" if options.split is None else f"people_{options.split}.csv"
    with (Path(__file__).parent / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["compared", "images", *Rouge._fields], *rows])
    for row in rows:
        print(*row, sep="\t")


def images_of(references: Sequence[Reference], split: str | None) -> list[Image]:
    """Images with a summary and at least two persons' texts."""
    found: dict[tuple[str, str], list[Reference]] = {}
    for one in references:
        if split in (None, one.split):
            found.setdefault(one.key, []).append(one)
    images = []
    for own in found.values():
        summaries = [one.text for one in own if one.annotator is None]
        persons = tuple(one.text for one in own if one.annotator is not None)
        if summaries and len(persons) > 1:
            images.append(Image(summaries[0], persons))
    return images


def measured(images: Sequence[Image]) -> dict[str, list[Rouge]]:
    """A value an image for each comparison."""
    other = shuffled(images)
    pairs = list(zip(images, other, strict=True))
    return {
        "a person, nearest other person": [mean(agreement(one.persons)) for one in images],
        "a person, all other persons joined": [mean(against_rest(one.persons)) for one in images],
        "a person, the summary": [mean([rouge1(text, one.summary) for text in one.persons]) for one in images],
        "the summary, nearest person": [best_rouge1(one.summary, one.persons) for one in images],
        "template, the summary": against_summary(images, TEMPLATE),
        "template, nearest person": [best_rouge1(TEMPLATE, one.persons) for one in images],
        "short template, the summary": against_summary(images, SHORT),
        "long template, the summary": against_summary(images, LONG),
        "long template, nearest person": [best_rouge1(LONG, one.persons) for one in images],
        "another image's summary, the summary": [rouge1(two.summary, one.summary) for one, two in pairs],
        "another image's summary, nearest person": [best_rouge1(two.summary, one.persons) for one, two in pairs],
        "another image's person, the summary": [
            mean([rouge1(text, one.summary) for text in two.persons]) for one, two in pairs
        ],
        "another image's person, nearest person": [
            mean([best_rouge1(text, one.persons[1:]) for text in two.persons]) for one, two in pairs
        ],
    }


def against_summary(images: Sequence[Image], text: str) -> list[Rouge]:
    return [rouge1(text, one.summary) for one in images]


def against_rest(persons: Sequence[str]) -> list[Rouge]:
    return [rouge1(text, " ".join([*persons[:n], *persons[n + 1 :]])) for n, text in enumerate(persons)]


def shuffled(images: Sequence[Image]) -> list[Image]:
    """The images in an order in which none stands at its own place."""
    order = np.random.default_rng(SEED).permutation(len(images))
    turned = np.empty_like(order)
    turned[order] = np.roll(order, 1)
    return [images[index] for index in turned]


def mean(values: Sequence[Rouge]) -> Rouge:
    return Rouge(*(statistics.fmean(getattr(one, name) for one in values) for name in Rouge._fields))


if __name__ == "__main__":
    main()
