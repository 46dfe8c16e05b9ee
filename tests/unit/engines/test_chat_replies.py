"""Replies whose thought the server has cut out of the text."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from zoom_iqa.engines.chat_api.replies import read_reply


def reply(*tokens: str | tuple[str, bytes, float], **message: Any) -> ChatCompletion:
    """Tokens as texts, or with their bytes and log-probabilities."""
    parts = [(token, None, -0.5) if isinstance(token, str) else token for token in tokens]
    listed = [
        {"token": text, "logprob": logprob, "bytes": spelled and list(spelled), "top_logprobs": []}
        for text, spelled, logprob in parts
    ]
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    choice |= {"logprobs": {"content": listed, "refusal": None}} if tokens else {}
    return ChatCompletion.model_validate(
        {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    )


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_thought_goes_back_between_its_tags(name: str) -> None:
    found = read_reply(reply(content="<answer>3</answer>", **{name: "a photo"}), stop_strings=("</answer>",))
    assert found.text == "<think>a photo</think><answer>3</answer>"
    assert read_reply(reply(content=None, **{name: "a ph"}), stop_strings=()).text == "<think>a ph</think>"


@pytest.mark.parametrize(
    "message",
    [
        {"content": "<think>x</think>y", "reasoning_content": "thought before"},
        {"content": "<think>x</think>y", "reasoning_content": None},
        {"content": "<think>x</think>y", "reasoning": ""},
        {"content": "<think>x</think>y", "reasoning": {"of another": "form"}},
    ],
)
def test_a_text_that_has_its_thought_stays_as_it_is(message: dict[str, Any]) -> None:
    assert read_reply(reply(**message), stop_strings=()).text == "<think>x</think>y"


@pytest.mark.parametrize("thought", [{}, {"reasoning_content": "I look closely"}])
def test_log_probabilities_end_with_the_text_also_where_the_thought_was_cut_out(thought: dict[str, str]) -> None:
    tokens = ("<answer>", "4", "</answer>", " and", " more")
    found = read_reply(reply(*tokens, content="".join(tokens), **thought), stop_strings=("</answer>",))
    assert found.text.endswith("<answer>4</answer>")
    assert found.logprobs == (-0.5, -0.5, -0.5)


@pytest.mark.parametrize("between", ["", "</think>"])
def test_a_thoughts_own_tokens_are_none_of_the_answers(between: str) -> None:
    """As servers list them that cut the thought out of the text and not out of the list."""
    thought = [(piece, piece.encode(), -9.0) for piece in ("I ", "look", " closely", *filter(None, [between]))]
    answer = [(piece, piece.encode(), -0.5) for piece in ("<answer>", "4", "</answer>", "<|im_end|>")]
    content = "<answer>4</answer>"
    found = read_reply(
        reply(*thought, *answer, content=content, reasoning="I look closely"), stop_strings=("</answer>",)
    )
    assert found.text == f"<think>I look closely</think>{content}"
    assert found.logprobs == (-0.5, -0.5, -0.5)
    assert read_reply(reply(*thought, content="4", reasoning="I look closely"), stop_strings=()).logprobs is None
    alike = read_reply(reply(*thought, ("I ", b"I ", -0.5), content="I ", reasoning="I look closely"), stop_strings=())
    assert alike.logprobs == (-0.5,), "the thought begins as the content does"


@pytest.mark.parametrize("marks", ["\ufffd", "\\xf0\\x9f"])
def test_a_character_of_several_tokens_counts_by_its_bytes(marks: str) -> None:
    """Twelve characters of two tokens each, which servers show by a mark or by escapes."""
    face = "\N{GRINNING FACE}".encode()
    halves = [(marks, face[:2], -3.0), (marks, face[2:], -3.0)] * 12
    rating = [(piece, piece.encode(), -0.5) for piece in (" 4", ".75", "</answer>", " more")]
    content = face.decode() * 12 + " 4.75</answer> more"
    found = read_reply(reply(*halves, *rating, content=content), stop_strings=("</answer>",))
    assert found.logprobs == (-3.0,) * 24 + (-0.5,) * 3


def test_half_a_character_without_its_bytes_leaves_the_tokens_untold() -> None:
    found = read_reply(reply("\ufffd", "\ufffd", "4", content="\N{GRINNING FACE}4"), stop_strings=())
    assert (found.text, found.logprobs) == ("\N{GRINNING FACE}4", None)


def test_the_text_ends_with_the_stop_string_that_comes_first_in_it() -> None:
    assert read_reply(reply(content="a</b>c</d>"), stop_strings=("</d>", "</b>")).text == "a</b>"
