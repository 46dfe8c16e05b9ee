"""The page of curated data: every fate with the answers that decided it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from support.made_rollouts import rollout, step
from zoom_iqa.base.records import record_of
from zoom_iqa.base.types import Example, Sample, rated_example
from zoom_iqa.curation.agreement import RaterAnswer
from zoom_iqa.curation.pipeline import Curated
from zoom_iqa.curation.verdicts import Verdict
from zoom_iqa.curation.verification import Answer, Verification
from zoom_iqa.reports.curation_page import curation_page

ITEMS = [rated_example(id=name, dataset="d", mos=3.5) for name in ("alike", "denied", "mute", "kept")]


class Pictures:
    def items(self) -> list[Example]:
        return ITEMS

    def __len__(self) -> int:
        return len(ITEMS)

    def __getitem__(self, index: int) -> Sample:
        return Sample.of(ITEMS[index], Image.new("RGB", (8, 6)))


def answer(rating: float | None, text: str = "") -> Answer:
    return Answer(rating=rating, bbox=(0.1, 0.2, 0.5, 0.75), entropy=0.25, finish="stop", text=text)


def verification(name: str, with_image: Answer, without_image: Answer) -> Verification:
    return Verification(dataset="d", id=name, sample=0, with_image=with_image, without_image=without_image)


def verdict(name: str, step: str | None, reason: str | None) -> Verdict:
    return Verdict(dataset="d", id=name, sample=0, attempts=1, step=step, reason=reason)


def test_every_fate_stands_with_the_answers_that_decided_it() -> None:
    curated = Curated(
        card={},
        verdicts=(
            verdict("alike", "vrf", "alike_rating"),
            verdict("denied", "hacf", "contradiction"),
            verdict("mute", "vrf", "unverified"),
            verdict("kept", None, None),
        ),
        records={("d", item.id): record_of(rollout(item, step(3.0, text="<think>t</think>"))) for item in ITEMS},
        verifications=(
            verification("alike", answer(3.0), answer(3.02)),
            verification("mute", answer(None, "I <cannot> say"), answer(3.0)),
        ),
        rater_answers=(
            RaterAnswer(dataset="d", id="denied", sample=0, text="The sky is <noisy>.", finish="stop", asked=""),
            RaterAnswer(dataset="d", id="denied", sample=1, text="of another trajectory", finish="stop", asked=""),
        ),
        sft=Path("sft_train.jsonl"),
    )
    page = curation_page(curated, dataset=Pictures(), examples=1)
    alike, denied, mute, kept = (
        next(part for part in page.split("<h2>") if part.startswith(title))
        for title in (
            "refused by vrf: alike_rating (1)",
            "refused by hacf: contradiction (1)",
            "refused by vrf: unverified (1)",
            "kept (1)",
        )
    )
    box = "box 0.10, 0.20, 0.50, 0.75, entropy 0.250"
    assert f"VRF asked again: with the image 3.00, {box}; without it 3.02, {box}." in alike
    assert "The rater:</p><pre>The sky is &lt;noisy&gt;.</pre>" in denied
    assert "of another trajectory" not in page
    assert "no rating can be read in &#x27;I &lt;cannot&gt; say&#x27;" in mute
    assert 'class="why"' not in kept
