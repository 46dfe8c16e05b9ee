"""How much a run would ask, before it asks anything."""

from __future__ import annotations

from zoom_iqa.curation.agreement import ModelRater
from zoom_iqa.curation.pipeline import Pipeline


def estimated(pipeline: Pipeline, *, images: int, max_new_tokens: int) -> str:
    """The least and the most requests of each step, and the most tokens that answers can have.

    Prompts are left out: how many tokens an image is differs between servers. The least is one turn at the first
    attempt; retries of requests that fail come on top.
    """
    rows = [("generate", images, 2 * pipeline.attempts * images)]
    if pipeline.vrf is not None:
        rows.append(("vrf", 0, 2 * images))
    if isinstance(pipeline.hacf, ModelRater):
        rows.append(("hacf", 0, images))
    most = sum(row[2] for row in rows)
    lines = [f"{name}: {least:,} to {limit:,} requests" for name, least, limit in rows]
    return "\n".join([*lines, f"at most {most:,} requests and {most * max_new_tokens:,} tokens of answers", ""])
