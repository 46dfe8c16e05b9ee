"""`python -m zoom_iqa.data check`: what it finds on a copy with known faults, and how it says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.loaded_benchmark import load_benchmark
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.config.data_commands import check
from zoom_iqa.data.benchmarks.check import Report, inspect


def arguments(root: Path) -> list[str]:
    return ["check", f"manifest={root}/m.csv", "range=[0,100]", "name=mine"]


def report(root: Path) -> Report:
    return inspect(load_benchmark("manifest", arguments(root)[1:]), on_image=lambda: None)


def picture(path: Path, seed: int, size: tuple[int, int] = (8, 6)) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write(root: Path, rows: list[str]) -> None:
    (root / "m.csv").write_text("image,gt_score,std,reference,split\n" + "\n".join(rows) + "\n")


def findings(result: Report) -> dict[str, tuple[tuple[str, ...], bool]]:
    return {finding.title: (finding.rows, finding.serious) for finding in result.findings}


def test_a_sound_copy(tmp_path):
    write(tmp_path, ["a.png,10,2,r1,train", "b.png,90,,r2,test"])
    picture(tmp_path / "a.png", 1)
    picture(tmp_path / "b.png", 2, size=(20, 10))
    result = report(tmp_path)
    assert result.sound
    assert not result.findings
    assert result.counts == {"train": 1, "test": 1}
    assert (result.native_range, result.with_std, result.readable) == ((10, 90), 1, 2)
    assert result.mos_range == pytest.approx((1.4, 4.6))
    assert result.sizes == ((8, 6), (20, 10))


def test_images_that_are_too_thin_for_a_policy_are_found(tmp_path):
    write(tmp_path, ["a.png,10,2,r1,train", "b.png,90,,r2,test"])
    picture(tmp_path / "a.png", 1, size=(2, 401))
    picture(tmp_path / "b.png", 2, size=(400, 2))
    found = findings(report(tmp_path))
    rows, serious = found.pop("images with sides over 200 to 1, which no policy can be shown")
    assert rows == (f"{tmp_path}/a.png: 2 x 401",)
    assert not serious
    assert not found


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "\x1b[31mred.png", "\u202egnp.png"])
def test_impossible_names_are_printable_rows(tmp_path, name):
    (tmp_path / "m.csv").write_bytes(f"image,mos\n{name},10\n".encode())
    with pytest.raises(DataError) as raised:
        load_benchmark("manifest", arguments(tmp_path)[1:]).items("all")
    assert all(line.isprintable() for line in str(raised.value).split("\n"))
    ((row,), _) = findings(report(tmp_path))["image files missing"]
    assert row.isprintable()


def test_every_fault_is_found_at_once(tmp_path):
    rows = [
        "ok.png,10,,r1,train",
        "gone.png,20,,r1,train",
        "broken.png,30,,r2,train",
        "loud.png,130,-1,r3,train",
        "ok.png,40,,r4,train",  # the same id again
        "copy.png,50,,r5,test",  # the pixels of ok.png, in another split
        "far.png,60,,r2,test",  # a reference of train
        "twin1.png,70,,r6,test",
        "twin2.bmp,70,,r6,test",
    ]
    write(tmp_path, rows)
    for seed, name in enumerate(["ok.png", "loud.png", "far.png", "twin1.png"]):
        picture(tmp_path / name, seed)
    Image.open(tmp_path / "ok.png").save(tmp_path / "copy.png", compress_level=0)  # other bytes, same pixels
    Image.open(tmp_path / "twin1.png").save(tmp_path / "twin2.bmp")
    (tmp_path / "broken.png").write_bytes((tmp_path / "ok.png").read_bytes()[:60])
    result = report(tmp_path)
    found = findings(result)
    assert not result.sound
    assert found["scores or deviations outside the declared scale"] == (
        ("m.csv:5: loud.png has score 130, outside 0 to 100", "m.csv:5: loud.png has standard deviation -1, below 0"),
        True,
    )
    assert found["rows whose id other rows have too"][0] == (
        "m.csv:2: id ok.png is used 2 times",
        "m.csv:6: id ok.png is used 2 times",
    )
    assert found["references in more than one split"] == (("r2: test, train",), True)
    assert found["image files missing"][0] == (f"mine:gone.png: {tmp_path / 'gone.png'}",)
    (unreadable,) = found["image files unreadable"][0]
    assert "broken.png" in unreadable
    (across,) = found["groups of images with the same pixels in different splits"][0]
    assert across == "ok.png (train), ok.png (train), copy.png (test)"
    assert found["groups of images with the same pixels in one split"] == (
        ("twin1.png (test), twin2.bmp (test)",),
        False,
    )
    assert result.readable == 7  # of 9 rows, two of which name one file


def test_turned_and_upright_copies_of_one_photograph_are_the_same(tmp_path):
    write(tmp_path, ["a.png,10,,r1,train", "b.png,20,,r2,train"])
    picture(tmp_path / "a.png", 1)
    turned = Image.open(tmp_path / "a.png").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned back by the viewer
    turned.save(tmp_path / "b.png", exif=exif)
    assert "groups of images with the same pixels in one split" in findings(report(tmp_path))


def test_an_unknown_split_is_a_finding(tmp_path):
    write(tmp_path, ["a.png,10,,r1,train", "b.png,20,,r2,trian"])
    assert findings(report(tmp_path))["rows without a known split (train, val, test)"][0] == (
        "m.csv:3: b.png has split trian",
    )


def test_printed_report_and_exit_status(tmp_path, capsys):
    write(tmp_path, ["a.png,10,2,r1,train", "b.png,90,,r2,test"])
    picture(tmp_path / "a.png", 1)
    with pytest.raises(SystemExit) as caught:
        check(arguments(tmp_path))
    assert caught.value.code == 1
    printed = capsys.readouterr().out
    assert "2 images (train 1, test 1); standard deviation known for 1" in printed
    assert "10 to 90 of 0 to 100, higher is better; on 1-5: 1.40 to 4.60" in printed
    assert "PROBLEM    1 image files missing" in printed
    assert "not sound" in printed

    picture(tmp_path / "b.png", 2)
    check(arguments(tmp_path))
    assert "verdict    sound" in capsys.readouterr().out


def test_an_absent_set_says_what_to_download_from_where(tmp_path, capsys):
    with pytest.raises(SystemExit):
        check(["check", "benchmark=koniq,csiq", f"root={tmp_path / 'nowhere'}"])
    printed = capsys.readouterr().out
    for said in ("database.mmsp-kn.de", "koniq10k_1024x768.zip", "eclarson/csiq", "dst_imgs.zip", "MIT", "Larson"):
        assert said in printed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "usage"),
        (["verify", "benchmark=koniq"], "usage"),
        (["check", "koniq"], "koniq: give key=value, such as benchmark=koniq"),
        (["check", "limit=3"], "no benchmark is given; usage: .* benchmark= one or more of agiqa"),
        (["check", "benchmark="], "benchmark is given without a name; use one or more of agiqa"),
        (["check", "benchmark=manifest"], "manifest is not given: name a file .*manifest=FILE"),
        (["check", "benchmark=koniq", "raedr.labels=x"], "^raedr: .* did you mean reader"),
        (["check", "benchmark=koniq", "+raedr=x"], "benchmarks.koniq.raedr: .*Benchmark takes no such key"),
    ],
)
def test_wrong_arguments(given, message):
    with pytest.raises(ConfigError, match=message):
        check(given)


def test_no_rows_is_an_error(tmp_path):
    write(tmp_path, [])
    with pytest.raises(DataError, match="holds no rows"):
        report(tmp_path)


def test_the_command_ends_in_one_line_for_a_typo():
    done = subprocess.run(
        [sys.executable, "-m", "zoom_iqa.data", "check", "benchmark=koniq", "raedr.labels=x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "raedr" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_real_photographs_are_sound(shared_dir, capsys):
    limit = Image.MAX_IMAGE_PIXELS
    check(["check", "benchmark=livewild_jpeg", f"root={shared_dir / 'livec'}"])
    printed = capsys.readouterr().out
    assert "627 images (train 455, val 50, test 122); standard deviation known for 627" in printed
    assert "627 of 627 readable" in printed
    assert limit == Image.MAX_IMAGE_PIXELS  # decoding in several threads leaves Pillow's global guard in place
