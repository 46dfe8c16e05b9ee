"""Questions about finished rollouts: asked by the same loop, answered by whoever they are for, kept on the rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import pytest

from support.made_rollouts import rollout as made_rollout
from support.made_rollouts import step
from support.random_policy import noise_image
from support.toy_prompts import PROMPTS
from zoom_iqa.base.errors import ConfigError, SessionError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import ParseFailure, Request, Rollout, RolloutGroup, Sample, TextPart, rated_example
from zoom_iqa.engines.engine import Engine
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.rollout.collect import collect, collect_groups
from zoom_iqa.rollout.description_probe import DescriptionProbe
from zoom_iqa.rollout.probe import Probe
from zoom_iqa.tasks.caption import CaptionPrompts, CaptionTask
from zoom_iqa.tasks.caption_reason import read_caption_reason
from zoom_iqa.tasks.description import Strip
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.sessions import QuestionSession
from zoom_iqa.tasks.zoom import ZoomTask

SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=999, stop_strings=())
CROP = '<think>far</think><answer>{"bbox_2d": [0.1, 0.2, 0.7, 0.8], "rating": 3.52, "tool": "crop"}</answer>'
FINAL = '<think>close and soft</think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 4.10, "tool": "final"}</answer>'
SAID = '<think>soft</think><answer>{"rating": 2.40}</answer>'
CAPTIONS = CaptionPrompts(questions=["How good?"], prompt="{question} An image described as: {description}")
SAMPLES = [Sample.of(rated_example(id=i, dataset="d", mos=3.0), noise_image(ord(i), 40, 40)) for i in "ab"]


class Asked(ScriptedEngine):
    """Answers by what is asked and notes it."""

    def __init__(self, final: str = FINAL) -> None:
        super().__init__(script=self._answer, sampling=SAMPLING, policy=None)
        self.seen: list[Request] = []
        self._final = final

    def _answer(self, request: Request) -> str:
        self.seen.append(request)
        if request.key.endswith("described"):
            return SAID
        return CROP if request.key.endswith("/0/turn1") else self._final


def groups_of(
    samples: Sequence[Sample],
    engines: Mapping[str, Engine],
    *,
    probes: Mapping[str, Probe],
    group_size: int,
    prompts: PromptSet = PROMPTS,
) -> list[RolloutGroup]:
    """Rollouts of the zoom task, with their probes."""
    task = ZoomTask(prompts=prompts)
    return collect_groups(samples, task=task, engines=engines, group_size=group_size, seed=0, probes=probes)


def test_the_rating_from_the_description_lies_on_the_rollout() -> None:
    engine = Asked()
    groups = groups_of(
        SAMPLES,
        {"policy": engine},
        probes={"described": DescriptionProbe(prompts=CAPTIONS, text="thought", strip="none")},
        group_size=2,
    )
    for group in groups:
        assert [len(rollout.steps) for rollout in group.rollouts] == [2, 1]
        for rollout in group.rollouts:
            (answer,) = rollout.probes["described"]
            assert (rollout.rating, answer.rating) == (4.1, 2.4)
            assert answer.steps[0].reading.well_formed
            (message,) = answer.steps[0].request.prompt
            assert message.parts == (TextPart("How good? An image described as: close and soft"),)
    assert len({request.key for request in engine.seen}) == len(engine.seen) == 2 * (2 + 1 + 2)
    assert len({request.seed for request in engine.seen}) == len(engine.seen)


def test_a_description_is_asked_about_in_the_wording_that_the_image_was() -> None:
    questions = ["Rate it", "Rate it now."]
    prompts, captions = (replace(texts, questions=questions) for texts in (PROMPTS, CAPTIONS))
    samples = [Sample.of(rated_example(id=i, dataset="d", mos=3.0), noise_image(ord(i), 40, 40)) for i in "abcdef"]
    probes = {"described": DescriptionProbe(prompts=captions, text="thought", strip="none")}
    asked = set()
    for group in groups_of(samples, {"policy": Asked()}, probes=probes, group_size=1, prompts=prompts):
        (answer,) = group.rollouts[0].probes["described"]
        said = answer.steps[0].request.prompt[0].parts[0].text.partition(" An image")[0]  # type: ignore[union-attr]
        shown = group.rollouts[0].steps[0].request.prompt[0].parts[0].text  # type: ignore[union-attr]
        assert shown == PROMPTS.turn1.replace("{question}", said)
        asked.add(said)
    assert asked == set(questions)


def test_a_probe_is_asked_before_rollouts_that_still_run_have_ended() -> None:
    engine = Asked()
    groups_of(
        SAMPLES[:1],
        {"policy": engine},
        probes={"described": DescriptionProbe(prompts=CAPTIONS, text="thought", strip="none")},
        group_size=3,
    )
    kinds = [request.key.rpartition("/")[2] for request in engine.seen]
    assert kinds == ["turn1", "turn1", "turn1", "turn2", "described", "described", "described"]


class Judge:
    """Asks another speaker, twice."""

    def sessions(self, rollout: Rollout) -> list[QuestionSession]:
        described = replace(rollout.example, references=("soft",))
        task = CaptionTask(prompts=CAPTIONS)
        return [JudgeSession(task.open(Sample(described, ()), index=n, seed=rollout.index)) for n in range(2)]  # type: ignore[misc]


class JudgeSession:
    def __init__(self, inner: QuestionSession) -> None:
        self._inner = inner
        self.submit, self.rollout = inner.submit, inner.rollout

    def next_request(self) -> Request | None:
        request = self._inner.next_request()
        return None if request is None else replace(request, speaker="judge")


def test_a_request_goes_to_its_speaker() -> None:
    policy, judge = Asked(), Asked()
    (group,) = groups_of(SAMPLES[:1], {"policy": policy, "judge": judge}, probes={"judge": Judge()}, group_size=2)
    assert {request.speaker for request in policy.seen} == {"policy"}
    assert {request.speaker for request in judge.seen} == {"judge"}
    assert [len(rollout.probes["judge"]) for rollout in group.rollouts] == [2, 2]
    with pytest.raises(ConfigError, match="no engine speaks for 'judge'; there are policy"):
        groups_of(SAMPLES[:1], {"policy": policy}, probes={"judge": Judge()}, group_size=1)


def test_two_open_requests_under_one_key_are_refused() -> None:
    task = ZoomTask(prompts=PROMPTS)
    twins = [task.open(SAMPLES[0], index=0, seed=1) for _ in range(2)]
    with pytest.raises(SessionError, match="asked for twice at once"):
        collect(twins, engines={"policy": Asked()})


def test_a_rollout_without_a_thought_is_not_asked() -> None:
    engine = ScriptedEngine(script=lambda request: "nothing", sampling=SAMPLING, policy=None)
    (group,) = groups_of(
        SAMPLES[:1],
        {"policy": engine},
        probes={"described": DescriptionProbe(prompts=CAPTIONS, text="thought", strip="none")},
        group_size=1,
    )
    (rollout,) = group.rollouts
    assert rollout.probes == {"described": ()}
    assert isinstance(rollout.rating, ParseFailure)


def test_own_words_are_caption_and_thought_where_the_task_asks_for_a_caption_else_all_thoughts() -> None:
    probe = DescriptionProbe(prompts=CAPTIONS, text="own", strip="none")
    assert words_asked_about(probe, CROP, FINAL) == "far close and soft"
    said = '<caption>a cat</caption><think>soft</think><answer>{"rating": 2.40}</answer>'
    assert words_asked_about(probe, said, caption=True) == "a cat soft"
    assert words_asked_about(probe, "<think>soft</think>", caption=True) is None


@pytest.mark.parametrize(("strip", "left"), [("none", "good, 3.5 it is"), ("ratings", "good, it is")])
def test_what_gives_the_rating_away_is_struck(strip: Strip, left: str) -> None:
    probe = DescriptionProbe(prompts=CAPTIONS, text="thought", strip=strip)
    assert words_asked_about(probe, "<think>good, 3.5 it is</think>") == left


def test_words_of_which_striking_leaves_nothing_are_not_asked_about() -> None:
    probe = DescriptionProbe(prompts=CAPTIONS, text="thought", strip="ratings_and_grades")
    assert words_asked_about(probe, "<think>good 3.5</think>") is None


def test_words_are_asked_about_with_one_seed_and_each_probe_has_its_answers() -> None:
    engine = Asked(final=FINAL.replace("close", "good"))
    probes = {strip: DescriptionProbe(prompts=CAPTIONS, text="thought", strip=strip) for strip in get_args(Strip)}
    (group,) = groups_of(SAMPLES[:1], {"policy": engine}, probes={**probes, "again": probes["none"]}, group_size=2)
    asked = [request for request in engine.seen if request.key.endswith("/1/described")]
    plain, rated, graded, again = asked
    assert (plain.prompt_key, plain.seed) == (rated.prompt_key, rated.seed) == (again.prompt_key, again.seed)
    assert (graded.prompt_key != plain.prompt_key, graded.seed) == (True, plain.seed)
    assert plain.seed != engine.seen[0].seed
    assert len({request.seed for request in engine.seen if request.key.startswith("none/")}) == 2
    assert [one.rating for name in (*probes, "again") for one in group.rollouts[1].probes[name]] == [2.4] * 4


@pytest.mark.parametrize("wording", ["How good?", "Rate it.", "Judge this."])
def test_the_question_is_the_one_that_the_rollout_was_asked(wording: str) -> None:
    engine = Asked()
    captions = replace(CAPTIONS, questions=["Rate it.", "How good?", "Judge this."])
    probes = {"described": DescriptionProbe(prompts=captions, text="thought", strip="none")}
    prompts = replace(PROMPTS, questions=(wording,))
    groups_of(SAMPLES, {"policy": engine}, probes=probes, group_size=3, prompts=prompts)
    asked = [request.prompt[0].parts[0] for request in engine.seen if request.key.endswith("described")]
    assert [part.text.split(" An image")[0] for part in asked if isinstance(part, TextPart)] == [wording] * 6


def test_a_question_that_the_prompts_do_not_hold_is_drawn() -> None:
    engine = Asked()
    captions = replace(CAPTIONS, questions=["One?", "Two?"])
    probes = {name: DescriptionProbe(prompts=captions, text="thought", strip=name) for name in get_args(Strip)}
    groups_of(SAMPLES, {"policy": engine}, probes=probes, group_size=4)
    asked: dict[str, set[str]] = {}
    for request in engine.seen:
        if request.key.endswith("described"):
            (part,) = request.prompt[0].parts
            assert isinstance(part, TextPart)
            asked.setdefault(request.key.partition("/")[2], set()).add(part.text.split(" An image")[0])
    assert len(asked) == 8
    assert all(len(wordings) == 1 for wordings in asked.values())
    assert set.union(*asked.values()) == {"One?", "Two?"}


def words_asked_about(probe: DescriptionProbe, *texts: str, caption: bool = False) -> str | None:
    steps = tuple(step(3.0, text=text) for text in texts)
    if caption:
        steps = tuple(replace(one, reading=read_caption_reason(one.generation.text)) for one in steps)
    sessions = probe.sessions(made_rollout(SAMPLES[0].example, *steps))
    if not sessions:
        return None
    request = sessions[0].next_request()
    assert request is not None
    (part,) = request.prompt[0].parts
    assert isinstance(part, TextPart)
    return part.text.removeprefix("How good? An image described as: ")
