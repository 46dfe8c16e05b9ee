"""Trainers take turns at one served model: equal weights are pushed once, others wait until nobody asks any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from support.engine_runs import SAMPLING
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.engines.vllm.serving import Completion, OtherWeightsError, ServedRequest
from zoom_iqa.engines.vllm.shared import model as module
from zoom_iqa.engines.vllm.shared.model import SharedModel
from zoom_iqa.engines.vllm.shared.weight_files import WeightFiles, name_of, shape_of, write_weights

SHAPE = "of policies"


class Counting:
    """A served model that completes a request when it is told so."""

    def __init__(self) -> None:
        self.holder: object | None = None
        self.pushed: list[float] = []
        self.waiting: list[ServedRequest] = []
        self.goes_on = True

    @property
    def busy(self) -> bool:
        return bool(self.waiting)

    def push(self, named: Mapping[str, Tensor]) -> None:
        self.pushed.append(named["w"].item())

    def add(self, request: ServedRequest) -> None:
        self.waiting.append(request)

    def step(self) -> list[Completion]:
        if not self.goes_on:
            return []
        done, self.waiting = self.waiting, []
        return [Completion(one.key, one.ids, [7], (-1.0,), (0.5,), True, 0) for one in done]

    def sleep(self) -> bool:
        return False

    def wake(self) -> None:
        pass


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def asked(number: int = 0, tokens: int = 3) -> ServedRequest:
    return ServedRequest(f"k{number}", [1] * tokens, (), SAMPLING, seed=0)


def rounds(model: SharedModel, count: int = 1) -> None:
    """So many rounds of the model's loop, in this thread."""

    class Stop(threading.Event):
        left = count

        def is_set(self) -> bool:
            self.left -= 1
            return self.left < 0

    model.run(Stop())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def served() -> Counting:
    return Counting()


