"""Scores of completions against one plain forward of the whole model per sequence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from support.random_policy import TEXTS, build_random_policy, chain_prompt, turn1_prompt, turn2_prompt
from zoom_iqa.base.errors import PolicyError
from zoom_iqa.base.types import Message
from zoom_iqa.policy import attention_blocks
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.lora import LoraSettings, add_adapters
from zoom_iqa.policy.packing import PromptCompletion, pack_samples
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

TEMPERATURE = 0.8


def completion(seed: int, length: int) -> torch.Tensor:
    return torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed))


def samples_of(policy: Policy) -> list[PromptCompletion]:
    """Two groups of turn 1 with prompts of different lengths, and two prompts of turn 2, one of them shared."""
    prompts: dict[str, tuple[Message, ...]] = {
        "a": turn1_prompt(0),
        "b": turn1_prompt(1, width=96, height=96, words=11),
        "c": turn2_prompt(0),
        "d": turn2_prompt(2),
    }
    encoded = {key: policy.encode(prompt) for key, prompt in prompts.items()}
    plan = [("a", 5), ("a", 9), ("a", 1), ("b", 7), ("b", 3), ("c", 6), ("d", 4), ("d", 8)]
    return [PromptCompletion(encoded[key], key, completion(i, length)) for i, (key, length) in enumerate(plan)]


def chain_samples(policy: Policy) -> list[PromptCompletion]:
    """Three conversations over one image and one over another, of up to four turns: later prompts hold earlier turns.

    Of the first, the second turn was answered twice, and each answer went on.
    """
    words = TEXTS[1].split()
    told = {
        "a": (0, [" ".join(words[:4]), "exposure contrast", "final", "sharp"]),
        "a'": (0, [" ".join(words[:4]), "exposure dark", "bright colour"]),
        "b": (0, ["rating", "bright"]),
        "c": (3, ["contrast", "sharp dark", "colour"]),
    }
    samples: dict[str, PromptCompletion] = {}
    for seed, answers in told.values():
        for turn, answer in enumerate(answers):
            key = f"{seed}/{answers[: turn + 1]}"
            prompt = policy.encode(chain_prompt(seed, answers[:turn]))
            samples[key] = PromptCompletion(prompt, key, torch.tensor(policy.completion_ids(answer)))
    return list(samples.values())


def plain_scores(policy: Policy, sample: PromptCompletion) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies by the model's own forward from ids and pixels, with its own positions."""
    prompt = sample.prompt
    ids = torch.cat([prompt.ids_L, sample.completion_C])[None]
    out = policy.model(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=torch.cat([image.pixels_PD for image in prompt.images]),
        image_grid_thw=torch.tensor([image.grid for image in prompt.images]),
        mm_token_type_ids=(ids == policy.encoder.image_pad_id).int(),
    )
    logits = out.logits[0, len(prompt.ids_L) - 1 : -1] / TEMPERATURE
    logits = logits.index_fill(1, torch.tensor(policy.banned_ids), -torch.inf)
    log_p = F.log_softmax(logits, -1)
    entropy = -(log_p.exp() * log_p.masked_fill(log_p == -torch.inf, 0.0)).sum(-1)
    return log_p.gather(1, sample.completion_C[:, None])[:, 0], entropy


def loss_of(logp: torch.Tensor, entropy: torch.Tensor) -> torch.Tensor:
    advantages = torch.linspace(-1, 1.5, len(logp))
    ratio = torch.exp(logp - logp.detach())
    return -(ratio * advantages).mean() - 0.1 * entropy.mean()


