"""Each reader on a small copy of its publisher's layout, through its shipped config; values worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pytest
from scipy.io import savemat

from support.loaded_benchmark import load_benchmark
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.indicators import Indicator
from zoom_iqa.base.types import Example
from zoom_iqa.data.benchmarks import Benchmark
from zoom_iqa.data.benchmarks.koniq import KonIQ10k


def at(root: Path, name: str, *overrides: str) -> Benchmark:
    return load_benchmark(name, [f"benchmark.root={root}", *overrides])


def by_id(items: tuple[Example, ...]) -> dict[str, Example]:
    return {item.id: item for item in items}


def test_koniq_scores_are_vote_means_and_splits_are_the_publishers(tmp_path):
    (tmp_path / "koniq10k_distributions_sets.csv").write_text(
        "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set\n"
        "a.jpg,0.0,0.0,0.25,0.5,0.25,100,77.4,0.7,training\n"
        "b.jpg,1,0,0,3,0,4,55.0,1.5,validation\n"  # counts in place of shares
        "c.jpg,0.904,0.096,0.0,0.0,0.0,104,3.9,0.3,test\n"
    )
    items = by_id(at(tmp_path, "koniq").labelled())
    assert [item.split for item in items.values()] == ["train", "val", "test"]
    assert items["a.jpg"].target.native == pytest.approx(4.0)
    assert items["a.jpg"].mos == pytest.approx(1 + 4 * (4.0 - 1.096) / (4.310 - 1.096))
    assert items["a.jpg"].mos_std == pytest.approx(0.7 * 4 / 3.214)
    assert items["a.jpg"].path == str(tmp_path / "1024x768" / "a.jpg")
    assert items["b.jpg"].target.native == pytest.approx((1 + 3 * 4) / 4)
    assert items["c.jpg"].mos == pytest.approx(1.0, abs=1e-9)
    assert items["a.jpg"].indicators == ()
    column = by_id(at(tmp_path, "koniq_mos").labelled())["a.jpg"]
    assert (column.target.native, column.mos_std) == (77.4, None)
    assert column.mos == pytest.approx(1 + 4 * (77.4 - 3.91176470588) / (88.3888888889 - 3.91176470588))
    with pytest.raises(ConfigError, match=r"benchmark\.reader\.score='MOS'; choose one of votes, mos with its scale"):
        KonIQ10k(labels="koniq10k_distributions_sets.csv", images="1024x768", score="MOS")


KONIQ = "image_name,c1,c2,c3,c4,c5,SD,set\n" + "".join(f"{n}.jpg,0,0,0,1,0,0.7,training\n" for n in (11, 12, 13, 14))


def test_koniq_indicators_are_read_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "koniq10k_distributions_sets.csv").write_text(KONIQ)
    (tmp_path / "koniq10k_indicators.csv").write_text(
        "image_id,brightness,contrast,colorfulness,sharpness,quality_factor,bitrate,hxw,deep_feature\n"
        "11,0.40,0.10,0.05,3.5,90,1.1,786432,2.0\n"
        "12,0.20,0.10,0.09,4.5,90,1.1,786432,2.0\n"
        "14,0.60,0.30,0.07,2.5,90,1.1,786432,2.0\n"
        "99,0.90,0.90,0.90,9.5,90,1.1,786432,2.0\n"  # an image without a score takes no part
    )
    items = by_id(at(tmp_path, "koniq").labelled())
    assert items["11.jpg"].indicators == (
        Indicator("brightness", 0.40, 1 / 3),
        Indicator("contrast", 0.10, 0.0),
        Indicator("colorfulness", 0.05, 0.0),
        Indicator("sharpness", 3.5, 1 / 3),
    )
    assert [one.above for one in items["14.jpg"].indicators] == [2 / 3, 2 / 3, 1 / 3, 0.0]
    assert items["13.jpg"].indicators == ()


def test_koniq_indicators_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "koniq10k_distributions_sets.csv").write_text(KONIQ)
    file = tmp_path / "koniq10k_indicators.csv"
    file.write_text("image_id,brightness,contrast,colorfulness,sharpness\n11,x,0,0,0\n")
    with pytest.raises(DataError, match=r"koniq10k_indicators.csv:2: 'brightness' is 'x', not a number"):
        at(tmp_path, "koniq").labelled()
    file.write_text("image_id,brightness\n11,1\n")
    with pytest.raises(DataError, match="contrast"):
        at(tmp_path, "koniq").labelled()


def test_spaq_spreadsheet(tmp_path):
    (tmp_path / "Annotations").mkdir()
    book = openpyxl.Workbook()
    book.active.append(["Image name", "MOS", "Brightness", "Noisiness"])
    book.active.append(["00001.jpg", 49, 60.1, 30])
    book.active.append(["00002.jpg", 2, 1.0, None])
    book.save(tmp_path / "Annotations" / "MOS and Image attribute scores.xlsx")
    first, second = at(tmp_path, "spaq").labelled()
    assert (first.id, first.target.native, first.mos, first.mos_std) == ("00001.jpg", 49.0, 3.0, None)
    assert (second.mos, second.path) == (1.0, str(tmp_path / "TestImage" / "00002.jpg"))
    assert first.indicators == (Indicator("brightness", 60.1, 0.5), Indicator("noisiness", 30.0, 0.0))
    assert second.indicators == (Indicator("brightness", 1.0, 0.0),)


def test_kadid_var_column_is_a_standard_deviation(tmp_path):
    (tmp_path / "dmos.csv").write_text(
        "dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.57,0.496\nI02_01_01.png,I02.png,1.0,0.0\n"
    )
    first, second = at(tmp_path, "kadid").labelled()
    assert (first.reference_id, second.reference_id) == ("I01", "I02")
    assert first.mos == pytest.approx(1 + 4 * 3.57 / 3.93)
    assert first.mos_std == pytest.approx(0.496 * 4 / 3.93)
    assert second.mos == 1.0


def test_pipal_one_text_file_per_reference_and_images_in_several_parts(tmp_path):
    (tmp_path / "Train_Label").mkdir()
    (tmp_path / "Train_Label" / "A0001.txt").write_text("A0001_00_00.bmp,1376.3496\nA0001_00_01.bmp,1000\n")
    (tmp_path / "Train_Label" / "A0060.txt").write_text("A0060_00_00.bmp,1835.9856\n")
    for part, name in (("Distortion_1", "A0001_00_00.bmp"), ("Distortion_2", "A0060_00_00.bmp")):
        (tmp_path / part).mkdir()
        (tmp_path / part / name).touch()
    items = by_id(at(tmp_path, "pipal").labelled())
    assert [item.reference_id for item in items.values()] == ["A0001", "A0001", "A0060"]
    assert items["A0001_00_00.bmp"].mos == pytest.approx(3.0)  # the middle of 916.7136 and 1835.9856
    assert items["A0060_00_00.bmp"].mos == 5.0
    assert items["A0060_00_00.bmp"].path == str(tmp_path / "Distortion_2" / "A0060_00_00.bmp")

    (tmp_path / "Distortion_2" / "A0001_00_00.bmp").touch()
    with pytest.raises(DataError, match=r"A0001_00_00\.bmp: Distortion_1.* and Distortion_2"):
        at(tmp_path, "pipal").labelled()


def write_livewild(folder: Path, names: list[str], mos: list[float], std: list[float]) -> None:
    folder.mkdir(exist_ok=True)
    images = np.empty((len(names), 1), dtype=object)
    for index, name in enumerate(names):
        images[index, 0] = name
    savemat(folder / "AllImages_release.mat", {"AllImages_release": images})
    savemat(folder / "AllMOS_release.mat", {"AllMOS_release": np.array([mos])})
    savemat(folder / "AllStdDev_release.mat", {"AllStdDev_release": np.array([std])})


def test_livewild_leaves_out_the_seven_training_images(tmp_path):
    names = [f"t{n}.bmp" for n in range(1, 8)] + ["100.bmp", "533.JPG"]
    write_livewild(tmp_path / "Data", names, [50.0] * 7 + [3.42, 47.926], [10.0] * 7 + [11.0, 22.253])
    first, second = at(tmp_path, "livew").labelled()
    assert (first.id, first.mos) == ("100.bmp", 1.0)
    assert (second.id, second.path) == ("533.JPG", str(tmp_path / "Images" / "533.JPG"))
    assert second.mos == pytest.approx(3.0)
    assert second.mos_std == pytest.approx(1.0)  # 22.253 is a quarter of 92.432 - 3.42


def test_livewild_files_of_different_length_are_refused(tmp_path):
    write_livewild(tmp_path / "Data", ["a.bmp"] * 9, [50.0] * 8, [10.0] * 9)
    with pytest.raises(DataError, match="differ in length"):
        at(tmp_path, "livew").labelled()


def test_agiqa_images_of_one_prompt_subject_stay_together(tmp_path):
    rows = [
        f"model{m}_{s:03d}.jpg,subject {s}{', warm color' if m else ''},,,,{s / 10},0.2,1,0.1"
        for s in range(40)
        for m in range(3)
    ]
    (tmp_path / "data.csv").write_text(
        "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align\n"
        + "\n".join(f'{r.split(",")[0]},"{",".join(r.split(",")[1:-7])}",{",".join(r.split(",")[-7:])}' for r in rows)
    )
    items = at(tmp_path, "agiqa").labelled()
    splits: dict[str, set[str | None]] = {}
    for item in items:
        splits.setdefault(item.id.split("_")[1], set()).add(item.split)
    assert len(splits) == 40
    assert all(len(found) == 1 for found in splits.values())
    assert {item.split for item in items} == {"train", "val", "test"}
    assert items[3].mos == pytest.approx(1 + 4 * 0.1 / 4.4888)
    assert items[3].mos_std == pytest.approx(0.2 * 4 / 4.4888)


def write_csiq(path: Path, rows: list[list[object]]) -> None:
    """The publisher's sheet: an introduction sheet before it, three blank rows and columns before the table."""
    book = openpyxl.Workbook()
    book.active.title = "about"
    sheet = book.create_sheet("all_by_image")
    sheet["A1"] = "All images"
    table = [["image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"], *rows]
    for line, values in enumerate(table, start=4):
        for column, value in enumerate(values, start=4):
            sheet.cell(line, column, value)
    book.save(path)


