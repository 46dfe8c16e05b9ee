"""A peer's scores become the records of an evaluation: turned by its direction, resumed, and never a silent gap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.labelled_images import BrightnessSet
from zoom_iqa.base.errors import DataError, ImageError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import RecordCodec
from zoom_iqa.base.types import Example, ParseFailure, Sample, rated_example
from zoom_iqa.peers.niqe import NIQE
from zoom_iqa.peers.predictions import peer_figures, predict_all

MOS = [1.0, 4.0, 2.0, 5.0, 3.0]


class Listed:
    """Samples in memory."""

    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples

    def items(self) -> list[Example]:
        return [sample.example for sample in self._samples]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]


class Darkness:
    """Scores 255 less the brightness: lower is better for pictures whose brightness is their score."""

    lower_is_better = True
    on_mos_scale = False

    def __init__(self) -> None:
        self.scored = 0

    def score(self, image: Image.Image) -> float:
        self.scored += 1
        return 255.0 - float(np.asarray(image)[0, 0, 0])


class Knowing(Darkness):
    """Says the score that the brightness stands for."""

    lower_is_better = False
    on_mos_scale = True

    def score(self, image: Image.Image) -> float:
        return (255 - super().score(image)) / 40


def test_lower_is_better_scores_are_turned_and_kept_as_given(tmp_path: Path) -> None:
    predictions = predict_all(Darkness(), BrightnessSet(MOS), path=tmp_path / "p.jsonl", title=None)
    assert [p.rating for p in predictions] == [40 * mos - 255 for mos in MOS]
    assert [float(p.steps[0].text) for p in predictions] == [255 - 40 * mos for mos in MOS]
    figures = peer_figures(Darkness(), predictions)
    assert figures["srcc"] == pytest.approx(1.0)
    assert figures["plcc"] == pytest.approx(1.0)
    assert figures["plcc_isotonic"] == pytest.approx(1.0)
    assert figures["n_valid"] == figures["n"] == 5


def test_figures_on_1_to_5_are_named_undefined_for_scores_on_another_scale(tmp_path: Path) -> None:
    images = BrightnessSet(MOS)
    own = peer_figures(Darkness(), predict_all(Darkness(), images, path=tmp_path / "own.jsonl", title=None))
    mos = peer_figures(Knowing(), predict_all(Knowing(), images, path=tmp_path / "mos.jsonl", title=None))
    undefined = {name for name, figure in own.items() if figure == "undefined (scores are on the method's own scale)"}
    assert undefined == {"rmse", "srcc_midpoint", "plcc_midpoint", "unique_score_ratio", "score_histogram"}
    assert mos["rmse"] == pytest.approx(0.0)
    assert mos["unique_score_ratio"] == 1.0
    assert own.keys() == mos.keys()


def test_scores_beyond_the_scale_are_clipped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Knowing, "score", lambda self, image: 2 * float(np.asarray(image)[0, 0, 0]) / 40 - 1)
    predictions = predict_all(Knowing(), BrightnessSet(MOS), path=tmp_path / "p.jsonl", title=None)
    assert [p.rating for p in predictions] == [1.0, 5.0, 3.0, 5.0, 5.0]
    assert [float(p.steps[0].text) for p in predictions] == [1.0, 7.0, 3.0, 9.0, 5.0]
    figures = peer_figures(Knowing(), predictions)
    assert (figures["clipped_ratings"], figures["clipped_rating_rate"]) == (2, 0.4)


def test_what_is_there_is_not_scored_again_and_the_order_is_the_data_sets(tmp_path: Path) -> None:
    path, images = tmp_path / "p.jsonl", BrightnessSet(MOS)
    whole = predict_all(Darkness(), images, path=path, title=None)
    RecordFile(path, RecordCodec()).write([whole[3], whole[1]])
    peer = Darkness()
    again = predict_all(peer, images, path=path, title=None)
    assert peer.scored == 3
    assert [replace(p, seconds=0) for p in again] == [replace(p, seconds=0) for p in whole]
    assert RecordFile(path, RecordCodec()).read() == again


def test_predictions_of_other_labels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    predict_all(Darkness(), BrightnessSet(MOS), path=path, title=None)
    with pytest.raises(DataError, match="other labels") as raised:
        predict_all(Darkness(), BrightnessSet([1.0, 4.5]), path=path, title=None)
    assert raised.value.rows == ("grey:1.png: 4 then, 4.5 now",)


@pytest.mark.parametrize(
    ("score", "said"), [(float("nan"), "the score is nan, not a finite number"), (ImageError("too dark"), "too dark")]
)
def test_an_image_without_a_score_has_a_record_that_says_why_and_the_rest_goes_on(
    score: float | ImageError, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The darkest picture, of MOS 1, has none; the other four are in order."""
    gives = Darkness.score

    def refuses(self: Darkness, image: Image.Image) -> float:
        value = gives(self, image)
        if value < 255 - 40:
            return value
        if isinstance(score, ImageError):
            raise score
        return score

    monkeypatch.setattr(Darkness, "score", refuses)
    path = tmp_path / "p.jsonl"
    records = predict_all(Darkness(), BrightnessSet(MOS), path=path, title=None)
    assert [record.failure for record in records] == ["no_score", None, None, None, None]
    assert records[0].steps[0].reading.failure == ParseFailure("no_score", said)
    assert not records[0].well_formed
    assert RecordFile(path, RecordCodec()).read() == records
    figures = peer_figures(Darkness(), records)
    assert (figures["n"], figures["n_valid"], figures["failures"]["no_score"]) == (5, 4, 1)
    assert figures["srcc"] == pytest.approx(1.0)
    assert figures["srcc_midpoint"] == "undefined (scores are on the method's own scale)"
    assert peer_figures(Knowing(), records)["srcc_midpoint"] != figures["srcc_midpoint"]


def test_flat_and_small_images_have_no_niqe_and_do_not_end_it(tmp_path: Path) -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    images = {"flat": Image.new("RGB", (200, 200), "grey"), "small": Image.new("RGB", (3, 2)), "good": photograph}
    samples = [
        Sample.of(rated_example(id=name, dataset="d", mos=3.0), Image.fromarray(np.asarray(image)))
        for name, image in images.items()
    ]
    records = predict_all(NIQE(), Listed(samples), path=tmp_path / "p.jsonl", title=None)
    assert [record.failure for record in records] == ["no_score", "no_score", None]
    assert "textured patches" in records[0].steps[0].reading.failure.detail
