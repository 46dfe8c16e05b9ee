"""Guidance as text and as JSON fields."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from support.made_assessments import answer, assessment, grey_image
from zoom_iqa.evaluation.guiding import guidance_of, repairs_of
from zoom_iqa.evaluation.refinement import Refinement, Round
from zoom_iqa.reports.guiding import guidance_fields, guidance_text, refinement_fields
from zoom_iqa.tasks.guidance import TARGETS

TEXT = "<think>Quality: soft\nImprove: crisp edges\nAvoid: blur, a crooked horizon\nDecision: final\x1b[2J</think>"
START = assessment(answer(2.0, text=TEXT), source="a.jpg")
MADE = guidance_of(START, target=TARGETS["supir"])
FIELDS = guidance_fields(START, MADE, repairs_of(START), target="supir", counted_by=None)
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "figures.md").read_text(encoding="utf-8")


def refined(after: float, kept: str | None) -> Refinement:
    turn = Round(tried=(("deblur", after), ("sharpen", None)), kept=kept, read=after - 0.1)
    best = START if kept is None else assessment(answer(after - 0.1, text=TEXT), source="a.jpg")
    assert START.expected is not None
    assert best.expected is not None
    return Refinement(
        start=START,
        best=best,
        start_read=START.expected,
        best_read=best.expected,
        image=grey_image(1),
        rounds=(turn,),
    )


def test_fields() -> None:
    assert FIELDS == {
        "image": "a.jpg",
        "rating": 2.0,
        "expected": 2.0,
        "target": "supir",
        "budget": 75,
        "counted_by": "estimated",
        "prompt": "crisp edges",
        "prompt_tokens": 4,
        "negative_prompt": "blur, a crooked horizon",
        "negative_tokens": 1 + 1 + 1 + 2 + 2,
        "left_out": [],
        "arguments": {"prompt": "crisp edges", "negative_prompt": "blur, a crooked horizon"},
        "call": (
            'model.batchify_sample(image_tensor_of("a.jpg"), ["crisp edges"], p_p="", n_p="blur, a crooked horizon")'
        ),
        "repairs": ["deblur", "sharpen"],
        "without_repair": [],
    }


def test_fields_are_those_of_the_documentation() -> None:
    section = PAGE.partition("\n## Guidance\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(FIELDS) | set(refinement_fields(refined(2.5, "deblur"), output="b.png", copied=False, bits=8))


def test_text_for_people() -> None:
    text = guidance_text(FIELDS | refinement_fields(refined(2.5, "deblur"), output="b.png", copied=False, bits=8), MADE)
    assert text.splitlines() == [
        "a.jpg: rating 2.00, expected 2.00",
        "prompt (4 of 75 tokens, estimated):",
        "  crisp edges",
        "negative prompt (7 of 75 tokens, estimated):",
        "  blur, a crooked horizon",
        "call:",
        f"  {FIELDS['call']}",
        "repairs of the embedded restorer: deblur, sharpen",
        "turn 1: deblur 2.50, sharpen unreadable: kept deblur (the best of them, read again: 2.40)",
        "written to b.png: expected rating, read again, 2.00 before, 2.40 after",
    ]


def test_an_edit_is_told_as_its_file_shows_it() -> None:
    lossy = guidance_text(
        FIELDS | refinement_fields(refined(2.5, "deblur"), output="b.webp", copied=False, bits=8), MADE
    )
    assert lossy.splitlines()[-1] == (
        "written to b.webp: expected rating, read again, 2.00 before, 2.40 after, as WEBP shows it"
    )


def test_bits_that_are_lost_are_told() -> None:
    deep = refinement_fields(refined(2.5, "deblur"), output="b.png", copied=False, bits=16)
    assert deep["bits_before"] == 16
    assert guidance_text(FIELDS | deep, MADE).splitlines()[-1].endswith("2.40 after; with 8 bits a channel, of 16")
    assert refinement_fields(refined(1.5, None), output="b.png", copied=True, bits=16)["bits_before"] is None


def test_an_edit_that_reads_as_worse_is_told() -> None:
    worse = guidance_text(
        FIELDS | refinement_fields(refined(1.5, "deblur"), output="b.png", copied=False, bits=8), MADE
    )
    assert worse.splitlines()[-1] == (
        "written to b.png: expected rating, read again, 2.00 before, 1.40 after; it reads as worse, and --loop 1 keeps "
        "only what two sets of answers call better"
    )


def test_no_gain_and_no_issue_are_said() -> None:
    fields = FIELDS | refinement_fields(refined(1.5, None), output="b.png", copied=True, bits=8)
    assert (fields["gain"], fields["read_after"]) == (0.0, 2.0)
    text = guidance_text(fields, MADE)
    assert "none is better" in text
    assert "written to b.png: the input itself (read again: 2.00), nothing was better" in text
    assert "saved as" not in text
    lossy = refinement_fields(replace(refined(1.5, None), rounds=()), output="b.jpg", copied=False, bits=8)
    assert guidance_text(FIELDS | lossy, MADE).splitlines()[-1] == (
        "written to b.jpg: the input itself (read again: 2.00), there was nothing to repair; what JPEG changes was not "
        "judged, and .png changes nothing"
    )
    silent = assessment(answer(2.0, text="\x1b[2J no thought"))
    made = guidance_of(silent, target=TARGETS["dreamclear"])
    said = guidance_text(guidance_fields(silent, made, repairs_of(silent), target="dreamclear", counted_by=None), made)
    assert "(nothing to say)" in said
    assert "negative" not in said
    assert "\x1b" not in said


def test_what_cannot_be_repaired_is_said() -> None:
    crooked = assessment(answer(2.0, text=TEXT.replace("blur, a crooked horizon", "A crooked horizon.")))
    fields = guidance_fields(crooked, MADE, repairs_of(crooked), target="supir", counted_by=None)
    assert (fields["repairs"], fields["without_repair"]) == ([], ["A crooked horizon."])
    assert "no repair is known for: A crooked horizon." in guidance_text(fields, MADE)
