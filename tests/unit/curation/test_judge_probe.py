"""The question to a judge about a rollout: image, hints and conclusion, under one seed for equal words."""

from __future__ import annotations

from dataclasses import replace

from support.made_rollouts import rollout, step
from support.random_policy import noise_image
from zoom_iqa.base.types import ImagePart, Message, Request, Rollout, TextPart, rated_example
from zoom_iqa.curation.judge_probe import JudgeProbe
from zoom_iqa.curation.judging import JudgePrompt

PROMPT = JudgePrompt(
    text="{hints}\nWritten: {text}\n<accuracy> <reasonableness> <completeness> <confidence>",
    template="any image",
    opposite_of_good="terrible",
    opposite_of_bad="splendid",
)
IMAGE, CROP = (ImagePart.of(noise_image(number, 40, 40)) for number in (1, 2))
EXAMPLE = rated_example(id="secret", dataset="set", mos=4.25)


def answered(*texts: str, index: int = 0) -> Rollout:
    """Turns about one image, the later ones with a crop behind it."""
    steps = []
    for number, text in enumerate(texts):
        parts = (TextPart("How good?"), IMAGE, *([CROP] if number else []))
        asked = Request(f"set:secret/{index}/turn{number}", "p", (Message("user", parts),), seed=index)
        steps.append(replace(step(3.0, text=text), request=asked))
    return rollout(EXAMPLE, *steps, index=index)


def asked_about(made: Rollout) -> Request:
    (session,) = JudgeProbe(prompt=PROMPT).sessions(made)
    request = session.next_request()
    assert request is not None
    return request


def test_the_judge_sees_image_hints_and_conclusion_without_rating_or_name() -> None:
    made = answered("<think>first</think><answer>{}</answer>", '<think>in the end</think><answer>{"rating": 3.17}')
    request = asked_about(made)
    (message,) = request.prompt
    image, text = message.parts
    assert image is IMAGE
    assert isinstance(text, TextPart)
    assert "Written: in the end\n" in text.text
    assert "- MOS: 4.25 (" in text.text
    assert not any(word in text.text for word in ("first", "3.17", "secret"))
    assert (request.speaker, request.key) == ("judge", "set:secret/0/turn1/judge")


def test_equal_words_about_an_image_are_one_question() -> None:
    one, other = (asked_about(answered("<think>soft</think>", index=index)) for index in (0, 1))
    assert one.key != other.key
    assert (one.prompt_key, one.seed) == (other.prompt_key, other.seed)
    another = asked_about(answered("<think>sharp</think>"))
    assert another.prompt_key != one.prompt_key
    assert another.seed != one.seed


def test_a_rollout_that_says_nothing_is_not_asked_about() -> None:
    assert JudgeProbe(prompt=PROMPT).sessions(answered(" \n")) == []
