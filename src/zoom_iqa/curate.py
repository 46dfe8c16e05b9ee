"""Make reasoning data: ``zoom-iqa curate generator.model=NAME benchmark=NAME out=FOLDER [key=value]``.

A generator answers about every image under the two-turn protocol; what it wrote is read strictly, filtered (VRF, HACF)
and exported as JSONL for SFT. Stopped and started again with the same command it goes on, and no answer is asked, or
paid, twice. Filters and their thresholds may be changed: what they need is kept.

<out>/trajectories.jsonl  vrf.jsonl  hacf.jsonl  verdicts.jsonl  sft_<split>.jsonl  images/  card.{json,md,html}
"""

from __future__ import annotations

from zoom_iqa.config.help import CURATE_USAGE, choices, help_of
from zoom_iqa.config.late import run_late

HELP = help_of(
    CURATE_USAGE,
    summary="Has a vision-language model judge images, filters what it wrote, and exports data for SFT.",
    given={
        "generator.model": "behind generator.base_url, with the key in the variable that generator.key_variable names",
        "generator=policy": "policy.path=FOLDER_OR_HUB_ID in this process instead; hacf=near_mos for a small one",
        "benchmark": "a name of conf/benchmark; or benchmark=manifest manifest=FILE",
        "pipeline": f"one of {choices('pipeline')}",
        "vrf, hacf": f"{choices('vrf')}; {choices('hacf')}",
        "KEY=VALUE": "generator.budget.money=20, limit=100, dry_run=true, and whatever conf/curate.yaml has",
    },
    example="zoom-iqa curate generator=policy hacf=near_mos limit=8 out=curated",
)


def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_late("zoom_iqa.config.curation_run", help_text=HELP)


if __name__ == "__main__":
    main()
