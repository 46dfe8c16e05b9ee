"""Any texts in any order: a chain always ends, within its limits, with a typed outcome."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from support.chain_texts import TEXTS
from support.written_chains import PROMPTS
from zoom_iqa.base.records import RecordCodec, record_of
from zoom_iqa.base.types import Ending, Generation, ImagePart, ParseFailure, Sample, TextPart, rated_example
from zoom_iqa.tasks.chain import ChainTask
from zoom_iqa.tasks.chain_reading import read_chain_turn

SIDES = st.integers(1, 300)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_any_text_is_read(text: str) -> None:
    reading = read_chain_turn(text)
    rating = reading.rating
    assert isinstance(rating, ParseFailure) or 1 <= rating <= 5
    for call in reading.calls:
        assert (call.bbox is None) is (call.problem is not None)
    if reading.well_formed:
        assert bool(reading.calls) is (reading.failure is not None)


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), SIDES, SIDES, st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_any_chain_ends(texts: list[str], width: int, height: int, max_turns: int, max_crops: int, cut: bool) -> None:
    task = ChainTask(prompts=PROMPTS, max_turns=max_turns, max_crops=max_crops, enlarge=2.0)
    sample = Sample.of(rated_example(id="a", dataset="d", mos=3.0), Image.new("RGB", (width, height)))
    session, said = task.open(sample, index=0, seed=0), 0
    while (request := session.next_request()) is not None:
        for part in (part for message in request.prompt for part in message.parts):
            if isinstance(part, TextPart):
                part.text.encode()  # what cannot be encoded cannot be asked
            else:
                assert isinstance(part, ImagePart)
        text = texts[said % len(texts)].encode("utf-8", "replace").decode()  # as tokens decode
        session.submit(Generation(request.key, text, (), (), (), "length" if cut else "stop"))
        said += 1
    rollout = session.rollout()
    assert said == len(rollout.steps) <= max_turns
    looks = [look for step in rollout.steps for look in step.looks]
    assert sum(look.box is not None for look in looks) <= max_crops
    assert all((look.box is None) is (look.refusal is not None) for look in looks)
    for look in looks:
        if look.box is not None:
            x1, y1, x2, y2 = look.box
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height
    assert (rollout.ending is Ending.FINAL) is isinstance(rollout.rating, float)
    codec = RecordCodec()
    fields = codec.encode(record_of(rollout))
    assert codec.encode(codec.decode(fields)) == fields