def test_csiq_lower_is_better_and_file_names_follow_the_distortion(tmp_path):
    write_csiq(
        tmp_path / "csiq.DMOS.xlsx",
        [
            [1600, 1, "noise", 1, 0.05, 0.25],
            ["aerial_city", 3, "jpeg 2000", 5, 0.1, 1.0],
            ["woman", 6, "contrast", 2, 0.1, 0.0],
        ],
    )
    first, second, third = at(tmp_path, "csiq").labelled()
    assert (first.id, first.reference_id) == ("1600.AWGN.1.png", "1600")
    assert first.path == str(tmp_path / "dst_imgs" / "awgn" / "1600.AWGN.1.png")
    assert (first.target.native, first.mos, first.mos_std) == (0.25, 4.0, pytest.approx(0.2))
    assert second.path == str(tmp_path / "dst_imgs" / "jpeg2000" / "aerial_city.jpeg2000.5.png")
    assert (second.mos, third.mos) == (1.0, 5.0)


def test_csiq_wrong_sheet_or_distortion_is_named(tmp_path):
    openpyxl.Workbook().save(tmp_path / "csiq.DMOS.xlsx")
    with pytest.raises(DataError, match="no sheet 'all_by_image'; it has Sheet"):
        at(tmp_path, "csiq").labelled()
    write_csiq(tmp_path / "csiq.DMOS.xlsx", [[1600, 1, "sepia", 1, 0.05, 0.25]])
    with pytest.raises(DataError, match=r"csiq\.DMOS\.xlsx:5: 'dst_type' is 'sepia'"):
        at(tmp_path, "csiq").labelled()


