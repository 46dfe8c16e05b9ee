"""The manifest of LIVE In the Wild's JPEG part, made from the publisher's three files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.config.data_commands import convert
from zoom_iqa.data.benchmarks.livewild_jpeg import TEST


def release(folder: Path, names: list[str], score: float = 50.0) -> Path:
    """A release whose images but the first two have one score."""
    (folder / "Data").mkdir(parents=True)
    images = np.empty((len(names), 1), dtype=object)
    images[:, 0] = names
    mos = np.full((1, len(names)), score)
    mos[0, :2] = 3.42, 92.432
    values = {"Images": images, "MOS": mos, "StdDev": np.full((1, len(names)), 20.1234567)}
    for name, value in values.items():
        savemat(folder / "Data" / f"All{name}_release.mat", {f"All{name}_release": value})
    return folder


def test_what_is_written_is_the_manifest_that_figures_here_are_of(shared_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "livec_jpg.csv"
    convert(["convert", "livewild-jpeg", str(shared_dir / "livec"), str(out)])
    assert out.read_bytes() == (shared_dir / "livec" / "livec_jpg.csv").read_bytes()


def test_bitmaps_and_the_raters_training_images_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    names = [*(f"t{number}.JPG" for number in range(1, 8)), "533.JPG", "100.bmp", *sorted(TEST)]
    folder, out = release(tmp_path / "release", names), tmp_path / "new" / "livec_jpg.csv"
    convert(["convert", "livewild-jpeg", str(folder), str(out)])
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["image,mos,std,split", "533.JPG,50.000000,20.123457,train"]
    assert len(lines) == 1 + 1 + 122
    assert set(lines[2:]) == {f"{name},50.000000,20.123457,test" for name in TEST}
    assert "123 images (train 1, test 122)" in capsys.readouterr().out


def test_another_release_is_refused_and_what_it_lacks_is_named(tmp_path: Path) -> None:
    names = [*(f"t{number}.JPG" for number in range(1, 8)), *sorted(TEST - {"536.JPG"})]
    with pytest.raises(DataError, match="lacks 1 images of the test split") as raised:
        convert(["convert", "livewild-jpeg", str(release(tmp_path, names)), str(tmp_path / "out.csv")])
    assert raised.value.rows == ("536.JPG",)
    assert not (tmp_path / "out.csv").exists()


def test_a_release_is_not_written_over(tmp_path: Path) -> None:
    folder = release(tmp_path, [*(f"t{number}.JPG" for number in range(1, 8)), *sorted(TEST)])
    taken = folder / "Data" / "AllMOS_release.mat"
    before = taken.read_bytes()
    with pytest.raises(ConfigError, match="is a source; name a file to write"):
        convert(["convert", "livewild-jpeg", str(folder), str(taken)])
    assert taken.read_bytes() == before
