"""Experiments train on the data that a command names, and write described turns as their probe asks."""

from __future__ import annotations

import pytest

from zoom_iqa.config.composition import composed
from zoom_iqa.config.location import conf_dir

EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_data_that_are_named_take_the_place_of_an_experiments_own(experiment: str) -> None:
    cfg = composed("train", [f"+experiment={experiment}", "data=livewild_jpeg"])
    for images in (cfg.data.train, cfg.data.val, cfg.data.test):
        assert images.benchmark.name == "livewild_jpeg"


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ([], ("koniq", "512x384", "mos")),
        (["data=koniq10k"], ("koniq", "1024x768", "votes")),
        (["benchmark=koniq"], ("koniq", "1024x768", "votes")),
        (["benchmark=spaq"], ("spaq", "TestImage", None)),
        (["data=manifest", "manifest=my.csv"], ("my", ".", None)),
    ],
)
@pytest.mark.parametrize("experiment", ["human_full", "human_lora"])
def test_captions_are_learned_on_koniqs_mos_unless_others_are_named(
    experiment: str, given: list[str], labels: tuple[str, str, str | None]
) -> None:
    cfg = composed("train", [f"+experiment={experiment}", *given])
    for images in (cfg.data.train, cfg.data.test):
        reader = images.benchmark.reader
        assert (images.benchmark.name, reader.images, reader.get("score")) == labels


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ([], ("own", "none")),
        (["probe.text=caption", "probe.strip=ratings"], ("caption", "ratings")),
        (["probes=none", "~reward.self_consistency"], ("own", "none")),
    ],
)
def test_a_described_turn_is_written_as_the_probe_asks(given: list[str], asked: tuple[str, str]) -> None:
    cfg = composed("train", ["+experiment=human_quickstart", *given])
    described = cfg.data.trajectories.described
    assert (described.text, described.strip) == asked
    assert all((probe.text, probe.strip) == asked for probe in cfg.probes.values())
