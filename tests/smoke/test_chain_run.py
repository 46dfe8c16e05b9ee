"""A chain's whole run in seconds: SFT on written chains, GRPO by curriculum and evidence, its files, page and cards."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.small_run import metrics_of, rows, save_policy, small_run
from zoom_iqa.config.assessor import Assessor
from zoom_iqa.report import report

CHAINS = (
    "+experiment=deepsight_quickstart",
    "rollout._target_=support.written_engine.ChainEngine",
    "data.train.local_fraction=0.97",
    "data.train.scores=null",  # so many regions have none of some scores
    "data.train.procedural_fraction=1.0",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chains")
    small_run(folder / "run", save_policy(folder), *CHAINS, "grpo.steps=2")
    return folder / "run"


def test_it_learns_by_curriculum_and_evidence(finished: Path) -> None:
    logged = rows(finished, "grpo")
    assert [row["step"] for row in logged] == ["0", "1"]
    for row in logged:
        assert float(row["evidence/kept"]) > 0
        assert float(row["evidence/dropped"]) > 0
        assert float(row["evidence/dependency_kept"]) >= float(row["evidence/dependency_dropped"])
        assert float(row["reward/group_std"]) > 0
        assert 0 <= float(row["curriculum/name"]) <= 1
        assert 0.35 <= float(row["curriculum/tolerance"]) <= 1
        assert float(row["policy/grad_norm"]) > 0
    weights = [float(logged[0][f"curriculum/{rung}_weight"]) for rung in ("name", "locate", "rate", "rank")]
    assert weights == [1.0, 0.5, 0.5, 1.0]  # the first rung whole, the others half


def test_it_is_judged_by_looks_and_evidence(finished: Path) -> None:
    for figures in metrics_of(finished).values():
        assert figures["format_rate"] == figures["valid_rate"] == 1.0
        assert figures["looks_per_image"] == 0.0  # the first rollout of an image answers at once
        assert figures["turns_per_image"] == 1.0
        assert isinstance(figures["defect_accuracy"], float)


def test_a_checkpoint_holds_the_ladder(finished: Path) -> None:
    import torch

    kept: dict[str, Any] = torch.load(finished / "checkpoints/grpo/done.ckpt", weights_only=True)
    competence = kept["reward"]["curriculum"]["competence"]
    assert set(competence) == {"name", "locate", "rate", "rank"}


def test_its_page_shows_calls_and_evidence(finished: Path) -> None:
    report(["run", str(finished)])
    page = (finished / "report.html").read_text(encoding="utf-8")
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    answers = json.loads(text)["judged"][-1]["answers"]
    assert all(answer["evidence"][0]["said"] == "clear blur" for answer in answers)
    kept = (finished / "logs/grpo/rollouts.jsonl").read_text().splitlines()
    looked = [json.loads(line) for line in kept]
    assert any(step["looks"] for record in looked for step in record["steps"])


def test_its_policy_assesses_by_chains(finished: Path) -> None:
    """An untrained policy answers nothing readable, which is an outcome."""
    assessor = Assessor(finished / "policy", task="chain", workers=0)
    photograph = next((Path(__file__).parents[2] / "src/zoom_iqa/assets/photographs").glob("*.jpg"))
    assessment = assessor.assess(str(photograph))
    assert assessment.rating is None
    assert assessment.failure is not None
    assert assessment.evidence is None
