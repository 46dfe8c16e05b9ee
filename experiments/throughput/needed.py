"""Floating-point operations that a step needs, by phase, from the model's config: its matrix products, two a term.

Norms, rotary embedding, softmax and sampling are left out. A backward pass needs twice the products of its forward
pass, attention, whose scores are made again, five for two, and the tower's first layer no gradient of pixels.

Pairs are of a query and a key that it sees.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from workload import Phases

from zoom_iqa.engines.native.engine import NativeEngine
from zoom_iqa.engines.native.scheduler import WaitingGroup
from zoom_iqa.policy import log_probabilities, vision_cache, vision_gradients
from zoom_iqa.policy.packed_layout import PackedLayout, Pattern

PATCHES, LINEAR, ATTENTION = "patches", "linear", "attention"
OF_A_BACKWARD = {PATCHES: 1.0, LINEAR: 2.0, ATTENTION: 2.5}


class Needed:
    """Counts what phases need while a step runs, once ``watch`` was called; packed forwards are told to it."""

    def __init__(self, config: Any, phases: Phases) -> None:
        self._config, self._phases = config, phases
        self._counts: defaultdict[tuple[str, str], float] = defaultdict(float)

    def by_phase(self) -> dict[str, float]:
        """Operations of each phase so far."""
        total: defaultdict[str, float] = defaultdict(float)
        for (phase, kind), count in self._counts.items():
            total[phase] += count
            if phase == "forward":
                total["backward"] += OF_A_BACKWARD[kind] * count
        return dict(total)

    def watch(self) -> None:
        """See images and completions where they are made."""
        for module in (vision_cache, vision_gradients, log_probabilities):
            _before(module, "encode_images", lambda model, images: self._images([image.grid for image in images]))
        _before(NativeEngine, "_start", lambda engine, groups, *rest: self._started(groups))

    def packed(self, layout: PackedLayout, tokens: int) -> None:
        """A forward of a packed sequence, and the output head at the tokens it wants."""
        wanted = len(layout.wanted_W)
        self._language(self._phases.current, tokens, wanted, pairs_of(layout.pattern), pairs_of(layout.last))

    def _started(self, groups: Sequence[WaitingGroup]) -> None:
        """Completions that will be decoded; the first token of each comes from prefilling."""
        for group in groups:
            prompt, length = len(group.prompt.ids_L), group.sampling.max_new_tokens
            steps = len(group.requests) * (length - 1)
            pairs = steps * prompt + steps * length // 2
            self._language("rollout", steps, steps, pairs, pairs)

    def _images(self, grids: Sequence[tuple[int, int, int]]) -> None:
        c, phase = self._config.vision_config, self._phases.current
        window, whole = c.window_size // c.patch_size, len(c.fullatt_block_indexes)
        patch = c.in_channels * c.temporal_patch_size * c.patch_size**2
        layer = 4 * c.hidden_size**2 + 3 * c.hidden_size * c.intermediate_size
        merger = c.spatial_merge_size**2 * c.hidden_size**2 + c.hidden_size * c.out_hidden_size
        for frames, height, width in grids:
            patches = frames * height * width
            in_windows = frames * _squares(height, window) * _squares(width, window)
            pairs = whole * frames * (height * width) ** 2 + (c.depth - whole) * in_windows
            self._add(phase, PATCHES, patches * patch * c.hidden_size)
            self._add(phase, LINEAR, patches * (c.depth * layer + merger))
            self._add(phase, ATTENTION, 2 * c.hidden_size * pairs)

    def _language(self, phase: str, tokens: int, wanted: int, pairs: int, last_pairs: int) -> None:
        """All tokens through all layers but the last, which only gives their keys and values."""
        c = self._config.get_text_config()
        keys_values = 2 * c.hidden_size**2 * c.num_key_value_heads // c.num_attention_heads
        rest = 2 * c.hidden_size**2 + 3 * c.hidden_size * c.intermediate_size
        before = c.num_hidden_layers - 1
        head = wanted * c.hidden_size * c.vocab_size
        self._add(phase, LINEAR, tokens * (before + 1) * keys_values + (tokens * before + wanted) * rest + head)
        self._add(phase, ATTENTION, 2 * c.hidden_size * (pairs * before + last_pairs))

    def _add(self, phase: str, kind: str, terms: float) -> None:
        self._counts[phase, kind] += 2 * terms


def pairs_of(pattern: Pattern) -> int:
    """How many keys all rows see together."""
    own = sum(run.count * run.length * (run.length + 1) // 2 for run in pattern.runs)
    blocks = sum(_length(block.keys) * _length(block.queries) for block in pattern.blocks)
    return own + blocks + sum(past.kv.shape[-2] * _length(past.queries) for past in pattern.past)


def _length(span: slice) -> int:
    return int(span.stop - span.start)


def _squares(length: int, window: int) -> int:
    """The sum of squares of the parts that a side is cut into."""
    return length // window * window**2 + (length % window) ** 2


def _before(owner: Any, name: str, seen: Callable[..., None]) -> None:
    """Have ``seen`` called with what a function is called with, before it."""
    function = getattr(owner, name)

    def called(*args: Any) -> Any:
        seen(*args)
        return function(*args)

    setattr(owner, name, called)
