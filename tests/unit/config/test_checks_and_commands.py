"""The checks that a config passes before anything is made of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.checks import check_config, check_read
from zoom_iqa.config.commands import expected_errors, one_line
from zoom_iqa.config.location import conf_dir

RANK = "zoom_iqa.objectives.rewards.terms.RankTerm"


def config(text: str) -> DictConfig:
    made = OmegaConf.create(text)
    assert isinstance(made, DictConfig)
    return made


def test_the_configuration_is_found() -> None:
    assert (conf_dir() / "train.yaml").is_file()


def test_products_of_interpolations() -> None:
    assert config("a: {b: 3, c: '${product:${.b},${..d},2}'}\nd: 5").a.c == 30


@pytest.mark.parametrize("count", ["abc", "2.5", "0", "true", "null"])
def test_a_product_that_cannot_be_blames_its_factor(count: str) -> None:
    with pytest.raises(ConfigError, match=rf"^d=({count}|True) must be a whole number of at least 1"):
        check_config(config(f"a: {{b: 3, c: '${{product:${{.b}},${{..d}},2}}'}}\nd: {count}"))


def test_a_value_that_does_not_fit_is_named_where_it_can_be_set() -> None:
    given = config(f"eps: small\nr: {{_target_: {RANK}, weight: 1, eps: '${{eps}}', preference: ordinal}}")
    with pytest.raises(ConfigError, match=r"^eps=small: .*RankTerm needs float"):
        check_config(given)


READ = {
    "by its name": ("steps: 3", {"steps"}),
    "by a node's name": ("paths: {runs: r, more: {x: 1}}", {"paths"}),
    "by an absolute interpolation": ("steps: 3\nuse: ${steps}", {"use"}),
    "by a relative one": ("a: {steps: 3, b: {c: '${..steps}'}}", {"a.b"}),
    "inside a resolver": ("a: 3\nb: '${product:${a},2}'", {"b"}),
    "inside a text": ("name: x\npath: runs/${name}/y", {"path"}),
    "from a list": ("name: x\nuse: ['${name}']", {"use"}),
    "by a target": (f"r: {{_target_: {RANK}, weight: 1}}", set()),
    "as an empty mapping": ("sft: {trainer: {}}", set()),
}


@pytest.mark.parametrize("how", READ)
def test_what_is_read_passes(how: str) -> None:
    text, read = READ[how]
    check_read(config(text), read=read)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("steps: 3\nstepz: 4", "stepz: nothing reads this key; did you mean steps? Valid: steps"),
        ("a: {steps: 3, stepz: 4}", "a.stepz: nothing reads this key; did you mean steps? Valid: steps"),
        ("a: {steps: 3}\nb: {c: {d: 1}}", "b: nothing reads this key"),
        (f"a: {{steps: 3}}\nb: {{c: {{_target_: {RANK}}}, d: 1}}", "b.d: nothing reads this key"),
    ],
)
def test_what_is_not_read_is_named_at_its_highest_place(text: str, named: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_read(config(text), read={"steps", "a.steps"})
    assert str(error.value).startswith(named)


def rank(**changed: Any) -> DictConfig:
    return OmegaConf.create({"r": {"_target_": RANK, "weight": 1.0, "eps": 1e-6, "preference": "ordinal", **changed}})


SCHEDULE = {"_target_": "zoom_iqa.objectives.schedules.Linear", "start": 0.0, "end": 1.0, "steps": 5}


@pytest.mark.parametrize("changed", [{}, {"weight": 2}, {"weight": SCHEDULE}, {"preference": "thurstone"}])
def test_values_that_fit_their_annotation_pass(changed: dict[str, Any]) -> None:
    check_config(rank(**changed))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"weight": "much"}, "r.weight=much: .* needs float or Schedule"),
        ({"weight": None}, "r.weight=null: .* needs float"),
        ({"weight": [1, 2]}, r"r.weight=\[1, 2\]: .* needs float"),
        ({"weight": {"start": 0.0}}, r"r.weight=.* needs float or Schedule; give its _target_$"),
        ({"eps": SCHEDULE}, "r.eps=.* needs float"),
        ({"eps": True}, "r.eps=True: .* needs float"),
        ({"preference": "best"}, "r.preference=best: .* needs ordinal or thurstone"),
        ({"epsilon": 1.0}, "r.epsilon: .* takes no such key; did you mean eps"),
        ({"_target_": f"{RANK}s"}, "r._target_=.*RankTerms: not found"),
        ({"weight": "???"}, "r.weight has no value; set r.weight=..."),
        ({"weight": {**SCHEDULE, "steps": 2.5}}, "r.weight.steps=2.5: .* needs int"),
    ],
)
def test_values_that_do_not_are_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        check_config(rank(**changed))


def test_items_of_a_list_are_looked_at_too() -> None:
    values = {"_target_": "zoom_iqa.data.resampling.Resampler", "_partial_": True, "bins": 5, "max_repeats": 3}
    values["exponents"] = [0, 0.5]
    check_config(OmegaConf.create({"resampling": values}))
    with pytest.raises(ConfigError, match=r"^resampling.exponents=\[0, 'a'\]: .* needs a list of float"):
        check_config(OmegaConf.create({"resampling": {**values, "exponents": [0, "a"]}}))


def test_an_absent_value_is_named_unless_it_comes_later() -> None:
    absent = rank()
    del absent.r.eps
    with pytest.raises(ConfigError, match=r"r: .*RankTerm needs eps"):
        check_config(absent)
    absent.r._partial_ = True
    check_config(absent)


ENGINE = "zoom_iqa.engines.transformers_engine.TransformersEngine"


def test_of_an_engine_the_stage_gives_some_arguments_and_no_others() -> None:
    with pytest.raises(ConfigError, match=r"rollout: .* they come from the stage, so add rollout\._partial_: true"):
        check_config(OmegaConf.create({"rollout": {"_target_": ENGINE}}))
    check_config(OmegaConf.create({"rollout": {"_target_": ENGINE, "_partial_": True}}))
    scripted = "zoom_iqa.engines.scripted.ScriptedEngine"
    with pytest.raises(ConfigError, match=r"rollout: .* needs script; add to the YAML"):
        check_config(OmegaConf.create({"rollout": {"_target_": scripted, "_partial_": True}}))


@pytest.mark.parametrize(("source", "said"), [("1 / 0", "ZeroDivisionError"), ("x = (", "SyntaxError")])
def test_a_module_that_cannot_be_imported_is_named(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"broken_{said}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=rf"r\._target_=broken_{said}\.Term: importing it failed \({said}: "):
        check_config(rank(_target_=f"broken_{said}.Term"))


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("policy.attention=flash: choose one of sdpa", "policy.attention=flash: choose one of sdpa"),
        ("policymakers differ", "policy: policymakers differ"),
        ("limit=0 must be at least 1", "policy: limit=0 must be at least 1"),
    ],
)
def test_the_node_is_named_once(message: str, shown: str) -> None:
    error = InstantiationException("Error in call to target 'x'\nfull_key: policy")
    error.__cause__ = ConfigError(message)
    assert one_line(error) == shown


def test_a_reader_of_the_output_may_go_early() -> None:
    command = [sys.executable, "-m", "zoom_iqa.report", "table1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 1


def test_a_pipe_that_broke_elsewhere_is_not_swallowed() -> None:
    with pytest.raises(BrokenPipeError, match="a worker's"), expected_errors():
        raise BrokenPipeError("a worker's")
