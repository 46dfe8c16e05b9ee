"""Pictures of larger photographs: their size, what varies, and the embedded set made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.photographs import load_photograph, photographs
from zoom_iqa.data.embedded.pictures import FolderPictures, ShippedPictures


@pytest.fixture
def folder(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    for name, size in {"wide": (1024, 768), "tall": (600, 800), "small": (480, 360)}.items():
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(tmp_path / f"{name}.jpg", quality=95)
    return str(tmp_path)


def test_shipped_pictures_are_the_photographs_of_a_split():
    pictures = ShippedPictures(split="val")
    assert [photographs()[name] for name in pictures.names] == ["val"] * 15
    rng = np.random.default_rng(0)
    assert pictures.draw(pictures.names[0], rng) is load_photograph(pictures.names[0])
    assert rng.random() == np.random.default_rng(0).random()


def test_a_photograph_is_reduced_whole_where_nothing_varies(folder: str):
    pictures = FolderPictures(folder=folder, varied=False)
    assert pictures.names == ("small", "tall", "wide")
    shapes = [pictures.draw(name, np.random.default_rng(0)).shape for name in pictures.names]
    assert shapes == [(384, 512, 3), (512, 384, 3), (384, 512, 3)]
    assert np.array_equal(
        pictures.draw("wide", np.random.default_rng(0)), pictures.draw("wide", np.random.default_rng(1))
    )


def test_varied_pictures_differ_and_follow_from_the_generator(folder: str):
    pictures = FolderPictures(folder=folder, varied=True)
    drawn = [pictures.draw("wide", np.random.default_rng(seed)) for seed in range(30)]
    assert {picture.shape for picture in drawn} == {(384, 512, 3), (512, 384, 3)}
    assert np.array_equal(drawn[4], pictures.draw("wide", np.random.default_rng(4)))
    assert len({picture.tobytes() for picture in drawn}) == 30


def test_an_embedded_set_is_made_of_the_pictures_it_is_given(folder: str):
    images, again, other = (
        EmbeddedSet(
            split="train", size=12, seed=seed, local_fraction=0.25, pristine_fraction=0.1, procedural_fraction=0.0,
            continuous_levels=True, augmented=True, references=None,
            pictures=FolderPictures(folder=folder, varied=True),
        )
        for seed in (0, 0, 1)
    )  # fmt: skip
    assert {recipe.photograph for recipe in images.recipes} == {"wide", "tall", "small"}
    assert sorted(images[0].image.size) == [384, 512]
    assert images[3].image.tobytes() == again[3].image.tobytes() != other[3].image.tobytes()


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"there is no \.jpg file"):
        FolderPictures(folder=str(tmp_path), varied=True)