def gradients(policy: Policy) -> torch.Tensor:
    flat = torch.cat(
        [(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in policy.model.parameters()]
    )
    policy.model.zero_grad(set_to_none=True)
    return flat


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("make", [samples_of, chain_samples])
@pytest.mark.parametrize("kind", ["as it is", "causal blocks cut over 16 tokens", "adapters"])
def test_scores_loss_and_gradients_equal_a_plain_forward_per_sequence(
    make: Callable[[Policy], list[PromptCompletion]], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = build_random_policy()
    samples = make(policy)
    if kind == "adapters":
        add_adapters(policy.model, LoraSettings(rank=2, alpha=4, targets=["q_proj", "k_proj", "o_proj", "up_proj"]))
        for name, weight in policy.model.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
    plain = [plain_scores(policy, sample) for sample in samples]
    expected_logp, expected_entropy = (torch.cat(part) for part in zip(*plain, strict=True))
    expected_loss = loss_of(expected_logp, expected_entropy)
    expected_loss.backward()
    expected_grad = gradients(policy)

    if kind == "causal blocks cut over 16 tokens":
        monkeypatch.setattr(attention_blocks, "SPLIT", 16)
    scores = Likelihood(policy=policy, temperature=TEMPERATURE, features=None, logit_chunk=7)(
        samples, entropy=True, select_S=torch.tensor([0, 13, 20])
    )
    assert scores.entropy_T is not None
    assert scores.log_dist_SV is not None
    loss = loss_of(scores.logp_T, scores.entropy_T)
    loss.backward()
    grad = gradients(policy)
    assert relative_error(scores.logp_T, expected_logp) < 1e-5
    assert relative_error(scores.entropy_T, expected_entropy) < 1e-5
    assert relative_error(loss, expected_loss) < 1e-5
    assert relative_error(grad, expected_grad) < 1e-5
    targets = torch.cat([sample.completion_C for sample in samples])[[0, 13, 20]]
    selected = scores.log_dist_SV.gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(selected, scores.logp_T[[0, 13, 20]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [samples_of, chain_samples])
@pytest.mark.parametrize("cuts", [[1, 2, 3, 4, 5, 6, 7], [3, 4], [2, 6]])
def test_micro_batches_change_nothing(cuts: list[int], make: Callable[[Policy], list[PromptCompletion]]) -> None:
    policy = build_random_policy()
    samples = make(policy)
    likelihood = Likelihood(policy=policy, temperature=TEMPERATURE, features=None, logit_chunk=7)
    weights = torch.linspace(-1, 1, sum(len(sample.completion_C) for sample in samples))
    whole = likelihood(samples, entropy=False, select_S=None).logp_T
    (whole * weights).sum().backward()
    expected_grad = gradients(policy)
    parts, done = [], 0
    for low, high in zip([0, *cuts], [*cuts, len(samples)], strict=True):
        logp = likelihood(samples[low:high], entropy=False, select_S=None).logp_T
        (logp * weights[done : done + len(logp)]).sum().backward()
        parts.append(logp)
        done += len(logp)
    assert relative_error(torch.cat(parts), whole) < 1e-5
    assert relative_error(gradients(policy), expected_grad) < 1e-5


def test_a_chain_costs_its_length() -> None:
    """Of four turns the last one's sequence is all there is to forward, but for the branches."""
    policy = build_random_policy()
    samples = chain_samples(policy)
    packed = len(pack_samples(samples).ids_T)
    each = [len(sample.prompt.ids_L) + len(sample.completion_C) - 1 for sample in samples]
    assert packed < 0.45 * sum(each)
    alone = [sample for sample in samples if sample.prompt_key.startswith("3/")]
    assert len(pack_samples(alone).ids_T) == max(each[-3:])


def test_bfloat16_scores_of_chains_are_as_good_as_plain_ones() -> None:
    """Both ways round differently; against float32 a packed chain errs no more than plain forwards do."""
    policy = build_random_policy()
    samples = chain_samples(policy)
    with torch.no_grad():
        exact = torch.cat([plain_scores(policy, sample)[0] for sample in samples])
        policy.model.to(torch.bfloat16)
        plain = torch.cat([plain_scores(policy, sample)[0].float() for sample in samples])
        packed = Likelihood(policy=policy, temperature=TEMPERATURE, features=None, logit_chunk=64)(
            samples, entropy=False, select_S=None
        ).logp_T
    assert float((packed - exact).abs().mean()) < 1.2 * float((plain - exact).abs().mean())


def test_the_tower_learns_unless_features_are_cached() -> None:
    policy = build_random_policy()
    tower = policy.model.model.visual.patch_embed.proj.weight
    samples = samples_of(policy)[:2]
    cached = Likelihood(
        policy=policy, temperature=1.0, features=VisionCache(model=policy.model, capacity=1000), logit_chunk=64
    )
    frozen_scores = cached(samples, entropy=False, select_S=None)
    frozen_scores.logp_T.sum().backward()
    assert tower.grad is None
    live = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)
    live_scores = live(samples, entropy=False, select_S=None)
    live_scores.logp_T.sum().backward()
    assert tower.grad is not None
    torch.testing.assert_close(frozen_scores.logp_T, live_scores.logp_T, rtol=1e-5, atol=1e-5)


def test_an_adapter_on_the_output_head_is_refused() -> None:
    policy = build_random_policy()
    policy.model.lm_head = torch.nn.Sequential(policy.model.lm_head)
    with pytest.raises(PolicyError, match="lm_head is a Sequential"):
        Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)


@torch.no_grad()
def test_next_tokens_are_those_that_completions_have(random_policy: Policy) -> None:
    """Whatever is begun: probabilities of a prompt's continuation, and of a continued prompt's."""
    prompt, ids = random_policy.encode(turn2_prompt(0)), random_policy.completion_ids("rating 3.5")
    score = Likelihood(policy=random_policy, temperature=TEMPERATURE, features=None, logit_chunk=2)
    whole = PromptCompletion(prompt, "a", torch.tensor(ids))
    expected = score([whole], entropy=False, select_S=None).logp_T
    found = score.next_tokens([prompt.continued(ids[:place]) for place in range(len(ids))], ids)
    torch.testing.assert_close(found.diagonal(), expected, atol=1e-5, rtol=1e-5)
    continued = prompt.continued(ids[:2]).continued(ids[2:4])
    assert continued.ids_L.tolist() == [*prompt.ids_L.tolist(), *ids[:4]]
    assert continued.positions_3L[:, -1].tolist() == [continued.next_position - 1] * 3
