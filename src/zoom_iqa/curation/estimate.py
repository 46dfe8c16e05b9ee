"""How much a run would ask, before it asks anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoom_iqa.curation.agreement import ModelRater
from zoom_iqa.curation.pipeline import Pipeline
from zoom_iqa.engines.chat_api.budget import MILLION
from zoom_iqa.engines.chat_api.engine import MOST_PROBES
from zoom_iqa.engines.speaker import written_amount


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The requests of a step, and the price of a million tokens of their answers; None where answers cost nothing."""

    step: str
    least: int
    most: int
    output_price: float | None


def asked_by(
    pipeline: Pipeline, *, images: int, generator_price: float | None, rater_price: float | None
) -> tuple[Asked, ...]:
    """The least and the most requests of each step. The least is one turn at the first attempt."""
    turns = 2 * pipeline.attempts * images
    rows = [Asked(step="generate", least=images, most=turns, output_price=generator_price)]
    if pipeline.vrf is not None:
        rows.append(Asked(step="vrf", least=0, most=2 * images, output_price=generator_price))
    if isinstance(pipeline.hacf, ModelRater):
        rows.append(Asked(step="hacf", least=0, most=images, output_price=rater_price))
    return tuple(rows)


def written_estimate(rows: Sequence[Asked], *, servers: int, max_new_tokens: int) -> str:
    """Requests of each step, and the most tokens that answers can have, with their cost where a server is asked.

    ``servers`` that are asked learn from a probe what they can do. Prompts are left out: how many tokens an image is
    differs between servers. Retries of requests that fail come on top, and so do the probes of a run that goes on;
    nothing is taken off for answers that a folder holds.
    """
    probes = MOST_PROBES * servers
    most = probes + sum(row.most for row in rows)
    prices = [row.output_price for row in rows if row.output_price is not None]
    money = sum(row.most * max_new_tokens * (row.output_price or 0.0) for row in rows) / MILLION
    money += probes * max_new_tokens * max(prices, default=0.0) / MILLION
    lines = [f"{row.step}: {_between(row.least, row.most)} requests" for row in rows]
    if servers:
        lines.append(f"probe: {_between(servers, probes)} requests, each time a server is asked anew")
    lines.append(f"at most {most:,} requests and {most * max_new_tokens:,} tokens of answers")
    if money:
        lines.append(f"at most {written_amount(money)} for answers at budget.output_price; prompts come on top")
    elif prices:
        lines.append("money: give the budget's output_price to have it estimated")
    lines.append("answers that the folder holds already are not asked for again")
    return "\n".join(lines) + "\n"


def _between(least: int, most: int) -> str:
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"
