"""What a run would ask and cost at most, by hand."""

from __future__ import annotations

from zoom_iqa.curation.estimate import Asked, written_estimate

GENERATE = Asked(step="generate", least=5, most=20, output_price=2.0)
VRF = Asked(step="vrf", least=0, most=10, output_price=2.0)
HACF = Asked(step="hacf", least=0, most=5, output_price=8.0)


def test_requests_tokens_and_money_by_hand() -> None:
    """Two servers get up to two probes each, at the dearer price: (30 * 2 + 5 * 8 + 4 * 8) * 1000 / a million."""
    assert written_estimate([GENERATE, VRF, HACF], servers=2, max_new_tokens=1000).splitlines() == [
        "generate: 5 to 20 requests",
        "vrf: 0 to 10 requests",
        "hacf: 0 to 5 requests",
        "probe: 2 to 4 requests, each time a server is asked anew",
        "at most 39 requests and 39,000 tokens of answers",
        "at most 0.132 for answers at budget.output_price; prompts come on top",
        "answers that the folder holds already are not asked for again",
    ]


def test_answers_that_cost_nothing_have_no_money() -> None:
    own = Asked(step="generate", least=5, most=5, output_price=None)
    assert written_estimate([own], servers=0, max_new_tokens=10).splitlines() == [
        "generate: 5 requests",
        "at most 5 requests and 50 tokens of answers",
        "answers that the folder holds already are not asked for again",
    ]
