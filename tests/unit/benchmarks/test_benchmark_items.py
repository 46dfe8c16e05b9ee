"""From labels to items with files, and to pixels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from PIL import Image

from support.loaded_benchmark import load_benchmark
from zoom_iqa.base.errors import ConfigError, DataError, ImageError
from zoom_iqa.config.checks import check_config
from zoom_iqa.config.command_line import benchmark_names
from zoom_iqa.config.location import conf_dir
from zoom_iqa.data.benchmarks import Benchmark
from zoom_iqa.data.datasets import BenchmarkImages, benchmark_images


def benchmark(root: Path, entries: list[dict[str, object]]) -> Benchmark:
    (root / "m.jsonl").write_text("\n".join(map(json.dumps, entries)))
    return load_benchmark("manifest", [f"manifest={root}/m.jsonl", "range=[0,100]", "name=mine"])


def test_unusable_rows_are_listed_together(tmp_path):
    entries = [
        {"image": "a.png", "gt_score": 101},
        {"image": "b.png", "gt_score": 5, "std": -2},
        {"image": "c.png", "gt_score": 5, "id": "same"},
        {"image": "d.png", "gt_score": 5, "id": "same"},
    ]
    with pytest.raises(DataError) as caught:
        benchmark(tmp_path, entries).labelled()
    assert caught.value.rows == (
        "m.jsonl:1: a.png has score 101, outside 0 to 100",
        "m.jsonl:2: b.png has standard deviation -2, below 0",
        "m.jsonl:3: id same is used 2 times",
        "m.jsonl:4: id same is used 2 times",
    )


def test_an_image_of_several_rows_would_be_divided_and_is_refused(tmp_path):
    """As lists of conversations or votes have it: the ids differ, the file is one."""
    entries = [{"image": "a.png", "gt_score": score, "id": f"a.png->{score}"} for score in (5, 6)]
    entries.append({"image": "b.png", "gt_score": 5})
    with pytest.raises(DataError, match="2 rows are unusable") as caught:
        benchmark(tmp_path, entries).labelled()
    assert caught.value.rows[0] == (
        "m.jsonl:1: image a.png is of 2 ids, such as a.png->5; give each image one row, with the mean of its scores"
    )


def test_missing_files_matter_in_the_split_asked_for_only(tmp_path):
    entries = [
        {"image": "a.png", "gt_score": 1, "split": "train"},
        {"image": "b.png", "gt_score": 2, "split": "test"},
    ]
    mine = benchmark(tmp_path, entries)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert [item.id for item in mine.items("train")] == ["a.png"]
    with pytest.raises(DataError, match=r"1 of 1 images of split 'test' are missing under .*: .*\n.*mine:b.png"):
        mine.items("test")
    with pytest.raises(DataError, match="split 'val' is empty"):
        mine.items("val")
    with pytest.raises(ConfigError, match="split is 'dev'; use one of train, val, test, all"):
        mine.items("dev")


def test_the_label_file_is_absent(tmp_path):
    with pytest.raises(DataError, match=r"no labels at .*dmos\.csv; give .* benchmark.root=FOLDER, or .*kadid-10k"):
        load_benchmark("kadid", [f"benchmark.root={tmp_path}"]).labelled()


def test_pixels_come_with_their_item_and_within_the_bound(tmp_path):
    entries = [{"image": "a.png", "gt_score": 75}]
    Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "a.png")
    labelled = benchmark(tmp_path, entries)
    images = benchmark_images(benchmark=labelled, split="all", max_pixels=300, upright=True, size=None)
    (item,) = images.items()
    sample = images[0]
    assert sample.example is item
    assert item.mos == 4.0
    assert sample.image.size == (20, 15)
    assert sample.image.getpixel((5, 5)) == (200, 10, 10)
    assert len(images) == 1


def test_an_unreadable_file_names_its_item(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    mine = benchmark(tmp_path, [{"image": "a.png", "gt_score": 7, "id": "seven"}])
    images = mine.images("all", max_pixels=300, upright=True, size=None)
    with pytest.raises(ImageError, match=r"mine:seven: .*a\.png"):
        images[0]


def test_so_many_images_are_a_fixed_part_of_all(tmp_path):
    entries = [{"image": f"{number}.png", "gt_score": number} for number in range(9)]
    for entry in entries:
        Image.new("RGB", (8, 8)).save(tmp_path / str(entry["image"]))
    mine = benchmark(tmp_path, entries)
    few, more = (mine.images("all", max_pixels=None, upright=True, size=size).items() for size in (3, 5))
    assert (len(few), len(more)) == (3, 5)
    assert set(few) < set(more) < set(mine.items("all"))
    with pytest.raises(ConfigError, match="size=0 must be a whole number of at least 1; null takes every image"):
        mine.images("all", max_pixels=None, upright=True, size=0)


def test_no_items_are_refused():
    with pytest.raises(DataError, match="empty"):
        BenchmarkImages(items=(), max_pixels=300, upright=True)


@pytest.mark.parametrize("name", sorted(set(benchmark_names()) - {"manifest", "embedded", "embedded_pairs", "srbench"}))
def test_every_shipped_config_builds_a_benchmark(name):
    built = load_benchmark(name, [])
    assert isinstance(built, Benchmark)
    assert built.source.download
    assert built.source.count
    assert built.scale.mos(built.scale.five) == 5.0


def data_config(name: str, root: Path) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", overrides=[f"data={name}", f"benchmark.root={root}"])


@pytest.mark.parametrize("name", ["koniq10k", "koniq10k_mos", "livewild_jpeg"])
def test_training_data_configs_are_complete(name, tmp_path):
    cfg = data_config(name, tmp_path)
    check_config(cfg)
    for split in ("train", "val", "test"):
        with pytest.raises(InstantiationException, match="no labels at"):
            instantiate(cfg.data[split])


def test_training_data_of_real_photographs(shared_dir):
    cfg = data_config("livewild_jpeg", shared_dir / "livec")
    for split, size in (("train", 455), ("val", 50), ("test", 122)):
        images = instantiate(cfg.data[split])
        assert len(images) == size
        assert {item.split for item in images.items()} == {split}
    width, height = images[0].image.size
    assert 0 < width * height <= cfg.data.train.max_pixels
