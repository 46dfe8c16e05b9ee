"""The main program in two processes, copied weights and cut ones: what one process learns, and how runs go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from support.placed_ends import assert_judged_once, assert_learned_alike, assert_left_whole, run_alone
from support.placed_runs import GOES_ON, THREE_STEPS, TWO, Asked, distance, run_in_two
from support.small_run import answers_of, assert_same_end, rows, small_run, weights_of
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.exporting import export

ADAPTERS = [*THREE_STEPS, "policy/lora=r8", "stages=[grpo]"]
# a ladder, a bonus for looks, tokens filtered by what they depend on, a question about words alone, 3 images over 2
CHAINS = [
    "+experiment=deepsight_quickstart",
    *(setting for setting in THREE_STEPS if not setting.startswith(("prompts.", "rollout."))),
    "rollout._target_=support.written_engine.KeyedChainEngine",
    "chain_prompts.questions=[Rate it.]",
    "probes=description",
    "described_prompts.questions=[Rate it.]",
    "+reward/terms@reward.self_consistency=self_consistency",
    "grpo.steps=2",
    "sft.steps=1",
    "data.train.local_fraction=0.97",
    "data.train.scores=null",  # so many regions have none of some scores
    "data.train.procedural_fraction=1.0",
    "data.test.size=3",
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Path:
    """The folder of runs of two processes; one is stopped in each stage, and gone on with."""
    folder = tmp_path_factory.mktemp("runs")
    comparable = [
        Asked("ddp", [*THREE_STEPS, *TWO, "trainer=ddp"]),
        Asked("fsdp", [*THREE_STEPS, *TWO, "trainer=fsdp"]),
        Asked("adapters", [*ADAPTERS, *TWO, "trainer=fsdp"]),
        Asked("chains ddp", [*CHAINS, *TWO, "trainer=ddp"]),
        Asked("chains fsdp", [*CHAINS, *TWO, "trainer=fsdp"]),
    ]
    goes_on = [*GOES_ON, "trainer=fsdp"]
    stopped = [Asked("stopped", goes_on, stop_at) for stop_at in ("sft:1", "grpo:2", None)]
    run_in_two(folder, policy, [*comparable, Asked("whole", goes_on), *stopped])
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Path:
    """The run of one process with batches as large as both have."""
    return run_alone(tmp_path_factory.mktemp("alone") / "run", policy)


@pytest.mark.parametrize("trainer", ["ddp", "fsdp"])
def test_two_processes_learn_what_one_learns_from_batches_twice_as_large(
    trainer: str, runs: Path, alone: Path, policy: Path
) -> None:
    assert_learned_alike(runs / trainer, alone, policy)


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Path:
    folder = tmp_path_factory.mktemp("chains") / "run"
    small_run(folder, policy, *CHAINS, "sft.data.batch_size=2", "grpo.data.batch_size=2")
    return folder


@pytest.mark.parametrize("trainer", ["ddp", "fsdp"])
def test_ladders_filters_and_probes_see_the_images_of_all_processes(trainer: str, runs: Path, chains: Path) -> None:
    run = runs / f"chains {trainer}"
    nothing = {name: torch.zeros_like(value) for name, value in weights_of(chains, "grpo").items()}
    for stage in ("sft", "grpo"):
        found, expected = weights_of(run, stage), weights_of(chains, stage)
        assert distance(found, expected) < 1e-5 * distance(nothing, expected)
        assert [answer["id"] for answer in answers_of(run, stage)] == [a["id"] for a in answers_of(chains, stage)]
    figures = ("curriculum/", "evidence/", "reward/", "rollout/", "policy/kl_coverage")
    for found, expected in zip(rows(run, "grpo"), rows(chains, "grpo"), strict=True):
        named = [name for name in expected if name.startswith(figures) and expected[name]]
        assert {"curriculum/name", "evidence/kept", "reward/self_consistency"} <= set(named)
        assert {name: float(found[name]) for name in named} == pytest.approx(
            {name: float(expected[name]) for name in named}, rel=1e-3, abs=1e-5
        )


def test_adapters_beside_weights_that_are_cut_up(runs: Path, policy: Path, tmp_path: Path) -> None:
    small_run(tmp_path / "run", policy, *ADAPTERS, "sft.data.batch_size=2", "grpo.data.batch_size=2")
    found, expected = weights_of(runs / "adapters", "grpo"), weights_of(tmp_path / "run", "grpo")
    assert found.keys() == expected.keys()
    adapters = [name for name in expected if ".lora_" in name]
    moved = sum(expected[name].square().sum() for name in adapters if ".lora_B" in name) ** 0.5  # which begins at 0
    assert moved > 1e-3
    assert distance(found, expected) < 1e-3 * moved
    assert all(torch.equal(found[name], expected[name]) for name in expected if name not in adapters)


@pytest.mark.parametrize("trainer", ["ddp", "fsdp"])
def test_images_are_shared_out_and_judged_once(trainer: str, runs: Path, alone: Path) -> None:
    assert_judged_once(runs / trainer, alone)


def test_one_whole_policy_is_left(runs: Path) -> None:
    assert_left_whole(runs / "fsdp")


def test_each_process_has_a_file_of_its_parts(runs: Path) -> None:
    place = runs / "fsdp" / "checkpoints" / "grpo"
    names = sorted(path.name for path in place.iterdir())
    assert [name.rpartition(".")[2] for name in names] == ["ckpt", "1-of-2", "2-of-2"]
    main, first, second = (place / name for name in names)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(runs / "fsdp" / "policy")
    cut = sum(value.numel() for value in model.model.language_model.parameters()) * 4
    assert first.stat().st_size > cut / 3
    assert second.stat().st_size > cut / 3
    assert first.stat().st_size < 2 * cut / 3
    assert main.stat().st_size < cut / 2 + sum(value.numel() for value in model.model.visual.parameters()) * 4


def test_an_export_merges_the_parts(runs: Path, tmp_path: Path) -> None:
    export(runs / "fsdp", tmp_path / "out", adapter=False)
    found, expected = (
        Qwen2_5_VLForConditionalGeneration.from_pretrained(folder).state_dict()
        for folder in (tmp_path / "out", runs / "fsdp" / "policy")
    )
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_stopped_run_ends_as_one_that_was_not(runs: Path) -> None:
    assert_same_end(runs / "stopped", runs / "whole")
    assert sorted(path.name for path in (runs / "stopped/logs/grpo/best").iterdir()) == sorted(
        path.name for path in (runs / "whole/logs/grpo/best").iterdir()
    )


def test_a_run_of_two_processes_is_no_run_of_one(runs: Path, policy: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds a run of another config.*processes: 2 there, 1 now"):
        small_run(runs / "fsdp", policy, *THREE_STEPS, *TWO[1:])
