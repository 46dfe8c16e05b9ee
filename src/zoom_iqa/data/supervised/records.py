"""Supervised trajectories in memory and as JSONL files that TRL and ms-swift read as well.

A record is one turn: ``{"id": "coffee/turn1", "mos": 3.1, "messages": [...], "images": ["coffee.png"]}``. The last
message, the assistant's, is what is learned; all before it is context, a system message at its beginning included.
Message contents are lists of ``{"type": "text", "text": ...}`` and ``{"type": "image"}``, filled from ``images`` in
order. Read as well: contents that are strings with ``<image>`` where an image goes (ms-swift), or strings without,
whose images precede the first user message (TRL).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.types import Example, Generation, ImagePart, Message, Role, Span, TextPart
from zoom_iqa.data.text_files import parse_json, read_lines
from zoom_iqa.tasks.answer import RATING_MAX, RATING_MIN, read_object, without_thoughts
from zoom_iqa.tasks.task import Session

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_TAG = "<image>"
ROLES: tuple[Role, ...] = ("user", "assistant")
"""Those that take turns; a system message may come before them."""


@dataclass(frozen=True, eq=False)
class SupervisedTurn:
    """A prompt and the output to learn for it; ``numbers`` are the places of digits inside its answer."""

    prompt: tuple[Message, ...]
    response: str
    numbers: tuple[Span, ...]


@dataclass(frozen=True)
class TurnRecord:
    """One turn as a file holds it; in ``messages`` a part that is None stands for the next of ``images``."""

    id: str
    mos: float
    messages: tuple[tuple[Role, tuple[str | None, ...]], ...]
    images: tuple[str, ...]


def supervised_turns(session: Session, texts: Sequence[str]) -> tuple[SupervisedTurn, ...]:
    """The turns with exactly the prompts that a rollout saying ``texts`` meets, up to a tool call that is refused.

    Raises:
        DataError: the session ends before ``texts`` do, or asks for more.
    """
    taken = 0
    for text in texts:
        request = session.next_request()
        if request is None:
            last = session.rollout().steps[-1]
            if any(look.refusal is not None for look in last.looks):
                break
            name = session.rollout().example.name
            raise DataError(f"{name}: turn {taken} ends the trajectory, but {len(texts)} texts are given")
        taken += 1
        session.submit(Generation(request.key, text, (), (), (), "stop"))
    further = session.next_request()
    if further is not None:
        raise DataError(f"{further.key}: turn {taken} asks for another; give the text of turn {taken + 1}")
    return tuple(
        SupervisedTurn(step.request.prompt, step.generation.text, step.reading.spans.get("numbers", ()))
        for step in session.rollout().steps
    )


def turn_records(
    turns: Sequence[SupervisedTurn], *, example: Example, paths: Mapping[str, str]
) -> tuple[TurnRecord, ...]:
    """Records of a trajectory, ``id`` = "<example.id>/turn<n>"; ``paths`` maps each ``ImagePart.key`` to its file."""
    records = []
    for number, turn in enumerate(turns, start=1):
        keys = [part.key for message in turn.prompt for part in message.parts if isinstance(part, ImagePart)]
        absent = [key for key in keys if key not in paths]
        if absent:
            raise DataError(f"{example.id}: no file is given for some images; add their keys to paths", absent)
        prompt = [
            (message.role, tuple(part.text if isinstance(part, TextPart) else None for part in message.parts))
            for message in turn.prompt
        ]
        records.append(
            TurnRecord(
                id=f"{example.id}/turn{number}",
                mos=example.mos,
                messages=(*prompt, ("assistant", (turn.response,))),
                images=tuple(paths[key] for key in keys),
            )
        )
    return tuple(records)


def load_turn(record: TurnRecord, load_image: Callable[[str], Image]) -> SupervisedTurn:
    """The turn with its pixels; ``load_image`` takes a path of ``record.images``."""
    paths = iter(record.images)

    def part_of(text: str | None) -> TextPart | ImagePart:
        if text is not None:
            return TextPart(text)
        path = next(paths)
        return ImagePart.of(load_image(path))

    *context, (_, response) = record.messages
    prompt = tuple(Message(role, tuple(part_of(text) for text in parts)) for role, parts in context)
    text = "".join(text for text in response if text is not None)
    numbers = read_object(without_thoughts(text)).numbers or read_object(text).numbers  # a thought may hold one too
    return SupervisedTurn(prompt, text, tuple(numbers))


def write_records(path: str | os.PathLike[str], records: Iterable[TurnRecord]) -> None:
    """Write a JSONL file whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_text_file(target) as file:
        for record in records:
            file.write(json.dumps(_as_json(record), allow_nan=False) + "\n")


