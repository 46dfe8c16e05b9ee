"""The small tokenizer: Qwen's splitting, special tokens and chat rendering, on text of our own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from zoom_iqa.base.errors import PolicyError
from zoom_iqa.tiny_policy.tokenizer import SPECIAL_TOKENS, train_tokenizer

TEXTS = ["The sky shows strong blur. Rating 3.42, crop.", 'strong blur {"rating": 1.25, "tool": "final"}'] * 10
TOKENIZER = train_tokenizer(TEXTS, vocab_size=330)
CHAT = [
    {"role": "user", "content": [{"type": "text", "text": "How good?"}, {"type": "image"}]},
    {"role": "assistant", "content": "fair 3.10"},
    {"role": "user", "content": "Look again."},
]


def test_known_words_are_one_token_and_digits_stand_alone():
    assert TOKENIZER.tokenize(" strong blur 342") == ["Ġstrong", "Ġblur", "Ġ", "3", "4", "2"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_survives_a_round_trip(text):
    import unicodedata

    text = unicodedata.normalize("NFC", text)  # Qwen's tokenizer composes characters
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids, clean_up_tokenization_spaces=False) == text


def test_special_tokens_are_single_ids_within_the_vocabulary():
    ids = [TOKENIZER(token, add_special_tokens=False)["input_ids"] for token in SPECIAL_TOKENS]
    assert [len(i) for i in ids] == [1] * len(SPECIAL_TOKENS)
    assert len({i[0] for i in ids}) == len(SPECIAL_TOKENS)
    assert len(TOKENIZER) <= 330


def test_chat_renders_as_qwen2_5_vl_does(shared_dir):
    theirs = AutoTokenizer.from_pretrained(shared_dir / "tokenizer" / "qwen2.5-vl")
    for prompted in (False, True):
        kwargs = {"tokenize": False, "add_generation_prompt": prompted}
        assert TOKENIZER.apply_chat_template(CHAT, **kwargs) == theirs.apply_chat_template(CHAT, **kwargs)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    rendered = loaded.apply_chat_template(CHAT, tokenize=False)
    assert loaded(rendered)["input_ids"] == TOKENIZER(rendered)["input_ids"]
    assert (loaded.eos_token, loaded.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(PolicyError, match="vocab_size=200"):
        train_tokenizer(TEXTS, vocab_size=200)
