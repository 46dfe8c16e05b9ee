"""Expected ratings of a random policy's answers against a plain forward for every way to go on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from support.written_engine import written
from support.written_rollouts import PROMPTS, written_groups
from zoom_iqa.base.types import Message, Rollout
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.rollout.expected_ratings import expected_ratings
from zoom_iqa.tasks.zoom import StrictRules


def saying(policy: Policy, rollout: Rollout, text: str) -> Rollout:
    """The rollout with another last text."""
    last = rollout.steps[-1]
    ids = tuple(policy.completion_ids(text))
    step = replace(
        last,
        generation=replace(last.generation, text=text, token_ids=ids, logprobs=None, entropies=None),
        reading=StrictRules().read(text, sections=PROMPTS.sections_turn1, final_only=False),
    )
    return replace(rollout, steps=(*rollout.steps[:-1], step))


def next_signs(policy: Policy, messages: tuple[Message, ...], text: str) -> dict[str, float]:
    """Probabilities of the digits and the point after a text, by one forward of the whole model."""
    prompt = policy.encode(messages)
    ids = torch.cat([prompt.ids_L, torch.tensor(policy.completion_ids(text)[:-1], dtype=torch.long)])
    more = prompt.next_position + torch.arange(len(ids) - len(prompt.ids_L))
    out = policy.model(
        input_ids=ids[None],
        position_ids=torch.cat([prompt.positions_3L, more.expand(3, -1)], 1)[:, None],
        pixel_values=torch.cat([image.pixels_PD for image in prompt.images]),
        image_grid_thw=torch.tensor([image.grid for image in prompt.images]),
        mm_token_type_ids=(ids == policy.encoder.image_pad_id).int()[None],
    )
    logits_V = out.logits[0, -1].double()
    logits_V[list(policy.banned_ids)] = -torch.inf
    p_V = logits_V.softmax(-1)
    return {sign: float(p_V[policy.completion_ids(sign)[0]]) for sign in "0123456789."}


def plainly(policy: Policy, rollout: Rollout, after: str = '"rating": ') -> tuple[float, float, float]:
    """Mean, deviation and mass over everything that may stand in place of the rating, which comes ``after`` a text."""
    step = rollout.steps[-1]
    before = step.generation.text.partition(after)
    begun = before[0] + before[1]
    outcomes: list[tuple[float, float]] = []

    def walk(number: str, p: float) -> None:
        signs = next_signs(policy, step.request.prompt, begun + number)
        possible = {sign: p * q for sign, q in signs.items() if sign != "." or len(number) == 1}
        if number:
            outcomes.append((float(number), p - sum(possible.values())))
        for sign, q in possible.items():
            longer = number + sign
            if len(longer) == 4 or longer in ("0", "5", "6", "7", "8", "9") or longer[1:].isdigit():  # 3.52, 12
                outcomes.append((min(5.0, max(1.0, float(longer))), q))
            else:
                walk(longer, q)

    walk("", 1.0)
    mass = sum(p for _, p in outcomes)
    mean = sum(value * p for value, p in outcomes) / mass
    return mean, (sum((value - mean) ** 2 * p for value, p in outcomes) / mass) ** 0.5, mass


@torch.no_grad()
def test_they_are_those_of_plain_forwards(random_policy: Policy) -> None:
    rollouts = [
        rollout for group in written_groups(random_policy, images=2, group_size=2) for rollout in group.rollouts
    ]
    assert {len(rollout.steps) for rollout in rollouts} == {1, 2}
    found = expected_ratings(rollouts, policy=random_policy, features=None)
    for rollout, expected in zip(rollouts, found, strict=True):
        assert expected is not None
        assert (expected.mean, expected.std, expected.mass) == pytest.approx(plainly(random_policy, rollout), rel=2e-4)
    assert len({round(expected.mean, 4) for expected in found if expected is not None}) >= 3


def test_they_do_not_depend_on_what_is_beside_them_nor_on_the_rating_drawn(random_policy: Policy) -> None:
    (group,) = written_groups(random_policy, images=1, group_size=3)
    together = expected_ratings(group.rollouts, policy=random_policy, features=None)
    features = VisionCache(model=random_policy.model, capacity=10)
    alone = [expected_ratings([rollout], policy=random_policy, features=features)[0] for rollout in group.rollouts]
    first, text = group.rollouts[0], group.rollouts[0].steps[-1].generation.text
    before, _, after = text.partition('"rating": ')
    other = saying(random_policy, first, f'{before}"rating": 4.99{after[4:]}')
    alone.append(expected_ratings([other], policy=random_policy, features=features)[0])
    for a, b in zip([*together, together[0]], alone, strict=True):
        assert a is not None
        assert b is not None
        assert (a.mean, a.std, a.mass) == pytest.approx((b.mean, b.std, b.mass), rel=1e-4)


def test_a_token_that_spells_nothing_before_the_digit_is_no_digit(random_policy: Policy) -> None:
    (group,) = written_groups(random_policy, images=1, group_size=1)
    last = group.rollouts[0].steps[-1]
    before, key, _ = last.generation.text.partition('"rating": ')
    place = len(random_policy.completion_ids(before + key)) - 1
    ids = last.generation.token_ids
    assert ids is not None
    ids = (*ids[:place], random_policy.end_id, *ids[place:])
    silent = replace(last, generation=replace(last.generation, token_ids=ids, logprobs=None, entropies=None))
    changed = replace(group.rollouts[0], steps=(*group.rollouts[0].steps[:-1], silent))
    assert expected_ratings([changed], policy=random_policy, features=None) != [None]


def test_where_there_is_no_place_for_digits_there_is_no_expectation(random_policy: Policy) -> None:
    (group,) = written_groups(random_policy, images=1, group_size=1)
    good = group.rollouts[0]
    text = written("turn1", rating=3.5, crop=False)
    others = ("12.5", "-3", '"good"', "3.5", '"3.5"')
    unknown = replace(good.steps[-1], generation=replace(good.steps[-1].generation, token_ids=None))
    changed = [
        good,
        replace(good, steps=(*good.steps[:-1], unknown)),
        *(saying(random_policy, good, text.replace("3.50", other)) for other in others),
        saying(random_policy, good, "no answer at all"),
    ]
    found = expected_ratings(changed, policy=random_policy, features=None)
    assert [expected is not None for expected in found] == [True, *[False] * 4, True, True, False]
    assert expected_ratings(changed[1:3], policy=random_policy, features=None) == [None, None]


@torch.no_grad()
def test_a_rating_named_before_the_answer_is_decided_there(random_policy: Policy) -> None:
    (group,) = written_groups(random_policy, images=1, group_size=1)
    text = written("turn1", rating=1.0, crop=True).replace("0.7, 0.8", "1.00, 1.00")  # a box is no rating
    named = text.replace("Decision: x", "Decision: not 11.00, -1.00, 1.003 or 1.00.5, but 1.00. So 1.00")
    rollouts = [saying(random_policy, group.rollouts[0], written) for written in (text, named)]
    places = ('"rating": ', "but ")
    found = expected_ratings(rollouts, policy=random_policy, features=None)
    for rollout, expected, place in zip(rollouts, found, places, strict=True):
        assert expected is not None
        plain = plainly(random_policy, rollout, place)
        assert (expected.mean, expected.std, expected.mass) == pytest.approx(plain, rel=2e-4)
