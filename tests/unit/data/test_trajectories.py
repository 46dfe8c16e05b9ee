"""Trajectory files: what is written is read back, as TRL reads it, and bad lines are listed by number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from support.toy_prompts import PROMPTS
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.types import ImagePart, Message, Reading, Sample, TextPart, rated_example
from zoom_iqa.data.supervised.records import (
    SupervisedTurn,
    TurnRecord,
    load_turn,
    read_records,
    supervised_turns,
    turn_records,
    write_records,
)
from zoom_iqa.tasks.sessions import QuestionSession, request_of
from zoom_iqa.tasks.tools.crop import crop_image
from zoom_iqa.tasks.zoom import ZoomTask

ITEM = rated_example(id="coffee", dataset="toy", mos=2.05)
ASKS = '<think>x</think><answer>{"bbox_2d": [0.25, 0.25, 0.75, 0.875], "rating": 3.10, "tool": "crop"}</answer>'
ENDS = '<think>y \ud800 é</think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.05, "tool": "final"}</answer>'
IMAGE = Image.new("RGB", (100, 80), (10, 20, 30))
PATHS = {
    ImagePart.of(IMAGE).key: "coffee.png",
    ImagePart.of(crop_image(IMAGE, [0.25, 0.25, 0.75, 0.875])).key: "coffee_crop.png",
}


def play(*texts: str) -> tuple[SupervisedTurn, ...]:
    session = ZoomTask(prompts=PROMPTS).rehearse(Sample.of(ITEM, IMAGE), np.random.default_rng(0))
    return supervised_turns(session, texts)


def shape_of(turn: SupervisedTurn) -> list[tuple[str, list[str | None]]]:
    return [
        (message.role, [part.text if isinstance(part, TextPart) else None for part in message.parts])
        for message in turn.prompt
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for turn in play(ASKS, ENDS):
        for message in turn.prompt:
            for part in message.parts:
                if isinstance(part, ImagePart):
                    part.image.save(tmp_path / PATHS[part.key])
    return tmp_path


def load(path: str) -> Image.Image:
    return Image.open(path).convert("RGB")


def test_texts_must_fit_the_turns() -> None:
    with pytest.raises(DataError, match="turn 1 asks for another; give the text of turn 2"):
        play(ASKS)
    with pytest.raises(DataError, match="turn 1 ends the trajectory, but 2 texts are given"):
        play(ENDS, ENDS)


def test_a_trajectory_ends_where_its_crop_cannot_be_shown() -> None:
    wide = ASKS.replace("[0.25, 0.25, 0.75, 0.875]", "[0, 0, 8000, 28]")
    sample = Sample.of(ITEM, Image.new("RGB", (8000, 100)))
    session = ZoomTask(prompts=PROMPTS).rehearse(sample, np.random.default_rng(0))
    assert [turn.response for turn in supervised_turns(session, [wide, ENDS])] == [wide]


def test_both_turns_survive_the_file(folder: Path) -> None:
    turns = play(ASKS, ENDS)
    records = turn_records(turns, example=ITEM, paths=PATHS)
    assert [record.id for record in records] == ["coffee/turn1", "coffee/turn2"]
    path = folder / "sub" / "train.jsonl"
    write_records(path, records)
    assert [entry.name for entry in path.parent.iterdir()] == ["train.jsonl"]
    read = read_records(path, image_root=folder)
    assert [record.mos for record in read] == [2.05, 2.05]
    for record, turn in zip(read, turns, strict=True):
        loaded = load_turn(record, load)
        assert loaded.response == turn.response
        assert shape_of(loaded) == shape_of(turn)
        for mine, theirs in zip(loaded.prompt, turn.prompt, strict=True):
            for a, b in zip(mine.parts, theirs.parts, strict=True):
                if isinstance(a, ImagePart):
                    assert isinstance(b, ImagePart)
                    assert a.image.tobytes() == b.image.tobytes()
                    assert a.key == b.key
    assert shape_of(load_turn(read[1], load)) == [
        ("user", ["How good?"]),
        ("assistant", [ASKS]),
        ("user", ["Second look.", "Original image: ", None, "Cropped Image: ", None]),
    ]


def test_the_written_layout(folder: Path) -> None:
    write_records(folder / "t.jsonl", turn_records(play(ENDS), example=ITEM, paths=PATHS))
    (line,) = (folder / "t.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "id": "coffee/turn1",
        "mos": 2.05,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "How good? First look."}, {"type": "image"}]},
            {"role": "assistant", "content": [{"type": "text", "text": ENDS}]},
        ],
        "images": ["coffee.png"],
    }


def test_trl_reads_the_layout(folder: Path) -> None:
    data_utils = pytest.importorskip("trl.data_utils")
    write_records(folder / "t.jsonl", turn_records(play(ASKS, ENDS), example=ITEM, paths=PATHS))
    value = json.loads((folder / "t.jsonl").read_text().splitlines()[1])
    messages = data_utils.prepare_multimodal_messages(value["messages"], images=["A", "B"])
    assert [part.get("image") or part["text"] for part in messages[2]["content"]] == [
        "Second look.",
        "Original image: ",
        "A",
        "Cropped Image: ",
        "B",
    ]


def test_images_without_a_file_name_are_refused() -> None:
    with pytest.raises(DataError, match=list(PATHS)[1]):
        turn_records(play(ASKS, ENDS), example=ITEM, paths=dict([*PATHS.items()][:1]))


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("old")

    def records() -> Iterator[TurnRecord]:
        yield from turn_records(play(ENDS), example=ITEM, paths=PATHS)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(path, records())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def record(**changes: Any) -> dict[str, Any]:
    base = {
        "id": "a",
        "mos": 3.0,
        "messages": [{"role": "user", "content": "<image>Good?"}, {"role": "assistant", "content": "Yes."}],
        "images": ["coffee.png"],
    }
    return {**base, **changes}


@pytest.mark.parametrize(
    ("user", "images", "expected"),
    [
        ("<image>Good?", ["coffee.png"], [None, "Good?"]),
        ("Good? <image>\nOr <image>", ["coffee.png", "coffee_crop.png"], ["Good? ", None, "\nOr ", None]),
        ("Good?", ["coffee.png", "coffee_crop.png"], [None, None, "Good?"]),
        ([{"type": "text", "text": "Good <image>?"}, {"type": "image", "text": None}], ["coffee.png"],
         ["Good <image>?", None]),
    ],
)  # fmt: skip
def test_layouts_of_others(folder: Path, user: Any, images: list[str], expected: list[str | None]) -> None:
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": "Yes."}]
    path = folder / "t.jsonl"
    path.write_text("\n" + json.dumps(record(messages=messages, images=images)) + "\n\n")
    (read,) = read_records(path, image_root=folder)
    turn = load_turn(read, load)
    assert shape_of(turn) == [("user", expected)]
    assert turn.response == "Yes."


def test_digits_are_those_of_the_answer_and_not_of_one_in_a_thought(folder: Path) -> None:
    text = '<think>maybe <answer>{"rating": 9.99}</answer> no</think><answer>{"rating": 2.35}</answer>'
    user = {"role": "user", "content": "<image>Good?"}
    (folder / "t.jsonl").write_text(json.dumps(record(messages=[user, {"role": "assistant", "content": text}])) + "\n")
    (read,) = read_records(folder / "t.jsonl", image_root=folder)
    assert [text[slice(*span)] for span in load_turn(read, load).numbers] == ["2", "35"]


USER, ASSISTANT = {"role": "user", "content": "<image>Good?"}, {"role": "assistant", "content": "Yes."}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1]", "a JSON object is needed"),
        ('{"id": "a"}', "no mos, messages, images"),
        (record(id=""), "id is ''"),
        (record(id=3), "id is 3"),
        (record(mos="3"), "mos is '3'"),
        (record(mos=True), "mos is True"),
        (record(mos=5.01), "mos is 5.01"),
        (record(mos=0), "mos is 0"),
        (record(mos=float("nan")), "mos is nan"),
        (record(images="coffee.png"), "images is 'coffee.png'"),
        (record(images=[]), "images is []"),
        (record(images=["coffee.png", "gone.png"]), "2 images for 1 places"),
        (record(images=["gone.png"]), "gone.png"),
        (record(images=["x" * 5000]), "no file"),
        (record(images=["\0"]), "no file"),
        (record(messages=[]), "messages is list"),
        (record(messages="hello"), "messages is str"),
        (record(messages=["hello"]), "role is None"),
        ('{"id": "a", "id": "b"}', "no JSON (key 'id' comes twice)"),
        (record(messages=[USER, {"role": "system", "content": "x"}, ASSISTANT]), "role is 'system'"),
        (
            record(messages=[{"role": "system", "content": "<image>"}, USER, ASSISTANT], images=["coffee.png"] * 2),
            "the system message holds an image",
        ),
        (record(messages=[{"role": "system", "content": "x"}, ASSISTANT]), "message 2 is the assistant's"),
        (record(messages=[{"role": "tool", "content": "x"}, USER, ASSISTANT]), "role is 'tool'"),
        (record(messages=[USER, USER, ASSISTANT]), "take turns"),
        (record(messages=[ASSISTANT]), "take turns"),
        (record(messages=[USER]), "the last message"),
        (record(messages=[USER, {"role": "assistant", "content": " "}]), "the last message"),
        (record(messages=[USER, {"role": "assistant", "content": "<image>"}]), "the last message"),
        (record(messages=[USER, {"role": "assistant"}]), "content is NoneType"),
        (record(messages=[{"role": "user", "content": [{"type": "video"}]}, ASSISTANT]), "type 'video'"),
        (record(messages=[{"role": "user", "content": [{"type": "text"}]}, ASSISTANT]), "type 'text'"),
    ],
)
def test_bad_lines_are_listed(folder: Path, line: str | dict[str, Any], message: str) -> None:
    path = folder / "t.jsonl"
    text = line if isinstance(line, str) else json.dumps(line)
    path.write_bytes((json.dumps(record(id="good")) + "\n" + text + "\n").encode("latin-1"))
    with pytest.raises(DataError) as caught:
        read_records(path, image_root=folder)
    (row,) = caught.value.rows
    assert row.startswith("line 2: ")
    assert message in row


def test_a_system_message_is_kept_before_the_turns(folder: Path) -> None:
    system = {"role": "system", "content": "You rate images."}
    path = folder / "t.jsonl"
    lines = [
        record(messages=[system, USER, ASSISTANT]),
        record(id="b", messages=[system, {"role": "user", "content": "Good?"}, ASSISTANT]),  # TRL: images come first
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    expected = [("system", ["You rate images."]), ("user", [None, "Good?"])]
    assert [shape_of(load_turn(read, load)) for read in read_records(path, image_root=folder)] == [expected] * 2


def test_separators_of_other_kinds_are_text(folder: Path) -> None:
    """U+2028, U+0085, vertical tab and form feed end a line for Python's splitlines and for nobody else."""
    text = "a\u2028b\u0085c\x0bd\x0ce\u2029f\x1cg"
    messages = [USER, {"role": "assistant", "content": text}]
    path = folder / "t.jsonl"
    path.write_bytes(json.dumps(record(messages=messages), ensure_ascii=False).encode() + b"\r\n")
    (read,) = read_records(path, image_root=folder)
    assert load_turn(read, load).response == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_are_read(folder: Path, encoding: str) -> None:
    path = folder / "t.jsonl"
    messages = [USER, {"role": "assistant", "content": "Größe 图"}]
    path.write_bytes(json.dumps(record(messages=messages), ensure_ascii=False).encode(encoding))
    (read,) = read_records(path, image_root=folder)
    assert load_turn(read, load).response == "Größe 图"


