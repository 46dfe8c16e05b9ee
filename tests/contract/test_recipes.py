"""The recipes hold the papers' values, and the sweep of the paper's ablation its six rows."""

from __future__ import annotations

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from zoom_iqa.config.composition import composed
from zoom_iqa.config.location import conf_dir
from zoom_iqa.config.training_run import check


def test_the_papers_values_of_the_full_recipes() -> None:
    """Design, section 3."""
    sft = composed("train", ["+experiment=sft_full"])
    assert (sft.sft.data.batch_size, sft.sft.accumulate) == (2, 8)
    assert (sft.sft.module.optimizer.lr, sft.sft.module.lr_factor.warmup) == (2.5e-6, 0.3)
    grpo = composed("train", ["+experiment=grpo_full"])
    assert grpo.stages == ["grpo"]
    assert (grpo.grpo.module.optimizer.lr, grpo.grpo.module.group_size) == (1e-6, 8)
    assert grpo.penalties.kl_coverage.beta == 0.04
    assert grpo.penalties.kl_coverage.fraction == 0.02
    assert (grpo.penalties.kl_coverage.divergence, grpo.penalties.kl_coverage.anchor) == ("exact", "reference")
    weights = {name: term.weight for name, term in grpo.reward.items()}
    assert weights == {"format": 1.0, "score": 1.0, "rank": 2.0}
    assert grpo.reward.score.sigma == 0.35
    assert grpo.policy.path == "Qwen/Qwen2.5-VL-7B-Instruct"


def sweep_jobs(*overrides: str) -> list[list[str]]:
    """The overrides of each job that Hydra makes of a multirun's command line and its sweep config."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        one = [override for override in overrides if "," not in override]
        params = compose("train", overrides=one, return_hydra_config=True).hydra.sweeper.params
    arguments = [*overrides, *(f"{key}={value}" for key, value in params.items())]
    (batch,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(arguments), max_batch_size=None)
    return [list(job) for job in batch]


def test_table3_is_six_jobs_that_differ_as_the_papers_rows_do() -> None:
    rows = []
    for job in sweep_jobs("+sweep=table3", "policy=tiny", "data=embedded"):
        cfg = composed("train", job)
        check(cfg)
        OmegaConf.resolve(cfg)
        assert cfg.policy.path.endswith("tiny_policy")
        assert cfg.data.train._target_ == "zoom_iqa.data.embedded.images.EmbeddedSet"
        rows.append((list(cfg.stages), sorted(cfg.reward), list(cfg.penalties), list(cfg.resampling.exponents)))
    both, full, natural = ["sft", "grpo"], ["format", "rank", "score"], [0.0]
    assert rows == [
        (["sft"], full, [], natural),
        (both, ["format", "rank"], ["kl_coverage"], natural),
        (both, ["format", "score"], ["kl_coverage"], natural),
        (both, full, [], natural),
        (both, full, ["kl_coverage"], natural),
        (both, full, ["kl_coverage"], [0.0, 0.5, 1.0]),
    ]


def test_table3_takes_seeds() -> None:
    assert len(sweep_jobs("+sweep=table3", "policy=tiny", "data=embedded", "seed=0,1,2")) == 18
