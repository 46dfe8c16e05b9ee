"""The evaluator on a random policy that writes what it is told: order, batches, restarts and shares of the work."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch.distributed as dist
from PIL import Image

from support.fitting import own_copy
from support.written_engine import WrittenEngine
from support.written_rollouts import PROMPTS, SAMPLING, image_samples
from zoom_iqa.base.errors import ConfigError, DataError, ImageError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.base.types import Example, Generation, Mos, ParseFailure, Sample
from zoom_iqa.evaluation.evaluator import Evaluator
from zoom_iqa.evaluation.figures import figures_of
from zoom_iqa.parallel import stopping
from zoom_iqa.parallel.reducer import LocalReducer
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tasks.zoom import ZoomTask


class Images:
    """A data set that counts how often it is asked for pixels."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples
        self.opened: list[str] = []

    def items(self) -> list[Example]:
        return [sample.example for sample in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        self.opened.append(self.samples[index].example.id)
        return self.samples[index]


def evaluator(images: Images, **changed: Any) -> Evaluator:
    settings: dict[str, Any] = {
        "engine": WrittenEngine,
        "features_capacity": 10_000,
        "batch_size": 2,
        "samples_per_image": 1,
        "workers": 0,
        "seed": 0,
        "probes": {},
        "sampling": SAMPLING,
        **changed,
    }
    return Evaluator(
        dataset=images,
        task=ZoomTask(prompts=PROMPTS),
        **settings,
    )


def timeless(records: tuple[Record, ...]) -> list[Record]:
    return [replace(record, seconds=0.0) for record in records]


def records_at(path: Path) -> RecordFile[Record]:
    return RecordFile(path, RecordCodec())


@pytest.fixture
def images() -> Images:
    return Images(image_samples(5))


def test_one_prediction_an_image_in_the_data_sets_order(images: Images, random_policy: Policy, tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    found = evaluator(images).run(random_policy, path=path, title=None)
    assert [p.example.id for p in found] == [item.id for item in images.items()]
    assert records_at(path).read() == found
    assert all(p.rating is not None and p.well_formed and p.seconds > 0 for p in found)
    assert {len(p.steps) for p in found} == {1, 2}
    assert len({p.rating for p in found}) > 2
    means = [p.expected.mean for p in found if p.expected is not None]
    assert len(set(means)) == len(found)
    assert all(1 < mean < 5 for mean in means)


def test_batches_and_neighbours_change_nothing(images: Images, random_policy: Policy, tmp_path: Path) -> None:
    whole = evaluator(images).run(random_policy, path=tmp_path / "a.jsonl", title=None)
    single = evaluator(images, batch_size=1).run(random_policy, path=tmp_path / "b.jsonl", title=None)
    alone = evaluator(Images(images.samples[3:4])).run(random_policy, path=tmp_path / "c.jsonl", title=None)
    assert timeless(whole) == timeless(single)
    assert timeless(alone) == timeless(whole[3:4])
    other = evaluator(images, seed=1).run(random_policy, path=tmp_path / "d.jsonl", title=None)
    assert [p.rating for p in other] != [p.rating for p in whole]


def test_a_stopped_evaluation_does_only_the_rest(images: Images, random_policy: Policy, tmp_path: Path) -> None:
    whole = evaluator(images).run(random_policy, path=tmp_path / "whole.jsonl", title=None)
    path = tmp_path / "stopped.jsonl"
    with records_at(path) as file:
        file.append(whole[:2])
    with path.open("a") as text:
        text.write('{"id": "half')
    images.opened.clear()
    found = evaluator(images).run(random_policy, path=path, title=None)
    assert images.opened == [item.id for item in images.items()][2:]
    assert timeless(found) == timeless(whole)
    images.opened.clear()
    assert evaluator(images).run(random_policy, path=path, title=None) == found
    assert images.opened == []


def test_several_trajectories_of_an_image(images: Images, random_policy: Policy, tmp_path: Path) -> None:
    found = evaluator(images, samples_per_image=3).run(random_policy, path=tmp_path / "p.jsonl", title=None)
    assert [(p.example.id, p.sample) for p in found] == [(item.id, n) for item in images.items() for n in range(3)]
    more = evaluator(images, samples_per_image=1).run(random_policy, path=tmp_path / "p.jsonl", title=None)
    assert timeless(more) == timeless(found[::3])


def test_a_batchs_time_is_shared_by_its_trajectories(
    random_policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks at the clock are 6 s: 1 s for each of 3 trajectories of 2 images."""
    looks = itertools.count(step=6)
    monkeypatch.setattr("zoom_iqa.evaluation.evaluator.time", SimpleNamespace(perf_counter=lambda: next(looks)))
    pair = Images(image_samples(2))
    found = evaluator(pair, samples_per_image=3).run(random_policy, path=tmp_path / "p.jsonl", title=None)
    assert [record.seconds for record in found] == [1.0] * 6


def test_processes_share_the_images(
    images: Images, random_policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second process of two, played after the first has done its share and waits."""
    whole = evaluator(images).run(random_policy, path=tmp_path / "whole.jsonl", title=None)
    path = tmp_path / "predictions.jsonl"
    path.touch()
    with records_at(path).share(0) as share:
        share.append(whole[0::2])
    own = Images(images.samples)
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    calls: list[int] = []

    def barrier() -> None:
        calls.append(len(calls))
        if len(calls) == 4:  # both are done; the first merges
            records_at(path).merge_shares()

    monkeypatch.setattr(dist, "barrier", barrier)
    for name in ("stop_asked", "agreed_stop"):
        monkeypatch.setattr(stopping, name, lambda: None)
    monkeypatch.setattr(stopping, "current_reducer", LocalReducer)  # nobody has answers that end
    found = evaluator(own).run(random_policy, path=path, title=None)
    assert own.opened == [item.id for item in images.items()][1::2]
    assert timeless(found) == timeless(whole)


def test_other_labels_are_refused(images: Images, random_policy: Policy, tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    evaluator(images).run(random_policy, path=path, title=None)
    first = images.samples[0]
    images.samples[0] = Sample.of(replace(first.example, target=Mos(mean=4.9)), first.image)
    with pytest.raises(DataError, match=r"4\.9 now"):
        evaluator(images).run(random_policy, path=path, title=None)


class FailingImages(Images):
    """The last image cannot be opened."""

    def __getitem__(self, index: int) -> Sample:
        if index == len(self) - 1:
            raise ImageError("cut off")
        return super().__getitem__(index)


@pytest.mark.parametrize("training", [True, False])
def test_the_policy_is_in_the_mode_it_was_in_however_evaluation_ends(
    training: bool, images: Images, random_policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = own_copy(random_policy)
    modes: list[bool] = []

    class Watched(WrittenEngine):
        def step(self) -> list[Generation]:
            modes.append(policy.model.training)
            return super().step()

    policy.model.train(training)
    evaluator(images, engine=Watched).run(policy, path=tmp_path / "whole.jsonl", title=None)
    assert policy.model.training == training
    failing = FailingImages(images.samples)
    with pytest.raises(ImageError, match="cut off"):
        evaluator(failing, engine=Watched).run(policy, path=tmp_path / "failed.jsonl", title=None)
    assert policy.model.training == training
    monkeypatch.setattr(RecordFile, "append", lambda *_: pytest.fail("the disk is full"))
    with pytest.raises(pytest.fail.Exception, match="disk is full"):
        evaluator(images, engine=Watched).run(policy, path=tmp_path / "unwritten.jsonl", title=None)
    assert policy.model.training == training
    assert modes
    assert not any(modes)


def test_progress_has_a_title(
    images: Images, random_policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluator(images).run(random_policy, path=tmp_path / "p.jsonl", title="evaluate sft")
    assert capsys.readouterr().err.splitlines()[-1].startswith("evaluate sft 5/5")


def test_what_cannot_be_is_refused(images: Images) -> None:
    with pytest.raises(ConfigError, match=r"^batch_size=0 "):
        evaluator(images, batch_size=0)
    with pytest.raises(ConfigError, match=r"^samples_per_image=0 "):
        evaluator(images, samples_per_image=0)
    with pytest.raises(ConfigError, match=r"^samples_per_image=2: the likeliest answer is the same every time.*=1"):
        evaluator(images, samples_per_image=2, sampling=replace(SAMPLING, greedy=True))
    with pytest.raises(ConfigError, match=r"^workers=-1 "):
        evaluator(images, workers=-1)
    with pytest.raises(ConfigError, match=r"^features_capacity=-1 "):
        evaluator(images, features_capacity=-1)
    with pytest.raises(DataError, match="the split is empty"):
        evaluator(Images([]))
    with pytest.raises(DataError, match="noise:image0: the id comes 2 times"):
        evaluator(Images([*images.samples, images.samples[0]]))


@pytest.mark.parametrize("samples_per_image", [1, 2])
def test_an_image_that_no_policy_can_be_shown_has_records_that_say_so(
    samples_per_image: int, random_policy: Policy, tmp_path: Path
) -> None:
    samples = image_samples(4)
    thin = replace(samples[1].example, id="thin")
    samples[1] = Sample.of(thin, Image.new("RGB", (2001, 10)))
    path = tmp_path / "predictions.jsonl"
    found = evaluator(Images(samples), samples_per_image=samples_per_image).run(random_policy, path=path, title=None)
    assert [r.example.id for r in found[::samples_per_image]] == [sample.example.id for sample in samples]
    own = [record for record in found if record.example.id == "thin"]
    said = ParseFailure("unviewable", "2001 x 10 pixels are too thin for the vision tower: sides of at most 200 to 1")
    assert [(r.sample, r.failure, r.steps[0].reading.failure) for r in own] == [
        (number, "unviewable", said) for number in range(samples_per_image)
    ]
    assert records_at(path).read() == found
    figures = figures_of(found, None)
    assert (figures["n"], figures["failures"]["unviewable"]) == (4, samples_per_image)
    assert figures["routing_warning_rate"] == 0
    kept = Images(samples[:1] + samples[2:])
    alone = evaluator(kept, samples_per_image=samples_per_image).run(
        random_policy, path=tmp_path / "without.jsonl", title=None
    )
    assert timeless(alone) == timeless(tuple(r for r in found if r.example.id != "thin"))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_opened_is_one_line_from_any_process(
    workers: int, random_policy: Policy, tmp_path: Path
) -> None:
    images = FailingImages(image_samples(4))
    with pytest.raises(ImageError) as raised:
        evaluator(images, workers=workers).run(random_policy, path=tmp_path / "p.jsonl", title=None)
    assert str(raised.value) == "cut off"
