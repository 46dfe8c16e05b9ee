"""The examples of docs/extend.md run as written: its blocks become files, its commands compose, its parts work."""

from __future__ import annotations

import ast
import csv
import importlib
import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from PIL import Image

from support.made_rollouts import rollout, step
from support.random_policy import build_random_policy, noise_image
from support.small_run import save_policy, small_run
from support.written_rollouts import SAMPLING, image_samples
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import record_of
from zoom_iqa.base.types import ImagePart, Request, RolloutGroup, TextPart, rated_example
from zoom_iqa.config.assessor import Assessor
from zoom_iqa.config.checks import check_config
from zoom_iqa.config.location import conf_dir
from zoom_iqa.curation.agreement import JudgesRecord
from zoom_iqa.data.resampling import IndexStream
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.objectives.penalties.base import PenaltyInputs
from zoom_iqa.objectives.rewards.rubric import RewardInputs, Rubric
from zoom_iqa.objectives.schedules import Stepwise
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.parallel.reducer import LocalReducer
from zoom_iqa.rollout.collect import collect

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extend.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(python|yaml|)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


Composed = Callable[[str], DictConfig]


@pytest.fixture
def config_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Composed:
    """Makes the files of a section and composes its command; the config has passed every check."""

    def made(title: str) -> DictConfig:
        command = ""
        for kind, text in BLOCK.findall(section(title)):
            if not kind:
                command = text.replace("\\\n", " ")
                continue
            path = tmp_path / text.partition("\n")[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        environment, *arguments = shlex.split(command)
        assert environment == "PYTHONPATH=."
        assert arguments[:2] == ["python", "-m"]
        root = arguments[2].removeprefix("zoom_iqa.")
        overrides = arguments[3:]
        if "--config-dir" in overrides:
            at = overrides.index("--config-dir")
            overrides[at : at + 2] = [f"hydra.searchpath=[file://{tmp_path / overrides[at + 1]}]"]
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose(root, overrides=overrides)
        check_config(cfg)
        return cfg

    return made


def test_every_section_is_tried() -> None:
    titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert titles == [
        *("Task", "Tool", "Reward", "Schedule", "Probe", "Penalty", "Filter", "Loss", "Re-sampling", "Curation filter"),
        *("Engine", "Benchmark"),
    ]


def test_task(config_of: Composed) -> None:
    task = instantiate(config_of("Task").task)
    (sample,) = image_samples(1)
    said: dict[str, Any] = {}
    for text in ("Yes.", "no", "It depends."):
        engine = ScriptedEngine(script=lambda request, text=text: text, sampling=SAMPLING, policy=None)
        (made,) = collect([task.open(sample, index=0, seed=1)], engines={"policy": engine})
        said[text] = made.rating
    assert (said["Yes."], said["no"]) == (5.0, 1.0)
    assert said["It depends."].reason == "bad_rating"
    first, second = (task.open(sample, index=index, seed=1).next_request() for index in (0, 1))
    assert first.key != second.key
    assert first.prompt_key == second.prompt_key


def test_photographs_are_assessed_by_a_task_of_ones_own(config_of: Composed, tmp_path: Path) -> None:
    config_of("Task")
    mine = tmp_path / "mine"
    found = Assessor(task="yes_no", config_dir=mine, device="cpu").assess(noise_image(0, 64, 64))
    assert found.failure == "bad_rating"  # the shipped policy has not learned the question
    assert "is neither yes nor no" in found.records[0].steps[0].reading.failure.detail
    with pytest.raises(ConfigError, match=r"^task=yes_on: there is no such choice; did you mean yes_no\?"):
        Assessor(task="yes_on", config_dir=mine)
    with pytest.raises(ConfigError, match=r"^config_dir=nowhere: there is no such folder$"):
        Assessor(config_dir="nowhere")


def test_tool(config_of: Composed) -> None:
    config_of("Task")  # whose file it builds on
    task = instantiate(config_of("Tool").task)
    (sample,) = image_samples(1)
    asked: list[Request] = []

    def script(request: Request) -> str:
        asked.append(request)
        return "Stretch" if len(asked) == 1 else "yes"

    engine = ScriptedEngine(script=script, sampling=SAMPLING, policy=None)
    (made,) = collect([task.open(sample, index=0, seed=1)], engines={"policy": engine})
    assert (made.rating, [len(step.reading.calls) for step in made.steps]) == (5.0, [1, 0])
    shown = [part for message in asked[1].prompt for part in message.parts if isinstance(part, ImagePart)]
    darkest = [min(low for low, _ in part.image.getextrema()) for part in shown]
    assert len(shown) == 2
    assert darkest[1] == 0  # each channel reaches from 0 to 255
    assert asked[1].prompt[: len(asked[0].prompt)] == asked[0].prompt


def test_reward(config_of: Composed) -> None:
    cfg = config_of("Reward")
    brief = instantiate(cfg.reward.brief)
    examples = [rated_example(id=f"image{number}", dataset="d", mos=3.0) for number in range(2)]
    lengths = [(100, 50), (100, 51)]  # tokens of both turns: 150 is allowed
    groups = []
    for example, (first, second) in zip(examples, lengths, strict=True):
        made = rollout(example, step(3.0, box=(0, 0, 9, 9), token_ids=(0,) * first), step(3.0, token_ids=(0,) * second))
        groups.append(RolloutGroup(example, (made,)))
    inputs = RewardInputs.from_groups(groups, reducer=LocalReducer())
    rewards = Rubric(terms={"brief": brief}).rewards(inputs, step=0)
    assert rewards.terms["brief"].tolist() == [[1.0], [0.0]]
    assert rewards.total_BG.tolist() == [[0.5], [0.0]]


def test_schedule(config_of: Composed) -> None:
    weight = instantiate(config_of("Schedule").reward.rank).weight
    assert [weight.value(step) for step in (0, 25, 50, 80)] == [0.0, 1.0, 2.0, 2.0]
    (values, boundaries) = re.findall(r"`(?:values|boundaries): (\[.*?\])`", section("Schedule"))
    stepwise = Stepwise(values=ast.literal_eval(values), boundaries=ast.literal_eval(boundaries))
    assert [stepwise.value(step) for step in (0, 19, 20, 40)] == [0.0, 0.0, 1.0, 2.0]


def test_probe(config_of: Composed) -> None:
    probes = {str(name): instantiate(node) for name, node in config_of("Probe").probes.items()}
    asked: list[Request] = []

    def script(request: Request) -> str:
        asked.append(request)
        if len(asked) == 1:
            return (
                '<think>Soft and dim.\nMore.</think><answer>{"bbox_2d":[0,0,0,0],"rating":2.0,"tool":"final"}</answer>'
            )
        return '<think>x</think><answer>{"rating": 4.5}</answer>'

    task = instantiate(config_of("Probe").task)
    engine = ScriptedEngine(script=script, sampling=SAMPLING, policy=None)
    (made,) = collect([task.open(image_samples(1)[0], index=0, seed=1)], engines={"policy": engine}, probes=probes)
    assert made.rating == 2.0
    assert [answer.rating for answer in made.probes["summary"]] == [4.5]
    (part,) = asked[1].prompt[0].parts
    assert isinstance(part, TextPart)
    assert "described as: Soft and dim. Answer" in part.text


def tokens(sampled: list[float], weights: list[float]) -> TokenBatch:
    logp_M = torch.tensor(sampled)
    count = len(sampled)
    return TokenBatch(
        trajectory_M=torch.zeros(count, dtype=torch.long),
        advantages_M=torch.ones(count),
        weights_M=torch.tensor(weights),
        marks={"numbers": torch.zeros(count, dtype=torch.bool)},
        signals={"sampled": logp_M, "old": logp_M},
    )


def test_penalty(config_of: Composed) -> None:
    penalty = instantiate(config_of("Penalty").penalties.squared_ratio)
    batch = tokens([-1.0, -2.0], [0.25, 0.75])
    plan = penalty.plan(batch, step=0, mini_batch=0, reducer=LocalReducer())
    logp_U = torch.tensor([-1.5, -1.0], requires_grad=True)
    loss, measures = penalty.loss(PenaltyInputs(coefficient_U=plan.coefficient_M, logp_U=logp_U, signals=batch.signals))
    # 0.1 * (0.25 * 0.5 * 0.25 + 0.75 * 0.5 * 1)
    assert loss.item() == pytest.approx(0.040625)
    assert set(measures) == {"half_square"}
    loss.backward()
    assert logp_U.grad is not None
    assert logp_U.grad.tolist() == pytest.approx([0.1 * 0.25 * -0.5, 0.1 * 0.75 * 1.0])


def test_filter(config_of: Composed) -> None:
    drop = instantiate(config_of("Filter").filters.drop_certain)
    batch = tokens([math.log(0.999), math.log(0.98), math.log(0.5)], [1 / 3] * 3)
    keep_M, figures = drop.keep(batch, step=0, mini_batch=0, reducer=LocalReducer())
    assert keep_M.tolist() == [False, True, True]
    assert figures == {"dropped": 1.0}


def test_a_reward_a_penalty_and_a_filter_of_ones_own_train_together(config_of: Composed, tmp_path: Path) -> None:
    own = []
    for title in ("Reward", "Penalty", "Filter"):
        config_of(title)
        command = section(title).rpartition("```\nPYTHONPATH=.")[2].partition("\n```")[0]
        own.append(shlex.split(command.replace("\\\n", " "))[-1])
    mini_batches = "grpo.module.update.mini_batches=2"
    small_run(tmp_path / "run", save_policy(tmp_path), "stages=[grpo]", "grpo.steps=2", mini_batches, *own)
    with (tmp_path / "run" / "logs" / "grpo" / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert all(0 <= float(row["reward/brief"]) <= 1 for row in rows)
    assert all(float(row["squared_ratio/half_square"]) >= 0 for row in rows)
    assert all(float(row["drop_certain/dropped"]) >= 0 for row in rows)


def test_loss(config_of: Composed) -> None:
    advantage = instantiate(config_of("Loss").loss.advantage)
    assert advantage(torch.tensor([[1.0, 2.0, 6.0], [3.0, 3.0, 3.0]])).tolist() == [[-1.0, 0.0, 4.0], [0.0, 0.0, 0.0]]


def test_resampling(config_of: Composed) -> None:
    cfg = config_of("Re-sampling")
    make = instantiate(cfg.resampling)
    stream = make(mos=[1.0, 3.0, 3.5, 5.0], seed=0, total=80)
    drawn = list(stream.iterate(rank=0, world_size=1))
    assert [drawn.count(index) for index in range(4)] == [30, 10, 10, 30]
    assert isinstance(stream, IndexStream)
    again = make(mos=[1.0, 3.0, 3.5, 5.0], seed=0, total=80)
    again.load_state_dict({**stream.state_dict(), "position": 50})
    assert list(again.iterate(rank=0, world_size=1)) == drawn[50:]


def test_curation_filter(config_of: Composed) -> None:
    brief = instantiate(config_of("Curation filter").filters.brief)
    example = rated_example(id="a", dataset="d", mos=3.0)
    assert isinstance(brief, JudgesRecord)
    assert brief.reason_of(record_of(rollout(example, step(3.0, text="word " * 30)))) is None
    assert brief.reason_of(record_of(rollout(example, step(3.0, text="word " * 31)))) == "too_long"


def test_engine(config_of: Composed) -> None:
    cfg = config_of("Engine")
    policy = build_random_policy()
    engine = instantiate(cfg.rollout)(policy=policy, sampling=SAMPLING, features=None)
    task = instantiate(cfg.task)
    sessions = [task.open(sample, index=0, seed=1) for sample in image_samples(2)]
    made = collect(sessions, engines={"policy": engine})
    assert [one.rating for one in made] == [3.0, 3.0]
    assert not any(one.cropped for one in made)
    assert not engine.busy


def test_benchmark(config_of: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOM_IQA_DATA", str(tmp_path))
    images = tmp_path / "lines" / "images"
    images.mkdir(parents=True)
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (8, 8)).save(images / name)
    (tmp_path / "lines" / "scores.txt").write_text("a.png 0\nb.png 100\nc.png 25\n")
    benchmark = instantiate(config_of("Benchmark").benchmark)
    assert {item.id: item.mos for item in benchmark.items("all")} == {"a.png": 1.0, "b.png": 5.0, "c.png": 2.0}