def test_bytes_that_are_no_text_are_named(folder: Path) -> None:
    path = folder / "t.jsonl"
    path.write_bytes(json.dumps(record()).encode() + b"\n\xff\n")
    with pytest.raises(DataError, match=r"t\.jsonl: byte \d+ \(0xff, in line 2\) is no UTF-8; save the file as UTF-8"):
        read_records(path, image_root=folder)


def test_every_bad_line_is_listed_at_once(folder: Path) -> None:
    path = folder / "t.jsonl"
    lines = [record(), record(mos=7), record(), record(images=["gone.png"], id="b")]
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match="3 unusable lines") as caught:
        read_records(path, image_root=folder)
    assert [row.split(":")[0] for row in caught.value.rows] == ["line 2", "line 3", "line 4"]
    assert "'a' is that of line 1" in caught.value.rows[1]


def test_a_missing_or_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a file"):
        read_records(tmp_path / "none.jsonl", image_root=tmp_path)
    (tmp_path / "t.jsonl").write_text("\n \n")
    with pytest.raises(DataError, match="holds no record"):
        read_records(tmp_path / "t.jsonl", image_root=tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(["", "user", "assistant", "<image>"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(["id", "mos", "messages", "images"]), value=JSON)
def test_any_value_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, key: str, value: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    IMAGE.save(folder / "coffee.png")
    (folder / "t.jsonl").write_text(json.dumps(record(**{key: value})))
    try:
        (read,) = read_records(folder / "t.jsonl", image_root=folder)
    except DataError:
        return
    assert load_turn(read, load).response


def test_a_task_need_not_say_where_numbers_stand() -> None:
    prompt = (Message("user", (TextPart("Good?"), ImagePart.of(IMAGE))),)
    request = request_of(prompt, example=ITEM, index=0, seed=0, turn=1)
    reading = Reading(values={"rating": 5}, well_formed=True)  # a whole number is a rating as well
    session = QuestionSession(example=ITEM, index=0, request=request, read=lambda text: reading)
    (turn,) = supervised_turns(session, ["Yes."])
    assert (turn.prompt, turn.response, turn.numbers) == (prompt, "Yes.", ())
    assert session.rollout().rating == 5.0
