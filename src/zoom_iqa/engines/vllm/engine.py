"""An engine whose model runs in vLLM, in this process: for policies and lengths at which vLLM is faster than ours.

Weights are pushed whole after every change, adapters merged into them, and a probe prompt with an image is answered at
once: its log-probabilities have to be those of the policy itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import torch
from PIL import Image

from zoom_iqa.base.errors import ConfigError, PolicyError, SessionError
from zoom_iqa.base.ranges import require_positive_or_inf
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, ImagePart, Message, Request, TextPart
from zoom_iqa.engines.sampler import check_drawn
from zoom_iqa.engines.vllm.served import ServedModel, ServingSettings
from zoom_iqa.engines.vllm.serving import Completion, OtherWeightsError, Served, ServedRequest
from zoom_iqa.parallel.processes import world_size
from zoom_iqa.policy.encoding import EncodedPrompt
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.lora import plain_state_dict
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

PROBE = "probe of pushed weights"
PROBE_SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=True, max_new_tokens=8, stop_strings=())
PROBE_CHUNK = 64


def require_vllm() -> None:
    """Raise ConfigError where vLLM is not installed."""
    if find_spec("vllm") is None:
        raise ConfigError(
            "rollout=vllm needs vLLM: make vllm-env installs it for CPUs; run this with .venv-vllm/bin/python"
        )


@dataclass(frozen=True, kw_only=True)
class VllmEngineRecipe:
    """All of the engine but the policy and what follows from it; called with those, it makes the engine.

    ``probe_tolerance`` is how far, in nats and in the mean over a probe prompt's answer, vLLM may be from the policy.

    Raises:
        ConfigError: a value is out of range, or vLLM is not installed.
    """

    cache_tokens: int
    rows: int
    context_tokens: int | None
    cuda_graphs: bool
    sleep: bool
    probe_tolerance: float

    def __post_init__(self) -> None:
        self._settings()
        require_positive_or_inf("rollout.probe_tolerance", self.probe_tolerance, inf_means="allows any gap (nats)")
        require_vllm()  # before the stages that come before the first rollout

    def __call__(self, *, policy: Policy, sampling: SamplingParams, features: VisionCache) -> VllmEngine:
        """The engine that samples from ``policy``.

        Raises:
            ConfigError: the run has several processes, or as ``served``.
        """
        if world_size() > 1:
            raise ConfigError(
                "rollout=vllm runs in one process; use rollout=vllm_server or rollout=native with trainer=ddp"
            )
        return VllmEngine(
            policy=policy,
            sampling=sampling,
            features=features,
            served=self.served(policy),
            probe_tolerance=self.probe_tolerance,
        )

    def served(self, policy: Policy) -> ServedModel:
        """The model of this process, for policies of the shape of ``policy``.

        Raises:
            ConfigError: it serves a policy of another shape.
        """
        return _served(policy, self._settings())

    def _settings(self) -> ServingSettings:
        return ServingSettings(
            cache_tokens=self.cache_tokens,
            rows=self.rows,
            context_tokens=self.context_tokens,
            cuda_graphs=self.cuda_graphs,
            sleep=self.sleep,
        )


_SERVED: dict[tuple[str, torch.dtype, ServingSettings], ServedModel] = {}
"""The one of this process: it takes long to make, and engines of one policy after the other use it in turn."""


def _served(policy: Policy, settings: ServingSettings) -> ServedModel:
    shape = (policy.model.config.to_json_string(), next(policy.model.parameters()).dtype, settings)
    if _SERVED and shape not in _SERVED:
        raise ConfigError(
            "rollout=vllm serves policies of one shape with one set of values in a process; begin another process"
        )
    if shape not in _SERVED:
        _SERVED[shape] = ServedModel(policy, settings)
    return _SERVED[shape]


class VllmEngine:
    """Hands requests to a served model and returns what it completes.

    ``refresh`` pushes the weights; so does the first request after another engine has pushed its own. ``probe_gap`` is
    the last push's distance in nats, ``cached_tokens`` how many prompt tokens were not computed again so far.

    Raises:
        PolicyError: when vLLM does not answer as the policy does, or the policy has no distribution.
        SessionError: in ``refresh`` and ``submit``, when it is busy with requests of other weights.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        sampling: SamplingParams,
        features: VisionCache,
        served: Served,
        probe_tolerance: float,
    ) -> None:
        self.sampling = sampling
        self.probe_gap = float("nan")
        self.cached_tokens = 0
        self._policy, self._features, self._served = policy, features, served
        self._probe_tolerance = probe_tolerance
        self._prompts: dict[str, EncodedPrompt] = {}
        self._early: list[Generation] = []  # that a probe's wait has brought

    @property
    def busy(self) -> bool:
        """Whether requests are unfinished."""
        return bool(self._prompts or self._early)

    @torch.no_grad()
    def submit(self, request: Request) -> None:
        """Queue a request; ConfigError when it is longer than the model served takes."""
        if self._served.holder is not self:
            self.refresh()
        while not self._added(request):
            self._push()

    @torch.no_grad()
    def step(self) -> list[Generation]:
        """Go on with every running row; what finished by it."""
        early, self._early = self._early, []
        return early + [self._generation(made) for made in self._served.step()] if self._prompts else early

    @torch.no_grad()
    def refresh(self) -> None:
        """Push the weights, drop what older ones have made, and see that vLLM answers as the policy does."""
        if self._served.busy:
            raise SessionError("vLLM gets other weights while requests are unfinished; finish them before")
        self._features.clear()
        self._served.wake()
        self._push()

    def release(self) -> None:
        """Give back what is not needed between rollouts; where weights go with it, they are pushed anew."""
        if self._served.sleep():
            self._served.holder = None

    def _push(self) -> None:
        self._served.holder = None
        while True:
            self._served.push(plain_state_dict(self._policy.model))
            if self._added(Request(PROBE, PROBE, _probe_prompt(), seed=0, sampling=PROBE_SAMPLING)):
                break
        self._verify()
        self._served.holder = self

    def _added(self, request: Request) -> bool:
        """Whether it was queued: not so when a shared model has got weights of another trainer since."""
        prompt = self._policy.encode(request.prompt)
        sampling = request.sampled_by(self.sampling)
        features = self._features(prompt.images) if prompt.images else ()
        try:
            self._served.add(ServedRequest.of(request.key, prompt, features, sampling=sampling, seed=request.seed))
        except OtherWeightsError:
            return False
        self._prompts[request.key] = prompt
        return True

    def _generation(self, made: Completion) -> Generation:
        prompt = self._prompts.pop(made.key)
        if made.prompt_ids != prompt.ids_L.tolist():
            raise PolicyError(
                f"{made.key}: vLLM reads the prompt as {len(made.prompt_ids)} tokens that differ from the policy's "
                f"{len(prompt.ids_L)}; use rollout=native"
            )
        check_drawn(made.logprobs)
        self.cached_tokens += made.cached_tokens
        return Generation(
            key=made.key,
            text=self._policy.decode(made.ids),
            token_ids=tuple(made.ids),
            logprobs=made.logprobs,
            entropies=made.entropies,
            finish="stop" if made.stopped else "length",
            prompt=prompt,
        )

    def _verify(self) -> None:
        """Compare a greedy answer's log-probabilities with those that the policy gives its tokens."""
        while PROBE in self._prompts:
            self._early += self.step()
        (made,) = (found for found in self._early if found.key == PROBE)
        self._early.remove(made)
        drawn = made.sampled
        likelihood = Likelihood(policy=self._policy, temperature=1.0, features=self._features, logit_chunk=PROBE_CHUNK)
        assert isinstance(made.prompt, EncodedPrompt)
        scored = PromptCompletion(made.prompt, PROBE, torch.tensor(drawn.ids))
        expected_T = likelihood([scored], entropy=False, select_S=None).logp_T.cpu()
        self.probe_gap = (expected_T - torch.tensor(drawn.logprobs)).abs().mean().item()
        if not self.probe_gap <= self._probe_tolerance:
            raise PolicyError(
                f"vLLM's log-probabilities are {self.probe_gap:.3g} nats from those of the weights it was given "
                f"(rollout.probe_tolerance={self._probe_tolerance}); raise that in 16 bits, or use rollout=native"
            )


def _probe_prompt() -> tuple[Message, ...]:
    image = Image.linear_gradient("L").resize((96, 64)).convert("RGB")
    return (Message("user", (TextPart("Rate the image."), ImagePart.of(image))),)
