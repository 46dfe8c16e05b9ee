"""Studies in experiments/: their scripts make runs that there can be, skip what is finished, collect what has ended."""

from __future__ import annotations

import csv
import functools
import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from support.made_run_folder import answer, run_folder
from support.small_run import composed
from support.study_scripts import EXPERIMENTS, load_script
from zoom_iqa.base.judgements import RatingDistribution
from zoom_iqa.base.records import Record
from zoom_iqa.config.training_run import check
from zoom_iqa.policy.shipped import shipped_policy_folder
from zoom_iqa.reports.ablation import EXPERIMENTS as TABLE3
from zoom_iqa.reports.kept import read_kept, write_kept

STUB = """#!/usr/bin/env bash
printf '%q ' "$@" >>"$STUDY_LOG"
echo >>"$STUDY_LOG"
for argument in "$@"; do
  case $argument in
  paths.run_dir=*) mkdir -p "${argument#paths.run_dir=}/policy" ;;
  esac
done
"""
STUDIES = {
    # study: arms of one seed, with the SFT runs they begin from
    "ablation": ("ABLATION_RUNS", 1 + 16),
    "collapse": ("COLLAPSE_RUNS", 1 + 3),
    "crops": ("CROPS_RUNS", 2 * 3),
    "three_systems": ("SYSTEMS_RUNS", 2 * 3),
}


