"""A file of predictions that was made with fewer samples an image: only what it lacks is added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.made_rollouts import record
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec
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
