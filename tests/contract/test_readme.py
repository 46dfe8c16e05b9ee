"""What README shows is what there is: commands and example run as written, tables of config groups are complete."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from support.made_rollouts import rollout, step
from zoom_iqa.base.records import record_of
from zoom_iqa.base.types import Box, Rollout, RolloutGroup, rated_example
from zoom_iqa.config.checks import check_config
from zoom_iqa.config.location import conf_dir
from zoom_iqa.evaluation.figures import figures_of
from zoom_iqa.objectives.rewards.rubric import RewardInputs, Rubric
from zoom_iqa.parallel.reducer import LocalReducer

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The reward group of README's command, with its module beside."""
    code, command = re.findall(r"```(?:python)?\n(.*?)```", section("Adding a reward"), re.DOTALL)
    (tmp_path / "my_rewards.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    arguments = shlex.split(command.replace("\\\n", " "))
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", overrides=arguments[arguments.index("zoom_iqa.train") + 1 :])
    check_config(cfg)
    return {str(name): instantiate(node) for name, node in cfg.reward.items()}


def made(number: int, box: Box | None) -> Rollout:
    """One that asks for a crop, or does not."""
    example = rated_example(id=f"image{number}", dataset="d", mos=1.0 + number)
    last = step(3.0, well_formed=False)
    return rollout(example, last) if box is None else rollout(example, step(3.0, well_formed=False, box=box), last)


ROLLOUTS = [made(0, None), made(1, (10, 10, 110, 60)), made(2, (10, 10, 111, 60)), made(3, (0, 0, 28, 90))]
BY_HAND = [1.0, 1.0, 0.0, 0.0]  # no crop; 100 x 50; 101 x 50; 28 x 90


def test_the_example_of_a_reward_is_learned_from(example: dict[str, Any]) -> None:
    groups = [RolloutGroup(one.example, (one,)) for one in ROLLOUTS]
    rewards = Rubric(terms=example).rewards(RewardInputs.from_groups(groups, reducer=LocalReducer()), step=0)
    assert rewards.terms["no_sliver"][:, 0].tolist() == BY_HAND
    assert rewards.weights == {"format": 1.0, "score": 1.0, "rank": 2.0, "no_sliver": 0.5}


def test_the_example_of_a_reward_is_in_the_mean_reward_of_an_evaluation(example: dict[str, Any]) -> None:
    records = [record_of(one) for one in ROLLOUTS]
    with_it = figures_of(records, Rubric(terms=example))["mean_reward"]
    others = {name: term for name, term in example.items() if name != "no_sliver"}
    without = figures_of(records, Rubric(terms=others))["mean_reward"]
    assert with_it - without == pytest.approx(0.5 * sum(BY_HAND) / len(BY_HAND))


INNER = {
    "hydra/launcher",
    "stage",
    "sampling",
    "data/parts",
    "data/parts/writer",
    "data/parts/score_writer",
    "reward/terms",
}  # parts of choices


def table_of(title: str) -> dict[str, set[str]]:
    """Config groups and their choices, from the rows of a section's table that list any."""
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", section(title), re.MULTILINE)
    found = {}
    for group, choices in rows:
        (name, *_) = re.findall(r"`\+?([\w/]+)", group)
        found[name] = set(re.findall(r"[\w]+", re.sub(r"`.*?`|, or (both|several)?|for yours", " ", choices)))
    return found


@pytest.mark.parametrize("title", ["Running it", "Evaluating", "Curating"])
def test_choices_are_those_there_are(title: str) -> None:
    assert table_of(title)
    for group, choices in table_of(title).items():
        there = {path.stem for path in (conf_dir() / group).glob("*.yaml")}
        if "above" not in choices and group != "benchmark":
            assert choices == there, group


PLACED = re.findall(r"^\| `([\w/]+@[\w.]+)`.*? \| (.*) \|$", section("Running it"), re.MULTILINE)


assert len(PLACED) == 5


@pytest.mark.parametrize(("group", "choices"), PLACED, ids=[group for group, _ in PLACED])
def test_groups_of_a_place_are_typed_as_they_stand(group: str, choices: str) -> None:
    judged = ["reward=judged", "judge=api", "judge.speaker.model=x"] if group.startswith("prompts/judge") else []
    for choice in re.findall(r"\w+", choices):
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            overrides = ["+experiment=quickstart", *judged, f"{group}={choice}"]
            cfg = compose("train", overrides=overrides, return_hydra_config=True)
        assert cfg.hydra.runtime.choices[group] == choice


def test_every_group_is_named() -> None:
    groups = {str(path.parent.relative_to(conf_dir())) for path in conf_dir().rglob("*.yaml")} - {"."}
    named = set().union(*map(table_of, ("Running it", "Evaluating", "Curating")))
    assert groups - INNER == named


COMMANDS = [
    shlex.split(line, comments=True)[3:]
    for line in section("Running it").replace("\\\n", " ").splitlines()
    if line.startswith("python -m zoom_iqa.train ") and " -m +sweep" not in line
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_commands_make_their_stages(arguments: list[str]) -> None:
    """All of them but data and policy, which are not here."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", overrides=arguments)
    check_config(cfg)
    for stage in cfg.stages:
        instantiate(cfg[stage].module)
