"""The table of photographs is complete, and nothing but what it names is taken."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from zoom_iqa.base.errors import DataError
from zoom_iqa.data.embedded.photographs import photographs
from zoom_iqa.tiny_policy import collection
from zoom_iqa.tiny_policy.collection import Photograph, collect, table

TEST_PICTURES = ("kodim", "lena", "baboon", "peppers", "parrots", "bsd", "urban", "div2k", "kadid", "tid2013", "live")


def test_every_photograph_is_named_with_author_licence_package_and_digests():
    rows = table()
    assert len({row.name for row in rows}) == len(rows)
    assert {row.role for row in rows} == {"make", "judge"}
    for row in rows:
        assert all((row.author, row.licence, row.version, row.member)), row.name
        assert "see the" not in row.author + row.licence, row.name
        assert len(row.sha256) == len(row.package_sha256) == 64, row.name
        assert not any(row.name.startswith(name) for name in TEST_PICTURES), row.name


def test_nothing_of_val_or_test_and_no_source_of_the_judged_is_made_from():
    rows = table()
    assert {photographs().get(row.name, "train") for row in rows} == {"train"}
    of = {role: {row.package for row in rows if row.role == role} for role in ("make", "judge")}
    assert not of["make"] & of["judge"]


def test_every_package_is_named_with_what_it_gives_and_its_licences():
    text = collection.summary(table())
    assert "scratch 1.4.0.6~dfsg1-6.1: 51 to make (CC-BY-SA-3.0)" in text.splitlines()
    assert len(text.splitlines()) == len({row.package for row in table()})


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Photograph:
    """A package whose one file is a picture of 1600x900, opened by a stand-in for dpkg-deb."""
    picture = io.BytesIO()
    Image.new("RGB", (1600, 900), (10, 120, 40)).save(picture, format="PNG")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("./usr/share/green.png")
        member.size = len(picture.getvalue())
        tar.addfile(member, io.BytesIO(picture.getvalue()))
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "green_1_all.deb").write_bytes(archive.getvalue())
    made = {"stdout": archive.getvalue()}
    monkeypatch.setattr(collection.subprocess, "run", lambda *args, **kwargs: type("Done", (), made))
    monkeypatch.setattr(collection, "photographs", dict)
    return Photograph(
        name="green",
        role="make",
        author="nobody",
        licence="CC0-1.0",
        package="green",
        version="1",
        package_sha256=hashlib.sha256(archive.getvalue()).hexdigest(),
        member="usr/share/green.png",
        sha256=hashlib.sha256(picture.getvalue()).hexdigest(),
    )


def test_the_middle_is_kept_at_four_to_three_and_reduced(package: Photograph, tmp_path: Path):
    collect(tmp_path, [package])
    with Image.open(tmp_path / "make" / "green.jpg") as image:
        assert image.size == (1024, 768)


def test_what_is_there_is_not_fetched_again(package: Photograph, tmp_path: Path):
    collect(tmp_path, [package])
    (tmp_path / "packages" / "green_1_all.deb").unlink()
    made = (tmp_path / "make" / "green.jpg").stat()
    collect(tmp_path, [package])
    assert (tmp_path / "make" / "green.jpg").stat() == made
    assert not list((tmp_path / "packages").iterdir())


@pytest.mark.parametrize("field", ["package_sha256", "sha256"])
def test_another_digest_is_refused(package: Photograph, tmp_path: Path, field: str):
    other = Photograph(**{**vars(package), field: "0" * 64})
    with pytest.raises(DataError, match=r"SHA-256 is .*, the table says 000000000000"):
        collect(tmp_path, [other])
