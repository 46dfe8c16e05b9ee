"""Sessions x engine: order, seeds, duplicates, and second turns that start at once."""

from __future__ import annotations

import math

import pytest

from support.random_policy import noise_image
from support.toy_prompts import THREE_WORDINGS
from zoom_iqa.base.errors import SessionError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Reading, Request, RolloutGroup, Sample, rated_example
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.rollout.collect import collect as collect_sessions
from zoom_iqa.rollout.collect import collect_groups, seed_of
from zoom_iqa.tasks.sessions import QuestionSession, request_of
from zoom_iqa.tasks.zoom import ZoomTask

SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=99, stop_strings=())
CROP = '<answer>{"bbox_2d": [0.1, 0.2, 0.7, 0.8], "rating": 3.52, "tool": "crop"}</answer>'
FINAL = '<answer>{"bbox_2d": [0, 0, 0, 0], "rating": 4.10, "tool": "final"}</answer>'


class RecordingEngine(ScriptedEngine):
    """Answers the newest request first, so that generations come back out of order; notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(script=lambda r: CROP if "turn1" in r.key else FINAL, sampling=SAMPLING, policy=None)
        self.seen: list[Request] = []

    def submit(self, request: Request) -> None:
        self.seen.append(request)
        super().submit(request)

    def step(self) -> list[Generation]:
        self._waiting.reverse()
        answered = super().step()
        self._waiting.reverse()
        return answered


def samples(*ids: str) -> list[Sample]:
    return [Sample.of(rated_example(id=i, dataset="d", mos=3.0), noise_image(ord(i), 40, 40)) for i in ids]


def collect(*ids: str, seed: int = 0) -> tuple[list[RolloutGroup], RecordingEngine]:
    engine = RecordingEngine()
    task = ZoomTask(prompts=THREE_WORDINGS)
    groups = collect_groups(samples(*ids), task=task, engines={"policy": engine}, group_size=3, seed=seed)
    return groups, engine


def test_groups_and_rollouts_keep_their_order() -> None:
    groups, _ = collect("a", "b")
    assert [group.example.id for group in groups] == ["a", "b"]
    for group in groups:
        assert [rollout.index for rollout in group.rollouts] == [0, 1, 2]
        assert all(rollout.cropped for rollout in group.rollouts)
        assert all(rollout.example.id == group.example.id for rollout in group.rollouts)
        assert [step.generation.text for step in group.rollouts[0].steps] == [CROP, FINAL]


def test_a_second_turn_is_submitted_as_soon_as_its_own_first_turn_ends() -> None:
    _, engine = collect("a", "b")
    order = [request.key.rpartition("/")[2] for request in engine.seen]
    assert order == ["turn1"] * 6 + ["turn2"] * 6
    answered_first = engine.seen[6]  # the newest turn 1 was answered first; its turn 2 came before the next answer
    assert answered_first.key.startswith("d:b/")
    assert answered_first.key.endswith("/2/turn2")


def test_an_image_may_be_in_a_batch_twice() -> None:
    groups, engine = collect("a", "a")
    assert len({request.key for request in engine.seen}) == 12
    seeds = {request.seed for request in engine.seen}
    assert len(seeds) == 12
    numbers = [[rollout.index for rollout in group.rollouts] for group in groups]
    assert numbers == [[0, 1, 2], [3, 4, 5]]  # records are told apart by image and number


def test_seeds_and_wording_depend_on_the_image_and_not_on_its_neighbours() -> None:
    def of_b(engine: RecordingEngine) -> set[tuple[str, int, str]]:
        return {(request.key, request.seed, request.prompt_key) for request in engine.seen if "d:b/" in request.key}

    _, alone = collect("b")
    _, beside = collect("a", "b")
    _, other_seed = collect("b", seed=1)
    assert of_b(alone) == of_b(beside)
    assert of_b(alone) != of_b(other_seed)


def test_images_of_one_id_in_two_data_sets_have_seeds_of_their_own() -> None:
    one, other = (rated_example(id="a", dataset=dataset, mos=3.0) for dataset in "de")
    assert seed_of(one, seed=0) != seed_of(other, seed=0)


def test_a_group_shares_one_prompt_and_wordings_vary_between_images() -> None:
    _, engine = collect(*"abcdefgh")
    turn1 = [request for request in engine.seen if request.key.endswith("turn1")]
    keys = [request.prompt_key for request in turn1]
    assert [len(set(keys[i : i + 3])) for i in range(0, len(keys), 3)] == [1] * 8
    assert len({request.prompt[0].parts[0] for request in turn1}) == 3


class ForgetfulEngine(RecordingEngine):
    """Loses its first request, or answers it twice."""

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        self._twice = twice

    def step(self) -> list[Generation]:
        if not self._twice and len(self.seen) == len(self._waiting):
            self._waiting.pop(0)
        answered = super().step()
        return answered * 2 if self._twice else answered


@pytest.mark.parametrize(("twice", "said"), [(False, "never answered 'd:a/"), (True, "which is not asked for")])
def test_an_engine_answers_each_request_once(twice: bool, said: str) -> None:
    engine = ForgetfulEngine(twice=twice)
    with pytest.raises(SessionError, match=said):
        collect_groups(
            samples("a", "b"),
            task=ZoomTask(prompts=THREE_WORDINGS),
            engines={"policy": engine},
            group_size=3,
            seed=0,
        )


@pytest.mark.parametrize("rating", [300.0, 0.99, math.nan])
def test_a_rating_off_the_scale_is_a_task_s_mistake(rating: float) -> None:
    (sample,) = samples("a")
    request = request_of((), example=sample.example, index=0, seed=0, turn=1)
    reading = Reading(values={"rating": rating}, well_formed=True)
    session = QuestionSession(example=sample.example, index=0, request=request, read=lambda text: reading)
    with pytest.raises(SessionError, match=rf"^d:a: its task reads a rating of {rating}, off the scale of 1 to 5"):
        collect_sessions([session], engines={"policy": RecordingEngine()})


def test_nothing_to_collect() -> None:
    assert collect()[0] == []
