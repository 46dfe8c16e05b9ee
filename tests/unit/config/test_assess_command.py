"""``zoom-iqa assess`` with the shipped policy, in this process: outcomes, exit status, lists on stdin, stops."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoom_iqa
from support.command_line import Ended, run_main
from support.random_policy import noise_image
from zoom_iqa import assess
from zoom_iqa.base.errors import ConfigError, ImageError, PolicyError
from zoom_iqa.config.assessor import Assessor
from zoom_iqa.evaluation.assessment import Outcome
from zoom_iqa.evaluation.assessor import ImageAssessor

PHOTOGRAPHS = Path(zoom_iqa.__file__).parent / "assets" / "photographs"


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def typed(*arguments: str, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return run_main(assess.main, ["assess", *arguments], monkeypatch, capsys)

    return typed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photographs, and two files that are none."""
    for name in ("coffee", "clock"):
        shutil.copy(PHOTOGRAPHS / f"{name}.jpg", tmp_path)
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_bad_files_are_reported_and_the_rest_goes_on(folder: Path, run: Run) -> None:
    ended = run(".", "--jsonl", "--overlay", "drawn")
    assert ended.status == 1
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["image"] for line in lines] == ["clock.jpg", "coffee.jpg", "empty.png", "text.jpg"]
    assert [1 <= line["rating"] <= 5 for line in lines[:2]] == [True, True]
    assert "empty" in lines[2]["error"]
    assert "no rating: text.jpg: not an image of a known format" in ended.err
    assert "2 of 4 images have no rating" in ended.err
    assert "small policy shipped with the package" in ended.err
    assert sorted(path.name for path in Path("drawn").iterdir()) == ["clock.png", "coffee.png"]


def test_overlays_of_earlier_calls_are_no_photographs_unless_they_are_named(folder: Path, run: Run) -> None:
    for name in ("text.jpg", "empty.png", "coffee.jpg"):
        Path(name).unlink()
    assert run(".", "--overlay", ".").status == 0
    again = run(".", "--jsonl", "--overlay", ".")
    assert [json.loads(line)["image"] for line in again.out.splitlines()] == ["clock.jpg"]
    assert "overlays of earlier calls, left out: 1; name one to have it rated" in again.err
    assert sorted(path.name for path in folder.iterdir()) == ["clock.jpg", "clock.png"]
    (named,) = run("clock.png", "--jsonl").out.splitlines()
    assert json.loads(named)["image"] == "clock.png"
    Path("clock.jpg").unlink()
    nothing = run(".")
    assert nothing.status == 2
    assert nothing.err.endswith("left out: 1; name one to have it rated\nerror: there is nothing else to rate\n")


def test_cards_of_good_files_and_status_zero(folder: Path, run: Run) -> None:
    ended = run("*.jpg", "--batch-size", "1", stdin=b"not read")
    assert ended.status == 1  # text.jpg
    ended = run("c*.jpg")
    assert ended.status == 0
    assert ended.out.index("clock.jpg") < ended.out.index("coffee.jpg")
    assert "rating " in ended.out


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_a_list_on_stdin(arguments: tuple[str, ...], folder: Path, run: Run) -> None:
    odd = os.fsdecode(b"\xff.jpg")
    shutil.copy("clock.jpg", odd)
    ended = run(*arguments, "--csv", stdin=b"coffee.jpg\n\n\xff.jpg\r\n")
    assert ended.status == 0
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert [row["image"] for row in rows] == ["coffee.jpg", "\\udcff.jpg"]


def test_names_that_null_bytes_part_are_told(folder: Path, run: Run) -> None:
    ended = run("-", stdin=b"coffee.jpg\0clock.jpg\0")
    assert ended.status == 2
    assert "names on stdin are separated by null bytes; give one a line" in ended.err