@pytest.fixture
def model(served: Counting, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> SharedModel:
    monkeypatch.setattr(module, "WAIT_S", 0.01)
    return SharedModel(served, shape=SHAPE, context_tokens=100, clock=clock)


def write(folder: Path, value: float) -> Path:
    write_weights({"w": torch.tensor(value)}, folder)
    return folder


def push(model: SharedModel, trainer: str, weights: str, folder: Path) -> None:
    assert model.turn(trainer, weights=weights, shape=SHAPE) == "write"
    model.load(trainer, weights=weights, folder=write(folder, float(weights)))
    assert model.turn(trainer, weights=weights, shape=SHAPE) == "wait"
    rounds(model)
    assert model.turn(trainer, weights=weights, shape=SHAPE) == "held"


def test_equal_weights_are_written_and_pushed_once(model: SharedModel, served: Counting, tmp_path: Path) -> None:
    assert model.turn("a", weights="1", shape=SHAPE) == "write"
    assert model.turn("b", weights="1", shape=SHAPE) == "wait"
    model.load("a", weights="1", folder=write(tmp_path / "w", 1.0))
    model.load("a", weights="1", folder=tmp_path / "w")  # the reply was lost, and the call made again
    rounds(model)
    assert [model.turn(trainer, weights="1", shape=SHAPE) for trainer in "ab"] == ["held", "held"]
    assert served.pushed == [1.0]
    assert not list(tmp_path.iterdir())


def test_another_writes_when_the_first_does_not(model: SharedModel, clock: Clock) -> None:
    assert model.turn("a", weights="1", shape=SHAPE) == "write"
    clock.now = module.WRITES_S - 1
    assert model.turn("b", weights="1", shape=SHAPE) == "wait"
    clock.now = module.WRITES_S
    assert model.turn("b", weights="1", shape=SHAPE) == "write"


def test_a_number_is_drawn_once_and_stays_until_it_is_taken(
    model: SharedModel, served: Counting, tmp_path: Path
) -> None:
    push(model, "a", "1", tmp_path / "w")
    for _ in range(2):
        model.submit("a", 0, weights="1", request=asked())
    model.submit("b", 0, weights="1", request=asked())
    rounds(model)
    for _ in range(2):
        found = model.finished("a", taken=[])
        assert found.keys() == {0}
        assert (found[0].ids, found[0].prompt_ids) == ([7], [1, 1, 1])
    assert model.finished("a", taken=[0]) == {}
    model.submit("a", 0, weights="1", request=asked())  # the first try comes late
    rounds(model)
    assert model.finished("a", taken=[]) == {}
    assert model.finished("b", taken=[]).keys() == {0}


def test_other_weights_wait_for_requests_and_for_a_rollout_that_goes_on(
    model: SharedModel, served: Counting, clock: Clock, tmp_path: Path
) -> None:
    push(model, "a", "1", tmp_path / "w1")
    served.goes_on = False
    model.submit("a", 0, weights="1", request=asked())
    clock.now = 100.0
    assert model.turn("b", weights="2", shape=SHAPE) == "wait"
    served.goes_on = True
    rounds(model)
    model.finished("a", taken=[])  # a second turn may follow
    clock.now += module.STAYS_S - 0.5
    assert model.turn("b", weights="2", shape=SHAPE) == "wait"
    clock.now += 1.0
    push(model, "b", "2", tmp_path / "w2")
    with pytest.raises(OtherWeightsError, match="k1: the server holds other weights by now"):
        model.submit("a", 1, weights="1", request=asked(1))
    assert model.turn("a", weights="1", shape=SHAPE) == "wait"
    model.leave("b")
    push(model, "a", "1", tmp_path / "w3")
    assert served.pushed == [1.0, 2.0, 1.0]


def test_requests_never_meet_weights_that_are_being_taken(
    model: SharedModel, served: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(model, "a", "1", tmp_path / "w1")
    model.leave("a")
    taking = served.push

    def push_slowly(named: Mapping[str, Tensor]) -> None:
        with pytest.raises(OtherWeightsError):
            model.submit("a", 0, weights="1", request=asked())
        assert model.turn("a", weights="1", shape=SHAPE) == "wait"
        taking(named)

    monkeypatch.setattr(served, "push", push_slowly)
    push(model, "b", "2", tmp_path / "w2")


def test_mistakes_are_refused_in_words(model: SharedModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a policy of another shape or dtype"):
        model.turn("a", weights="1", shape="another")
    with pytest.raises(ConfigError, match=r"machine.vllm_push_folder: the server cannot take .*none \(No such file"):
        model.load("a", weights="1", folder=tmp_path / "none")
    push(model, "a", "1", tmp_path / "w")
    with pytest.raises(ConfigError, match=r"k0: 90 prompt tokens and 24 new ones exceed rollout.context_tokens=100"):
        model.submit("a", 0, weights="1", request=asked(tokens=90))


@pytest.mark.parametrize("holds", [[], ["thesis.txt"], ["00000.safetensors", "thesis.txt"], ["model.safetensors"]])
def test_a_folder_that_is_none_of_weights_stays_as_it_is(model: SharedModel, tmp_path: Path, holds: list[str]) -> None:
    """The name comes from whoever reaches the server, and a folder that is taken is removed."""
    folder = write(tmp_path / "w", 1.0)
    (folder / "00000.safetensors").rename(tmp_path / "weights")
    for name in holds:
        (folder / name).write_bytes((tmp_path / "weights").read_bytes())
    with pytest.raises(
        ConfigError, match=r"is no folder of weights, which holds 00000\.safetensors and the like alone"
    ):
        model.load("a", weights="1", folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(holds)


def test_a_link_a_file_and_damaged_weights_stay_as_they_are(model: SharedModel, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(write(tmp_path / "w", 1.0))
    (tmp_path / "file").write_text("x")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "00000.safetensors").write_text("x")
    for name, said in (("link", "is no folder of weights"), ("file", "Not a directory"), ("torn", "cannot be read")):
        with pytest.raises(ConfigError, match=said):
            model.load("a", weights="1", folder=tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "torn", "w"]
    rounds(model)  # the server goes on


def test_a_model_that_does_not_go_on_is_told_from_one_without_work(
    model: SharedModel, served: Counting, clock: Clock, tmp_path: Path
) -> None:
    clock.now = 50.0
    assert model.stalled_s == 0.0
    push(model, "a", "1", tmp_path / "w")
    served.goes_on = False
    model.submit("a", 0, weights="1", request=asked())
    rounds(model)
    clock.now += 30.0
    assert model.stalled_s == 30.0
    rounds(model)
    assert model.stalled_s == 0.0  # a step, if nothing came of it yet


def test_trainers_that_are_gone_are_forgotten(model: SharedModel, clock: Clock, tmp_path: Path) -> None:
    push(model, "a", "1", tmp_path / "w")
    model.submit("a", 0, weights="1", request=asked())
    rounds(model)
    clock.now += module.FORGOTTEN_S + 1
    rounds(model)
    assert model.finished("a", taken=[]) == {}


@contextmanager
def small_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr("zoom_iqa.engines.vllm.shared.weight_files.FILE_BYTES", 100)
        yield


def test_weights_go_through_files_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.arange(60.0).view(6, 10)
    named = {"a": whole, "tied": whole, "turned": whole.T, "half": torch.ones(3, dtype=torch.bfloat16)}
    with small_files(monkeypatch):
        write_weights(named, tmp_path / "w")
    assert len(list((tmp_path / "w").iterdir())) == 4
    found = WeightFiles(tmp_path / "w")
    assert len(found) == 4
    for name, weight in found.items():
        assert torch.equal(weight, named[name])
        assert weight.dtype == named[name].dtype


def test_names_tell_weights_apart_and_shapes_do_not() -> None:
    named = {"a": torch.zeros(2, 3), "b": torch.ones(3, dtype=torch.bfloat16), "c": torch.tensor(1.0)}
    others = [
        {**named, "a": torch.zeros(3, 2)},
        {**named, "b": torch.ones(3)},
        {"a": named["a"], "b": named["b"], "d": named["c"]},
    ]
    values = {**named, "c": torch.tensor(1.0 + 2**-23)}
    assert len({name_of(one) for one in (named, values, *others)}) == 5
    assert shape_of(values) == shape_of(named)
    assert len({shape_of(one) for one in (named, *others)}) == 4
    assert name_of(dict(reversed(named.items()))) == name_of(named)
