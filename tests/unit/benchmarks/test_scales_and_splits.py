"""Rescaling to 1-5 and drawing splits."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.config.composition import composed
from zoom_iqa.data.benchmarks import (
    HeldOutValidation,
    Label,
    LinearScale,
    ListedSplit,
    PublishedSplit,
    SceneSplit,
    SeededSplit,
)
from zoom_iqa.data.benchmarks.splits import scene_blocks

LIVEWILD_SCENES = {"train": 411, "val": 56, "test": 120, None: 40}
THIRDS = {"train": 0.6, "val": 0.2, "test": 0.2}


def label(id: str, reference: str | None = None, split: str | None = None) -> Label:
    return Label(where=f"t:{id}", id=id, image=id, score=1.0, reference=reference, split=split)


def test_a_score_beyond_the_points_is_clipped_and_rounding_is_not() -> None:
    scale = LinearScale(direction="higher_is_better", native_range=[0, 100], one=0.1, five=90.7)
    assert [scale.clips(native) for native in (0, 0.1, 50, 90.7, 91, 100)] == [True, False, False, False, True, True]
    assert [scale.mos(native) for native in (0, 100)] == [1.0, 5.0]
    assert not any(
        LinearScale(direction="lower_is_better", native_range=[0, 1], one=1, five=0).clips(n) for n in (0, 1)
    )


def test_scale_clips_at_its_ends_and_keeps_the_width_of_deviations():
    scale = LinearScale(direction="higher_is_better", native_range=[0, 100], one=20, five=80)
    assert [scale.mos(x) for x in (10, 20, 50, 80, 90)] == [1, 1, 3, 5, 5]
    assert scale.std(15) == pytest.approx(1.0)


def test_lower_is_better_turns_round():
    scale = LinearScale(direction="lower_is_better", native_range=[0, 1], one=1, five=0)
    assert [scale.mos(x) for x in (0, 0.25, 0.5, 1)] == [5, 4, 3, 1]
    assert scale.std(0.25) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("direction", "native_range", "one", "five", "message"),
    [
        ("higher_is_better", [0, 1], 1, 0, "contradict direction"),
        ("lower_is_better", [0, 1], 0, 1, "contradict direction"),
        ("higher_is_better", [0, 1], 0.5, 0.5, "contradict direction"),
        ("upwards", [0, 1], 0, 1, "use higher_is_better or lower_is_better"),
        ("higher_is_better", [1, 0], 0, 1, r"give \[lowest, highest\]"),
        ("higher_is_better", [0, 1], 0, 2, "scale.five is 2, outside"),
    ],
)
def test_contradictory_scales_are_refused(direction, native_range, one, five, message):
    with pytest.raises(ConfigError, match=message):
        LinearScale(direction=direction, native_range=native_range, one=one, five=five)


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 12)), unique=True, min_size=1, max_size=60),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_seeded_split_never_divides_a_reference_and_ignores_order(pairs, seed, random):
    labels = [label(f"{ref}_{n}", reference=f"r{ref}") for n, ref in pairs]
    split = SeededSplit(seed=seed, fractions=THIRDS)
    assigned = dict(zip((item.id for item in labels), split.assign(labels), strict=True))
    for reference in {item.reference for item in labels}:
        assert len({assigned[item.id] for item in labels if item.reference == reference}) == 1
    shuffled = list(labels)
    random.shuffle(shuffled)
    assert dict(zip((item.id for item in shuffled), split.assign(shuffled), strict=True)) == assigned


def test_seeded_split_has_the_shares_asked_for_and_depends_on_the_seed():
    labels = [label(f"i{n}") for n in range(50)]
    first = SeededSplit(seed=0, fractions=THIRDS).assign(labels)
    assert {name: first.count(name) for name in THIRDS} == {"train": 30, "val": 10, "test": 10}
    assert first == SeededSplit(seed=0, fractions=THIRDS).assign(labels)
    assert first != SeededSplit(seed=1, fractions=THIRDS).assign(labels)


def test_seeded_split_is_the_same_on_every_machine():
    labels = [label(f"i{n}") for n in range(5)]
    # the SHA-256 digests of "0/i0" ... "0/i4" sort as i0 i4 i3 | i2 | i1
    assert SeededSplit(seed=0, fractions=THIRDS).assign(labels) == ["train", "test", "val", "train", "train"]


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"train": 0.5, "test": 0.4}, "sum to 1"),
        ({"train": 1.2, "test": -0.2}, "at least 0"),
        ({"dev": 1.0}, "names dev"),
    ],
)
def test_wrong_fractions_are_refused(fractions, message):
    with pytest.raises(ConfigError, match=message):
        SeededSplit(seed=0, fractions=fractions)


def test_held_out_validation_takes_whole_contents_from_train_alone():
    labels = [label(f"{ref}_{n}", f"r{ref}", "train" if ref < 20 else "test") for ref in range(30) for n in range(3)]
    assigned = HeldOutValidation(seed=0, fraction=0.25).assign(labels)
    assert assigned.count("val") == 5 * 3
    assert assigned.count("test") == 10 * 3
    for start in range(0, len(labels), 3):
        assert len(set(assigned[start : start + 3])) == 1
    with pytest.raises(ConfigError, match="between 0 and 1"):
        HeldOutValidation(seed=0, fraction=1)


def test_held_out_validation_leaves_test_images_of_a_held_out_content_alone():
    labels = [label(f"{ref}_{split}", f"r{ref}", split) for ref in range(2) for split in ("train", "test")]
    assigned = HeldOutValidation(seed=0, fraction=0.5).assign(labels)
    assert assigned[1::2] == ["test", "test"]
    assert sorted(assigned[::2]) == ["train", "val"]


def test_labels_without_any_split_have_none():
    assert PublishedSplit().assign([label("a"), label("b")]) == [None, None]


def image_label(path: str) -> Label:
    return Label(where="t", id=path, image=path, score=1.0)


def listed(path: Path, *images: str) -> str:
    """A list as DeQA-Score's are."""
    entries = [{"id": f"{image}->3.1", "image": image, "gt_score": 3.1, "conversations": []} for image in images]
    path.write_text(json.dumps(entries))
    return str(path)


