"""Photographs of one's own take one key: in an evaluation, in a check and in training, from any kind of list."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hydra.utils import instantiate
from PIL import Image

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.config import own_labels
from zoom_iqa.config.checks import check_config
from zoom_iqa.config.composition import composed
from zoom_iqa.config.data_commands import check
from zoom_iqa.config.evaluated_images import evaluated_images
from zoom_iqa.config.evaluation_run import compose_config
from zoom_iqa.data.benchmarks import Benchmark

SCORES = {"a.png": 1.0, "sub/b.png": 3.0, "c.png": 5.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for number, name in enumerate(SCORES):
        Image.new("RGB", (8, 6), (40 * number, 0, 0)).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def write(folder: Path, name: str, image: str = "image", score: str = "score", times: float = 1.0) -> Path:
    """The labels under other column names, in the kind of list that the name's end asks for."""
    entries = [{image: file, score: value * times, "camera": "x"} for file, value in SCORES.items()]
    path = folder / name
    if path.suffix == ".csv":
        rows = [",".join(map(str, entry.values())) for entry in entries]
        path.write_text("\n".join([f"{image},{score},camera", *rows]) + "\n")
    else:
        lines = map(json.dumps, entries)
        path.write_text("\n".join(lines) if path.suffix == ".jsonl" else f"[{','.join(lines)}]")
    return path


def benchmark_of(*arguments: str) -> Benchmark:
    (node,) = compose_config(arguments).benchmarks.values()
    made: Benchmark = instantiate(node)
    return made


@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl", "mine.json", "my list, new.csv"])
@pytest.mark.parametrize(("image", "score"), [("image", "score"), ("img_path", "gt_score"), ("filename", "mos")])
def test_any_list_of_images_and_scores(name: str, image: str, score: str, folder: Path) -> None:
    path = write(folder, name, image, score)
    mine = benchmark_of(f"manifest='{path}'")
    assert mine.name == path.stem
    assert {item.id: item.mos for item in mine.items("all")} == SCORES
    assert {Path(item.path or "").parent for item in mine.items("all")} == {folder, folder / "sub"}


def test_other_scales_are_given_by_their_ends(folder: Path) -> None:
    path = write(folder, "mine.csv", times=20)
    mine = benchmark_of(f"manifest={path}", "range=[0,100]")
    assert [item.mos for item in mine.items("all")] == pytest.approx([1.8, 3.4, 5.0])
    worse = benchmark_of(f"manifest={path}", "range=[0,100]", "direction=lower_is_better")
    assert [item.mos for item in worse.items("all")] == pytest.approx([4.2, 2.6, 1.0])


@pytest.mark.parametrize(
    ("times", "hinted"),
    [(0.2, "[0,1]"), (2.0, "[0,10]"), (20.0, "[0,100]"), (30.0, "[30,150]"), (1e6, "[1000000,5000000]")],
)
def test_scores_off_the_scale_are_refused_with_a_scale_that_holds_them(times: float, hinted: str, folder: Path) -> None:
    path = write(folder, "mine.csv", times=times)
    low, high = (f"{times * value:g}" for value in (1, 5))
    with pytest.raises(DataError) as refused:
        benchmark_of(f"manifest={path}").items("all")
    line = str(refused.value).split("\n")[0]
    assert line.endswith(f"scores go from {low} to {high}: give their scale, such as range={hinted}")
    assert len(benchmark_of(f"manifest={path}", f"range={hinted}").items("all")) == 3


def test_splits_are_drawn_unless_they_are_given(folder: Path) -> None:
    path = folder / "mine.csv"
    rows = [f"{number}.png,3" for number in range(20)]
    path.write_text("\n".join(["image,score", *rows]))
    drawn = [item.split for item in benchmark_of(f"manifest={path}").labelled()]
    assert {split: drawn.count(split) for split in ("train", "val", "test")} == {"train": 14, "val": 2, "test": 4}
    assert drawn == [item.split for item in benchmark_of(f"manifest={path}").labelled()]
    path.write_text("image,score,split\na.png,3,test\nc.png,4,train\n")
    assert [item.split for item in benchmark_of(f"manifest={path}").labelled()] == ["test", "train"]


def test_beside_others_and_with_values_of_its_own(folder: Path) -> None:
    cfg = compose_config(
        [f"manifest={write(folder, 'mine.csv')}", "benchmark=koniq", "benchmarks.manifest.name=phones"]
    )
    assert [node.name for node in cfg.benchmarks.values()] == ["phones", "koniq"]
    assert "manifest" not in compose_config(["manifest=null", "benchmark=koniq"]).benchmarks


def test_the_evaluation_sees_the_images(folder: Path) -> None:
    cfg = compose_config([f"manifest={write(folder, 'mine.csv')}", "limit=2"])
    images = evaluated_images(instantiate(cfg.benchmarks.manifest), cfg)
    assert len(images) == 2
    assert images[0].image.size == (8, 6)


def test_the_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder, "mine.csv", times=20)
    check(["check", f"manifest={path}", "range=[0,100]", "direction=lower_is_better"])
    said = capsys.readouterr()
    assert said.err.startswith(f"{path}: scores are taken as 0 to 100, lower is better\n")
    assert "20 to 100 of 0 to 100, lower is better; on 1-5: 1.00 to 4.20" in said.out
    assert "verdict    sound" in said.out


