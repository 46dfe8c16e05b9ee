"""The command line of evaluation: what becomes of benchmark names, and of a policy nobody chose a group for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.location import conf_dir
from zoom_iqa.evaluate import compose_config, resolve_arguments


def test_several_benchmarks_are_no_sweep() -> None:
    cfg = compose_config(resolve_arguments(["benchmark=koniq,livew", "benchmark.root=/data", "limit=3"]))
    assert list(cfg.benchmarks) == ["koniq", "livew"]
    assert [node.name for node in cfg.benchmarks.values()] == ["koniq", "livew"]
    assert [node.root for node in cfg.benchmarks.values()] == ["/data", "/data"]
    assert cfg.limit == 3


def test_values_of_one_benchmark_and_split_choices() -> None:
    arguments = ["benchmark=koniq,embedded,livew", "benchmark/split=seeded", "benchmarks.livew.root=/there"]
    cfg = compose_config(resolve_arguments(arguments))
    assert cfg.benchmarks.koniq.split._target_.endswith("SeededSplit")
    assert cfg.benchmarks.livew.root == "/there"
    assert cfg.benchmarks.embedded.evaluation_split == "test"


def test_resolved_arguments_stay_as_they_are() -> None:
    once = resolve_arguments(["benchmark=koniq,embedded", "seed=1"])
    assert resolve_arguments(once) == once


@pytest.mark.parametrize("names", ["nothing", "koniq,nothing", ""])
def test_unknown_names_are_refused_with_the_known(names: str) -> None:
    with pytest.raises(ConfigError, match=r"use one or more of agiqa, .*embedded, .*koniq"):
        resolve_arguments([f"benchmark={names}"])


@pytest.mark.parametrize("flag", ["-h", "--cfg", "-m"])
def test_flags_are_refused(flag: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{flag}: there are no flags here; give key=value, such as "):
        resolve_arguments([flag, "benchmark=koniq"])


@pytest.mark.parametrize(
    ("values", "choice"),
    [
        ({"text_config": {"hidden_size": 160}}, "tiny"),
        ({"text_config": {"hidden_size": 3584}}, "qwen2_5_vl_7b"),
        ({"hidden_size": 2048}, "qwen2_5_vl_7b"),
    ],
)
def test_a_policy_is_run_as_its_size_asks(values: object, choice: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(values))
    path = f"policy.path={tmp_path}"
    assert resolve_arguments([path])[-1] == f"policy={choice}"
    assert resolve_arguments([path, "policy=tiny"]) == [path, "policy=tiny"]


def test_a_hub_id_is_taken_for_a_large_policy() -> None:
    cfg = compose_config(resolve_arguments(["policy.path=owner/model", "benchmark=koniq"]))
    assert (cfg.policy.path, cfg.policy.dtype, cfg.evaluator.sampling.max_new_tokens) == (
        "owner/model",
        "bfloat16",
        1024,
    )


def test_sampling_is_that_of_evaluation_after_training() -> None:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        trained = compose("train").evaluator
    cfg = compose_config([])
    assert cfg.evaluator.sampling == trained.sampling
    for key in ("features_capacity", "batch_size", "samples_per_image", "seed", "task", "engine"):
        assert cfg.evaluator[key] == trained[key], key
