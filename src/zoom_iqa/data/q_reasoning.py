"""Q-Reasoning (H-IQA, arXiv 2512.16484): what people wrote about 1,495 photographs, read from the files as published.

Three layouts are known. ``filted_data_human_eng.json``: a list of objects ``{file name: record}`` whose texts are lists
with an entry for each annotator. ``koniq_cot_constrain.json``: the training records of KonIQ, each text a summary in
``<summarize>`` tags followed by its English in ``<translation>`` tags. ``human_test.json``: the test records, each text
``{"answer": summary}``. Of a record's fields description, good_aspect and bad_aspect are kept: those are the reference
of the authors' reward. ``quality`` is no opinion score (it correlates at 0.3 with KonIQ's) and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoom_iqa.base.errors import DataError
from zoom_iqa.data.references import Key, Reference
from zoom_iqa.data.text_files import parse_json, read_text

FILES = ("filted_data_human_eng.json", "koniq_cot_constrain.json", "human_test.json")
"""The published names of the three layouts; looked for in a folder and below it."""

HOMEPAGE = "https://github.com/AnonymousUserPublish/Modeling-Human-like-Reasoning-for-Interpretable-BIQA"

_FIELDS = {"description": "description", "good": "good_aspect", "bad": "bad_aspect"}
_DATASETS = (
    (re.compile(r"\d{5}\.jpg", re.IGNORECASE), "spaq"),
    (re.compile(r"\d{6,}\.jpg", re.IGNORECASE), "koniq"),
    (re.compile(r".+\.png", re.IGNORECASE), "unsplash"),
)
_UNTRANSLATED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")  # kana and Chinese characters, no quotation marks
_TRANSLATION = re.compile(r"<translation>(.*?)</translation>", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Converted:
    """The references in the order of the files, and ``notes``: rows by what was found about them."""

    references: tuple[Reference, ...]
    files: tuple[Path, ...]
    notes: Mapping[str, tuple[str, ...]]


@dataclass
class _Notes:
    rows: dict[str, list[str]] = field(default_factory=dict)

    def add(self, title: str, row: str) -> None:
        self.rows.setdefault(title, []).append(row)


def convert(source: Path) -> Converted:
    """References of a published file, or of all of them in a folder.

    A text that is empty is left out, and so is a whole record of empty texts, an annotator's text that is another's
    word for word, and a record that was there before; each is noted. A text that is not English throughout is kept and
    noted. An image that is in the training and the test
    records counts as training.

    Raises:
        DataError: there is no such file, it has none of the three layouts, or nothing of it can be kept.
    """
    files = _files(source)
    notes = _Notes()
    found = [reference for path in files for reference in _read(path, notes)]
    if not found:
        said = [f"{title}: {row}" for title, rows in notes.rows.items() for row in rows]
        raise DataError(f"{source}: no text about an image is left; see {HOMEPAGE}", said)
    return Converted(
        references=tuple(_with_splits(_distinct(found, notes), notes)),
        files=files,
        notes={title: tuple(rows) for title, rows in notes.rows.items()},
    )


def dataset_of(file: str) -> str | None:
    """The data set that a file name belongs to: five digits SPAQ, more digits KonIQ, a .png Unsplash."""
    return next((name for form, name in _DATASETS if form.fullmatch(file)), None)


def _files(source: Path) -> tuple[Path, ...]:
    if source.is_file():
        return (source,)
    found = tuple(path for name in FILES for path in sorted(source.rglob(name)))
    if not found:
        raise DataError(f"{source}: no file and no folder with one of {', '.join(FILES)}; get them from {HOMEPAGE}")
    return found


def _read(path: Path, notes: _Notes) -> Iterator[Reference]:
    text = read_text(path)
    try:
        value = parse_json(text)
    except DataError as error:
        raise DataError(f"{path}: {error}; see {HOMEPAGE}") from None
    if not isinstance(value, list) or not value or not all(isinstance(record, dict) for record in value):
        raise DataError(f"{path}: a list of records is needed; see {HOMEPAGE}")
    for number, record in enumerate(value, start=1):
        read, file, fields = _layout(record, f"{path}, record {number}")
        where = f"{path.name}, record {number}: {file}"
        dataset = dataset_of(file)
        if dataset is None:
            notes.add("records of no known data set, left out", where)
            continue
        yield from read(dataset, file, fields, where, notes)


Reader = Callable[[str, str, Mapping[str, Any], str, _Notes], Iterator[Reference]]


def _layout(record: Mapping[str, Any], where: str) -> tuple[Reader, str, Mapping[str, Any]]:
    """The reader of a record, its file name, and its fields."""
    file = record.get("image")
    if isinstance(file, str):
        return (_test_record if isinstance(record.get("description"), dict) else _training_record), file, record
    if len(record) == 1:
        ((file, fields),) = record.items()
        if isinstance(fields, dict) and isinstance(fields.get("description"), list):
            return _annotators, file, fields
    raise DataError(
        f"{where} has none of the three published layouts ({', '.join(sorted(record)[:5])}); see {HOMEPAGE}"
    )


def _annotators(dataset: str, file: str, fields: Mapping[str, Any], where: str, notes: _Notes) -> Iterator[Reference]:
    lists = [fields.get(name) for name in _FIELDS.values()]
    if not all(isinstance(one, list) for one in lists) or len({len(one or ()) for one in lists}) != 1:
        notes.add("records whose annotators cannot be told apart, left out", where)
        return
    for annotator, row in enumerate(zip(*lists, strict=True)):
        texts = dict(zip(_FIELDS, (_text(one) for one in row), strict=True))
        yield from _made(dataset, file, annotator, texts, None, f"{where}, annotator {annotator}", notes)


def _training_record(
    dataset: str, file: str, fields: Mapping[str, Any], where: str, notes: _Notes
) -> Iterator[Reference]:
    texts = {}
    for name, key in _FIELDS.items():
        found = _TRANSLATION.search(str(fields.get(key, "")))
        texts[name] = _text(found.group(1)) if found else ""
        if found is None:
            notes.add("texts without a translation, left out", f"{where}, {key}")
    yield from _made(dataset, file, None, texts, "train", where, notes)


def _test_record(dataset: str, file: str, fields: Mapping[str, Any], where: str, notes: _Notes) -> Iterator[Reference]:
    answers = {name: fields.get(key) for name, key in _FIELDS.items()}
    texts = {name: _text(one.get("answer") if isinstance(one, dict) else None) for name, one in answers.items()}
    yield from _made(dataset, file, None, texts, "test", where, notes)


def _made(
    dataset: str,
    file: str,
    annotator: int | None,
    texts: Mapping[str, str],
    split: str | None,
    where: str,
    notes: _Notes,
) -> Iterator[Reference]:
    if not any(texts.values()):
        notes.add("records without any text, left out", where)
        return
    for name, text in texts.items():
        if not text:
            notes.add("empty texts, left out", f"{where}, {_FIELDS[name]}")
        elif _UNTRANSLATED.search(text):
            notes.add("texts that hold Japanese or Chinese, kept", f"{where}, {_FIELDS[name]}")
    yield Reference(dataset=dataset, file=file, split=split, annotator=annotator, **texts)


def _text(value: object) -> str:
    """A text with its white space evened out; empty for anything else."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def _distinct(references: Sequence[Reference], notes: _Notes) -> Iterator[Reference]:
    """Without records that come again and without annotators who say the same word for word."""
    seen: set[tuple[Key, int | None, str | None]] = set()
    said: set[tuple[Key, str]] = set()
    for reference in references:
        record = (reference.key, reference.annotator, reference.split)
        if record in seen:
            notes.add("records that come again, left out", f"{reference.file}, {_by(reference)}")
        elif reference.annotator is not None and (reference.key, reference.text) in said:
            notes.add("annotators who say what another says, left out", f"{reference.file}, {_by(reference)}")
        else:
            yield reference
        seen.add(record)
        if reference.annotator is not None:
            said.add((reference.key, reference.text))


def _with_splits(references: Iterator[Reference], notes: _Notes) -> Iterator[Reference]:
    """Annotators' texts of the split that the summaries of their images are of; one summary an image."""
    found = list(references)
    splits: dict[Key, set[str]] = {}
    for reference in found:
        if reference.split is not None:
            splits.setdefault(reference.key, set()).add(reference.split)
    both = {key for key, names in splits.items() if len(names) > 1}
    for _, file in sorted(both):
        notes.add("images in training and test records, counted as training", file)
    for reference in found:
        if reference.key in both and reference.split == "test":
            continue
        names = splits.get(reference.key)
        split = None if names is None else "train" if reference.key in both else next(iter(names))
        yield replace(reference, split=split)


def _by(reference: Reference) -> str:
    return "summary" if reference.annotator is None else f"annotator {reference.annotator}"