def test_images_elsewhere_are_found_as_the_hint_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder, "mine.csv").rename(folder.parent / "mine.csv")
    with pytest.raises(SystemExit, match="1"):
        check(["check", f"manifest={path}"])
    assert "below its own folder (benchmark.root=FOLDER for another)" in capsys.readouterr().out
    check(["check", f"manifest={path}", f"benchmark.root={folder}"])
    assert "3 of 3 readable" in capsys.readouterr().out


def test_a_name_with_control_characters_is_shown_escaped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(folder, "a\x1b[31mb.csv")
    check(["check", f"manifest='{path}'"])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "a\\x1b[31mb" in said.out
    assert "a\\x1b[31mb.csv: scores are taken" in said.err


def test_training(folder: Path) -> None:
    path = folder / "mine.csv"
    names = [f"{number}.png" for number in range(21)]
    for name in names:
        shutil.copy(folder / "a.png", folder / name)
    path.write_text("\n".join(["image,score", *(f"{name},{1 + i % 4}" for i, name in enumerate(names))]))
    cfg = composed("train", ["data=manifest", f"manifest={path}", "+experiment=quickstart"])
    own_labels.check(cfg)
    check_config(cfg)
    assert cfg.name == "quickstart"
    assert [len(instantiate(cfg.data[split])) for split in ("train", "val", "test")] == [15, 2, 4]
    assert len(instantiate(cfg.data.trajectories)) == 15 * cfg.data.trajectories.views


WRONG = {
    "no file": (["manifest=/nowhere/m.csv"], "manifest=/nowhere/m.csv: there is no such file"),
    "a folder": (["manifest=/tmp"], "manifest=/tmp must end in .csv, .jsonl or .json"),
    "two files": (["manifest=[a.csv,b.csv]"], r"manifest=\['a.csv', 'b.csv'\] must be the name of one file"),
    "not given": (["benchmark=manifest"], "manifest is not given: name a file .* manifest=FILE"),
    "one number": (["manifest={}", "range=5"], r"range=5 must be .* as range=\[0,100\]"),
    "turned range": (["manifest={}", "range=[5,1]"], r"range=\[5, 1\] must be the lowest and the highest score"),
    "no end": (["manifest={}", "range=[0,inf]"], r"range=\[0, inf\] must be"),
    "truths": (["manifest={}", "range=[false,true]"], r"range=\[False, True\] must be"),
    "text": (["manifest={}", "range=[a,b]"], r"range=\['a', 'b'\] must be"),
    "direction": (["manifest={}", "direction=up"], "direction=up: .* needs higher_is_better or lower_is_better"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_one_line(case: str, folder: Path) -> None:
    path = write(folder, "mine.csv")
    arguments, said = WRONG[case]
    with pytest.raises(ConfigError, match=f"^{said}") as refused:
        check(["check", *(argument.format(path) for argument in arguments)])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("given", ["range=[0,100]", "direction=lower_is_better"])
@pytest.mark.parametrize(
    ("root", "choice"),
    [
        ("check", ""),
        ("evaluate", ""),
        ("evaluate_peer", ""),
        ("train", "data=manifest "),
        ("curate", "benchmark=manifest "),
        ("judge", "benchmark=manifest "),
    ],
)
def test_a_scale_without_labels_of_ones_own_is_refused(root: str, choice: str, given: str) -> None:
    others = ["peer=mean"] if root == "evaluate_peer" else []
    with pytest.raises(ConfigError, match=f"nothing reads it without labels of your own; add {choice}manifest=FILE"):
        own_labels.check(composed(root, [given, *others]))


@pytest.mark.parametrize(("root", "choice"), [("train", "data"), ("curate", "benchmark"), ("judge", "benchmark")])
def test_the_choice_that_reads_a_manifest_is_named_and_reads_it(root: str, choice: str, folder: Path) -> None:
    given = f"manifest={write(folder, 'mine.csv')}"
    with pytest.raises(ConfigError, match=f"nothing reads it with this data; add {choice}=manifest$"):
        own_labels.check(composed(root, [given]))
    own_labels.check(composed(root, [given, f"{choice}=manifest"]))


def test_a_check_is_of_every_split(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^split=test: a check looks at every split; leave it out$"):
        check(["check", f"manifest={write(folder, 'mine.csv')}", "split=test"])


def test_a_misspelt_key_is_named_as_it_was_typed(folder: Path) -> None:
    path = write(folder, "mine.csv")
    said = r"^rnage: there is no such key; did you mean range\? Valid: benchmark, direction, .*, manifest, .*split$"
    with pytest.raises(ConfigError, match=said) as caught:
        check(["check", f"manifest={path}", "rnage=[0,100]"])
    assert "_target_" not in str(caught.value)


def test_a_manifest_that_training_does_not_read_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="nothing reads it with this data; add data=manifest"):
        own_labels.check(composed("train", [f"manifest={write(folder, 'mine.csv')}"]))


@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl", "mine.json"])
def test_absent_columns_are_named_beside_those_there(name: str, folder: Path) -> None:
    path = write(folder, name, image="photo", score="quality")
    with pytest.raises(DataError) as refused:
        benchmark_of(f"manifest={path}").items("all")
    assert str(refused.value) == (
        f"{path} has no column image or img_path or image_path or path or file or filename, "
        "gt_score or mos or score or rating; it has photo, quality, camera"
    )
