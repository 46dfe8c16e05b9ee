"""Every config composes, every target exists and takes its keys, and what is wrong is said in one line at once."""

from __future__ import annotations

import functools
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from support.command_line import Ended, run_train
from zoom_iqa.config.checks import HYDRA_KEYS, check_config
from zoom_iqa.config.commands import expected_errors
from zoom_iqa.config.location import conf_dir
from zoom_iqa.config.training_run import check, train
from zoom_iqa.engines.vllm import engine as vllm_engine
from zoom_iqa.policy import loading
from zoom_iqa.training import wandb_log
from zoom_iqa.training.stage import Stage

CONF = conf_dir()
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
GROUPS = (
    "callbacks", "data", "evaluator", "filters", "logger", "loss", "machine", "penalties", "policy", "policy/lora",
    "prompts", "protocol", "resampling", "reward", "rollout", "size", "trainer",
)  # fmt: skip


@pytest.fixture(autouse=True)
def with_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in its environment: without it every config that names it is refused, as tests of engines show."""
    monkeypatch.setattr(vllm_engine, "require_vllm", lambda: None)


def composed(*overrides: str, root: str = "train") -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(root, overrides=list(overrides))


def targets(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "${" not in node.get("_target_", "${"):  # one that another config names is checked where that is composed
            yield node
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_every_target_exists_and_takes_its_keys(path: Path) -> None:
    for node in targets(yaml.safe_load(path.read_text())):
        parameters = inspect.signature(pkgutil.resolve_name(node["_target_"])).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            assert node.keys() - HYDRA_KEYS - {"defaults"} <= parameters.keys()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs_on_the_embedded_set_too(experiment: str) -> None:
    cfg = composed(f"+experiment={experiment}", "policy=tiny", "data=embedded")
    check(cfg)
    OmegaConf.resolve(cfg)
    assert cfg.name == experiment


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name.endswith(("quickstart", "livewild_jpeg"))])
def test_a_tiny_experiment_is_as_long_as_its_command_says(experiment: str) -> None:
    cfg = composed(f"+experiment={experiment}", "sft.steps=5", "grpo.images=48")
    for stage, steps in (("sft", 5), ("grpo", 2)):
        assert instantiate(cfg[stage].data.length).in_steps(samples=1000, per_step=24) == steps


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_beside_debug_every_experiment_has_two_steps_a_stage(experiment: str) -> None:
    cfg = composed(f"+experiment={experiment}", "+debug=short")
    for stage in cfg.stages:
        assert instantiate(cfg[stage].data.length).in_steps(samples=1000, per_step=24) == 2


def test_the_experiments_that_are_promised() -> None:
    assert {"quickstart", "grpo_full", "sft_full"} <= set(EXPERIMENTS)
    assert sum(name.startswith("table3_") for name in EXPERIMENTS) == 6


CHOICES = {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in GROUPS}


@pytest.mark.parametrize("turn", range(max(map(len, CHOICES.values()))))
def test_every_choice_composes_and_passes_the_checks(turn: int, tmp_path: Path) -> None:
    """``penalties=kl_coverage`` and the like in place of the default, every group's next choice at once."""
    chosen = [f"{group}={found[turn % len(found)]}" for group, found in CHOICES.items()]
    manifest = tmp_path / "mine.csv"
    manifest.touch()
    cfg = composed(*chosen, *([f"manifest={manifest}"] if "data=manifest" in chosen else []))
    check(cfg)
    OmegaConf.resolve(cfg)


