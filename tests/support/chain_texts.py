"""Texts that a chain may be answered with: any, and such as imitate its calls, answers and replies."""

from __future__ import annotations

from hypothesis import strategies as st

PIECES = [
    "<think>", "</think>", "<zoom>", "</zoom>", "<answer>", "</answer>", "{", "}", "[", "]", ",", ":", " ", "\n", '"',
    "'", '"bbox_2d"', '"look_for"', '"blur"', '"rating"', "2.35", '"evidence"', '"defect"', '"severity"', '"clear"',
    "[0.1, 0.2, 0.9, 0.8]", "[10, 20, 900, 80]", "[-1, -1, 0, 0]", "1e999", "NaN", "null", "true", "9" * 400,
    "Crop 1: ", "<|image_pad|>", "<|im_end|>", "<|im_start|>user", "\\ud800", "\0", "٣",
    '<zoom>{"bbox_2d": [0.1, 0.2, 0.5, 0.6], "look_for": "blur"}</zoom>',
    '<zoom>{"bbox_2d": [0.5, 0.2, 0.1, 0.6], "look_for": "blur"}</zoom>',
    '<zoom>{"bbox_2d": [5, 2, 1e300, 6], "look_for": "blur"}</zoom>',
    '<answer>{"rating": 2.35, "evidence": []}</answer>',
    '<answer>{"rating": "x", "evidence": [[]]}</answer>',
]  # fmt: skip
TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=20).map(lambda pieces: "<zoom>{" + "".join(pieces) + "}</zoom>"),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    ).map(lambda value: f'<zoom>{{"bbox_2d": {value!r}, "look_for": {value!r}}}</zoom>'),
)