def test_several_answers_are_drawn_and_one_is_the_likeliest(folder: Path, run: Run) -> None:
    one, again = (json.loads(run("coffee.jpg", "--json").out)[0] for _ in range(2))
    assert one == again
    assert (len(one["answers"]), one["spread"]) == (1, None)
    assert one["expected"] == pytest.approx(one["rating"], abs=0.5)
    assert one["expected_std"] > 0  # of the digits, which one answer tells already
    (several,) = json.loads(run("coffee.jpg", "--json", "--samples", "4").out)
    ratings = [answer["rating"] for answer in several["answers"]]
    assert len(set(ratings)) > 1
    assert several["rating"] == pytest.approx(sum(ratings) / 4, abs=1e-4)


def test_an_overlay_that_cannot_be_written_does_not_end_the_rest(folder: Path, run: Run) -> None:
    long = "a" * 251 + ".jpg"  # a name that a photograph can have, and a longer one cannot
    shutil.move("clock.jpg", long)
    ended = run(long, "coffee.jpg", "--csv", "--overlay", "drawn", "--batch-size", "1")
    assert ended.status == 1
    assert [row["image"] for row in csv.DictReader(io.StringIO(ended.out))] == [long, "coffee.jpg"]
    assert "no overlay: " in ended.err
    assert "1 of 2 images have no overlay" in ended.err
    assert [path.name for path in Path("drawn").iterdir()] == ["coffee.png"]


