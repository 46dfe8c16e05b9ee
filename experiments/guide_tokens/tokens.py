"""Estimated tokens of sentences about images against CLIP's tokenizer. See README.md.

python experiments/guide_tokens/tokens.py /data/q_reasoning/*.json > experiments/guide_tokens/results.csv
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clip.simple_tokenizer import SimpleTokenizer

from zoom_iqa.tasks.guidance import LETTERS_A_TOKEN, estimated_tokens

PIECES = re.compile(r"[A-Za-z]+|[^\sA-Za-z]")


def main() -> None:
    read = (json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:])
    texts = [text for content in read for text in strings(content) if text.isascii() and len(text.split()) > 4]
    encode = SimpleTokenizer().encode
    true = [len(encode(text)) for text in texts]
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["letters_a_token", "texts", "estimated_to_true", "share_below_the_true_count", "most_below"])
    for letters in range(3, 9):
        found = [sum(math.ceil(len(piece) / letters) for piece in PIECES.findall(text)) for text in texts]
        if letters == LETTERS_A_TOKEN:
            assert found == [estimated_tokens(text) for text in texts]
        short = [count - estimate for count, estimate in zip(true, found, strict=True) if estimate < count]
        ratio, share = sum(found) / sum(true), len(short) / len(texts)
        table.writerow([letters, len(texts), f"{ratio:.3f}", f"{share:.5f}", max(short, default=0)])


def strings(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for part in content.values() if isinstance(content, dict) else content:
            yield from strings(part)


if __name__ == "__main__":
    main()
