"""Replies whose thought the server has cut out of the text."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from zoom_iqa.engines.chat_api.replies import read_reply


def reply(*tokens: str, **message: Any) -> ChatCompletion:
    listed = [{"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": []} for token in tokens]
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


def test_the_text_ends_with_the_stop_string_that_comes_first_in_it() -> None:
    assert read_reply(reply(content="a</b>c</d>"), stop_strings=("</d>", "</b>")).text == "a</b>"