def test_listed_images_are_found_by_their_names_wherever_the_copy_lies(tmp_path):
    labels = [image_label(f"1024x768/{name}.jpg") for name in "abcd"]
    split = ListedSplit(
        lists={
            "test": listed(tmp_path / "test.json", "koniq/d.jpg", "koniq/a.jpg"),
            "train": listed(tmp_path / "train.json", "elsewhere/koniq/b.jpg"),
        }
    )
    assert split.assign(labels) == ["test", "train", None, "test"]


def test_folders_tell_apart_images_of_one_name(tmp_path):
    labels = [image_label("set/blur/1.png"), image_label("set/noise/1.png"), image_label("set/noise/2.png")]
    split = ListedSplit(lists={"test": listed(tmp_path / "l.json", "copy/noise/1.png", "copy/else/2.png")})
    assert split.assign(labels) == [None, "test", "test"]
    with pytest.raises(DataError, match=r"l\.json:1: copy/1\.png is the name of 2 labelled images"):
        ListedSplit(lists={"test": listed(tmp_path / "l.json", "copy/1.png")}).assign(labels)


def test_entries_of_lists_that_cannot_be_used_are_all_named(tmp_path):
    labels = [image_label("a.jpg"), image_label("b.jpg")]
    lists = {
        "train": listed(tmp_path / "train.json", "x/a.jpg", "x/gone.jpg"),
        "test": listed(tmp_path / "test.json", "x/b.jpg", "x/b.jpg", "x/a.jpg"),
    }
    with pytest.raises(DataError, match=r"3 entries of split\.lists cannot be used") as raised:
        ListedSplit(lists=lists).assign(labels)
    assert raised.value.rows == (
        "train.json:2: x/gone.jpg is the name of no labelled images",
        "test.json:2: x/b.jpg is listed already, at test.json:1",
        "test.json:3: x/a.jpg is listed already, at train.json:1",
    )


