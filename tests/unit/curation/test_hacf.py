"""HACF: verdicts of raters, of a sample or sentence by sentence, and the rule that needs no rater."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from support.made_rollouts import rollout, step
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import record_of
from zoom_iqa.base.types import ImagePart, Sample, TextPart, rated_example
from zoom_iqa.curation.agreement import ModelRater, NearMos, RaterAnswer, RaterAnswerCodec, numbered, sentences

TEXT = "The sky is clean. Its edges ring!\nThe face is soft"


def rater(level: str = "sample", **changed: Any) -> ModelRater:
    values = {"level": level, "max_failed": 0.0, "prompt": "{hints} {rationale}"}
    return ModelRater(**{**values, **changed})


def rated(text: str) -> RaterAnswer:
    return RaterAnswer(dataset="d", id="a", sample=0, text=text, finish="stop", asked=rater().asked)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("It fits. <verdict>Pass</verdict>", None),
        ("<verdict> FAIL </verdict>", "contradiction"),
        ("Pass", "unrated"),
        ("", "unrated"),
        ("<verdict>Pass</verdict> or <verdict>Fail</verdict>", "unrated"),
        ("<verdict>Maybe</verdict>", "unrated"),
    ],
)
def test_the_verdict_of_a_sample(text: str, reason: str | None) -> None:
    assert rater().reason(rated(text), TEXT) == reason


def marks(*outcomes: str) -> str:
    return "\n".join(f'<sentence n="{number}">{outcome}</sentence>' for number, outcome in enumerate(outcomes, 1))


@pytest.mark.parametrize(
    ("text", "max_failed", "reason"),
    [
        (marks("Pass", "Pass", "Pass"), 0.0, None),
        (marks("Pass", "Fail", "Pass"), 0.0, "contradiction"),
        (marks("Pass", "Fail", "Pass"), 1 / 3, None),
        (marks("Fail", "Fail", "Pass"), 1 / 3, "contradiction"),
        (marks("Pass", "Pass"), 0.5, "unrated"),
        (marks("Pass", "Pass", "Pass", "Pass"), 0.5, "unrated"),
        (marks("Pass", "Pass", "Pass") + '<sentence n="1">Fail</sentence>', 0.5, "unrated"),
        (marks("Pass", "Pass", "Pass") + '<sentence n="1">pass</sentence>', 0.0, None),
        (f'<sentence n="{"9" * 5000}">Pass</sentence>', 0.5, "unrated"),
    ],
)
def test_the_verdicts_of_sentences(text: str, max_failed: float, reason: str | None) -> None:
    assert rater("sentence", max_failed=max_failed).reason(rated(text), TEXT) == reason


def test_sentences_end_with_their_mark_or_their_line() -> None:
    assert sentences(TEXT) == ["The sky is clean.", "Its edges ring!", "The face is soft"]
    assert sentences("A score of 3.25 it is.") == ["A score of 3.25 it is."]
    assert numbered(["a", "b"]) == "1. a\n2. b"


def test_other_published_hints_are_another_question() -> None:
    asked = [rater().asked_with(names) for names in ((), ("blur", "noise"), ("noise", "blur"), ("noise",))]
    assert asked[0] == rater().asked
    assert asked[1] == asked[2]
    assert len(set(asked)) == 3


def test_a_rater_sees_image_hints_and_rationale() -> None:
    sample = Sample.of(rated_example(id="a", dataset="d", mos=3.25), Image.new("RGB", (8, 8), (51, 51, 51)))
    (message,) = rater("sentence").messages(sample, TEXT)
    image, text = message.parts
    assert isinstance(image, ImagePart)
    assert isinstance(text, TextPart)
    assert image.key == sample.images[0].key
    assert "MOS: 3.25" in text.text
    assert text.text.endswith("1. The sky is clean.\n2. Its edges ring!\n3. The face is soft")


@pytest.mark.parametrize(
    ("rating", "reason"), [(3.0, None), (4.0, None), (4.01, "contradiction"), (1.9, "contradiction")]
)
def test_near_mos(rating: float, reason: str | None) -> None:
    record = record_of(rollout(rated_example(id="a", dataset="d", mos=3.0), step(rating)))
    assert NearMos(tolerance=1.0).reason_of(record) == reason


def test_a_rating_at_the_tolerance_passes() -> None:
    """4.4 - 4.1 is 0.3000000000000007 in floats."""
    record = record_of(rollout(rated_example(id="a", dataset="d", mos=4.1), step(4.4)))
    assert NearMos(tolerance=0.3).reason_of(record) is None


def test_a_share_of_failed_sentences_at_the_limit_passes() -> None:
    """29 of 100 are 0.29, of which 100 are 28.999999999999996 in floats."""
    text = "\n".join(f"Line {number}" for number in range(100))
    said = "".join(f'<sentence n="{n}">{"Fail" if n <= 29 else "Pass"}</sentence>' for n in range(1, 101))
    assert rater("sentence", max_failed=0.29).reason(rated(said), text) is None
    assert rater("sentence", max_failed=0.28).reason(rated(said), text) == "contradiction"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"level": "word"}, "hacf.level=word must be sample or sentence"),
        ({"max_failed": 1.0}, r"hacf.max_failed=1\.0 must be"),
        ({"prompt": "{hints}"}, r"hacf.prompt has no \{rationale\}"),
    ],
)
def test_wrong_values_are_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rater(**changed)


def test_a_line_that_names_no_question_is_of_no_rater() -> None:
    """As older folders have them: such an answer is asked for again."""
    line = {"dataset": "d", "id": "a", "sample": 0, "text": "<verdict>Pass</verdict>", "finish": "stop"}
    old = RaterAnswerCodec().decode(line)
    assert old.asked not in {rater().asked, rater("sentence").asked, rater(prompt="{hints} {rationale}?").asked}
    assert RaterAnswerCodec().key(old) != RaterAnswerCodec().key(rated("<verdict>Pass</verdict>"))
    assert len({rater().asked, rater("sentence").asked, rater(prompt="{hints} {rationale}?").asked}) == 3
    assert rater(max_failed=0.5).asked == rater().asked  # a threshold asks nothing else
