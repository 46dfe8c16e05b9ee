"""A file of predictions that was made with fewer samples an image: only what it lacks is added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from support.made_rollouts import choice_record, record
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.base.types import Mos, Preference, Truth
from zoom_iqa.evaluation.resumable import predict_missing


@pytest.mark.parametrize("names", ["a", "ab"])  # of one image the lines are in order at once
def test_more_samples_stand_beside_those_that_are_there(names: str, tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "predictions.jsonl", RecordCodec())
    with file:
        file.append(record(name, rating=1.0) for name in names)

    def predict(indices: Sequence[int]) -> Iterator[list[Record]]:
        for index in indices:
            yield [record(names[index], rating=5.0, sample=sample) for sample in range(2)]

    examples = [record(name).example for name in names]
    found = predict_missing(file.path, examples, samples=2, predict=predict, title=None)
    expected = [(name, sample, rating) for name in names for sample, rating in enumerate((1.0, 5.0))]
    assert [(one.example.id, one.sample, one.rating) for one in found] == expected
    assert file.read() == found
    assert len(file.path.read_bytes().splitlines()) == len(found)


def kept(path: Path, *records: Record) -> RecordFile[Record]:
    """The records in a file."""
    with RecordFile(path / "predictions.jsonl", RecordCodec()) as file:
        file.append(records)
    return file


def nothing(indices: Sequence[int]) -> Iterator[list[Record]]:
    """Asked about no image."""
    assert not indices
    return iter(())


def test_kept_answers_have_what_the_data_set_says_of_their_images_now(tmp_path: Path) -> None:
    before = [record("a", rating=1.0), record("b", rating=2.0)]
    file = kept(tmp_path, *before)
    now = [
        replace(before[0].example, reference_id="photograph", references=("sharp",)),
        replace(before[1].example, reference_id="photograph", references=("soft", "dim")),
    ]
    found = predict_missing(file.path, now, samples=1, predict=nothing, title=None)
    assert [one.example for one in found] == now
    assert [(one.rating, one.steps) for one in found] == [(one.rating, one.steps) for one in before]
    assert file.read() == found


def test_a_defect_that_is_known_once_an_image_is_made_stays_known(tmp_path: Path) -> None:
    """Labels of images that are made on the fly do not have it, the images do."""
    made = record("a")
    known = replace(made.example, truth=Truth(distortion="noise", level=3.0, region=(0.1, 0.2, 0.5, 0.6)))
    file = kept(tmp_path, replace(made, example=known))
    (found,) = predict_missing(file.path, [made.example], samples=1, predict=nothing, title=None)
    assert found.example.truth == known.truth


def test_kept_answers_under_another_score_are_refused(tmp_path: Path) -> None:
    file = kept(tmp_path, record("a", mos=3.0))
    other = replace(record("a").example, target=Mos(mean=3.5), reference_id="photograph")
    with pytest.raises(DataError, match="made with other labels") as raised:
        predict_missing(file.path, [other], samples=1, predict=nothing, title=None)
    assert raised.value.rows == ("d:a: 3 then, 3.5 now",)


def test_kept_choices_between_images_in_the_other_order_are_refused(tmp_path: Path) -> None:
    file = kept(tmp_path, choice_record("Similar", "Similar"))
    example = choice_record("Similar", None).example
    other = replace(example, target=Preference(choice="Similar", pair="a vs b", swapped=True))
    with pytest.raises(DataError, match="made with other labels") as raised:
        predict_missing(file.path, [other], samples=1, predict=nothing, title=None)
    assert raised.value.rows == ("pairs:a vs b: Similar then, Similar, swapped now",)