@pytest.mark.parametrize("root", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_every_root_passes_the_checks(root: str) -> None:
    needs = {
        "evaluate_peer": ["peer=ridge"],
        "curate": ["generator.model=x", "out=x"],
        "judge": ["judge.model=x", "out=x"],
    }
    check_config(composed(*needs.get(root, []), root=root))


def test_adapters_are_one_override_away() -> None:
    cfg = composed("policy=qwen2_5_vl_7b", "policy/lora=r64")
    check(cfg)
    assert cfg.policy.lora.rank > 0


@pytest.fixture
def nothing_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The test fails if a policy is loaded or a stage begins."""

    @functools.wraps(loading.load_policy)
    def load(**settings: Any) -> None:
        raise AssertionError("a policy was loaded")

    monkeypatch.setattr(loading, "load_policy", load)
    monkeypatch.setattr(Stage, "train", lambda *_: pytest.fail("a stage began"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def refused(nothing_begins: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Compose and train as the command line does, without Hydra's own half a second."""

    def run(*arguments: str) -> str:
        small = [] if "data=koniq10k" in arguments else ["data.train.size=20", "data.test.size=5"]
        monkeypatch.setattr("sys.argv", ["train.py", *arguments, *small])
        with pytest.raises(SystemExit) as ended, expected_errors("train"):
            train(composed(*arguments, *small), Path("run"))
        return one_error(Ended(ended.value.code, "", capsys.readouterr().err))

    return run


def one_error(ended: Ended) -> str:
    assert ended.status == 2
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    return ended.err


WRONG = {
    "group choice": (["policy=tinny"], ["policy/tinny", "qwen2_5_vl_7b", "tiny"]),
    "group with a number": (["rollout=5"], ["error: rollout=5: rollout takes the name of a choice: native, tr"]),
    "group with nothing": (["penalties=null"], ["penalties=null: penalties takes the name of a choice", "none"]),
    "group": (["polcy=tiny"], ["polcy", "did you mean policy?"]),
    "experiment without +": (["experiment=quickstart"], ["+experiment=quickstart"]),
    "key": (["grpo.module.group_sise=4"], ["grpo.module.group_sise", "did you mean group_size?", "lr_factor"]),
    "key above": (["grpo.modul.group_size=4"], ["grpo.modul:", "did you mean module?", "checkpoint_every"]),
    "key in a value": (["seed.x=1"], ["seed is a value"]),
    "added key": (["+reward.rank.sigma=4"], ["reward.rank.sigma", "Valid: eps, preference, weight"]),
    "added key of no target": (["+foo=4"], ["foo: nothing reads this key"]),
    "type": (["grpo.module.group_size=many"], ["grpo.module.group_size=many", "needs int"]),
    "type that a count is made of": (["grpo.steps=abc"], ["error: grpo.steps=abc", "needs int or null"]),
    "count": (["sft.accumulate=0"], ["sft.accumulate=0 must be a whole number of at least 1"]),
    "type that others repeat": (["max_new_tokens=many"], ["error: max_new_tokens=many", "needs int"]),
    "type inside a library": (["sft.module.optimizer.lr=fast"], ["sft.module.optimizer.lr=fast", "needs float"]),
    "value": (["grpo.module.group_size=1"], ["grpo.module.group_size=1 must be a whole number of at least 2"]),
    "value a library refuses": (["grpo.module.optimizer.lr=-1"], ["grpo.module", "optimizer", "-1"]),
    "one of a few": (["penalties.kl_coverage.anchor=new"], ["penalties.kl_coverage.anchor=new", "old or reference"]),
    "values that do not fit": (["penalties.kl_coverage.anchor=old"], ["one update per rollout", "exactly zero"]),
    "renamed group": (["regularizer=kl_reference"], ["regularizer is now penalties=NAME", "filters=clip_cov"]),
    "renamed choice": (["machine=gpus"], ["error: machine=gpus is now trainer=ddp"]),
    "renamed choice of a trainer": (["trainer=gpu"], ["error: trainer=gpu is now machine=gpu"]),
    "renamed key of a trainer": (["machine.devices=2"], ["error: machine.devices is now trainer.devices"]),
    "group that is part of another": (["advantage=no_std"], ["error: advantage is now loss=NAME"]),
    "renamed key of a machine": (["data.workers=2"], ["error: data.workers is now machine.workers"]),
    "renamed group of an engine": (["engine=native"], ["error: engine is now rollout=NAME"]),
    "renamed key of a choice": (
        ["rationales.ratings=truth"],
        ["rationales.ratings is now ratings=generator or ratings=truth"],
    ),
    "renamed key": (["regularizer.beta=1"], ["regularizer is now penalties=NAME and penalties.NAME.KEY=VALUE"]),
    "no penalty": (["+penalties.foo.beta=1"], ["penalties.foo is no Penalty; give it a _target_"]),
    "no filter": (["+filters.foo.fraction=1"], ["filters.foo is no TokenFilter; give it a _target_"]),
    "truncated sampling": (["grpo.module.sampling.top_p=0.9"], ["error: grpo.module.sampling.top_p=0.9 (needs 1.0)"]),
    "sampling": (
        ["evaluator.sampling.temperature=0"],
        ["error: evaluator.sampling.temperature=0 must be a number above 0"],
    ),
    "length of a turn": (["max_new_tokens=0"], ["error: max_new_tokens=0 must be a whole number of"]),
    "value of a size": (["size.max_new_tokens=0"], ["error: size.max_new_tokens=0 must be a whole num"]),
    "engine's missing key": (["~rollout.join_share"], ["rollout", "needs join_share"]),
    "machine's count": (["machine.token_budget=-1"], ["error: machine.token_budget=-1 must be a whole number of at l"]),
    "machine's share": (["machine.join_share=7"], ["error: machine.join_share=7 must be a number from 0 to 1"]),
    "machine's type": (["machine.cuda_graphs=4"], ["error: machine.cuda_graphs=4 must be true or false"]),
    "machine's count that may be 0": (["machine.workers=many"], ["machine.workers=many must be a whole number of at"]),
    "machine's key": (["machine.wokers=2"], ["machine.wokers: there is no such key; did you mean workers?"]),
    "machine's added key": (["+machine.wokers=2"], ["machine.wokers: there is no such key; did you mean workers?"]),
    "machine's missing key": (["~machine.workers"], ["machine.workers has no value; set machine.workers=..."]),
    "machine of an evaluation": (["stages=[sft]", "machine.features_capacity=-1"], ["machine.features_capacity=-1"]),
    "more processes than processors": (["trainer.devices=99"], ["trainer.devices=99: this machine has"]),
    "more processes of ddp": (["trainer=ddp", "trainer.devices=99"], ["error: trainer.devices=99: this machine has"]),
    "processes of a stage": (
        ["+sft.trainer.num_nodes=2"],
        ["error: sft.trainer.num_nodes=2: ", "set trainer.num_nodes"],
    ),
    "ratings of a generator": (
        ["ratings=generator", "ratings.slope=2"],
        ["error: ratings.slope=2 must be from 0 to 1"],
    ),
    "resampling": (["resampling.bins=0"], ["grpo.data", "bins=0 must be a whole number of at least 1"]),
    "resampling's stages": (["resampling.exponents=[]"], ["grpo.data", "exponents=[]"]),
    "measurement": (["grpo.module.update.sampler_check.every=0"], ["update.sampler_check.every=0"]),
    "missing value": (["grpo.steps=???"], ["grpo.steps has no value; set grpo.steps=..."]),
    "no stage": (["stages=[]"], ["stages=[]", "[sft,grpo]"]),
    "value as stage": (["stages=[seed]"], ["'seed'", "sft, grpo"]),
    "path": (
        ["data=koniq10k", "data.trajectories.path=/nowhere/t.jsonl"],
        ["sft.data.dataset", "/nowhere/t.jsonl"],
    ),
    "device": (["machine.accelerator=gpux"], ["error: trainer: ", "gpux", "machine=cpu"]),
    "trainer's key": (["+sft.trainer.max_step=4"], ["sft.trainer.max_step", "did you mean max_steps?"]),
    "trainer's precision": (["trainer.precision=13"], ["trainer.precision=13", "32-true"]),
    "trainer's length": (["+trainer.max_time=00:01:00:00"], ["sft.trainer.max_time", "such as sft.steps=100"]),
    "trainer's folder": (["+grpo.trainer.default_root_dir=/tmp"], ["grpo.trainer.default_root_dir", "paths.run_dir="]),
    "half precision": (["policy.dtype=float16"], ["policy.dtype=float16", "set policy.dtype=bfloat16"]),
    "clipping": (["sft.module.max_grad_norm=-1"], ["sft.module.max_grad_norm=-1 must be above 0"]),
    "Lightning's clipping": (["+sft.trainer.gradient_clip_val=1"], ["sft.trainer.gradient_clip_val", "max_grad_norm"]),
    "Lightning's accumulation": (["+trainer.accumulate_grad_batches=2"], ["sft.trainer.accum", "sft.accumulate="]),
    "GRPO's clipping": (["grpo.module.max_grad_norm=-1"], ["grpo.module.max_grad_norm=-1 must be above 0"]),
    "warm-up": (["sft.module.lr_factor.warmup=1.5"], ["sft.module.lr_factor", "warmup=1.5"]),
    "floor": (["grpo.module.lr_factor.floor=-1"], ["grpo.module.lr_factor", "floor=-1"]),
    "penalty": (["penalties.kl_coverage.beta=-1"], ["penalties.kl_coverage.beta=-1.0 must be 0 or more"]),
    "Thurstone without deviations": (
        ["reward.rank.preference=thurstone"],
        ["of 20 labels lack it", "reward.rank.preference=ordinal"],
    ),
    "Thurstone without deviations where it is judged": (
        ["stages=[sft]", "reward.rank.preference=thurstone"],
        ["of 5 labels lack it (the first is embedded:", "reward.rank.preference=ordinal"],
    ),
    "rank of one image judged": (
        ["evaluator.dataset={_target_:support.given_items.GivenItems,ids:[a],mos:[3],root:null}"],
        ["given has 1 here", "reward=score_only"],
    ),
    "weight": (["reward.rank.weight=-2"], ["reward.rank.weight=-2.0 must be 0 or more"]),
    "weight in an evaluation": (["stages=[sft]", "reward.rank.weight=-2"], ["error: reward.rank.weight=-2.0 must be"]),
    "no number": (["reward.score.weight=nan"], ["reward.score.weight=nan"]),
    "ladder of a task without evidence": (
        ["reward=curriculum"],
        ["reward.curriculum reads the evidence", "(ZoomTask); use task=chain, or drop it with ~reward.curriculum"],
    ),
    "filter of a task without looks": (
        ["task=caption_reason", "filters=evidence"],
        ["filters.evidence is about closer looks", "use task=zoom or task=chain, or drop it with ~filters.evidence"],
    ),
    "rung": (["task=chain", "reward=curriculum", "reward.curriculum.rank_eps=0"], ["reward.curriculum.rank_eps=0"]),
    "part without a target": (
        ["task=chain", "filters=evidence", "+filters.evidence.shaping.least=0.5"],
        ["filters.evidence.shaping={'least': 0.5}", "needs Shaping or null; give its _target_"],
    ),
    "rationales": (
        ["data.trajectories.writer.guess_spread=-1"],
        ["data.trajectories.writer.guess_spread=-1 must"],
    ),
    "checkpoints": (["sft.checkpoint_every=0"], ["sft.checkpoint_every=0"]),
    "kept checkpoints": (["grpo.keep_checkpoints=0"], ["grpo.keep_checkpoints=0 must be at least 1"]),
    "lost images": (["sft.data.max_lost_images=-1"], ["max_lost_images=-1 must be a whole number of at least 0"]),
    "gradient checkpointing": (
        ["machine.gradient_checkpointing=offload"],
        ["machine.gradient_checkpointing=offload must be true, false or offloaded"],
    ),
    "patience": (["machine.engine_timeout_s=0"], ["machine.engine_timeout_s=0 must be above 0"]),
    "rank of one image": (["grpo.data.batch_size=1"], ["grpo.data.batch_size=1", "at least 2"]),
    "mini-batches": (["grpo.module.update.mini_batches=1000"], ["update.mini_batches=1000", "192 trajectories"]),
    "manifest of nothing": (["manifest=m.csv"], ["error: manifest=m.csv: nothing reads it", "add data=manifest"]),
    "no manifest": (["data=manifest"], ["error: manifest is not given", "manifest=FILE"]),
    "manifest that is not there": (["data=manifest", "manifest=m.csv"], ["manifest=m.csv: there is no such file"]),
    "target": (["callbacks.progress._target_=zoom_iqa.nope.X"], ["callbacks.progress._target_", "nope"]),
    "metric to optimize": (
        ["optimized_metric=grpo.src"],
        ["optimized_metric=grpo.src", "grpo.METRIC", "pair_accuracy"],
    ),
    "metric that gains by lost answers": (["optimized_metric=grpo.srcc"], ["optimized_metric=grpo.srcc", "count"]),
    "interpolation": (["seed=${sead}"], ["sead"]),
    "two lengths": (["sft.steps=3", "sft.epochs=2"], ["error: sft.steps=3 and epochs=2: a stage's length is one of"]),
    "length": (["grpo.images=0"], ["error: grpo.images=0 must be a whole number of at least 1"]),
    "grammar": (["sft.steps=[1"], ["[1"]),
    "seed of images": (["data.train.seed=-1"], ["seed=-1 must be a whole number of at least 0"]),
    "clipping of ratios": (["loss.ratio.clip_low=-1"], ["error: loss.ratio.clip_low=-1 must be above 0"]),
    "advantages": (["loss.advantage.eps=nan"], ["error: loss.advantage.eps=nan must"]),
    "share of tokens": (["penalties.kl_coverage.fraction=2"], ["error: penalties.kl_coverage.fraction=2 must be"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line_before_any_model(case: str, refused: Any) -> None:
    arguments, named = WRONG[case]
    said = refused(*arguments)
    assert all(part in said for part in named), said


@pytest.mark.usefixtures("nothing_begins")
@pytest.mark.parametrize("flags", [[], ["-m", "seed=0,1"]], ids=["run", "multirun"])
@pytest.mark.parametrize("case", ["key", "value"])
def test_so_it_is_on_the_command_line(
    case: str, flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, named = WRONG[case]
    ended = run_train([*flags, *arguments, "data.train.size=20", "paths.runs=."], monkeypatch, capsys)
    said = ended.err.splitlines()[0] if flags else one_error(ended)  # the other runs of a multirun are tried too
    assert (ended.status, said[:7]) == (2, "error: ")
    assert all(part in said for part in named), said


def test_a_multirun_is_not_shown_but_one_of_its_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--cfg", "job", "+sweep=table3", "policy=tiny", "data=embedded"]
    said = one_error(run_train(["-m", *arguments], monkeypatch, capsys))
    assert "--multirun" in said
    assert "drop -m" in said
    shown = run_train([*arguments, "+experiment=table3_rank"], monkeypatch, capsys)
    assert shown.status == 0
    assert "name: table3_rank" in shown.out


def test_a_missing_login_is_one_line_before_any_model(refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_log, "key_is_known", lambda: False)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert "run `wandb login`, or set WANDB_MODE=offline" in refused("logger=[csv,wandb]")


SETS = ("sft.data.dataset", "grpo.data.dataset", "evaluator.dataset")
UNUSABLE = {
    "id twice": ("ids:[a,b,a],mos:[1,2,3],root:null", ["row 0, given:a: the id comes 2 times", "row 2, given:a"]),
    "score of another scale": ("ids:[a,b],mos:[3,63.2],root:null", ["row 1, given:b: mos=63.2 is outside 1-5"]),
    "no number": ("ids:[a,b],mos:[nan,3],root:null", ["row 0, given:a: mos=nan is not a number"]),
    "no file": ("ids:[a],mos:[3],root:/nowhere", ["row 0, given:a: no file /nowhere/a"]),
    "empty": ("ids:[],mos:[],root:null", ["the split is empty"]),
}


@pytest.mark.usefixtures("nothing_begins")
@pytest.mark.parametrize("place", SETS)
@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_labels_are_named_before_any_model(case: str, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a data set of somebody's own, which may check nothing itself."""
    given, named = UNUSABLE[case]
    own = f"{place}={{_target_:support.given_items.GivenItems,{given}}}"
    with pytest.raises(SystemExit) as ended, expected_errors("train"):
        train(composed("data.train.size=20", "data.test.size=5", own), Path("run"))
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith(f"error: {place.rpartition('.')[0]}: ")
    assert all(part in said for part in named), said


IN_YAML = {
    "plain key": ("sft: {stepz: 5}", ["sft.stepz", "did you mean steps?"]),
    "target's key": ("grpo: {module: {group_sise: 5}}", ["grpo.module.group_sise", "did you mean group_size?"]),
    "top-level key": ("penaltys: none", ["penaltys", "did you mean penalties?"]),
    "mapping": ("grpo: {modul: {group_size: 4}}", ["grpo.modul:", "did you mean module?"]),
    "value": ("sft: {steps: many}", ["error: sft.steps=many"]),
    "syntax": ("sft: {steps: ???}", ["wrong.yaml", "line 2"]),
}


@pytest.mark.parametrize("case", IN_YAML)
def test_a_mistake_in_a_yaml_file_is_one_line_too(case: str, refused: Any, tmp_path: Path) -> None:
    text, named = IN_YAML[case]
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "wrong.yaml").write_text(f"# @package _global_\n{text}\n")
    said = refused(f"hydra.searchpath=[file://{tmp_path}/mine]", "+experiment=wrong")
    assert all(part in said for part in named), said


def test_a_run_folder_that_cannot_be_made_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    ended = run_train([f"paths.run_dir={tmp_path}/file/run"], monkeypatch, capsys)
    assert f"paths.run_dir: {tmp_path}/file/run: Not a directory" in one_error(ended)


def test_a_policy_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["policy.path=/nowhere/policy", "data.train.size=20", f"paths.run_dir={tmp_path}/run"]
    ended = run_train(arguments, monkeypatch, capsys)
    assert "policy.path=/nowhere/policy" in one_error(ended)
    assert not (tmp_path / "run").exists()  # no litter, and the corrected command may use the folder
