"""The folder of a run: what it is called, that files appear whole, and that two runs never mix."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.run_folder import RunFolder


def open_(folder: RunFolder, config: str) -> None:
    with folder.opened(config):
        pass


CONFIG = "seed: 0\nstages:\n- sft\nsft:\n  steps: 3\n"


def test_a_new_folder_gets_the_config_and_is_then_continued(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "a")
    folder.check(CONFIG)
    assert not folder.path.exists()
    open_(folder, CONFIG)
    assert (folder.path / "config.yaml").read_text() == CONFIG
    before = (folder.path / "config.yaml").stat().st_mtime_ns
    open_(folder, CONFIG)
    assert (folder.path / "config.yaml").stat().st_mtime_ns == before


def test_another_config_is_refused_in_one_line_that_shows_the_difference(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    open_(folder, CONFIG)
    with pytest.raises(ConfigError) as refused:
        open_(folder, CONFIG.replace("steps: 3", "steps: 4"))
    assert str(refused.value) == (
        f"{tmp_path} holds a run of another config; choose another folder. sft.steps: 3 there, 4 now"
    )
    assert (tmp_path / "config.yaml").read_text() == CONFIG


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        ("a: 2\nb: {}", "a: 1 there, 2 now"),
        ("a: null\nb: {}", "a: 1 there, None now"),
        ("a: 1\nb: {c: [x]}", "b: {} there, nothing now; b.c.0: nothing there, x now"),
        ("b: {}", "a: 1 there, nothing now"),
    ],
)
def test_values_that_differ_are_shown_by_their_keys(now: str, shown: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    open_(folder, "a: 1\nb: {}")
    with pytest.raises(ConfigError) as refused:
        folder.check(now)
    assert str(refused.value).endswith(f"choose another folder. {shown}")


def test_a_run_goes_on_on_another_machine_and_only_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    open_(folder, "a: ${machine.b}\nmachine: {b: 1, c: 2}")
    open_(folder, "a: ${machine.b}\nmachine: {b: 3}")
    with pytest.raises(ConfigError, match=r"a: \$\{machine.b\} there, 3 now"):
        open_(folder, "a: 3\nmachine: {b: 3}")


def test_a_damaged_config_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match=r"^.*config.yaml cannot be read: .* line .*; choose another folder$"):
        RunFolder(tmp_path).check("a: 1")


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        with pytest.raises(
            ConfigError, match=f"^{place} cannot be a run's folder: {tmp_path / 'file'} is not a folder"
        ):
            RunFolder(place).check(CONFIG)


def test_what_cannot_be_looked_at_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin" / "config.yaml").mkdir(parents=True)
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes" / "config.yaml").write_bytes(b"\xff\xfe")
    for name in ("latin", "bytes", "x" * 300):
        with pytest.raises(ConfigError, match=r"cannot be a run's folder: .*; choose another"):
            RunFolder(tmp_path / name).check(CONFIG)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "at all")
    for name in ("link", "a\0b"):
        with pytest.raises(ConfigError, match=r"cannot be made: .*; choose another folder"):
            open_(RunFolder(tmp_path / name), CONFIG)


def test_a_long_difference_is_cut(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    open_(folder, "".join(f"a{i}: 1\n" for i in range(50)))
    with pytest.raises(ConfigError) as refused:
        folder.check("".join(f"a{i}: 2\n" for i in range(50)))
    assert str(refused.value).endswith("; ...")
    assert len(str(refused.value)) < 400


def test_names_that_others_rely_on(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.predictions == tmp_path / "predictions.jsonl"
    assert folder.policy == tmp_path / "policy"
    assert folder.checkpoints("sft") == tmp_path / "checkpoints" / "sft"


def test_metrics_are_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.metrics() == {}
    folder.write_metrics({"sft": {"srcc": 0.5}})
    folder.write_metrics({"sft": {"srcc": 0.5}, "grpo": {"srcc": "undefined (constant)"}})
    assert json.loads((tmp_path / "metrics.json").read_text()) == folder.metrics()
    assert folder.metrics() == {"sft": {"srcc": 0.5}, "grpo": {"srcc": "undefined (constant)"}}
    with pytest.raises(ValueError, match="JSON"):
        folder.write_metrics({"sft": {"srcc": float("nan")}})
    assert folder.metrics()["sft"] == {"srcc": 0.5}


def test_one_run_at_a_time(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    with first.opened(CONFIG):
        for attempt in (second.check, lambda config: open_(second, config)):
            with pytest.raises(ConfigError, match=f"{tmp_path} is in use by process {os.getpid()} on "):
                attempt(CONFIG)
    open_(second, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_halves_that_a_killed_run_left_are_gone_when_it_goes_on(tmp_path: Path) -> None:
    half = tmp_path / ".policy.part"
    half.mkdir()
    open_(RunFolder(tmp_path), CONFIG)
    assert half.exists()  # it was no run's folder
    open_(RunFolder(tmp_path), CONFIG)
    assert not half.exists()


@pytest.mark.parametrize("content", ["", '{"sft": {"srcc": 0.', "[" * 100_000, "[1]", '{"sft": 1}', "\x00"])
def test_damaged_metrics_are_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(
        DataError, match=r"metrics\.json .*; remove it, and the run's own command makes it again"
    ) as said:
        RunFolder(tmp_path).metrics()
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("content", [b"{junk", b"[1]", b"\xff\xfe"])
def test_a_damaged_origin_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "origin.json").write_bytes(content)
    with pytest.raises(DataError, match=r"origin\.json .*; remove it, and the run's own command makes it again"):
        RunFolder(tmp_path).origin()


def test_predictions_of_a_stage_become_those_of_the_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for stage in ("sft", "grpo"):
        folder.stage_predictions(stage).parent.mkdir(parents=True)
        folder.stage_predictions(stage).write_text(f"{stage}\n")
    folder.publish_predictions("grpo")
    assert folder.predictions.read_text() == "grpo\n"
