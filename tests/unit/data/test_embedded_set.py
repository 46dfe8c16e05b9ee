"""The embedded set: labels, splits, determinism, regions."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from zoom_iqa.base.defects import DEFECTS
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.data.collation import as_list
from zoom_iqa.data.distortions import DISTORTIONS
from zoom_iqa.data.embedded.dead_leaves import dead_leaves
from zoom_iqa.data.embedded.images import LOCAL_NUMBERS, EmbeddedSet
from zoom_iqa.data.embedded.kadid_means import PRISTINE_MOS, global_mos, global_mos_std, region_mos, severity
from zoom_iqa.data.embedded.photographs import load_photograph, photographs
from zoom_iqa.data.embedded.region import FEATHER, augment, choose_region, distort_region
from zoom_iqa.data.validation import validate_items

TEST_SIZE = 340


def make(split: str = "test", size: int = TEST_SIZE, seed: int = 0, **changes: float | bool) -> EmbeddedSet:
    options: dict[str, float | bool] = {
        "local_fraction": 0.25,
        "pristine_fraction": 0.03,
        "procedural_fraction": 0.0,
        "continuous_levels": False,
        "augmented": False,
        "references": None,
    }
    return EmbeddedSet(split=split, size=size, seed=seed, **(options | changes))  # type: ignore[arg-type]


def training(size: int = 200, seed: int = 1) -> EmbeddedSet:
    return make("train", size, seed, procedural_fraction=0.3, continuous_levels=True, augmented=True)


def test_photographs_and_their_attributions_agree() -> None:
    folder = files("zoom_iqa") / "assets" / "photographs"
    shipped = {entry.name.removesuffix(".jpg") for entry in folder.iterdir() if entry.name.endswith(".jpg")}
    assert shipped == set(photographs())
    counts = Counter(photographs().values())
    assert counts["test"] >= 12
    assert sum(counts.values()) >= 40
    for name in photographs():
        assert sorted(load_photograph(name).shape) == [3, 384, 512]


def test_no_two_photographs_are_near_duplicates() -> None:
    def small(name: str) -> np.ndarray:
        pixels = load_photograph(name).astype(float).mean(axis=2)
        height, width = pixels.shape
        blocks = pixels.reshape(8, height // 8, 8, width // 8).mean(axis=(1, 3)).reshape(-1)
        return (blocks - blocks.mean()) / blocks.std()

    names = list(photographs())
    prints = np.stack([small(name) for name in names])
    alike = prints @ prints.T / 64 - np.eye(len(names))
    first, second = np.unravel_index(alike.argmax(), alike.shape)
    assert alike.max() < 0.95, (names[first], names[second])


def test_labels_are_the_published_means() -> None:
    # Read off kadid_type_level_mean.csv.
    assert global_mos(DISTORTIONS[0], 3) == 2.91
    assert global_mos(DISTORTIONS[9], 4) == 1.95
    assert global_mos(DISTORTIONS[24], 5) == 3.32
    assert global_mos(DISTORTIONS[9], 4.5) == pytest.approx((1.95 + 1.35) / 2)
    assert global_mos_std(DISTORTIONS[21], 5) == 0.67


def test_region_rule_by_hand_and_at_its_ends() -> None:
    kind = DISTORTIONS[0]
    assert region_mos(kind, 5, 0.125) == pytest.approx(4.60 - (4.60 - 1.30) / 2)
    assert region_mos(kind, 5, 0.0) == PRISTINE_MOS
    assert region_mos(kind, 5, 1.0) == pytest.approx(global_mos(kind, 5))


def test_severity_follows_what_people_saw() -> None:
    mean_shift, blur = DISTORTIONS[17], DISTORTIONS[0]
    assert severity(mean_shift, 3) == 1
    assert severity(mean_shift, 5) > severity(mean_shift, 3)
    assert severity(blur, 5) == pytest.approx(5)


def test_no_photograph_is_in_two_splits() -> None:
    used = {split: {r.photograph for r in make(split, 300).recipes} for split in ("train", "val", "test")}
    assert not used["train"] & used["val"]
    assert not used["train"] & used["test"]
    assert not used["val"] & used["test"]
    assert used["test"] == {name for name, split in photographs().items() if split == "test"}


def test_test_split_is_large_balanced_and_at_integer_levels() -> None:
    data = make()
    everywhere = [r for r in data.recipes if r.kind is not None and r.extent is None]
    cells = Counter((r.kind.number, r.level) for r in everywhere if r.kind is not None)
    assert len(data) >= 250
    assert set(cells) == {(kind, float(level)) for kind in range(1, 26) for level in range(1, 6)}
    assert max(cells.values()) - min(cells.values()) <= 1
    assert len({(r.photograph, r.kind, r.level) for r in everywhere}) == len(everywhere)
    assert sum(r.extent is not None for r in data.recipes) == 85
    assert sum(r.kind is None for r in data.recipes) == 10


@pytest.mark.parametrize("data", [make(), make("val", 150), training(3000)], ids=["test", "val", "train"])
def test_records_are_valid_with_unique_ids(data: EmbeddedSet) -> None:
    validate_items(data.items())
    assert len(data.items()) == len(data)
    assert all(item.reference_id and item.id.startswith(item.reference_id) for item in data.items())
    for item, recipe in zip(data.items(), data.recipes, strict=True):
        assert item.mos == recipe.mos
        rated = recipe.kind is not None and recipe.extent is None
        assert item.mos_std == (global_mos_std(recipe.kind, recipe.level) if rated else None)


def test_equal_arguments_give_equal_images_in_any_order_and_worker() -> None:
    first, again = training(12), training(12)
    images = [np.asarray(first[i].image) for i in range(12)]
    for i in reversed(range(12)):
        np.testing.assert_array_equal(np.asarray(again[i].image), images[i])
        assert again[i].example.truth == first[i].example.truth
    loaded = [s for batch in DataLoader(again, batch_size=4, num_workers=2, collate_fn=as_list) for s in batch]
    for sample, image in zip(loaded, images, strict=True):
        np.testing.assert_array_equal(np.asarray(sample.image), image)


def test_another_seed_gives_another_set() -> None:
    assert [item.id for item in make(seed=0).items()] != [item.id for item in make(seed=1).items()]


def test_samples_tell_the_truth_about_themselves() -> None:
    data = make()
    for index in range(0, len(data), 5):
        sample, recipe = data[index], data.recipes[index]
        original = load_photograph(recipe.photograph)
        pixels = np.asarray(sample.image)
        assert pixels.shape == original.shape
        assert sample.example.truth.distortion is None or sample.example.truth.distortion in DEFECTS
        if recipe.kind is None:
            np.testing.assert_array_equal(pixels, original)
            assert sample.example.truth.distortion is None
        if recipe.extent is not None:
            assert sample.example.truth.region is not None
            height, width = original.shape[:2]
            x1, y1, x2, y2 = (
                round(v * s) for v, s in zip(sample.example.truth.region, (width, height) * 2, strict=True)
            )
            outside = np.ones((height, width), bool)
            outside[y1:y2, x1:x2] = False
            np.testing.assert_array_equal(pixels[outside], original[outside])
            assert (pixels[y1:y2, x1:x2] != original[y1:y2, x1:x2]).any()
            assert (x2 - x1) * (y2 - y1) / (width * height) == pytest.approx(np.prod(recipe.extent), rel=0.02)
        else:
            assert sample.example.truth.region is None


def test_an_unseen_distortion_is_told_as_none() -> None:
    data = make(size=400, local_fraction=0.0, pristine_fraction=0.0)
    mildest = next(i for i, r in enumerate(data.recipes) if r.kind is not None and (r.kind.number, r.level) == (1, 1.0))
    strong = next(i for i, r in enumerate(data.recipes) if r.kind is not None and (r.kind.number, r.level) == (1, 5.0))
    assert data[mildest].example.truth.distortion is None
    assert data[strong].example.truth.distortion == "gaussian_blur"
    assert data[strong].example.truth.level == pytest.approx(5)
    medium = next(i for i, r in enumerate(data.recipes) if r.kind is not None and (r.kind.number, r.level) == (1, 3.0))
    assert data[medium].example.truth.level == pytest.approx(1 + 4 * (4.60 - 2.91) / 3.30)  # not its level of the type


@pytest.mark.parametrize(("local", "pristine", "procedural"), [(0, 0, 0), (1, 0, 0), (0, 1, 1), (0.5, 0.5, 0.5)])
def test_fractions_are_kept(local: float, pristine: float, procedural: float) -> None:
    options = {"local_fraction": local, "pristine_fraction": pristine, "procedural_fraction": procedural}
    data = make("train", 50, **options)
    assert sum(r.extent is not None for r in data.recipes) == round(50 * local)
    assert sum(r.kind is None for r in data.recipes) == round(50 * pristine)
    assert sum(r.procedural for r in data.recipes) == round(50 * procedural)


def test_continuous_levels_fill_the_range_and_regions_take_fine_types() -> None:
    recipes = training(3000).recipes
    levels = np.array([r.level for r in recipes if r.kind is not None and r.extent is None])
    assert np.histogram(levels, bins=8, range=(1, 5))[0].min() > 0.8 * len(levels) / 8
    local = [r for r in recipes if r.kind is not None and r.extent is not None]
    assert {r.kind.number for r in local if r.kind is not None} == set(LOCAL_NUMBERS)
    assert min(r.level for r in local) >= 3
    areas = [r.extent[0] * r.extent[1] for r in local if r.extent is not None]
    assert 0.10 <= min(areas) < 0.12
    assert 0.28 < max(areas) <= 0.30
    stretches = [r.extent[0] / r.extent[1] for r in local if r.extent is not None]
    assert 1 / 1.6 <= min(stretches) < 0.65
    assert 1.54 < max(stretches) <= 1.6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": "dev"}, "split='dev'"),
        ({"size": 0}, "size=0"),
        ({"local_fraction": 1.5}, "local_fraction=1.5"),
        ({"local_fraction": 0.7, "pristine_fraction": 0.7}, "exceed 1"),
        ({"procedural_fraction": 0.1}, "training split only"),
        ({"augmented": True}, "training split only"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, float | bool | str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make(**changes)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(8, 90),
    width=st.integers(8, 90),
    wide=st.floats(0.3, 0.7),
    high=st.floats(0.3, 0.7),
    seed=st.integers(0, 99),
)
def test_a_region_lies_inside_and_nothing_else_changes(
    height: int, width: int, wide: float, high: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    region = choose_region(image, (wide, high), rng)
    assert 0 <= region[0] < region[2] <= 1
    assert 0 <= region[1] < region[3] <= 1
    out = distort_region(image, kind=DISTORTIONS[10], level=5, region=region, rng=rng)
    x1, x2 = round(region[0] * width), round(region[2] * width)
    y1, y2 = round(region[1] * height), round(region[3] * height)
    inside = np.zeros((height, width), bool)
    inside[y1:y2, x1:x2] = True
    np.testing.assert_array_equal(out[~inside], image[~inside])


def test_the_distortion_fades_in_from_the_border() -> None:
    image = np.full((100, 100, 3), 100, np.uint8)
    out = distort_region(
        image, kind=DISTORTIONS[17], level=5, region=(0.2, 0.2, 0.8, 0.8), rng=np.random.default_rng(0)
    )
    profile = out[50, 20:50, 0].astype(int)
    assert profile[0] == round(100 - 38 / FEATHER)  # mean shift -0.15: 38 grey levels
    assert (np.diff(profile[:FEATHER]) < 0).all()
    assert (profile[FEATHER:] == 62).all()
    assert out[20, 20, 0] == profile[0]  # a corner fades as the nearer border does
    assert out[21, 24, 0] == profile[1]


def test_regions_seek_detail() -> None:
    image = np.full((120, 160, 3), 128, np.uint8)
    image[:, 80:] = np.random.default_rng(0).integers(0, 256, (120, 80, 3), dtype=np.uint8)
    centres = [
        (r[0] + r[2]) / 2 for r in (choose_region(image, (0.3, 0.3), np.random.default_rng(i)) for i in range(40))
    ]
    assert np.mean(centres) > 0.65


def test_augmentation_keeps_size_and_stays_close_to_the_picture() -> None:
    image = load_photograph("wildlife_red_panda")
    outs = [augment(image, np.random.default_rng(seed)) for seed in range(12)]
    assert all(out.shape == image.shape and out.dtype == np.uint8 for out in outs)
    assert len({out.tobytes() for out in outs}) == 12
    assert all(abs(out.mean() - image.mean()) < 25 for out in outs)


def test_augmentation_mirrors_half_of_the_time_and_trims_at_most_its_share_of_a_side() -> None:
    """The left fifth is black: where 0.15 is trimmed, between 0.05 and 0.2 of 0.85 are left of it."""
    image = np.full((100, 200, 3), 255, np.uint8)
    image[:, :40] = 0
    rows = [augment(image, np.random.default_rng(seed))[50, :, 0] < 128 for seed in range(80)]
    assert 0.05 < min(row.mean() for row in rows) < 0.12
    assert 0.2 < max(row.mean() for row in rows) < 0.24
    assert 25 <= sum(bool(row[-1]) for row in rows) <= 55


def test_dead_leaves_have_the_palettes_colours_and_natural_spectra() -> None:
    palette = load_photograph("wildlife_kingfisher").reshape(-1, 3)
    scene = dead_leaves(width=512, height=384, palette=palette, rng=np.random.default_rng(0))
    again = dead_leaves(width=512, height=384, palette=palette, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(scene, again)
    assert scene.shape == (384, 512, 3)
    assert np.abs(scene.reshape(-1, 3).mean(axis=0) - palette.mean(axis=0)).max() < 60
    # The power of natural images falls about as 1/f^2 (Field 1987).
    power = np.abs(np.fft.fft2(scene[:384, :384].mean(axis=2) * np.outer(np.hanning(384), np.hanning(384)))) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(384), np.fft.fftfreq(384)))
    rings = [power[(frequency > f / 1.1) & (frequency < f * 1.1)].mean() for f in (0.03, 0.06, 0.12, 0.24)]
    slope = np.polyfit(np.log([0.03, 0.06, 0.12, 0.24]), np.log(rings), 1)[0]
    assert -3.2 < slope < -1.3