def test_lists_in_other_layouts_and_lists_that_are_none(tmp_path):
    labels = [image_label("a.jpg"), image_label("b.jpg")]
    (tmp_path / "l.csv").write_text("img_path;score\nx/b.jpg;3\n")
    assert ListedSplit(lists={"val": str(tmp_path / "l.csv")}).assign(labels) == [None, "val"]
    (tmp_path / "l.jsonl").write_text('{"image": "a.jpg"}\n{"picture": "b.jpg"}\n')
    with pytest.raises(DataError, match=r"1 of 2 rows(.|\n)*l\.jsonl:2: none of image, img_path, .* is given"):
        ListedSplit(lists={"val": str(tmp_path / "l.jsonl")}).assign(labels)
    with pytest.raises(DataError, match=r"split\.lists: there is no file .*none\.json"):
        ListedSplit(lists={"val": str(tmp_path / "none.json")}).assign(labels)
    with pytest.raises(ConfigError, match=r"split\.lists names exam; give files for one or more of train, val, test"):
        ListedSplit(lists={"exam": "l.json"})
    with pytest.raises(ConfigError, match=r"split\.lists names no split"):
        ListedSplit(lists={})


def scenes(block: int = 10, gap: int = 2, alike: list[tuple[str, str]] | None = None) -> SceneSplit:
    return SceneSplit(
        seed=0, fractions={"train": 0.7, "val": 0.1, "test": 0.2}, block=block, gap=gap, alike=alike or []
    )


def numbered(count: int) -> list[Label]:
    return [label(f"{number}.JPG") for number in range(count)]


def test_a_block_of_numbers_stays_together_and_its_borders_belong_to_no_split():
    labels = numbered(200)
    drawn = scenes(gap=0).assign(labels)
    assert all(len(set(drawn[start : start + 10])) == 1 for start in range(0, 200, 10))
    assert {name: drawn.count(name) for name in ("train", "val", "test")} == {"train": 140, "val": 20, "test": 40}
    cleared = scenes(gap=2).assign(labels)
    assert [split == "test" for split in cleared] == [split == "test" for split in drawn]
    for number, split in enumerate(cleared):
        near_test = "test" in drawn[max(0, number - 2) : number + 3]
        assert split == (drawn[number] if drawn[number] == "test" or not near_test else None)


def test_near_duplicates_are_never_divided():
    pairs = [(f"{a}.JPG", f"{b}.JPG") for a, b in ((3, 155), (157, 88), (41, 199))]
    for seed in range(6):
        split = SceneSplit(seed=seed, fractions=THIRDS, block=10, gap=0, alike=pairs)
        drawn = split.assign(numbered(200))
        assert drawn[3] == drawn[155] == drawn[88]
        assert drawn[41] == drawn[199]


def test_a_scene_is_a_block_of_numbers_or_the_least_of_joined_blocks():
    """672 and 694 lie in blocks 33 and 34 of 20 numbers; the pair whose 900 has no number joins nothing."""
    numbers = {name: int(name) for name in ("19", "20", "672", "694", "700")}
    found = scene_blocks(numbers, block=20, alike=[("672", "694"), ("700", "900")])
    assert found == {"19": 0, "20": 1, "672": 33, "694": 33, "700": 35}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": 0}, r"split.block=0"),
        ({"gap": -1}, r"split.gap=-1"),
        ({"alike": [("1.JPG", "1.JPG")]}, r"split.alike holds \['1.JPG', '1.JPG'\]"),
    ],
)
def test_scenes_that_cannot_be_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        scenes(**change)


def test_near_duplicates_that_have_no_label_are_named():
    with pytest.raises(DataError, match=r"1 ids of split\.alike have no label") as raised:
        scenes(alike=[("3.JPG", "300.JPG")]).assign(numbered(200))
    assert raised.value.rows == ("300.JPG",)


def test_scenes_of_the_jpeg_photographs_are_apart(shared_dir):
    split = instantiate(composed("benchmark/livewild_jpeg", ["benchmark/split=livewild_scenes"]).benchmark.split)
    with (shared_dir / "livec" / "livec_jpg.csv").open(newline="") as file:
        labels = [label(row["image"]) for row in csv.DictReader(file)]
    drawn = dict(zip((one.id for one in labels), split.assign(labels), strict=True))
    assert {name: list(drawn.values()).count(name) for name in LIVEWILD_SCENES} == LIVEWILD_SCENES
    number_of = {name: int(name.split(".")[0]) for name in drawn}
    tested = [number_of[name] for name, where in drawn.items() if where == "test"]
    learned = [number_of[name] for name, where in drawn.items() if where in ("train", "val")]
    assert min(abs(a - b) for a in tested for b in learned) > 4
    assert drawn["672.JPG"] == drawn["694.JPG"]


def test_a_name_without_a_number_has_no_scene():
    with pytest.raises(DataError, match="has no file number"):
        scenes().assign([label("portrait.JPG")])