def read_records(path: str | os.PathLike[str], *, image_root: str | os.PathLike[str]) -> tuple[TurnRecord, ...]:
    """Read and check a JSONL file; relative image paths are taken from ``image_root``. No image is opened.

    Raises:
        DataError: the file is missing or empty, or lines are unusable (no JSON, a key missing or wrong, an id twice,
            ``mos`` not in 1-5, as many images as places for them not given, an image file missing); all are listed.
    """
    source = Path(path)
    if not os.path.isfile(source):
        raise DataError(f"trajectories: {source} is not a file; give the path of a JSONL file")
    records: list[TurnRecord] = []
    rows: list[str] = []
    first_line: dict[str, int] = {}
    for number, line in read_lines(source):
        try:
            record = _parse_line(line, Path(image_root))
        except DataError as error:
            rows.append(f"line {number}: {error}")
            continue
        if record.id in first_line:
            rows.append(f"line {number}: id {record.id!r} is that of line {first_line[record.id]}; ids must differ")
        first_line.setdefault(record.id, number)
        records.append(record)
    if rows:
        raise DataError(f"trajectories: {len(rows)} unusable lines in {source}; correct or remove them", rows)
    if not records:
        raise DataError(f"trajectories: {source} holds no record")
    return tuple(records)


def _as_json(record: TurnRecord) -> dict[str, Any]:
    messages = [
        {
            "role": role,
            "content": [{"type": "image"} if text is None else {"type": "text", "text": text} for text in parts],
        }
        for role, parts in record.messages
    ]
    return {"id": record.id, "mos": record.mos, "messages": messages, "images": list(record.images)}


def _parse_line(line: str, image_root: Path) -> TurnRecord:
    value = parse_json(line)
    if not isinstance(value, dict):
        raise DataError("a JSON object is needed")
    missing = [key for key in ("id", "mos", "messages", "images") if key not in value]
    if missing:
        raise DataError(f"no {', '.join(missing)}")
    name, mos, images = value["id"], value["mos"], value["images"]
    if not isinstance(name, str) or not name:
        raise DataError(f"id is {name!r}; a text is needed")
    if isinstance(mos, bool) or not isinstance(mos, (int, float)) or not RATING_MIN <= mos <= RATING_MAX:
        raise DataError(f"{name}: mos is {mos!r}; a number from 1 to 5 is needed")
    if not isinstance(images, list) or not images or not all(isinstance(image, str) and image for image in images):
        raise DataError(f"{name}: images is {images!r}; a list of paths is needed")
    messages = _parse_messages(name, value["messages"], len(images))
    paths = tuple(str(image_root / image) for image in images)
    lost = [path for path in paths if not os.path.isfile(path)]  # unlike Path.is_file, false for impossible names
    if lost:
        raise DataError(f"{name}: no file {', '.join(lost)}")
    return TurnRecord(name, float(mos), messages, paths)


def _parse_messages(name: str, messages: Any, n_images: int) -> tuple[tuple[Role, tuple[str | None, ...]], ...]:
    if not isinstance(messages, list) or not messages:
        raise DataError(f"{name}: messages is {type(messages).__name__}; a list of messages is needed")
    parsed: list[tuple[Role, tuple[str | None, ...]]] = []
    for number, message in enumerate(messages, start=1):
        role = message.get("role") if isinstance(message, dict) else None
        if role == "system" and number == 1:
            expected: Role = "system"
        elif role in ROLES:
            expected = ROLES[sum(spoken != "system" for spoken, _ in parsed) % 2]
        else:
            raise DataError(f"{name}: role is {role!r}; one of {', '.join(ROLES)}, or system at first, is needed")
        if role != expected:
            raise DataError(f"{name}: message {number} is the {role}'s; user and assistant take turns")
        parsed.append((expected, _parse_content(name, message.get("content"))))
    if parsed[-1][0] != "assistant" or None in parsed[-1][1] or not "".join(map(str, parsed[-1][1])).strip():
        raise DataError(f"{name}: the last message must be an assistant's text, which is what is learned")
    if any(role == "system" and None in parts for role, parts in parsed):
        raise DataError(f"{name}: the system message holds an image; give it to the user's")
    if all(isinstance(message["content"], str) for message in messages) and not any(None in p for _, p in parsed):
        first = next(place for place, (role, _) in enumerate(parsed) if role == "user")
        parsed[first] = ("user", (*[None] * n_images, *parsed[first][1]))
    places = sum(parts.count(None) for _, parts in parsed)
    if places != n_images:
        raise DataError(f"{name}: {n_images} images for {places} places in the messages")
    return tuple(parsed)


def _parse_content(name: str, content: Any) -> tuple[str | None, ...]:
    if isinstance(content, str):
        pieces: list[str | None] = []
        for text in content.split(IMAGE_TAG):
            pieces += [text, None]
        return tuple(piece for piece in pieces[:-1] if piece != "")
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise DataError(f"{name}: content is {type(content).__name__}; a text or a list of parts is needed")
    parts: list[str | None] = []
    for part in content:
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            parts.append(part["text"])
        elif part.get("type") == "image":
            parts.append(None)
        else:
            raise DataError(f"{name}: a part of type {part.get('type')!r} is neither text nor image")
    return tuple(parts)
