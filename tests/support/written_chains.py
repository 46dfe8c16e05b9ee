"""Chains of a random policy with written texts: growing conversations with one crop or two."""

from __future__ import annotations

from support.random_policy import noise_image
from support.written_rollouts import SAMPLING
from zoom_iqa.base.types import Request, Rollout, Sample, rated_example
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.policy.policy import Policy
from zoom_iqa.rollout.collect import collect_groups
from zoom_iqa.tasks.chain import ChainPrompts, ChainTask

PROMPTS = ChainPrompts(
    questions=["Rate the image."],
    first="{question}",
    shown="Crop {number}: ",
    refused="No crop {number}: {reason}. ",
    go_on="Go on.",
    last="Answer.",
    terse=True,
)
ZOOM = '<think>soft</think><zoom>{"bbox_2d": [0.1, 0.2, 0.7, 0.8], "look_for": "blur"}</zoom>'
ANSWER = '<think>soft</think><answer>{"rating": 2.35, "evidence": []}</answer>'


def script(request: Request) -> str:
    """The first rollout of a group looks twice, the second once, the third answers."""
    index, turn = request.key.split("/")[-2:]
    return ZOOM if int(turn.removeprefix("turn")) <= 2 - int(index) else ANSWER


def chain_rollouts(policy: Policy, *, images: int = 1) -> list[Rollout]:
    """Three rollouts of each image, of three, two turns and one."""
    engine = ScriptedEngine(script=script, sampling=SAMPLING, policy=policy)
    task = ChainTask(prompts=PROMPTS, max_turns=4, max_crops=4, enlarge=1.0)
    samples = [
        Sample.of(rated_example(id=str(number), dataset="d", mos=3.0), noise_image(number, 256, 160))
        for number in range(images)
    ]
    groups = collect_groups(samples, task=task, engines={"policy": engine}, group_size=3, seed=0)
    return [rollout for group in groups for rollout in group.rollouts]
