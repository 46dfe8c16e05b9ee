"""vLLM in this process: a language model of the policy's shape that takes weights, prompts and image features.

vLLM runs the language model alone. Features come from the policy's own tower, once an image, as the update needs them
too: vLLM neither holds the tower nor resizes an image by rules of its own.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError, ServerError, SessionError
from zoom_iqa.base.ranges import require_count_or_none, require_whole
from zoom_iqa.engines.vllm.drawing import Drawing
from zoom_iqa.engines.vllm.serving import Completion, ServedRequest, of_language, require_fitting
from zoom_iqa.policy.head import banned_bias
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.widening import Widening, head_width_of

BLOCK_TOKENS = 32
"""Tokens of a block of keys and values: kernels for CPUs take multiples of it."""
SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine in this process, which can hand it tensors
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # the runner whose hook for logits is used here; on CPUs there is no other
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",  # the folder it loads is complete
}
QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_CONFIGURE_LOGGING": "1"}


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """See conf/rollout/vllm.yaml.

    Raises:
        ConfigError: a value is out of range.
    """

    cache_tokens: int
    rows: int
    context_tokens: int | None
    cuda_graphs: bool
    sleep: bool

    def __post_init__(self) -> None:
        require_whole("rollout.cache_tokens", self.cache_tokens, least=1)
        require_whole("rollout.rows", self.rows, least=1)
        require_count_or_none("rollout.context_tokens", self.context_tokens, none_means="takes the policy's own limit")


class ServedModel:
    """A vLLM engine for policies of one shape. It has no weights until some are pushed.

    Raises:
        ConfigError: vLLM cannot sleep here, or has no kernels for the policy's heads.
    """

    def __init__(self, policy: Policy, settings: ServingSettings) -> None:
        os.environ.update(SETTINGS)
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        import vllm
        from vllm.platforms import current_platform

        if settings.sleep and current_platform.is_cpu():
            raise ConfigError("rollout.sleep=true: vLLM sleeps on GPUs only; set rollout.sleep=false")
        self._make_params = vllm.SamplingParams
        self._sleeps = settings.sleep
        config = policy.model.config
        known = _known_head_widths() if current_platform.is_cpu() else None
        self._widening = _widening(config, known)
        self._dtype = next(policy.model.parameters()).dtype
        device = torch.device("cpu" if current_platform.is_cpu() else "cuda")
        self.drawing = Drawing(bias_V=banned_bias(policy.banned_ids, policy.model.lm_head.weight).to(device).float())
        self._keys: dict[str, str] = {}
        self.pushes = 0
        self.holder: object | None = None  # the engine that pushed last
        self._stop_ids = list(policy.stop_ids)
        wide = config if self._widening is None else self._widening.config(config)
        limit = int(wide.get_text_config().max_position_embeddings)
        self.context_tokens = min(settings.context_tokens or limit, limit)
        with tempfile.TemporaryDirectory() as folder, _random_state_kept():
            wide.save_pretrained(folder)
            policy.tokenizer.save_pretrained(folder)
            policy.image_processor.save_pretrained(folder)
            self._llm: Any = vllm.LLM(
                model=folder,
                load_format="dummy",  # weights are pushed
                dtype=str(self._dtype).removeprefix("torch."),
                enforce_eager=not settings.cuda_graphs,
                max_model_len=self.context_tokens,
                max_num_seqs=settings.rows,
                block_size=BLOCK_TOKENS,
                kv_cache_memory_bytes=_cache_bytes(wide, self._dtype, settings.cache_tokens),
                enable_prefix_caching=True,
                enable_mm_embeds=True,
                limit_mm_per_prompt={"image": 0, "video": 0},  # of pictures: vLLM holds no tower
                mm_processor_cache_gb=0,
                logits_processors=[_forced_by(self.drawing)],
                async_scheduling=False,  # a draw depends on how many tokens a request has
                enable_sleep_mode=settings.sleep,
                generation_config="vllm",
                disable_log_stats=True,
            )

    @property
    def busy(self) -> bool:
        """Whether requests are unfinished."""
        return bool(self._keys)

    def push(self, named: Mapping[str, Tensor]) -> None:
        """Take the language model's weights by transformers' names, and forget what older ones have made."""
        language = of_language(named)
        wide = language if self._widening is None else self._widening.weights(language)
        self._llm.collective_rpc(_reload, args=(wide,))
        if not self._llm.reset_prefix_cache():
            raise SessionError("vLLM holds keys and values of requests that are unfinished; finish them before a push")
        self._llm.llm_engine.reset_encoder_cache()
        self.pushes += 1

    def add(self, request: ServedRequest) -> None:
        """Queue a request.

        Raises:
            ConfigError: prompt and completion at its limit exceed ``context_tokens``.
        """
        require_fitting(request, context_tokens=self.context_tokens)
        self.drawing.start(request.key, sampling=request.sampling, seed=request.seed)
        params = self._make_params(
            temperature=0.0,
            max_tokens=request.sampling.max_new_tokens,
            stop=list(request.sampling.stop_strings),
            include_stop_str_in_output=True,
            stop_token_ids=self._stop_ids,
            extra_args={"key": request.key},
        )
        (number,) = self._llm.enqueue([self._as_vllm(request)], [params], use_tqdm=False)
        self._keys[number.partition("-")[0]] = request.key  # vLLM adds random letters, and leaves them out of outputs

    def step(self) -> list[Completion]:
        """One token further for the requests that run; those that are complete.

        Raises:
            ServerError: one has ended before its end.
            SessionError: one has other tokens than were drawn.
        """
        finished = [output for output in self._llm.llm_engine.step() if output.finished]
        return [self._completion(output) for output in finished]

    def sleep(self) -> bool:
        """Give the memory of weights, keys and values back, where that is wanted: whether it did."""
        if self._sleeps:
            self._llm.sleep(level=2)
        return self._sleeps

    def wake(self) -> None:
        """Take the memory again, if it sleeps; weights have to be pushed then."""
        if self._sleeps and self._llm.llm_engine.is_sleeping():
            self._llm.wake_up()

    def _completion(self, output: Any) -> Completion:
        made, key = output.outputs[0], self._keys.pop(output.request_id)
        if made.finish_reason not in ("stop", "length"):
            raise ServerError(f"{key}: vLLM ends with finish_reason={made.finish_reason}; use rollout=native")
        ids = list(made.token_ids)
        logprobs, entropies = self.drawing.take(key, ids)
        return Completion(
            key,
            list(output.prompt_token_ids),
            ids,
            logprobs,
            entropies,
            made.finish_reason == "stop",
            output.num_cached_tokens or 0,
        )

    def _as_vllm(self, request: ServedRequest) -> dict[str, Any]:
        """Each image as one placeholder, which vLLM repeats itself."""
        if not request.images:
            return {"prompt_token_ids": request.ids}
        inside = {place for image in request.images for place in range(image.span[0] + 1, image.span[1])}
        ids = [token for place, token in enumerate(request.ids) if place not in inside]
        features = [image.features_MH for image in request.images]
        states = features if self._widening is None else [self._widening.states(image) for image in features]
        data = {
            "image_embeds": torch.cat(states).to("cpu", self._dtype),
            "image_grid_thw": torch.tensor([image.grid for image in request.images]),
        }
        keys = [f"{image.key}@{self.pushes}" for image in request.images]
        return {"prompt_token_ids": ids, "multi_modal_data": {"image": data}, "multi_modal_uuids": {"image": keys}}


def _forced_by(drawing: Drawing) -> type:
    from zoom_iqa.engines.vllm.logits_processor import ForcedDraws

    return type("ForcedDrawsOfOneModel", (ForcedDraws,), {"drawing": drawing})


def _reload(worker: Any, named: Iterable[tuple[str, Tensor]]) -> None:
    """In vLLM's worker: take weights, which it may repack for its kernels."""
    worker.model_runner.reload_weights(weights_iterator=named)


def _known_head_widths() -> list[int]:
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    return sorted(CPUAttentionBackend.get_supported_head_sizes())


def _widening(config: Any, known: Sequence[int] | None) -> Widening | None:
    """None where kernels know the policy's heads."""
    width = head_width_of(config)
    if known is None or width in known:
        return None
    wider = [other for other in known if other > width]
    if not wider:
        raise ConfigError(f"rollout=vllm: its kernels know no heads of {width} numbers or more; use rollout=native")
    return Widening.of(config, head_width=wider[0])


def _cache_bytes(config: Any, dtype: torch.dtype, tokens: int) -> int:
    text = config.get_text_config()
    of_token = 2 * text.num_hidden_layers * text.num_key_value_heads * head_width_of(config) * dtype.itemsize
    return int(of_token * -(-tokens // BLOCK_TOKENS) * BLOCK_TOKENS)


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """vLLM seeds the generators of the process it starts in."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        yield
    random.setstate(python)
    np.random.set_state(numpy)
