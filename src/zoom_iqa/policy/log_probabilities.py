"""Log-probabilities of completions under a policy, with gradient: what a policy update starts from.

Legend: T all completion tokens in order, C those of one completion, L prompt tokens, H hidden width, V vocabulary,
S selected tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from zoom_iqa.base.errors import PolicyError
from zoom_iqa.parallel.placement import passes_more, within
from zoom_iqa.policy.embedding import embed
from zoom_iqa.policy.encoding import EncodedImage, EncodedPrompt
from zoom_iqa.policy.head import banned_bias, log_distributions, token_log_probs
from zoom_iqa.policy.packing import PromptCompletion, pack_samples
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.shared_prefix import forward_packed, install
from zoom_iqa.policy.vision_cache import VisionCache, encode_images
from zoom_iqa.policy.vision_gradients import VisionGradients


@dataclass(frozen=True, eq=False)
class TokenLogProbs:
    """Of each completion token, in nats and float32: its log-probability and, where asked for, the entropy of the
    distribution it comes from and, for the selected tokens, that whole distribution (-inf where banned).
    """

    logp_T: Tensor
    entropy_T: Tensor | None
    log_dist_SV: Tensor | None


_ONE_TOKEN = PromptCompletion(
    prompt=EncodedPrompt(
        ids_L=torch.zeros(1, dtype=torch.long),
        positions_3L=torch.zeros(3, 1, dtype=torch.long),
        next_position=1,
        images=(),
        image_spans=(),
    ),
    prompt_key="idle",
    completion_C=torch.zeros(1, dtype=torch.long),
)


class Likelihood:
    """Scores completions under the distribution that sampling draws from: banned ids masked, temperature applied.

    ``features`` serves vision features: cached ones for a frozen tower or a pass without gradient, or
    ``VisionGradients`` for a tower that learns over several calls, each followed by its backward and ``finish_images``.
    With None the tower runs once per call and distinct image, with gradient where it is enabled. ``logit_chunk`` is how
    many rows of logits exist at a time: it bounds memory and changes nothing else.
    """

    def __init__(
        self, *, policy: Policy, temperature: float, features: VisionCache | VisionGradients | None, logit_chunk: int
    ) -> None:
        head = policy.model.lm_head
        if type(head) is not torch.nn.Linear:
            raise PolicyError(f"lm_head is a {type(head).__name__}; adapters on the output head are not supported")
        install(policy.model)
        self._policy = policy
        self._temperature = temperature
        self._features = features
        self._chunk = logit_chunk
        self._bias_V: Tensor | None = None

    def __call__(self, samples: Sequence[PromptCompletion], *, entropy: bool, select_S: Tensor | None) -> TokenLogProbs:
        """Score all tokens of ``samples`` in order; ``select_S`` are indices into them whose distribution is wanted."""
        scored = within(self._policy.model, partial(self._score, samples, entropy=entropy, select_S=select_S))
        return TokenLogProbs(*scored)

    def passes_more(self, own: int) -> int:
        """How many times ``idle`` must be called beside ``own`` passes to come, that all processes make as many."""
        return passes_more(self._policy.model, own)

    def idle(self) -> Tensor:
        """A pass that only keeps other processes from waiting; its loss is 0."""
        return self([_ONE_TOKEN], entropy=False, select_S=None).logp_T.sum() * 0.0

    def _score(
        self, samples: Sequence[PromptCompletion], *, entropy: bool, select_S: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        hidden_TH = self._hidden(samples)
        weight_VH = self._policy.model.lm_head.weight
        bias_V = self._bias_for(weight_VH)
        targets_T = torch.cat([sample.completion_C for sample in samples]).to(hidden_TH.device)
        logp_T, entropy_T = token_log_probs(
            hidden_TH,
            weight_VH,
            bias_V,
            targets_T,
            temperature=self._temperature,
            chunk=self._chunk,
            entropy=entropy,
        )
        log_dist_SV = None
        if select_S is not None:
            hidden_SH = hidden_TH[select_S.to(hidden_TH.device)]
            log_dist_SV = log_distributions(hidden_SH, weight_VH, bias_V, temperature=self._temperature)
        return logp_T, entropy_T, log_dist_SV

    def finish_images(self, still_shown: Collection[str]) -> None:
        """After a backward: let gradients into the tower for images that no call to come shows, given their keys."""
        if isinstance(self._features, VisionGradients):
            self._features.finish(still_shown)

    def _bias_for(self, weight_VH: Tensor) -> Tensor:
        """The bias that bans, made again only when the weights have moved or changed type."""
        bias_V = self._bias_V
        if bias_V is None or (bias_V.device, bias_V.dtype) != (weight_VH.device, weight_VH.dtype):
            self._bias_V = bias_V = banned_bias(self._policy.banned_ids, weight_VH.detach())
        return bias_V

    def next_tokens(self, prompts: Sequence[EncodedPrompt], ids: Sequence[int]) -> Tensor:
        """Log-probabilities (B, K), in nats and float32, of the K tokens ``ids`` after each prompt."""
        weight_VH = self._policy.model.lm_head.weight
        bias_V, columns_K = self._bias_for(weight_VH), torch.tensor(ids, device=weight_VH.device)
        rows = [
            log_distributions(hidden_NH, weight_VH, bias_V, temperature=self._temperature)[:, columns_K]
            for hidden_NH in self.prompt_states(prompts).split(self._chunk)
        ]
        return torch.cat(rows)

    def prompt_states(self, prompts: Sequence[EncodedPrompt]) -> Tensor:
        """The last hidden state (B, H) of each prompt: the one that predicts the first token of a completion."""
        placeholder = torch.zeros(1, dtype=torch.long)
        return self._hidden([PromptCompletion(prompt, str(i), placeholder) for i, prompt in enumerate(prompts)])

    def _hidden(self, samples: Sequence[PromptCompletion]) -> Tensor:
        """Hidden states (T, H) that predict the completion tokens."""
        batch = pack_samples(samples)
        model, device = self._policy.model, self._policy.device
        ids = batch.ids_T.to(device)
        embedded = embed(self._policy, ids, self._encode(batch.images))
        hidden = forward_packed(model, embedded, batch.positions_3T, batch.layout)
        return hidden[batch.predicting_N.to(device)]

    def _encode(self, images: Sequence[EncodedImage]) -> list[Tensor]:
        """Features of images of which some may be the same, each encoded once."""
        if self._features is not None:
            return self._features(images)
        distinct = {image.key: image for image in images}
        features = encode_images(self._policy.model, list(distinct.values())) if distinct else []
        of_key = dict(zip(distinct, features, strict=True))
        return [of_key[image.key] for image in images]
