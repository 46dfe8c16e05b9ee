"""Guidance and refinements as text and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoom_iqa.base.printable import printable
from zoom_iqa.evaluation.assessment import Assessment
from zoom_iqa.evaluation.refinement import Refinement
from zoom_iqa.reports.files import LOSSY, format_of
from zoom_iqa.reports.numbers import rating_said, rounded
from zoom_iqa.tasks.guidance import Guidance, Prompt
from zoom_iqa.tasks.tools.repairs import Repairs


def guidance_fields(
    assessment: Assessment, guidance: Guidance, repairs: Repairs, *, target: str, counted_by: str | None
) -> dict[str, Any]:
    """JSON-safe fields; docs/figures.md says what each of them is."""
    negative = guidance.negative
    found = assessment.expected
    return {
        "image": assessment.source,
        "rating": rounded(assessment.rating),
        "expected": None if found is None else rounded(found.mean),
        "target": target,
        "budget": guidance.target.budget,
        "counted_by": counted_by or "estimated",
        "prompt": guidance.prompt.text,
        "prompt_tokens": guidance.prompt.tokens,
        "negative_prompt": None if negative is None else negative.text,
        "negative_tokens": None if negative is None else negative.tokens,
        "left_out": [*guidance.prompt.left_out, *(() if negative is None else negative.left_out)],
        "arguments": guidance.arguments(),
        "call": guidance.call(assessment.source),
        "repairs": [repair.name for repair in repairs.repairs],
        "without_repair": list(repairs.without),
    }


def refinement_fields(refinement: Refinement, *, output: str, copied: bool, bits: int) -> dict[str, Any]:
    """The further fields of an image that was edited and written to ``output``, or copied there as it was.

    ``bits`` are those of a channel in the image's file; what is written has 8.
    """
    return {
        "output": output,
        "saved_as": "copy" if copied else format_of(Path(output)),
        "bits_before": bits if bits > 8 and not copied else None,
        "read_before": rounded(refinement.start_read.mean),
        "read_after": rounded(refinement.best_read.mean),
        "gain": rounded(refinement.gain),
        "turns": [
            {
                "tried": {name: rounded(mean) for name, mean in turn.tried},
                "read": rounded(turn.read),
                "kept": turn.kept,
            }
            for turn in refinement.rounds
        ],
    }


def guidance_text(fields: dict[str, Any], guidance: Guidance) -> str:
    """The same for people."""
    lines = [
        f"{fields['image']}: rating {rating_said(fields['rating'])}, expected {rating_said(fields['expected'])}",
        *_prompt("prompt", guidance.prompt, guidance.target.budget, fields["counted_by"]),
    ]
    if guidance.negative is not None:
        lines += _prompt("negative prompt", guidance.negative, guidance.target.budget, fields["counted_by"])
    if fields["call"] is not None:
        lines += ["call:", *(f"  {line}" for line in fields["call"].splitlines())]
    if fields["repairs"]:
        lines.append(f"repairs of the embedded restorer: {', '.join(fields['repairs'])}")
    if fields["without_repair"]:
        lines.append(f"no repair is known for: {' '.join(fields['without_repair'])}")
    if "turns" in fields:
        lines += _turns(fields)
    return "".join(f"{printable(line)}\n" for line in lines)


def _prompt(name: str, prompt: Prompt, budget: int | None, counted_by: str) -> list[str]:
    limit = "" if budget is None else f" of {budget}"
    lines = [f"{name} ({prompt.tokens}{limit} tokens, {counted_by}):", f"  {prompt.text or '(nothing to say)'}"]
    return lines + [f"  left out for lack of room: {sentence}" for sentence in prompt.left_out]


def _turns(fields: dict[str, Any]) -> list[str]:
    lines = []
    for number, turn in enumerate(fields["turns"], 1):
        tried = ", ".join(f"{name} {rating_said(mean)}" for name, mean in turn["tried"].items())
        outcome = f"kept {turn['kept']}" if turn["kept"] else "none is better"
        outcome += "" if turn["read"] is None else f" (the best of them, read again: {turn['read']:.2f})"
        lines.append(f"turn {number}: {tried}: {outcome}")
    before, after = rating_said(fields["read_before"]), rating_said(fields["read_after"])
    kept = any(turn["kept"] for turn in fields["turns"])
    lossy = fields["saved_as"] in LOSSY
    moved = f"expected rating, read again, {before} before, {after} after"
    moved += f", as {fields['saved_as']} shows it" if lossy else ""
    if not kept:
        why = "nothing was better" if fields["turns"] else "there was nothing to repair"
        moved = f"the input itself (read again: {before}), {why}"
        moved += f"; what {fields['saved_as']} changes was not judged, and .png changes nothing" if lossy else ""
    elif None not in (fields["read_before"], fields["read_after"]) and fields["read_after"] < fields["read_before"]:
        moved += "; it reads as worse, and --loop 1 keeps only what two sets of answers call better"
    if fields["bits_before"] is not None:
        moved += f"; with 8 bits a channel, of {fields['bits_before']}"
    return [*lines, f"written to {fields['output']}: {moved}"]