@pytest.mark.parametrize(
    ("name", "file", "reference"),
    [
        ("spaq", "SPAQ.txt", None),
        ("kadid", "KADID-10k.txt", "I01"),
        ("pipal", "PIPAL.txt", "I01"),
        ("csiq", "CSIQ.txt", "I01"),
    ],
)
def test_repackaged_tables_give_the_ids_of_the_native_layout(tmp_path, name, file, reference):
    score = {"spaq": 50, "kadid": 3, "pipal": 1500, "csiq": 0.5}[name]
    column, cell = ("", "") if reference is None else (",ref_img_path", f",set/{reference}.png")
    (tmp_path / file).write_text(f"dis_img_path,dis_type{column},score\nset/images/I01_01_01.png,blur{cell},{score}\n")
    (item,) = at(tmp_path, f"{name}_table").labelled()
    assert (item.id, item.dataset, item.reference_id) == ("I01_01_01.png", name, reference)
    assert item.path == str(tmp_path / "set" / "images" / "I01_01_01.png")


@pytest.mark.parametrize("content", [b"", b"not a spreadsheet", b"PK\x03\x04 broken"])
def test_a_damaged_spreadsheet_is_named(tmp_path, content):
    (tmp_path / "csiq.DMOS.xlsx").write_bytes(content)
    with pytest.raises(DataError, match=r"csiq\.DMOS\.xlsx is not a readable \.xlsx file"):
        at(tmp_path, "csiq").labelled()


def test_label_files_that_git_lfs_has_not_fetched_are_named(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / "csiq.DMOS.xlsx").write_bytes(pointer)
    (tmp_path / "dmos.csv").write_bytes(pointer)
    write_livewild(tmp_path / "Data", ["a.bmp"] * 9, [50.0] * 9, [10.0] * 9)
    (tmp_path / "Data" / "AllMOS_release.mat").write_bytes(pointer)
    for name in ("csiq", "kadid", "livew"):
        with pytest.raises(DataError, match=r"is a git-lfs pointer, not the file itself; .*`git lfs pull`"):
            at(tmp_path, name).labelled()


@pytest.mark.parametrize("content", [b"", b"not MATLAB" * 50])
def test_a_damaged_matlab_file_is_named(tmp_path, content):
    write_livewild(tmp_path / "Data", ["a.bmp"] * 9, [50.0] * 9, [10.0] * 9)
    (tmp_path / "Data" / "AllMOS_release.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"AllMOS_release\.mat is not a readable MATLAB file"):
        at(tmp_path, "livew").labelled()


def test_a_missing_column_is_named_with_those_there(tmp_path):
    (tmp_path / "dmos.csv").write_text("dist_img,ref_img,mos\n")
    with pytest.raises(DataError, match="has no column dmos, var; it has dist_img, ref_img, mos"):
        at(tmp_path, "kadid").labelled()
    (tmp_path / "Annotations").mkdir()
    openpyxl.Workbook().save(tmp_path / "Annotations" / "MOS and Image attribute scores.xlsx")
    with pytest.raises(DataError, match="has no column Image name, MOS; it has no header"):
        at(tmp_path, "spaq").labelled()