def commands(study: str, variable: str, folder: Path) -> list[list[str]]:
    """The commands of a study for one seed, none of which is run."""
    stub = folder / "python"
    stub.write_text(STUB)
    stub.chmod(stub.stat().st_mode | stat.S_IXUSR)
    log = folder / "log"
    log.write_text("")
    settings = {"PYTHON": str(stub), "STUDY_LOG": str(log), variable: str(folder / "runs")}
    settings["COLLAPSE_SFT"] = str(folder / "sft")
    settings |= {name: str(folder / "ablation") for name in ("CROPS_ABLATION", "SYSTEMS_ABLATION")}
    ended = subprocess.run(
        [str(EXPERIMENTS / study / "run.sh"), "7"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [shlex.split(line) for line in log.read_text().splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, DictConfig]]:
    """The configs of a study's runs by their arms, made once; a second call of the script must train nothing."""

    @functools.cache
    def configs(study: str) -> dict[str, DictConfig]:
        variable, folder = STUDIES[study][0], tmp_path_factory.mktemp(study)
        found = {}
        for line in (line for line in commands(study, variable, folder) if "zoom_iqa.train" in line):
            for run in [Path(one) for one in line if one.startswith("paths.run_dir=")]:
                assert run.name.endswith("_seed7")
                found[run.name.removesuffix("_seed7")] = composed(
                    *(one for one in line[2:] if not one.startswith("policy.path="))
                )
        assert not [line for line in commands(study, variable, folder) if "zoom_iqa.train" in line]
        return found

    return configs


@pytest.mark.parametrize("study", STUDIES)
def test_runs_can_be_and_what_is_finished_is_not_made_again(
    study: str, made: Callable[[str], dict[str, DictConfig]]
) -> None:
    found = made(study)
    assert len(found) == STUDIES[study][1]
    for cfg in found.values():
        check(cfg)
        assert cfg.seed == 7


@pytest.mark.parametrize(
    ("study", "names"),
    [
        ("crops", {"usual_sft": "sft", "usual_grpo": "kl_coverage"}),
        ("three_systems", {"zoom_sft": "sft", "zoom_grpo": "kl_coverage"}),
    ],
)
def test_rows_that_the_ablation_has_too_are_taken_from_it(
    study: str, names: dict[str, str], made: Callable[[str], dict[str, DictConfig]], tmp_path: Path
) -> None:
    for own, of_ablation in names.items():
        one, other = (OmegaConf.to_container(cfg) for cfg in (made(study)[own], made("ablation")[of_ablation]))
        assert isinstance(one, dict)
        assert isinstance(other, dict)
        for cfg in (one, other):  # how many test images are answered at the end changes no policy
            del cfg["data"]["test"], cfg["sft" if own.endswith("_grpo") else "grpo"]
        assert {key for key in one if one[key] != other[key]} - {"evaluator"} == {"paths", "name"}
        (tmp_path / "ablation" / f"{of_ablation}_seed7" / "policy").mkdir(parents=True)
    trained = [line for line in commands(study, STUDIES[study][0], tmp_path) if "zoom_iqa.train" in line]
    assert len(trained) == STUDIES[study][1] - 2
    assert not [line for line in trained for name in names if f"{name}_seed7" in line[-1]]


def test_arms_differ_from_their_baseline_in_what_their_names_say(made: Callable[[str], dict[str, DictConfig]]) -> None:
    found = made("ablation")
    assert all("ratings" in cfg.data.trajectories for cfg in found.values())
    assert tuple(found[name.removeprefix("table3_")].name for name in TABLE3) == TABLE3
    assert {cfg.data.train.scores for cfg in found.values()} == {"koniq"}
    assert sorted(found["rank"].reward) == ["format", "rank"]
    assert sorted(found["score"].reward) == ["format", "score"]
    assert found["score"].reward.score.sigma == 0.7
    assert list(found["score_rank"].penalties) == []
    assert found["decided"].penalties.kl_coverage.digits == "decided"
    assert found["old_anchor"].penalties.kl_coverage.anchor == "old"
    assert found["old_anchor"].grpo.module["update"].epochs == 2
    assert list(found["clip_cov"].filters) == ["clip_cov"]
    assert found["tower"].grpo.module.freeze_vision_tower is False


def records(spread: float, seed: int, *, images: int = 24) -> list[Record]:
    """Two answers to images of six photographs, off by a spread."""
    rng = np.random.default_rng(seed)
    made = []
    for index in (0, 1):
        for number in range(images):
            mos = 1.2 + 3.6 * number / images
            rating = float(np.clip(mos + spread * rng.standard_normal(), 1, 5))
            one = answer(f"i{number}", mos, rating, index=index)
            object.__setattr__(one.example, "reference_id", f"p{number % 6}")
            object.__setattr__(one, "expected", RatingDistribution(mean=rating, std=0.1, mass=1.0))
            made.append(one)
    return made


def ended(folder: Path, stage: str, spread: float, seed: int, **contents: Any) -> None:
    run = run_folder(folder, {stage: records(spread, seed)}, **contents)
    (run / "checkpoints").mkdir()
    (run / "policy").mkdir()


def collected(study: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["collect.py", *arguments])
    load_script(f"{study}/collect.py").main()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_ablation_prints_the_papers_signs_beside_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(tmp_path / "sft_seed0", "sft", 1.6, 0)
    ended(tmp_path / "rank_seed0", "grpo", 0.2, 0)
    collected("ablation", monkeypatch, str(tmp_path), "--out", str(tmp_path), "--resamples", "100")
    effects = {row["effect"]: row for row in rows_of(tmp_path / "effects.csv")}
    alone = effects["rank reward alone"]
    assert alone["paper, KonIQ"] == "+0.081"  # 0.887 - 0.806
    assert alone["paper, mean of 7"] == "+0.057"  # of 0.081 0.045 0.078 0.021 0.065 0.042 0.065
    assert alone["signs"] == "theirs +, ours +"
    assert (alone["seeds"], effects["KL-Coverage"]["seeds"]) == ("0", "")
    assert effects["KL-Coverage"]["signs"] == "not run"
    assert effects["tower trained"]["paper, KonIQ"] == ""
    assert len(rows_of(tmp_path / "results.csv")) == 2
    assert "| rank | 1 |" in capsys.readouterr().out


def test_arms_on_real_photographs_are_compared_over_draws_of_the_split(tmp_path: Path) -> None:
    """GRPO orders every image rightly; NIQE none of the first draw (1 - -1 = 2) and all of the second (1 - 1 = 0)."""
    for draw, sign in (("first", -1), ("second", 1)):
        numbers = range(40) if draw == "first" else range(1000, 1040)
        for name, of_rank in (("niqe", sign), ("grpo_seed3", 1)):
            path = tmp_path / draw / name / "livewild_jpeg" / "scores.csv"
            path.parent.mkdir(parents=True)
            rows = [f"{number}.JPG,{index / 10},{of_rank * index}" for index, number in enumerate(numbers)]
            path.write_text("\n".join(["id,mos,rating", *rows]))
    script, out = EXPERIMENTS / "livewild_jpeg" / "arms.py", tmp_path / "arms.csv"
    draws = [tmp_path / "first", tmp_path / "second"]
    subprocess.run([sys.executable, str(script), str(out), *draws], check=True, capture_output=True)
    (row,) = rows_of(out)
    assert (row["arm"], row["against"]) == ("grpo", "niqe")
    assert (row["draws"], row["runs"], row["images"]) == ("2", "2", "80")
    assert (row["srcc"], row["difference"]) == ("1.000", "1.000")
    assert (row["low"], row["high"]) == (row["low_of_blocks"], row["high_of_blocks"]) == ("1.000", "1.000")
    assert read_kept(tmp_path / "ratings" / "second.json.gz")["grpo_seed3"]["1039.JPG"] == 39


def test_runs_on_real_photographs_that_are_gone_are_read_from_what_was_kept(tmp_path: Path) -> None:
    """Ratings are kept without scores: those come from the set itself, where the first 60 rise with their numbers."""
    root = tmp_path / "data" / "livec"
    (tmp_path / "ratings").mkdir()
    root.mkdir(parents=True)
    labels = [f"{number}.JPG,{min(10 + number, 90)},1,test" for number in (*range(60), 672, 694)]
    (root / "livec_jpg.csv").write_text("\n".join(["image,mos,std,split", *labels]))
    ratings = {"grpo_seed3": {f"{number}.JPG": number for number in range(60)}}
    write_kept(tmp_path / "ratings" / "gone.json.gz", ratings | {"niqe": {f"{n}.JPG": -n for n in range(60)}})
    run = [sys.executable, str(EXPERIMENTS / "livewild_jpeg" / "arms.py"), str(tmp_path / "arms.csv"), "runs/gone"]
    named = os.environ | {"ZOOM_IQA_DATA": str(tmp_path / "data")}
    subprocess.run(run, check=True, capture_output=True, env=named)
    (row,) = rows_of(tmp_path / "arms.csv")
    assert (row["arm"], row["images"], row["srcc"], row["difference"]) == ("grpo", "60", "1.000", "2.000")


def test_collapse_is_followed_over_windows_of_rollouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two windows of two rollouts: entropies 1, 3 and 2, 2; the second evaluation alone lies in the second."""
    logs = [
        {"step": 0, "rollout/rating_entropy": 1.0},
        {"step": 1, "rollout/rating_entropy": 3.0, "val/embedded/srcc": 0.5},
        {"step": 2, "rollout/rating_entropy": 2.0},
        {"step": 3, "rollout/rating_entropy": 2.0, "val/embedded/srcc": 0.6},
    ]
    run_folder(tmp_path / "with_seed0", {"grpo": records(0.5, 0)}, logs={"grpo": logs})
    collected("collapse", monkeypatch, str(tmp_path), "--out", str(tmp_path), "--window", "2")
    found = [
        (row["rollouts"], row["rollout/rating_entropy"], row["val/embedded/srcc"])
        for row in rows_of(tmp_path / "over_time.csv")
    ]
    assert found == [("2", "2.0000", "0.5000"), ("4", "2.0000", "0.6000")]
    assert (tmp_path / "over_time.png").stat().st_size > 1000


def test_the_three_systems_stand_in_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, arm in enumerate(("zoom_sft", "zoom_grpo", "chain_sft")):
        ended(tmp_path / f"{arm}_seed0", arm.partition("_")[2], 1.5 - 0.6 * number, number)
    collected("three_systems", monkeypatch, str(tmp_path), "--out", str(tmp_path), "--resamples", "50")
    systems, effects = capsys.readouterr().out.split("\n\n")
    assert [line.split(" | ")[:2] for line in systems.splitlines()[2:]] == [
        ["| two turns", "sft"],
        ["| two turns", "grpo"],
        ["| chain of looks", "sft"],
    ]
    assert len(rows_of(tmp_path / "results.csv")) == 3
    assert len(effects.splitlines()) == 2 + 2
    rows = {row["effect"]: row for row in rows_of(tmp_path / "effects.csv")}
    assert list(rows) == ["two turns: GRPO against SFT", "chain of looks against two turns, SFT"]
    assert all(row["srcc_single"].startswith("+") for row in rows.values()), "made less noisy by 0.6 and by 1.2"


def test_crops_answers_stand_beside_the_ablations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usual arm's answers are those that the ablation keeps, of five seeds; the small one's are of this run."""
    for number, stage in enumerate(("sft", "grpo")):
        ended(tmp_path / f"small_{stage}_seed0", stage, 1.5 - 1.2 * number, number)
    monkeypatch.setattr(sys, "argv", ["answers.py", str(tmp_path), "--out", str(tmp_path), "--resamples", "20"])
    load_script("crops/answers.py").main()
    figures, effects = capsys.readouterr().out.split("\n\n")
    assert [line.split(" | ")[:2] for line in figures.splitlines()[2:]] == [
        ["| `usual`, SFT", "5"],
        ["| `usual`, GRPO", "5"],
        ["| `small`, SFT", "1"],
        ["| `small`, GRPO", "1"],
    ]
    assert "| `usual`, SFT | 5 | 0.497 ± 0.011 | 0.646 ± 0.008 |" in figures, "as in the ablation's README"
    rows = {row["effect"]: row for row in rows_of(tmp_path / "effects.csv")}
    assert list(rows) == ["`usual`: GRPO against SFT", "`small`: GRPO against SFT"]
    assert rows["`small`: GRPO against SFT"]["rating_variance"].startswith("-")
    assert effects.count("GRPO against SFT") == 2


@pytest.mark.parametrize(
    ("study", "arms", "effect"),
    [
        ("chains", ("sft", "flat", "evidence"), "GRPO, flat reward"),
        ("human", ("sft", "accuracy"), "GRPO, accuracy alone"),
    ],
)
def test_policies_judged_apart_from_their_training_are_collected(
    study: str,
    arms: tuple[str, ...],
    effect: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number, arm in enumerate(arms):
        run_folder(tmp_path / f"{arm}_seed0" / "judged", {"embedded": records(1.5 - 0.6 * number, number)})
    (tmp_path / "random_seed0" / "judged").mkdir(parents=True)  # not judged yet
    collected(study, monkeypatch, str(tmp_path), "--out", str(tmp_path), "--resamples", "50")
    said = capsys.readouterr().out
    assert [row["arm"] for row in rows_of(tmp_path / "results.csv")] == sorted(arms)
    [line] = [line for line in said.splitlines() if effect in line]
    single, expected, variance = (float(cell.split()[0]) for cell in line.split(" | ")[1:6:2])
    assert single > 0.1
    assert expected > 0.02  # means of two answers have less to gain
    assert variance < -0.1
    assert "random" not in said.partition("| effect")[0]


def test_controls_of_chains_are_collected_look_by_look(tmp_path: Path) -> None:
    """The second policy looks at nothing, and so has no figures of places and of looks."""
    row = {"n": 4, "srcc": 0.5, "rmse": 0.25, "mean rating": 3.0, "defect named": 0.75}
    rated = {"rated at once": 2, "looked by itself": 1, "mean rating of those": 3.5, "rated again after a look": 2}
    rated |= dict.fromkeys(
        ("mean rating at once", "mean rating after the look", "lower after the look", "higher after the look"), 0.5
    )
    for name, place, moved in (("sft_seed0", row, {"look 1": {"n": 2, "mean": 0.125}}), ("flat_seed0", {"n": 0}, {})):
        found = {"places": {"asked": place}, "rating moved by one look at a random place": moved}
        (tmp_path / name).mkdir()
        (tmp_path / name / "control.json").write_text(json.dumps({"regional": found, "pristine": rated}))
    load_script("chains/collect.py").control(tmp_path, tmp_path / "control.csv")
    values = {(line["run"], line["figure"]): line["value"] for line in rows_of(tmp_path / "control.csv")}
    assert values["asked: sft_seed0", "rmse"] == "0.2500"
    assert values["asked: flat_seed0", "rmse"] == ""
    assert values["rating moved by look 1 alone: sft_seed0", "mean"] == "0.1250"
    assert values["pristine: flat_seed0", "rated at once"] == "2"


def test_the_quickstart_stands_beside_its_sft_drawn_less_at_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_folder(tmp_path / "quickstart_seed0", {"sft": records(1.5, 0), "grpo": records(0.3, 1)})
    (run / "checkpoints").mkdir()
    (run / "policy").mkdir()
    run_folder(tmp_path / "sft_cool_seed0", {"embedded": records(1.2, 2)})
    collected("quickstart", monkeypatch, str(tmp_path), "--out", str(tmp_path), "--resamples", "50")
    assert [row["arm"] for row in rows_of(tmp_path / "results.csv")] == ["sft", "sft_cool", "grpo"]
    assert sorted(path.name for path in (tmp_path / "answers").iterdir())[0] == "grpo_seed0.json.gz"
    gains = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| GRPO over")]
    assert [cells[0] for cells in gains] == ["| GRPO over SFT", "| GRPO over SFT at temperature 0.7"]
    assert all(cells[3].startswith("+") for cells in gains), "of expected ratings"


def test_the_crop_control_measures_every_place_and_collects_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shipped policy on a few images; nothing here depends on how well it judges."""
    control = tmp_path / "usual_sft_seed0" / "control.json"
    arguments = ["--regional", "10", "--images", "6", "--out", str(control), "benchmark.local_area=[0.05,0.30]"]
    monkeypatch.setattr(sys, "argv", ["crop_control.py", str(shipped_policy_folder()), *arguments])
    script = load_script("crops/crop_control.py")
    script.main()
    found = json.loads(control.read_text())
    for row in found["regional"]:
        assert set(row["ratings"]) <= set(script.PLACES)
        assert {"asked", "random place", "whole image", "region"} <= set(row["ratings"])
        assert 0.04 < row["area"] < 0.31
    assert len(found["when"]["rows"]) == 6
    for row in found["when"]["rows"]:
        assert set(row["ratings"]) == {"never", "when asked", "always"}
        if not row["looked"]:
            assert row["ratings"]["never"] == row["ratings"]["when asked"]
    seconds = found["when"]["seconds"]
    assert 0 < seconds["never"] <= 1.5 * seconds["when asked"] <= 1.5 * seconds["always"]
    collected("crops", monkeypatch, str(tmp_path), "--out", str(tmp_path), "--resamples", "0")
    rows = rows_of(tmp_path / "looking.csv")
    assert [(row["arm"], row["images"]) for row in rows] == [
        ("usual_sft", kind) for kind in ("all", "regional", "others")
    ]
    assert "| usual_sft |" in capsys.readouterr().out


def test_real_photographs_have_expected_ratings_and_a_lead_over_niqe_where_they_were_measured(tmp_path: Path) -> None:
    measured = {
        "niqe": ({"srcc": 0.5}, (2, 1, 3, "")),
        "grpo_seed0": ({"srcc": 1.0, "srcc_expected": 0.625}, (1, 2, 3, 4)),
    }
    for name, (figures, ratings) in measured.items():
        (tmp_path / name / "livewild_jpeg").mkdir(parents=True)
        lines = [f"{image},{image},{rating}" for image, rating in enumerate(ratings, start=1)]
        (tmp_path / name / "livewild_jpeg" / "scores.csv").write_text("\n".join(["id,mos,rating", *lines]))
        (tmp_path / name / "metrics.json").write_text(json.dumps({"livewild_jpeg": figures}))
    load_script("livewild_jpeg/collect.py").main(tmp_path, tmp_path / "results.csv")
    found = {row["run"]: (row["srcc_expected"], row["over_niqe"]) for row in rows_of(tmp_path / "results.csv")}
    # of the three images that both rate, NIQE orders one of three pairs wrongly: 1 - 6 * 2 / (3 * 8) = 0.5
    assert found == {"grpo_seed0": ("0.6250", "0.5000"), "niqe": ("", "")}


def test_mean_weights_are_shares_of_both_and_of_one_architecture() -> None:
    script = load_script("tiny_policy/mean_weights.py")
    first, second = ({"head": torch.tensor([values], dtype=torch.float16)} for values in ([1.0, 3.0], [2.0, -1.0]))
    torch.testing.assert_close(script.mean_weights(first, second, 0.25)["head"], torch.tensor([[1.25, 2.0]]))
    with pytest.raises(ValueError, match="of one architecture"):
        script.mean_weights(first, {"head": torch.zeros(3)}, 0.25)