def test_photographs_that_cannot_be_read_are_told(folder: Path, run: Run) -> None:
    Path("IMG_1.HEIC").touch()
    ended = run(".", "--csv")
    assert "photographs that cannot be read, left out: 1 (.heic); convert them" in ended.err
    assert "IMG_1" not in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no image is named"),
        (("coffee.jpg", "--overlay", ""), "--overlay is empty, as an unset variable is"),
        (("coffee.jpg", "--device", "meta"), "--device meta cannot be used here"),
        (("coffee.jpg", "--json", "--csv"), "--json and --csv: give one of them"),
        (("coffee.jpg", "--samples", "0"), "--samples 0 must be a whole number of at least 1"),
        (("coffee.jpg", "--samples", "many"), "--samples"),
        (("coffee.jpg", "--samples", "99999999999999999999"), "--samples 99999999999999999999 must be at most 10,000"),
        (
            ("coffee.jpg", "--policy", ""),
            "Invalid value for '--policy': it is empty, as an unset variable is; name a",
        ),
        (("coffee.jpg", "--policy", "/models/${x}"), "--policy /models/${x}: configs read ${...} as a reference"),
        (("coffee.jpg", "--task", "zom"), "--task zom: there is no such choice; did you mean zoom?"),
        (("coffee.jpg", "--protocol", "official"), "--protocol official: there is no such choice"),
        (("coffee.jpg", "--protocol", "released"), "--protocol released: the package zoomiqa is not installed"),
        (("coffee.jpg", "--protocol", "released"), "or use --protocol strict"),
        (
            ("coffee.jpg", "--task", "compare"),
            "--task compare asks about two images, as zoom_iqa.evaluate does; for one give",
        ),
        (("coffee.jpg", "--policy", "coffee.jpg"), "--policy coffee.jpg: this is a file; give the folder that holds"),
        (
            ("coffee.jpg", "--device", "tpu:0"),
            "--device tpu:0: there is no such device; give auto, cpu, cuda or cuda:N",
        ),
        (("coffee.jpg", "--batch-size", "0"), "--batch-size 0 must be a whole number of at least 1"),
        (("coffee.jpg", "--policy", "nowhere"), "--policy nowhere: there is no such folder"),
        (("coffee.jpg", "--config-dir", "mine"), "--config-dir mine: there is no such folder"),
        (("coffee.jpg", "--config-dir", "."), "--config-dir .: it holds no config, such as task/NAME.yaml"),
        (("coffee.jpg", "--overlay", "coffee.jpg"), "--overlay coffee.jpg is a file; name a folder"),
        (("coffee.jpg", "--jsn"), "--json"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], said: str, folder: Path, run: Run) -> None:
    ended = run(*arguments)
    assert ended.status == 2
    (line,) = [line for line in ended.err.splitlines() if not line.startswith("rating with the small policy")]
    assert line.startswith("error: ")
    assert said in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.jpg",), "nothing.jpg: there is no such file; name an image"),
        (
            ("nothing.jpg", "empty"),
            "nothing.jpg: there is no such file, and the other names lead to no image either; name",
        ),
        (("empty",), "empty: a folder without images; name an image"),
        (("coffee.jpg", "--overlay", "coffee.jpg/seen"), "coffee.jpg is a file; name another place"),
    ],
)
def test_what_cannot_be_rated_or_drawn_is_told_before_a_policy_is_loaded(
    arguments: tuple[str, ...], said: str, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("empty").mkdir()
    monkeypatch.setattr("zoom_iqa.config.assessor.Assessor", None)
    ended = run(*arguments)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert said in ended.err


def test_a_policy_of_another_kind_is_one_line(folder: Path, run: Run) -> None:
    Path("other").mkdir()
    (Path("other") / "config.json").write_text('{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}')
    ended = run("coffee.jpg", "--policy", "other")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "error: --policy other: " in ended.err


def test_a_stop_keeps_what_is_done(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal while the second batch is judged: it is finished and written, the third is not begun."""
    for number in range(6):
        noise_image(number, 64, 48).save(f"noise{number}.png")
    whole = ImageAssessor.batches

    def interrupted(self: ImageAssessor, images: list[str]) -> Iterator[list[Outcome]]:
        for number, batch in enumerate(whole(self, images)):
            if number == 1:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    monkeypatch.setattr(ImageAssessor, "batches", interrupted)
    ended = run("noise*.png", "--json", "--batch-size", "2")
    assert ended.status == 128 + signal.SIGINT
    assert [one["image"] for one in json.loads(ended.out)] == [f"noise{number}.png" for number in range(4)]
    assert "stopped by SIGINT" in ended.err


def test_in_python_one_line_gives_a_rating(folder: Path) -> None:
    assert zoom_iqa.Assessor is Assessor
    assessor = Assessor(device="cpu")
    assert assessor.is_shipped
    found = assessor.assess("coffee.jpg")
    assert found.rating is not None
    assert found.verdict is not None
    copy = folder / "it's a policy, copied"
    shutil.copytree(PHOTOGRAPHS.parent / "tiny_policy", copy)
    other = Assessor(copy)
    assert not other.is_shipped
    assert other.assess("coffee.jpg").records == found.records
    for one in ("coffee.jpg", Path("coffee.jpg")):
        with pytest.raises(ConfigError, match="assess_many takes a list of images; assess takes one"):
            assessor.assess_many(one)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="samples=0"):
        Assessor(samples=0)
    with pytest.raises(ConfigError, match=r"^samples=2 must be a whole number of at least 1"):
        Assessor(samples="2")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^policy= is empty, as an unset variable is"):
        Assessor("")
    with pytest.raises(ImageError, match="0 x 0 pixels are too thin"):
        assessor.assess(Image.new("RGB", (0, 0)))
    with pytest.raises(ConfigError, match=r"^batch_size=0 must be a whole number of at least 1"):
        Assessor(batch_size=0)
    with pytest.raises(ConfigError, match=r"^protocol=released: .* not installed.* use protocol=strict$"):
        Assessor(protocol="released")
    with pytest.raises(PolicyError, match=r"^policy=/nowhere: there is no such folder"):
        Assessor("/nowhere")
    with pytest.raises(ImageError, match=r"^ndarray: give the name of a file, or an image of Pillow"):
        assessor.assess(np.zeros((4, 4, 3), np.uint8))  # type: ignore[arg-type]
