"""The language warm-up: what it reads, what it leaves alone, and that both lessons teach."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch

from support.random_policy import turn1_prompt, turn2_prompt
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.supervised.rationales import RationaleWriter
from zoom_iqa.data.supervised.trajectories import WrittenTrajectories
from zoom_iqa.objectives.schedules import Constant
from zoom_iqa.objectives.sft_loss import ResponseCrossEntropy
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.zoom import ZoomTask
from zoom_iqa.tiny_policy.language import LanguageWarmup, Lesson

LESSONS = ("read scores", "write answers")
PROMPTS = PromptSet(
    questions=["Rate it."],
    turn1="{question}",
    turn2="Look.",
    sections_turn1=["A", "B", "C", "D"],
    sections_turn2=["E", "F", "G", "H"],
    original_label="O: ",
    crop_label="C: ",
    terse=True,
)


@pytest.fixture
def policy(random_policy: Policy) -> Policy:
    fresh = copy.copy(random_policy)
    fresh.model = copy.deepcopy(random_policy.model)
    return fresh


def _lesson(steps: int) -> Lesson:
    return Lesson(
        steps=steps,
        batch_size=4,
        optimizer=partial(torch.optim.AdamW, lr=3e-3),
        lr_factor=Constant(value=1.0),
    )


def _warmup(*, reading: int, writing: int) -> LanguageWarmup:
    images = EmbeddedSet(
        split="train",
        size=6,
        seed=0,
        local_fraction=0.3,
        pristine_fraction=0.0,
        procedural_fraction=0.0,
        continuous_levels=True,
        augmented=False,
        references=None,
    )
    writer = RationaleWriter(
        prompts=PROMPTS,
        doubt_level=2,
        doubt_crop_rate=0.5,
        clear_crop_rate=0.1,
        guess_pull=0.5,
        guess_spread=0.3,
        box_jitter=0.1,
    )
    return LanguageWarmup(
        trajectories=WrittenTrajectories(images=images, writer=writer, task=ZoomTask(prompts=PROMPTS), seed=0),
        examples=6,
        workers=0,
        device="cpu",
        reading=_lesson(reading),
        writing=_lesson(writing),
        loss=ResponseCrossEntropy(numeric_weight=4.0),
        seed=0,
    )


@torch.no_grad()
def test_prompt_states_are_those_of_a_plain_forward(policy: Policy):
    prompts = [policy.encode(turn1_prompt(1)), policy.encode(turn2_prompt(2))]
    likelihood = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)
    states = likelihood.prompt_states(prompts)
    for prompt, state in zip(prompts, states, strict=True):
        out = policy.model.model(
            input_ids=prompt.ids_L[None],
            position_ids=prompt.positions_3L[:, None],
            pixel_values=torch.cat([image.pixels_PD for image in prompt.images]),
            image_grid_thw=torch.tensor([image.grid for image in prompt.images]),
            mm_token_type_ids=(prompt.ids_L == policy.encoder.image_pad_id).int()[None],
        )
        torch.testing.assert_close(state, out.last_hidden_state[0, -1], atol=1e-4, rtol=1e-4)


def test_the_tower_is_left_alone_and_trainable_again(policy: Policy):
    before = copy.deepcopy(policy.model.model.visual.state_dict())
    words = policy.model.get_input_embeddings().weight.detach().clone()
    _warmup(reading=2, writing=2).run(policy)
    assert all(torch.equal(value, before[name]) for name, value in policy.model.model.visual.state_dict().items())
    assert not torch.equal(policy.model.get_input_embeddings().weight, words)
    assert all(parameter.requires_grad for parameter in policy.model.parameters())


def test_both_lessons_lower_their_loss(policy: Policy, capsys: pytest.CaptureFixture[str]):
    again = copy.copy(policy)
    again.model = copy.deepcopy(policy.model)
    _warmup(reading=1, writing=1).run(policy)
    first = _last_losses(capsys)
    _warmup(reading=40, writing=30).run(again)
    last = _last_losses(capsys)
    assert all(last[lesson] < 0.7 * first[lesson] for lesson in LESSONS)


def _last_losses(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """The loss that each lesson's last progress line shows."""
    lines = capsys.readouterr().err.splitlines()
    return {lesson: float([line for line in lines if line.startswith(lesson)][-1].split()[-1]) for lesson in LESSONS}
