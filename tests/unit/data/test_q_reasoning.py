"""The three published layouts of Q-Reasoning become references; whatever is wrong with a record is noted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from zoom_iqa.base.errors import ConfigError, DataError, OutputError
from zoom_iqa.config.data_commands import convert as command
from zoom_iqa.data.q_reasoning import FILES, convert, dataset_of
from zoom_iqa.data.references import read_references


def texts(wrap: Any) -> dict[str, Any]:
    fields = {"description": "A kite", "good_aspect": "Its tail", "bad_aspect": "Too dark"}
    return {name: wrap(text) for name, text in fields.items()}


def japanese(text: str) -> str:
    return f"<summarize>凧</summarize>\n<translation> {text}  </translation>"


ANNOTATORS = [
    {"01234.jpg": texts(lambda text: [f"{text} one", f"{text}\n two", f"{text} one"])},
    {"1234567.jpg": texts(lambda text: [text, ""])},
    {"abc.png": {**texts(lambda text: [text]), "good_aspect": ["a", "b"]}},
    {"image.gif": texts(lambda text: [text])},
]
TRAINING = [
    {"image": "1234567.jpg", **texts(japanese)},
    {"image": "7654321.jpg", **texts(japanese), "bad_aspect": "<summarize>暗い</summarize>"},
]
TEST = [
    {"image": "01234.jpg", **texts(lambda text: {"answer": text})},
    {"image": "1234567.jpg", **texts(lambda text: {"answer": text})},
    {"image": "abc.png", **texts(lambda text: {"answer": " "})},
    {"image": "01234.jpg", **texts(lambda text: {"answer": "again"})},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, records in zip(FILES, (ANNOTATORS, TRAINING, TEST), strict=True):
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / name).write_text(json.dumps(records), encoding="utf-8")
    return tmp_path


def test_annotators_stay_apart_and_translations_lose_their_tags(folder: Path) -> None:
    found = {(one.file, one.annotator): one for one in convert(folder).references}
    assert found["01234.jpg", 0].text == "A kite one Its tail one Too dark one"
    assert found["01234.jpg", 1].text == "A kite two Its tail two Too dark two"
    assert found["1234567.jpg", None].text == "A kite Its tail Too dark"
    assert found["7654321.jpg", None].text == "A kite Its tail"
    assert sorted(found, key=str) == sorted(
        [
            ("01234.jpg", 0),
            ("01234.jpg", 1),
            ("01234.jpg", None),
            ("1234567.jpg", 0),
            ("1234567.jpg", None),
            ("7654321.jpg", None),
        ],
        key=str,
    )


def test_annotators_are_of_the_split_of_their_image_and_one_in_both_is_training(folder: Path) -> None:
    splits = {(one.dataset, one.file, one.split) for one in convert(folder).references}
    assert splits == {
        ("spaq", "01234.jpg", "test"),
        ("koniq", "1234567.jpg", "train"),
        ("koniq", "7654321.jpg", "train"),
    }


def test_everything_left_out_is_noted(folder: Path) -> None:
    counts = {title: len(rows) for title, rows in convert(folder).notes.items()}
    assert counts == {
        "annotators who say what another says, left out": 1,
        "records without any text, left out": 2,  # the second annotator of 1234567, the test record of abc
        "records whose annotators cannot be told apart, left out": 1,
        "records of no known data set, left out": 1,
        "texts without a translation, left out": 1,
        "empty texts, left out": 1,
        "records that come again, left out": 1,
        "images in training and test records, counted as training": 1,
    }


def test_a_single_file_is_read_by_its_layout(folder: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "mine.json"
    renamed.write_text(json.dumps(TRAINING[:1]), encoding="utf-8")
    (one,) = convert(renamed).references
    assert (one.dataset, one.file, one.split, one.annotator) == ("koniq", "1234567.jpg", "train", None)


@pytest.mark.parametrize("value", [[], {"a": 1}, [{"image": "1.jpg", "x": 1, "y": 2}, 3], [{"a": 1, "b": 2}]])
def test_another_layout_is_refused(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=r"list of records|published layouts"):
        convert(path)


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"filted_data_human_eng\.json"):
        convert(tmp_path)


def test_files_of_which_nothing_can_be_kept_are_refused_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / FILES[2]).write_text(json.dumps([TEST[2], {**TEST[0], "image": "photo.gif"}]), encoding="utf-8")
    with pytest.raises(DataError, match=r"(?s)no text about an image is left.*data set, left out: .*photo\.gif"):
        convert(tmp_path)


def test_names_tell_the_data_set() -> None:
    assert [dataset_of(name) for name in ("01234.JPG", "a.PNG")] == ["spaq", "unsplash"]
    assert [dataset_of(name) for name in ("01234.jpg", "123456.jpg", "x_-Y.png", "1.jpg", "ab.jpg")] == [
        "spaq",
        "koniq",
        "unsplash",
        None,
        None,
    ]


def test_the_command_writes_what_it_read(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "references.jsonl"
    command(["convert", "q-reasoning", str(folder), str(out)])
    assert read_references(out) == convert(folder).references
    said = capsys.readouterr().out
    assert "1 images in training and test records" in said
    assert f"data.references={out}" in said


def test_wrong_arguments_are_one_line(folder: Path) -> None:
    for arguments in (["convert"], ["convert", "other", "a", "b"], ["convert", "q-reasoning", "a"]):
        with pytest.raises(
            ConfigError, match=r"usage: python -m zoom_iqa\.data convert q-reasoning\|livewild-jpeg SOURCE OUT"
        ):
            command(arguments)
    for out in (folder, folder / "deep" / FILES[0]):
        with pytest.raises(ConfigError, match="name a file to write"):
            command(["convert", "q-reasoning", str(folder), str(out)])


def test_a_place_that_cannot_be_written_and_a_file_that_is_no_json_are_named(folder: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(OutputError, match=r"taken/out\.jsonl cannot be written: .*; name another place"):
        command(["convert", "q-reasoning", str(folder), str(taken / "out.jsonl")])
    with pytest.raises(DataError, match=r"taken: no JSON \(Expecting value"):
        convert(taken)


def test_the_published_files_have_what_their_authors_say(shared_dir: Path) -> None:
    converted = convert(shared_dir / "q_reasoning")
    images = {(one.dataset, one.file) for one in converted.references}
    assert Counter(dataset for dataset, _ in images) == {"spaq": 681, "koniq": 662, "unsplash": 152}
    summaries = [one for one in converted.references if one.annotator is None]
    assert Counter((one.dataset, one.split) for one in summaries) == {
        ("koniq", "train"): 482,
        ("koniq", "test"): 180,
        ("spaq", "test"): 681,
        ("unsplash", "test"): 152,
    }
    assert not any("translation>" in one.text for one in converted.references)
    assert {title: len(rows) for title, rows in converted.notes.items()} == {
        "empty texts, left out": 153,
        "texts that hold Japanese or Chinese, kept": 21,
        "annotators who say what another says, left out": 2,
        "images in training and test records, counted as training": 1,
    }
