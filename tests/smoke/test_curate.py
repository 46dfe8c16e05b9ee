"""The command on the embedded set: the tiny policy in this process, and a server that answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.chat_server import ChatApi, chat_server, written
from support.command_line import Ended, run_module
from zoom_iqa.data.supervised.trajectories import FileTrajectories


@pytest.fixture
def curate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Ended]:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_module("zoom_iqa.curate", list(arguments), monkeypatch, capsys)


LOCAL = ("generator=policy", "hacf=near_mos", "hacf.tolerance=2", "limit=6", "out=data")


def test_the_tiny_policy_makes_data_that_can_be_trained_on(curate: Callable[..., Ended], tmp_path: Path) -> None:
    ended = curate(*LOCAL, "vrf.refuse_when=all")
    assert ended.status == 0, ended.err
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    assert card["images"] == 6
    assert card["vrf_tests"]["entropy"]["had_values"] > 0  # a policy of ours has log-probabilities
    assert card["kept"] + sum(sum(reasons.values()) for reasons in card["refused"].values()) == 6
    if card["kept"]:
        path = str(tmp_path / "data" / "sft_train.jsonl")
        turns = FileTrajectories(path=path, image_root=str(tmp_path / "data"), max_pixels=None, upright=True)
        assert len(turns) >= card["kept"]
        assert all(turns[index].turns for index in range(len(turns)))
    page = (tmp_path / "data" / "card.html").read_text()
    assert "data:image/webp;base64," in page
    assert page.count("<article>") == 6
    assert page.count("VRF asked again: with the image ") == card["verified"]
    text = (tmp_path / "data" / "card.md").read_text()
    assert "\n- benchmark: embedded, split train, seed 0\n" in text
    assert "\n- vrf: VisualReliance refuse_when=all rating=0.05 iou=0.5 entropy=0.01\n" in text
    assert "\n- hacf: NearMos tolerance=2\n" in text
    assert "- rater:" not in text
    assert curate(*LOCAL, "vrf=none").status == 0  # other filters, the same answers
    near = "+filters.near={_target_: zoom_iqa.curation.agreement.NearMos, tolerance: 1e-6}"
    assert curate(*LOCAL, "vrf=none", near).status == 0
    verdicts = [json.loads(line) for line in (tmp_path / "data" / "verdicts.jsonl").read_text().splitlines()]
    refused = sum((one["step"], one["reason"]) == ("near", "contradiction") for one in verdicts)
    assert refused > 0
    assert f"| refused by near | contradiction | {refused} |" in (tmp_path / "data" / "card.md").read_text()
    assert "\n- filters.near: NearMos tolerance=1e-06\n" in (tmp_path / "data" / "card.md").read_text()
    assert f"<h2>refused by near: contradiction ({refused})</h2>" in (tmp_path / "data" / "card.html").read_text()
    dry = curate(*LOCAL, "dry_run=true").out
    assert curate(*LOCAL, near, "dry_run=true").out == dry  # a rule asks nothing
    assert "money" not in dry
    other = curate(*LOCAL, "seed=5")
    assert other.status == 2
    assert "holds a run of another config" in other.err


def test_a_server_is_asked_once(curate: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOM_IQA_API_KEY", "sk-of-a-test")
    text = '<think>x</think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 3.00, "tool": "final"}</answer>'
    with chat_server(ChatApi(answer=written(text))) as api:
        server = ("generator.model=tiny", f"generator.base_url={api.base_url}", "limit=2", "out=served")
        dry = curate(*server, "dry_run=true", "attempts=2", "max_new_tokens=500", "generator.budget.output_price=8")
        assert (dry.status, api.bodies) == (0, [])
        asked = (
            2 * 2 * 2 + 2 * 2 + 2 + 2
        )  # two turns of two attempts at two images, VRF's pairs, the rater's, a probe's
        assert f"at most {asked} requests and {asked * 500:,} tokens of answers" in dry.out
        assert f"at most {asked * 500 * 8 / 1e6} for answers at budget.output_price" in dry.out
        assert "give the budget's output_price" in curate(*server, "dry_run=true").out
        ended = curate(*server)
        assert ended.status == 0, ended.err
        assert len(api.asked) == 6  # two images, three attempts each at a rationale without its paragraphs
        assert curate(*server).status == 0
        assert len(api.asked) == 6
        stopped = curate(*server[:2], "limit=4", "out=served", "generator.budget.requests=8")
        assert stopped.status == 2
        assert stopped.err.startswith("error: budget.requests=8 is spent")
    text = (tmp_path / "served" / "card.md").read_text()
    assert "\n- hints: measured\n" in text
    assert "\n- hacf: ModelRater level=sample max_failed=0.0\n" in text
    card = json.loads((tmp_path / "served" / "card.json").read_text())
    assert card["refused"] == {"read": {"malformed": 2}}
    assert card["cost"]["generator_requests"] == 7  # the probe too
    kept = "".join(path.read_text() for path in (tmp_path / "served").glob("*.jsonl"))
    assert "sk-of-a-test" not in kept


def test_a_model_has_to_be_named(curate: Callable[..., Ended]) -> None:
    ended = curate("out=nowhere")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "generator.model has no value; set generator.model=" in ended.err


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("attempts=abc", "attempts=abc must be a whole number of at least 1"),
        ("batch_size=0", "batch_size=0 must be a whole number of at least 1"),
        ("examples=-1", "examples=-1 must be a whole number of at least 0"),
        ("dry_run=maybe", "dry_run=maybe must be true or false"),
        ("split=null", "split=null: name the images to curate, such as split=train"),
        ("task=chain", "task must be zoom or zoom_released"),
        ("+filters.brief=3", "filters.brief names no class; give it a _target_ with a reason_of(record)"),
        ("+filters._target_=zoom_iqa.curation.agreement.NearMos", "tolerance"),
        ("+filters.near={_target_: zoom_iqa.curation.agreement.NearMos, tolerence: 1}", "filters.near.tolerence"),
        ("+filters.vrf={_target_: zoom_iqa.curation.agreement.NearMos, tolerance: 1}", "filters.vrf: vrf is a step"),
        ("filters=clip_cov", "filters.clip_cov: ClipCov has no reason_of(record) to refuse by"),
        ("filters=brief", "filters"),
    ],
)
def test_mistakes_are_one_line(mistake: str, said: str, curate: Callable[..., Ended]) -> None:
    ended = curate("generator.model=x", "limit=1", "out=nowhere", mistake)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert said in ended.err
