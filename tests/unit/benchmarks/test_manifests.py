"""Plain manifests: CSV, JSON lines and the JSON list of VLM-based IQA code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.loaded_benchmark import load_benchmark
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.indicators import Indicator
from zoom_iqa.data.benchmarks import Benchmark
from zoom_iqa.data.benchmarks.manifest import Manifest

ENTRIES = [
    {"image": "a.jpg", "gt_score": 100, "id": "first", "conversations": [{"from": "human", "value": "?"}]},
    {"img_path": "sub/b.jpg", "gt_score": 0.0, "std": 12.5, "reference": "r1"},
    {"image": "c.jpg", "mos": "25"},
]


def manifest(root: Path, labels: str, *overrides: str) -> Benchmark:
    return load_benchmark("manifest", [f"manifest={root}/{labels}", "range=[0,100]", "name=mine", *overrides])


def check_entries(benchmark: Benchmark, root: Path) -> None:
    first, second, third = benchmark.labelled()
    assert (first.id, first.dataset, first.mos, first.mos_std) == ("first", "mine", 5.0, None)
    assert (second.id, second.path) == ("sub/b.jpg", str(root / "sub" / "b.jpg"))
    assert (second.mos, second.mos_std, second.reference_id) == (1.0, 0.5, "r1")
    assert (third.id, third.mos, third.target.native) == ("c.jpg", 2.0, 25.0)


def test_json_list(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps(ENTRIES))
    check_entries(manifest(tmp_path, "m.json"), tmp_path)


def test_json_lines_with_blank_lines(tmp_path):
    (tmp_path / "m.jsonl").write_text("\n\n".join(json.dumps(entry) for entry in ENTRIES) + "\n")
    check_entries(manifest(tmp_path, "m.jsonl"), tmp_path)


def test_csv_with_byte_order_mark_and_empty_cells(tmp_path):
    (tmp_path / "m.csv").write_text(
        "\ufeffimage,img_path,gt_score,mos,id,std,reference\n"
        "a.jpg,,100,,first,,\n,sub/b.jpg,0,,,12.5,r1\nc.jpg,,,25,,,\n",
        encoding="utf-8",
    )
    check_entries(manifest(tmp_path, "m.csv"), tmp_path)


def test_an_absolute_image_path_stays_absolute(tmp_path):
    (tmp_path / "m.jsonl").write_text(json.dumps({"image": "/elsewhere/a.jpg", "gt_score": 1}))
    (item,) = manifest(tmp_path, "m.jsonl").labelled()
    assert item.path == "/elsewhere/a.jpg"


def test_unreadable_rows_are_all_listed_with_their_lines(tmp_path):
    (tmp_path / "m.csv").write_text("image,gt_score\na.jpg,1\nb.jpg,poor\n,3\nd.jpg,nan\ne.jpg,\n")
    with pytest.raises(DataError) as caught:
        manifest(tmp_path, "m.csv").labelled()
    assert caught.value.rows == (
        "m.csv:3: 'gt_score' is 'poor', not a number",
        "m.csv:4: none of image, img_path, image_path, path, file, filename is given",
        "m.csv:5: 'gt_score' is nan, not a finite number",
        "m.csv:6: none of gt_score, mos, score, rating is given",
    )
    assert "4 of 5 rows" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"image": "a.jpg"}', "holds a dict, not a list"),
        ('[{"image": "a.jpg", "gt_score": 1}, 7]', r"1 entries are not JSON objects\n  - m\.json:2: 7"),
        ("[{]", "no JSON"),
        ('[{"image": "\\ud800.jpg", "gt_score": 1}]', "half a character"),
    ],
)
def test_broken_json_is_named(tmp_path, text, message):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(DataError, match=message):
        manifest(tmp_path, "m.json").labelled()


def test_two_scores_in_a_row_are_refused(tmp_path):
    (tmp_path / "m.csv").write_text("image,score,mos\na.jpg,3,30\nb.jpg,4,\n")
    with pytest.raises(DataError) as caught:
        manifest(tmp_path, "m.csv").labelled()
    assert caught.value.rows == ("m.csv:2: mos and score are both given; keep the column that counts",)


def test_a_whole_character_may_be_escaped(tmp_path):
    (tmp_path / "m.json").write_text('[{"image": "\\ud83d\\ude00.jpg", "gt_score": 1}]')
    assert [label.id for label in manifest(tmp_path, "m.json").labelled()] == ["\U0001f600.jpg"]


def test_a_spreadsheet_saved_as_csv_is_refused(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(DataError, match=r"m\.csv: byte 4 \(0xff, in line 1\) is no UTF-8"):
        manifest(tmp_path, "m.csv").labelled()


def test_another_suffix_is_refused(tmp_path):
    (tmp_path / "m.tsv").write_text("image\tgt_score\n")
    with pytest.raises(ConfigError, match=r"m\.tsv must end in \.csv, \.jsonl or \.json"):
        manifest(tmp_path, "m.tsv")
    with pytest.raises(DataError, match=r"m\.tsv: a manifest ends in \.csv, \.jsonl or \.json"):
        Manifest(labels="m.tsv", images=".").read(tmp_path)


def test_published_splits_of_a_manifest(tmp_path):
    lines = [{"image": f"{n}.jpg", "gt_score": n, "split": split} for n, split in enumerate(["train", "test", "train"])]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert [item.split for item in manifest(tmp_path, "m.jsonl").labelled()] == ["train", "test", "train"]

    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, [*lines, {"image": "x.jpg", "gt_score": 1}])))
    with pytest.raises(
        DataError, match=r"1 rows belong to none of train, val, test(.|\n)*m\.jsonl:4: x\.jpg has split None"
    ):
        manifest(tmp_path, "m.jsonl").labelled()

    drawn = manifest(
        tmp_path, "m.jsonl", "benchmark/split=seeded", "benchmark.split.fractions={train: 1, val: 0, test: 0}"
    )
    assert [item.split for item in drawn.labelled()] == ["train"] * 4


def test_hints_are_columns_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("image,mos,artifacts,hint_artifacts\na.png,1,many,0.5\nb.png,2,few,\n")
    first, second = manifest(tmp_path, "m.csv").labelled()
    assert first.indicators == (Indicator("artifacts", 0.5, 0.0),)
    assert second.indicators == ()
    (tmp_path / "m.csv").write_text("image,mos,hint_artifacts\na.png,1,many\n")
    with pytest.raises(DataError, match="'hint_artifacts' is 'many', not a number"):
        manifest(tmp_path, "m.csv").labelled()
