"""``zoom-iqa guide`` with the shipped policy, in this process."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

import zoom_iqa
from support.command_line import Ended, run_main
from support.random_policy import build_random_policy
from zoom_iqa import guide
from zoom_iqa.config import guiding_run
from zoom_iqa.config.assessor import Assessor
from zoom_iqa.data.distortions import DISTORTIONS, distort
from zoom_iqa.data.embedded.photographs import load_photograph
from zoom_iqa.policy.shipped import ADVICE, shipped_policy_folder

PHOTOGRAPHS = Path(zoom_iqa.__file__).parent / "assets" / "photographs"


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def typed(*arguments: str) -> Ended:
        return run_main(guide.main, ["guide", *arguments], monkeypatch, capsys)

    return typed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A photograph with strong noise, and one that is as it was."""
    (noise,) = [kind for kind in DISTORTIONS if kind.name == "white_noise"]
    noisy = distort(load_photograph("clock"), kind=noise, level=5, rng=np.random.default_rng(0))
    Image.fromarray(noisy).save(tmp_path / "noisy.png")
    shutil.copy(PHOTOGRAPHS / "coffee.jpg", tmp_path)
    Image.new("RGB", (17_000, 2)).save(tmp_path / "wide.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_prompts_are_printed_and_nothing_is_written(folder: Path, run: Run) -> None:
    ended = run("noisy.png", "--target", "sd-upscale")
    assert (ended.status, ended.err) == (0, f"{ADVICE}\n")
    assert "of 75 tokens, estimated" in ended.out
    assert 'StableDiffusionUpscalePipeline.from_pretrained("FOLDER")' in ended.out
    assert sorted(path.name for path in folder.iterdir()) == ["coffee.jpg", "noisy.png", "wide.png"]


def test_json_has_what_the_text_has(folder: Path, run: Run) -> None:
    fields = json.loads(run("noisy.png", "--target", "qwen-edit", "--json").out)
    assert fields["target"] == "qwen-edit"
    assert fields["prompt_tokens"] <= fields["budget"] == 511
    assert fields["arguments"]["prompt"] == fields["prompt"]
    assert "turns" not in fields


def test_the_loop_repairs_and_never_ends_below_its_input(folder: Path, run: Run) -> None:
    ended = run("noisy.png", "--loop", "3", "--json", "--output", "out.png", "--page", "page.html")
    assert ended.status == 0, ended.err
    fields = json.loads(ended.out)
    assert fields["gain"] > 0
    assert fields["read_after"] == pytest.approx(fields["read_before"] + fields["gain"], abs=1e-3)
    before, after = (np.asarray(Image.open(name).convert("RGB")).astype(float) for name in ("noisy.png", "out.png"))
    clean = load_photograph("clock").astype(float)
    assert after.shape == before.shape
    assert ((after - clean) ** 2).mean() < ((before - clean) ** 2).mean()
    assert "data:image/jpeg" in Path("page.html").read_text()


@pytest.mark.parametrize("name", ["out.jpg", "out.webp"])
def test_what_is_told_of_an_edit_is_true_of_its_file(folder: Path, run: Run, name: str) -> None:
    ended = run("noisy.png", "--loop", "1", "--json", "--output", name)
    assert ended.status == 0, ended.err
    fields = json.loads(ended.out)
    assert fields["turns"][0]["kept"] is not None
    read = Assessor(samples=guide.SAMPLES).drawn_anew().assess(name).expected
    assert read is not None
    assert fields["read_after"] == pytest.approx(read.mean, abs=1e-3)


def test_where_nothing_is_better_the_file_is_a_copy_of_the_input(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guiding_run, "LEAST_GAIN", 5.0)  # more than can be gained
    fields = json.loads(run("coffee.jpg", "--loop", "1", "--json", "--output", "out.jpg").out)
    assert (fields["saved_as"], fields["gain"]) == ("copy", 0.0)
    assert Path("out.jpg").read_bytes() == Path("coffee.jpg").read_bytes()
    other = json.loads(run("coffee.jpg", "--loop", "1", "--json", "--output", "out.png").out)
    assert other["saved_as"] == "PNG"
    pixels = [np.asarray(Image.open(name).convert("RGB")) for name in ("coffee.jpg", "out.png")]
    assert (pixels[0] == pixels[1]).all()


def test_the_file_is_named_and_the_page_takes_any_name(folder: Path, run: Run) -> None:
    Image.new("RGB", (400, 1)).save("thin.png")
    assert "error: thin.png: 400 x 1 pixels are too thin" in run("thin.png", "--apply", "embedded").err
    odd = os.fsdecode(b"odd\xff.png")
    shutil.copy("noisy.png", odd)
    assert run(odd, "--apply", "embedded", "--page", "page.html").status == 0
    assert "<title>odd\\udcff.png</title>" in Path("page.html").read_text(encoding="utf-8")


def test_a_place_that_takes_no_files_is_told_before_the_work(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr("zoom_iqa.config.assessor.Assessor", None)  # whose making would be the work
    ended = run("noisy.png", "--loop", "1")
    assert (ended.status, ended.out) == (2, "")
    assert f"error: {folder} takes no files: Permission denied; name another place" in ended.err


def test_applied_once_it_is_edited_whatever_comes_of_it(folder: Path, run: Run) -> None:
    ended = run("noisy.png", "--apply", "embedded")
    assert ended.status == 0, ended.err
    assert "written to noisy-restored.png: expected rating, read again, " in ended.out
    first = Path("noisy-restored.png").read_bytes()
    assert Image.open("noisy-restored.png").size == Image.open("noisy.png").size
    assert "written to noisy-restored-2.png: " in run("noisy.png", "--apply", "embedded").out
    assert Path("noisy-restored.png").read_bytes() == first


def test_an_edited_image_keeps_its_colour_profile_and_exif_but_for_its_turn(folder: Path, run: Run) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x0132] = 6, "2020:01:01 12:00:00"  # to be turned by a quarter
    with Image.open("coffee.jpg") as image:
        image.resize((96, 64)).save("tagged.jpg", icc_profile=profile, exif=exif)
    for name in ("out.png", "out.jpg"):
        assert run("tagged.jpg", "--apply", "embedded", "--output", name).status == 0
        with Image.open(name) as edited:
            assert (edited.size, edited.info["icc_profile"]) == ((64, 96), profile)
            assert dict(edited.getexif()) == {0x0132: "2020:01:01 12:00:00"}


def test_a_tokenizer_of_the_target_counts(folder: Path, run: Run) -> None:
    fields = json.loads(run("noisy.png", "--json", "--tokenizer", str(shipped_policy_folder())).out)
    assert fields["counted_by"] == str(shipped_policy_folder())
    assert fields["prompt_tokens"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument"),
        (("none.jpg",), "none.jpg: there is no such file"),
        (("coffee.jpg", "--target", "supr"), "--target supr: there is no such target; did you mean supir?"),
        (("coffee.jpg", "--loop", "0"), "--loop 0 must be at least 1"),
        (("coffee.jpg", "--output", "x.png"), "--output x.png: nothing is edited; add --loop 3 or --apply embedded"),
        (("coffee.jpg", "--page", "x.html"), "--page x.html: nothing is edited"),
        (("coffee.jpg", "--loop", "1", "--output", "x.doc"), "x.doc: a picture is written as one of .png, .jpg"),
        (
            ("wide.png", "--loop", "1", "--output", "x.webp"),
            "17000 x 2 pixels a side is longer than the 16,383 of WEBP",
        ),
        (
            ("coffee.jpg", "--loop", "1", "--output", "./coffee.jpg"),
            "coffee.jpg: that is the image itself; name another",
        ),
        (("coffee.jpg", "--loop", "1", "--page", "coffee.jpg"), "coffee.jpg: a page is written as one of .html, .htm"),
        (
            ("coffee.jpg", "--tokenizer", "nowhere"),
            "--tokenizer nowhere: no tokenizer could be loaded from it (there is no such folder, nor one fetched)",
        ),
        (("coffee.jpg", "--apply", "/nowhere"), "--apply /nowhere: there is no such folder; name one, or embedded"),
        (("coffee.jpg", "--apply", "nowhere"), "this target has no pipeline of diffusers; use --apply embedded"),
        (
            ("noisy.png", "--loop", "1", "--output", "gone/x.png"),
            "gone/x.png cannot be written: there is no folder gone; make it",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], said: str, folder: Path, run: Run) -> None:
    ended = run(*arguments)
    assert ended.status == 2
    (line,) = [line for line in ended.err.splitlines() if line != ADVICE]
    assert line.startswith("error: ")
    assert said in line


def test_a_policy_that_says_nothing_readable_is_one_line(folder: Path, run: Run) -> None:
    build_random_policy().save(folder / "random")
    ended = run("coffee.jpg", "--policy", "random", "--samples", "1", "--loop", "1")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "no answer could be read (missing_answer), so nothing can be called better" in ended.err


def test_a_photograph_on_its_side_is_judged_as_its_edits_are(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The released evaluation reads it as it is stored (its package is not here), and what is written is upright."""
    seen: list[tuple[int, int]] = []
    init, assess_many = Assessor.__init__, Assessor.assess_many

    def as_stored(self: Assessor, *args: Any, **settings: Any) -> None:
        init(self, *args, **settings)
        self._upright = False

    def noted(self: Assessor, images: Sequence[Any]) -> Any:
        found = assess_many(self, images)
        seen.extend(one.size for one in found)
        return found

    monkeypatch.setattr(Assessor, "__init__", as_stored)
    monkeypatch.setattr(Assessor, "assess_many", noted)
    exif = Image.Exif()
    exif[274] = 6
    Image.open("noisy.png").crop((0, 0, 240, 160)).save("turned.jpg", exif=exif)
    ended = run("turned.jpg", "--target", "sd-upscale", "--apply", "embedded", "--json")
    assert ended.status == 0
    assert json.loads(ended.out)["image"] == "turned.jpg"
    assert set(seen) == {(160, 240)}
