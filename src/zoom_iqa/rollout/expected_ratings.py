"""The ratings that a policy expects to write in answers it has given: exact, by one more forward pass.

An answer's text up to its rating is kept, and every way to write the rating is forwarded after it: 49 places, which
branch off one text and are packed as one tree of some 120 tokens more. So the expectation is over the rating's digits
given the text before them; the mean over several answers of an image is over that text as well. A text that names its
rating before the answer ("the score is 3.52") has decided there, and the answer's digits are a copy: the first place
counts.

Legend: P places of trees, S signs (the ten digits and the point), J digits, U units of 1 to 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from zoom_iqa.base.errors import PolicyError
from zoom_iqa.base.judgements import RatingDistribution
from zoom_iqa.base.types import Reading, Rollout, Step
from zoom_iqa.metrics.expected_rating import DEEPER, DigitDistributions, expected_rating
from zoom_iqa.policy.encoding import EncodedPrompt
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

ROWS = 64
"""Rows of logits that exist at a time."""


@torch.no_grad()
def expected_ratings(
    rollouts: Sequence[Rollout], *, policy: Policy, features: VisionCache | None
) -> list[RatingDistribution | None]:
    """The distribution of each rollout's rating at the place where its last text first gives it; all share a forward.

    It is the policy's own, at temperature 1 and over the whole vocabulary, however the text was sampled. None stands
    for a rollout without a readable rating, for a rating that does not begin with a single digit, and for a text whose
    tokens are not known. ``features`` serves the features of images seen before; without it they are made again.

    Raises:
        PolicyError: the tokenizer has no token of its own for a digit.
    """
    signs = _Signs(policy)
    places = [signs.before_rating(rollout.steps[-1]) for rollout in rollouts]
    asked = [prompt for place in places if place is not None for prompt in signs.continued(place)]
    if not asked:
        return [None] * len(rollouts)
    likelihood = Likelihood(policy=policy, temperature=1.0, features=features, logit_chunk=ROWS)
    p_PS = likelihood.next_tokens(asked, signs.ids).exp().double().cpu()
    found = iter(p_PS.split(signs.places))
    return [None if place is None else expected_rating(_digits_of(next(found))) for place in places]


class _Signs:
    """The ten digits and the point as tokens."""

    places = 1 + 2 * len(DEEPER) + 10 * len(DEEPER)

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        spelled = [policy.completion_ids(sign)[:-1] for sign in "0123456789."]
        for sign, ids in zip("0123456789.", spelled, strict=True):
            if len(ids) != 1:
                raise PolicyError(f"the tokenizer spells {sign!r} in {len(ids)} tokens; expected ratings need one")
        self.ids = [ids[0] for ids in spelled]

    def before_rating(self, step: Step) -> EncodedPrompt | None:
        """The prompt and the text up to the rating, or None if there is none that begins with a single digit."""
        generation, text = step.generation, step.generation.text
        start = _decided_at(text, step.reading)
        if generation.token_ids is None or start is None:
            return None
        starts = [token[0] for token in self._policy.token_bytes.spans(generation.token_ids)]
        if start not in starts:
            return None
        place = len(starts) - 1 - starts[::-1].index(start)  # tokens that spell nothing begin where the next does
        if generation.token_ids[place] != self.ids[int(text[start])]:
            return None
        prompt = generation.prompt
        encoded = prompt if isinstance(prompt, EncodedPrompt) else self._policy.encode(step.request.prompt)
        return encoded.continued(generation.token_ids[:place])

    def continued(self, prompt: EncodedPrompt) -> list[EncodedPrompt]:
        """Every place of the tree: before the units, after them, after the point, after the tenths."""
        point = self.ids[10]
        units = [[self.ids[unit]] for unit in DEEPER]
        pointed = [[*unit, point] for unit in units]
        tenths = [[*begun, digit] for begun in pointed for digit in self.ids[:10]]
        return [prompt.continued(ids) for ids in ([], *units, *pointed, *tenths)]


def _decided_at(text: str, reading: Reading) -> int | None:
    """The place of the rating's first digit where the text first gives it; None for a rating unlike ``d.dd``."""
    runs = reading.spans.get("decided", ())
    if not isinstance(reading.rating, float) or not runs:
        return None
    start, end = runs[0]
    return None if end - start != 1 or text[start - 1 : start] == "-" else start


def _digits_of(p_PS: torch.Tensor) -> DigitDistributions:
    """The probabilities of the signs (columns: ten digits, then the point) at the places of one tree."""
    deeper = len(DEEPER)
    units, after, pointed, tenths = (part.numpy() for part in p_PS.split((1, deeper, deeper, 10 * deeper)))
    return DigitDistributions(
        units_J=units[0, :10],
        point_U=after[:, 10],
        digit_U=after[:, :10].sum(1),
        tenths_UJ=pointed[:, :10],
        hundredths_UJJ=tenths[:, :10].reshape(deeper, 10, 10),
    )
