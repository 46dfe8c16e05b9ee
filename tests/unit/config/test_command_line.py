"""The command line of evaluation: benchmark names, folders of one's own, and a policy nobody chose a group for."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hydra.errors import HydraException

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.command_line import require_different, with_views
from zoom_iqa.config.commands import one_line
from zoom_iqa.config.composition import composed, parsed
from zoom_iqa.config.data_commands import compose_config as compose_check
from zoom_iqa.config.evaluation_run import compose_config
from zoom_iqa.config.peer_run import compose_config as compose_peer

PAIR_RULE = {"_target_": "zoom_iqa.data.pairs.PairRule", "band": 0.3, "similar": 1 / 3}


@pytest.mark.parametrize("names", ["koniq,livew", "[koniq,livew]", "'koniq',livew"])
def test_several_benchmarks_are_no_sweep(names: str) -> None:
    cfg = compose_config([f"benchmark={names}", "benchmark.root=/data", "limit=3"])
    assert list(cfg.benchmarks) == ["koniq", "livew"]
    assert [node.name for node in cfg.benchmarks.values()] == ["koniq", "livew"]
    assert [node.root for node in cfg.benchmarks.values()] == ["/data", "/data"]
    assert cfg.limit == 3


def test_values_of_one_benchmark_and_split_choices() -> None:
    arguments = ["benchmark=koniq,embedded,livew", "benchmark/split=seeded", "benchmarks.livew.root=/there"]
    cfg = compose_config(arguments)
    assert cfg.benchmarks.koniq.split._target_.endswith("SeededSplit")
    assert cfg.benchmarks.livew.root == "/there"
    assert cfg.benchmarks.embedded.evaluation_split == "test"
    assert "split" not in cfg.benchmarks.embedded


@pytest.mark.parametrize("prefix", ["", "+"])
def test_rules_of_pairs_are_a_choice_of_benchmarks_of_pairs(prefix: str) -> None:
    arguments = ["benchmark=embedded_pairs,koniq", f"{prefix}benchmark/pairs=balanced", "task=compare"]
    cfg = compose_config([*arguments, "benchmarks.embedded_pairs.rule.band=0.1"])
    assert cfg.benchmarks.embedded_pairs.rule == {**PAIR_RULE, "band": 0.1}
    assert "rule" not in cfg.benchmarks.koniq
    assert "benchmark" not in cfg


@pytest.mark.parametrize("choice", ["split=seeded", "pairs=balanced"])
def test_a_choice_that_no_benchmark_has_is_refused(choice: str) -> None:
    with pytest.raises(ConfigError, match=f"benchmark/{choice}: embedded has no such choice; leave it out"):
        compose_config(["benchmark=embedded", f"benchmark/{choice}"])


def test_two_benchmarks_of_one_data_set_are_refused() -> None:
    require_different({"koniq": "koniq", "livew": "livew"})
    with pytest.raises(ConfigError, match="benchmark=koniq_mos: koniq is named twice; evaluate one after the other"):
        require_different({"koniq": "koniq", "koniq_mos": "koniq"})


def test_values_keep_prefix_and_text() -> None:
    arguments = ["benchmark=koniq,livew", "benchmark.root='/a=b,c'", "++benchmark.source.licence=x", "~benchmark.split"]
    for node in compose_config(arguments).benchmarks.values():
        assert (node.root, node.source.licence, "split" in node) == ("/a=b,c", "x", False)


def test_unknown_names_are_refused_with_the_known() -> None:
    with pytest.raises(HydraException) as error:
        compose_config(["benchmark=koniq,nothing", "benchmark/split=seeded"])
    assert "Could not find 'benchmark/nothing' Available options in 'benchmark': agiqa" in one_line(error.value)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("benchmark=", "benchmark is given without a name; use one or more of agiqa, "),
        ("-m", "-m: there is no such flag; give key=value"),
        ("--cfg", "--cfg: there is no such flag"),
        ("koniq", "koniq: give key=value, such as benchmark=koniq"),
        ("limit=1,2", r"limit=1,2: there are no multiruns here; several values are a list, as in limit=\[1,2\]"),
        ("policy.path=a,b", r"policy.path=a,b: .* one with a comma is quoted, as in 'policy.path=\"a,b\"'$"),
        ("--config-dir=/nowhere", "--config-dir=/nowhere: there is no such folder"),
        ("benchmark.rot=x", "benchmarks.koniq.rot: there is no such key; did you mean root?"),
        ("limt=3", "limt: there is no such key; did you mean limit?"),
    ],
)
def test_wrong_arguments_are_one_line(argument: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}"):
        compose_config(["benchmark=koniq", argument])


def test_a_key_below_what_is_empty_is_not_answered_with_an_empty_list() -> None:
    with pytest.raises(ConfigError, match=r"^benchmarks\.koniq: .*, as nothing chosen here fills benchmarks$"):
        composed("evaluate", ["benchmarks.koniq.root=/there"])


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of configs of one's own, with a name that needs quotes."""
    folder = tmp_path / "my configs, 'new'"
    (folder / "benchmark").mkdir(parents=True)
    (folder / "benchmark" / "mine.yaml").write_text("defaults:\n  - koniq\n  - _self_\nname: mine\nroot: /mine\n")
    return folder


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("policy.path=a=b", """policy.path=a=b: .* quote it: 'policy.path="a=b"'$"""),
        ("policy.path=it's=b", "if it is a text, quote it: "),
        ("policy.path=/tmp/fotos (\xfc)/p", "if it is a text, quote it: "),
        ("policy.path=~/x", "policy.path=~/x: write .HOME for ~, as in policy.path=.HOME/x$"),
    ],
)
def test_a_value_that_cannot_be_read_is_said_with_a_remedy(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        composed("train", [override])
    with pytest.raises(ConfigError, match=said):  # commands that look at overrides before Hydra does
        parsed([override])
    (typed,) = shlex.split(str(error.value).partition("quote it: ")[2] or "policy.path=there")
    assert composed("train", [typed]).policy.path in (override.partition("=")[2], "there")


@pytest.mark.parametrize("flag", [["--config-dir", "{}"], ["--config-dir={}"], ["hydra.searchpath=['file://{}']"]])
def test_benchmarks_of_ones_own_are_found(flag: list[str], mine: Path) -> None:
    given = [part.format(str(mine).replace("'", "\\'") if "=[" in part else mine) for part in flag]
    for compose, others in ((compose_config, []), (compose_peer, ["peer=niqe"]), (compose_check, [])):
        cfg = compose([*given, "benchmark=mine", "benchmark/split=seeded", *others])
        assert (cfg.benchmarks.mine.name, cfg.benchmarks.mine.root) == ("mine", "/mine")
        assert cfg.benchmarks.mine.split._target_.endswith("SeededSplit")


@pytest.mark.parametrize(
    ("values", "choice"),
    [
        ({"text_config": {"hidden_size": 160}}, "tiny"),
        ({"text_config": {"hidden_size": 3584}}, "qwen2_5_vl_7b"),
        ({"hidden_size": 2048}, "qwen2_5_vl_7b"),
        ("no mapping", "qwen2_5_vl_7b"),
    ],
)
def test_a_policy_is_run_as_its_size_asks(values: object, choice: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(values))
    cfg = compose_config([f"policy.path={tmp_path}"])
    expected = composed("evaluate", [f"policy={choice}", f"policy.path={tmp_path}"])
    assert cfg == expected
    assert compose_config([f"policy.path={tmp_path}", "policy=tiny"]).size.max_new_tokens == 128


@pytest.mark.parametrize(
    ("processor", "given", "shown"),
    [
        ({"size": {"longest_edge": 401408}}, [], None),  # its own, which is smaller
        ({"max_pixels": 401408}, [], None),  # as older processors write it
        ({"size": {"longest_edge": 12845056}}, [], 1003520),
        ({"size": {"longest_edge": 401408}}, ["policy.max_pixels=2000000"], 2000000),
        ({"size": {"longest_edge": 401408}}, ["policy=qwen2_5_vl_7b"], None),
        ({}, [], 1003520),
        ("no mapping", [], 1003520),
    ],
)
def test_images_are_shown_as_small_as_the_policy_knows_them(
    processor: object, given: list[str], shown: int | None, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"text_config": {"hidden_size": 3584}}')
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    cfg = compose_config([f"policy.path={tmp_path}", *given])
    assert (cfg.policy.max_pixels, cfg.max_new_tokens if not given else 1024) == (shown, 1024)


def test_chains_enlarge_crops_as_the_size_asks() -> None:
    assert [compose_config([f"policy={name}", "task=chain"]).task.enlarge for name in ("tiny", "qwen2_5_vl_3b")] == [
        1,
        2,
    ]


@pytest.mark.parametrize(
    "argument", ["policy.path={}", "++policy.path={}", "policy.path='{}'", "policy.path=${{oc.env:MY_POLICY}}"]
)
@pytest.mark.parametrize("name", ["policy", "a=b", "a, b"])
def test_however_the_path_is_written_the_size_is_the_same(
    argument: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text('{"text_config": {"hidden_size": 3584}}')
    monkeypatch.setenv("MY_POLICY", str(folder))
    if argument.endswith("={}") and name != "policy":
        argument = argument.replace("{}", "'{}'")  # the sign and the comma need quotes in Hydra's grammar
    cfg = compose_config([argument.format(folder)])
    assert (cfg.policy.path, cfg.policy.dtype, cfg.max_new_tokens) == (str(folder), "bfloat16", 1024)


def test_a_hub_id_is_taken_for_a_large_policy() -> None:
    cfg = compose_config(["policy.path=owner/model", "benchmark=koniq"])
    values = (cfg.policy.path, cfg.policy.dtype, cfg.evaluator.sampling.max_new_tokens)
    assert values == ("owner/model", "bfloat16", 1024)


def test_sampling_is_that_of_evaluation_after_training() -> None:
    trained = composed("train", []).evaluator
    cfg = compose_config([])
    assert cfg.evaluator.sampling == trained.sampling
    for key in ("features_capacity", "batch_size", "samples_per_image", "seed", "task", "engine"):
        assert cfg.evaluator[key] == trained[key], key


def test_views_bring_their_probes() -> None:
    assert with_views(["seed=1"]) == ["seed=1"]
    assert with_views(["views=[image]"]) == ["views=[image]"]
    assert with_views(["views=[image,caption]"]) == ["views=[image,caption]", "+probes=views"]


@pytest.mark.parametrize("views", ["views=[caption]", "views=caption", "views=[image,words]", "views=[]"])
def test_other_views_are_refused(views: str) -> None:
    with pytest.raises(ConfigError, match=r"give \[image\], or \[image,caption\]"):
        with_views([views])
