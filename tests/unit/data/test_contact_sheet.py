"""The contact sheet: one tile for each type and level, regions below, written by the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoom_iqa.data.distortions import DISTORTIONS
from zoom_iqa.data.embedded.contact_sheet import CAPTION, GAP, contact_sheet


def test_one_row_each_for_pristine_types_and_regions() -> None:
    # Types 1 (taken by regions) and 16 (not): pristine, two rows, one row of regions; tiles of 40 x 30.
    sheet = contact_sheet(
        names=["wildlife_red_panda"], kinds=(DISTORTIONS[0], DISTORTIONS[15]), tile_width=40, crop=1.0
    )
    assert sheet.size == (GAP + 5 * (40 + GAP), GAP + 4 * (30 + CAPTION))
    pixels = np.asarray(sheet).astype(int)
    tiles = [pixels[GAP + CAPTION - GAP + row * (30 + CAPTION) :][:30] for row in range(4)]
    bright = [tile[:, GAP + 4 * (40 + GAP) :][:, :40].mean() for tile in tiles[:3]]
    assert bright[2] > bright[0] + 30  # brighten at level 5
    assert abs(bright[1] - bright[0]) < 5  # blur at level 5
    assert (tiles[3][:, GAP + 3 * (40 + GAP) :] == 255).all()  # regions take three levels


@pytest.mark.parametrize(("extra", "code"), [((), 0), (("--photographs", "nobody"), 2)])
def test_the_command(tmp_path: Path, extra: tuple[str, ...], code: int) -> None:
    output = tmp_path / "sheet.png"
    command = [sys.executable, "-m", "zoom_iqa.data.embedded.contact_sheet", "--output", str(output), "--types", "10"]
    done = subprocess.run([*command, "--tile-width", "64", *extra], capture_output=True, text=True, check=False)
    assert done.returncode == code
    if code == 0:
        assert Image.open(output).size[0] == GAP + 5 * (64 + GAP)
    else:
        assert "--photographs nobody: not shipped" in done.stderr
