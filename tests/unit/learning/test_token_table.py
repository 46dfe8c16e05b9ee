"""Rollouts -> flat training tokens, checked token by token on a two-turn trajectory with a crop."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from support import made_rollouts
from support.random_policy import TEXTS, noise_image
from support.toy_prompts import PROMPTS
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import record_of
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Request, RolloutGroup, Sample, rated_example
from zoom_iqa.engines.native.engine import NativeEngineRecipe
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.engines.transformers_engine import TransformersEngine
from zoom_iqa.learning.token_table import build_table
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.rollout.collect import collect_groups
from zoom_iqa.tasks.zoom import ZoomTask

SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=99, stop_strings=())

CROP = '<think>7</think><answer>{"bbox_2d": [0.1, 0.2, 0.7, 0.8], "rating": 3.52, "tool": "crop"}</answer>'
FINAL = '<think>é</think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 4.10, "tool": "final"}</answer> 9'


def collect_two(policy: Policy) -> RolloutGroup:
    """Rollout 0 crops and ends in turn 2; rollout 1 ends at once."""

    def script(request: Request) -> str:
        return CROP if request.key.endswith("/0/turn1") else FINAL

    sample = Sample.of(rated_example(id="x", dataset="d", mos=3.0), noise_image(0, 64, 64))
    engine = ScriptedEngine(script=script, sampling=SAMPLING, policy=policy)
    return collect_groups([sample], task=ZoomTask(prompts=PROMPTS), engines={"policy": engine}, group_size=2, seed=0)[0]


def test_tokens_of_both_turns_and_nothing_else(random_policy: Policy) -> None:
    group = collect_two(random_policy)
    table = build_table(group.rollouts, torch.tensor([0.5, -1.0]), policy=random_policy)
    crop, final = random_policy.completion_ids(CROP), random_policy.completion_ids(FINAL)
    assert [sample.completion_C.tolist() for sample in table.sequences] == [crop, final, final]
    n1, n2 = len(crop), len(final)
    assert table.trajectory_T.tolist() == [0] * (n1 + n2) + [1] * n2
    assert table.advantages_T.tolist() == [0.5] * (n1 + n2) + [-1.0] * n2
    assert table.lengths_K.tolist() == [n1, n2, n2]
    assert table.starts_K.tolist() == [0, n1, n1 + n2]
    assert len(table.signals["sampled"]) == len(table.marks["numbers"]) == n1 + n2 + n2
    first, second, third = table.sequences
    assert first.prompt is third.prompt
    assert first.prompt_key == third.prompt_key != second.prompt_key
    assert len(second.prompt.images) == 2
    repeated = random_policy.decode(second.prompt.ids_L.tolist())
    assert CROP in repeated  # turn 1's answer is context in turn 2


def test_numeric_tokens_are_the_digits_of_the_answer(random_policy: Policy) -> None:
    group = collect_two(random_policy)
    table = build_table(group.rollouts, torch.zeros(2), policy=random_policy)
    ids = torch.cat([sample.completion_C for sample in table.sequences])
    marked = [random_policy.decode([i]) for i in ids[table.marks["numbers"]].tolist()]
    assert "".join(marked) == "01020708352" + "0000410" * 2  # neither the 7 in <think>, nor bbox_2d, nor the last 9
    assert all(len(token) == 1 for token in marked)


def test_values_recorded_while_sampling_are_kept_in_order(random_policy: Policy) -> None:
    group = collect_two(random_policy)
    numbered, count = [], 0
    for rollout in group.rollouts:
        for turn in rollout.steps:
            n = len(turn.generation.token_ids)
            object.__setattr__(turn.generation, "logprobs", tuple(-float(i) for i in range(count, count + n)))
            count += n
        numbered.append(rollout)
    table = build_table(numbered, torch.zeros(2), policy=random_policy)
    assert table.signals["sampled"].tolist() == [-float(i) for i in range(count)]


@pytest.mark.parametrize("text", [TEXTS[1], "naïve – 日本 🙂 3", "", "\n\n  x"])
def test_token_spans_cover_the_text_in_order(random_policy: Policy, text: str) -> None:
    ids = random_policy.completion_ids(text)
    spans = random_policy.token_bytes.spans(ids)
    assert len(spans) == len(ids)
    assert "".join(text[start:end] for start, end in spans) == text
    assert spans[-1] == (len(text), len(text))  # the end token


def test_spans_of_broken_bytes_follow_the_decoded_text(random_policy: Policy) -> None:
    """A model may emit bytes that are no UTF-8; digits after them must still be found."""
    broken = random_policy.completion_ids("é")[:1]
    ids = [*broken, *random_policy.completion_ids("4")[:-1]]
    text = random_policy.decode(ids)
    start, end = random_policy.token_bytes.spans(ids)[-1]
    assert text[start:end].endswith("4")


def test_a_prompt_that_the_engine_has_encoded_is_not_encoded_again(
    random_policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = VisionCache(model=random_policy.model, capacity=10_000)
    sampling = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=3, stop_strings=())
    sample = Sample.of(rated_example(id="x", dataset="d", mos=3.0), noise_image(0, 64, 64))
    for make in (NativeEngineRecipe(token_budget=100_000, join_share=0.5, cuda_graphs=False), TransformersEngine):
        engine = make(policy=random_policy, sampling=sampling, features=features)
        task = ZoomTask(prompts=PROMPTS)
        (group,) = collect_groups([sample], task=task, engines={"policy": engine}, group_size=2, seed=0)
        encoded = random_policy.encode(group.rollouts[0].steps[0].request.prompt)
        with monkeypatch.context() as patched:
            patched.setattr(Policy, "encode", lambda *_: pytest.fail("encoded twice"))
            table = build_table(group.rollouts, torch.zeros(2), policy=random_policy)
        assert table.sequences[0].prompt.ids_L.tolist() == encoded.ids_L.tolist()


@pytest.mark.parametrize("missing", [("token_ids", "logprobs", "entropies"), ("logprobs", "entropies"), ("entropies",)])
def test_generations_without_tokens_are_refused_by_name(random_policy: Policy, missing: tuple[str, ...]) -> None:
    """As they come from an API: records keep them, training does not take them."""
    made = made_rollouts.step(3.0, token_ids=(1, 2))
    spoken = replace(made, generation=replace(made.generation, key="d:x/0/turn1", **dict.fromkeys(missing)))
    told = made_rollouts.rollout(rated_example(id="x", dataset="d", mos=3.0), spoken)
    with pytest.raises(
        ConfigError, match=f"^d:x/0/turn1: its engine gave no {', '.join(missing)}, which .*rollout=native"
    ):
        build_table([told], torch.zeros(1), policy=random_policy)
    assert record_of(told).steps[0].tokens == (0 if "token_ids" in missing else 2)
