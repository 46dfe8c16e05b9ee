"""Any chain can be learned from, judged and shown: tokens, views, rewards, figures, pages, cards and overlays."""

from __future__ import annotations

import json
from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.chain_texts import TEXTS
from support.made_curriculum import ladder
from support.random_policy import build_random_policy, noise_image
from support.written_chains import PROMPTS
from support.written_rollouts import SAMPLING
from zoom_iqa.base.records import record_of
from zoom_iqa.base.types import Request, RolloutGroup, Sample, Truth, rated_example
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.evaluation.assessment import Assessment
from zoom_iqa.evaluation.figures import figures_of, ratings_by_image
from zoom_iqa.learning.token_table import build_table
from zoom_iqa.objectives.filters.evidence import VIEWS
from zoom_iqa.objectives.rewards.inputs import RewardInputs
from zoom_iqa.objectives.rewards.looks import LookBonus
from zoom_iqa.parallel.reducer import LocalReducer
from zoom_iqa.reports.answers import answer_row
from zoom_iqa.reports.assessments import fields_of
from zoom_iqa.reports.cards import card
from zoom_iqa.reports.overlays import overlay
from zoom_iqa.rollout.collect import collect_groups
from zoom_iqa.tasks.chain import ChainTask

POLICY = build_random_policy()
BONUS = LookBonus(weight=1.0, tolerance=0.5, bound=0.8, most=3)
TRUTH = Truth(distortion="jpeg", level=4.0, region=(0.1, 0.2, 0.6, 0.7))
TASK = ChainTask(prompts=PROMPTS, max_turns=3, max_crops=2, enlarge=1.0)
GROUP = 2


def groups_of(texts: list[str], width: int, height: int) -> list[RolloutGroup]:
    """Two images, two rollouts each, that say the texts in turn."""
    said = iter(range(10**6))

    def script(request: Request) -> str:
        return texts[next(said) % len(texts)].encode("utf-8", "replace").decode()  # as tokens decode

    examples = [replace(rated_example(id=str(n), dataset="d", mos=2.0 + n), truth=(None, TRUTH)[n]) for n in range(2)]
    samples = [Sample.of(example, noise_image(n, width, height)) for n, example in enumerate(examples)]
    engine = ScriptedEngine(script=script, sampling=SAMPLING, policy=POLICY)
    return collect_groups(samples, task=TASK, engines={"policy": engine}, group_size=GROUP, seed=0)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.integers(28, 120), st.integers(28, 120))
def test_any_chain_has_its_outcomes(texts: list[str], width: int, height: int) -> None:
    groups = groups_of(texts, width, height)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    table = build_table(rollouts, torch.zeros(len(rollouts)), policy=POLICY, views=VIEWS)
    for step, sequence in zip((step for r in rollouts for step in r.steps), table.sequences, strict=True):
        assert step.generation.token_ids == tuple(sequence.completion_C.tolist())
        shown = [part for message in step.request.prompt for part in message.parts if hasattr(part, "image")]
        assert len(shown) == len(sequence.prompt.images)  # what imitates an image's place is text
    inputs = RewardInputs.from_groups(groups, reducer=LocalReducer())
    total_BG = ladder().reward(inputs)
    assert total_BG.isfinite().all()
    assert ((total_BG >= 0) & (total_BG <= 10)).all()  # 1 + 2 + 3 + 4
    assert ((BONUS.reward(inputs) == 0) | inputs.ratings_BG.isfinite()).all()
    records = [record_of(rollout) for rollout in rollouts]
    json.dumps(figures_of(records, None), allow_nan=False)
    image = noise_image(0, width, height)
    for record in records:
        found = Assessment(source="a", size=image.size, records=(record,), expected=None, sections=())
        json.dumps(fields_of(found), allow_nan=False)
        card(found, width=100)
        overlay(image, found)


def test_a_page_shows_any_chain() -> None:
    """The worst of each kind, by name."""
    hostile = '<answer>{"rating": 2.35, "evidence": [{"bbox_2d": [-9, 1e300, 3, 0], "defect": "</script>\\u001b[2J"}]}'
    for text in ("", "<zoom>", "<zoom>" * 20, hostile + "</answer>", "Crop 1: <|image_pad|>"):
        for group in groups_of([text], 60, 40):
            (image,) = ratings_by_image([record_of(rollout) for rollout in group.rollouts])
            row = answer_row(image, with_text=True, on_scale=True)
            assert "\x1b" not in json.dumps(row, allow_nan=False, ensure_ascii=False)
