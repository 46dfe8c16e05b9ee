"""The readers on the publishers' real label files (skipped by name where those are absent)."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import pytest

from support.loaded_benchmark import load_benchmark
from zoom_iqa.base.errors import DataError
from zoom_iqa.data.benchmarks import Benchmark


def labels_at(shared_dir, name: str, *overrides: str) -> Benchmark:
    return load_benchmark(name, [f"benchmark.root={shared_dir / 'labels'}", *overrides])


def test_koniq(shared_dir):
    items = labels_at(shared_dir, "koniq").labelled()
    assert Counter(item.split for item in items) == {"train": 7058, "val": 1000, "test": 2015}
    native = [item.target.native for item in items]
    assert (min(native), max(native)) == (pytest.approx(1.096, abs=5e-4), pytest.approx(4.310, abs=5e-4))
    assert (min(i.mos for i in items), max(i.mos for i in items)) == (pytest.approx(1, abs=1e-3), pytest.approx(5))


def test_koniqs_scores_are_as_many_as_its_votes_say(shared_dir):
    """The shares have 12 digits, the votes behind them are whole numbers: 3,645 means, not 8,950."""
    with (shared_dir / "labels" / "koniq10k_distributions_sets.csv").open() as file:
        rows = list(csv.DictReader(file))
    exact = []
    for row in rows:
        votes = [round(float(row[f"c{level}"]) * int(row["c_total"])) for level in range(1, 6)]
        exact.append(Fraction(sum(level * count for level, count in enumerate(votes, 1)), sum(votes)))
    assert len(set(exact)) == 3645
    examples = labels_at(shared_dir, "koniq").labelled()
    assert len({example.target.native for example in examples}) == 3645
    assert len({(score, example.mos) for score, example in zip(exact, examples, strict=True)}) == 3645


def test_the_mos_column_becomes_the_targets_of_h_iqa(shared_dir):
    published = json.loads((shared_dir / "q_reasoning" / "koniq_cot_constrain.json").read_text(encoding="utf-8"))
    items = {item.id: item for item in labels_at(shared_dir, "koniq_mos").labelled()}
    assert (len(items), len(published)) == (10073, 482)
    for record in published:
        item = items[record["image"]]
        assert item.mos == pytest.approx(record["normalized_score"], abs=1e-9)
        assert (item.split, item.mos_std, Path(item.path).parent.name) == ("train", None, "512x384")
    assert (min(item.mos for item in items.values()), max(item.mos for item in items.values())) == (1.0, 5.0)


@pytest.mark.parametrize(
    ("name", "file", "column"),
    [
        ("spaq_table", "SPAQ.txt", "score"),
        ("kadid_table", "KADID-10k.txt", "score"),
        ("pipal_table", "PIPAL.txt", "score"),
        ("csiq_table", "CSIQ.txt", "score"),
        ("agiqa", "agiqa3k_data.csv", "mos_quality"),
    ],
)
def test_no_two_published_scores_become_one(shared_dir, name, file, column):
    with (shared_dir / "labels" / file).open(encoding="utf-8-sig") as text:
        published = {float(row[column]) for row in csv.DictReader(text)}
    examples = labels_at(shared_dir, name, f"benchmark.reader.labels={file}").labelled()
    assert {example.target.native for example in examples} == published
    assert len({example.mos for example in examples}) == len(published)


@pytest.mark.parametrize(
    ("name", "count", "references", "native"),
    [
        ("spaq_table", 11125, 0, (2, 96)),
        ("kadid_table", 10125, 81, (1, 4.93)),
        ("pipal_table", 23200, 200, (916.7136, 1835.9856)),
        ("csiq_table", 866, 30, (0, 1)),
    ],
)
def test_repackaged_tables(shared_dir, name, count, references, native):
    benchmark = labels_at(shared_dir, name)
    items = benchmark.labelled()
    assert len(items) == count == benchmark.source.count
    scores = [item.target.native for item in items]
    assert (min(scores), max(scores)) == native
    assert (min(item.mos for item in items), max(item.mos for item in items)) == (1.0, 5.0)
    splits = defaultdict(set)
    for item in items:
        splits[item.reference_id].add(item.split)
    assert len(set(splits) - {None}) == references
    assert all(len(found) == 1 for reference, found in splits.items() if reference is not None)
    assert {item.split for item in items} == {"train", "val", "test"}


def test_csiq_best_image_is_the_one_with_the_lowest_difference_score(shared_dir):
    items = labels_at(shared_dir, "csiq_table").labelled()
    assert max(items, key=lambda item: item.mos).target.native == 0.0
    assert all(item.mos == pytest.approx(5 - 4 * item.target.native) for item in items)


def test_agiqa(shared_dir):
    benchmark = labels_at(shared_dir, "agiqa", "benchmark.reader.labels=agiqa3k_data.csv")
    items = benchmark.labelled()
    assert len(items) == 2982
    assert all(item.mos_std is not None and item.mos_std > 0 for item in items)
    assert len({label.subject for label in benchmark.read()}) == 300


def test_livewild(shared_dir):
    benchmark = load_benchmark("livew", [f"benchmark.root={shared_dir / 'livec'}"])
    items = benchmark.labelled()
    assert len(items) == 1169 - 7
    assert not any(item.id.startswith("t") for item in items)
    assert (items[0].id, items[0].target.native) == ("100.bmp", pytest.approx(32.56107532))
    with pytest.raises(DataError, match="535 of 1162 images of split 'all' are missing"):
        benchmark.items("all")  # the copy beside the checkout holds the JPEG files only


def test_livewild_jpeg_agrees_with_the_matlab_files(shared_dir):
    whole = load_benchmark("livew", [f"benchmark.root={shared_dir / 'livec'}"])
    jpeg = load_benchmark("livewild_jpeg", [f"benchmark.root={shared_dir / 'livec'}"])
    sizes = {split: len(jpeg.items(split)) for split in ("train", "val", "test", "all")}
    assert sizes == {"train": 455, "val": 50, "test": 122, "all": 627}  # published: 505 train, a tenth held out
    native = {item.id: item for item in whole.labelled()}
    for item in jpeg.labelled():
        assert item.mos == pytest.approx(native[item.id].mos, abs=1e-5)
        assert item.mos_std == pytest.approx(native[item.id].mos_std, abs=1e-5)


@pytest.mark.parametrize(("labels", "count"), [("deqa_style_livec.json", 1169), ("deqa_style_koniq_test.json", 200)])
def test_json_lists_of_vlm_code(shared_dir, labels, count):
    scale = ["direction=higher_is_better", "native_range=[0,100]", "one=0", "five=100"]
    values = ["name=deqa", f"reader.labels={labels}", *(f"scale.{value}" for value in scale)]
    items = labels_at(shared_dir, "manifest", *(f"benchmark.{value}" for value in values)).labelled()
    assert len(items) == count
    assert all(item.mos == pytest.approx(1 + item.target.native / 25) for item in items)
    if "koniq" in labels:  # the manifest and the native file must agree on which images are test
        koniq = {item.id: item for item in labels_at(shared_dir, "koniq").labelled()}
        assert {koniq[item.id.split("->")[0]].split for item in items} == {"test"}


def test_a_published_test_list_is_a_part_of_the_native_test_split(shared_dir):
    lists = f"{{test: {shared_dir / 'labels' / 'deqa_style_koniq_test.json'}}}"
    examples = labels_at(shared_dir, "koniq", "benchmark/split=listed", f"benchmark.split.lists={lists}").labelled()
    published = {example.id: example.split for example in labels_at(shared_dir, "koniq").labelled()}
    chosen = [example for example in examples if example.split == "test"]
    assert len(chosen) == 200
    assert {published[example.id] for example in chosen} == {"test"}
    assert {example.split for example in examples} == {"test", None}


def test_a_list_with_images_that_belong_to_no_test_is_refused(shared_dir):
    """The list has all 1,169 images of LIVE In the Wild; seven of them are those on which the raters were trained."""
    lists = f"{{test: {shared_dir / 'labels' / 'deqa_style_livec.json'}}}"
    overrides = [f"benchmark.root={shared_dir / 'livec'}", "benchmark/split=listed", f"benchmark.split.lists={lists}"]
    with pytest.raises(DataError, match=r"7 entries of split\.lists") as raised:
        load_benchmark("livew", overrides).labelled()
    assert [row.split("/")[-1] for row in raised.value.rows] == [
        f"t{n}.bmp is the name of no labelled images" for n in range(1, 8)
    ]
