"""Prompts in which evidence is hidden: their pictures, their tokens, and who learns under them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from support.random_policy import noise_image
from support.written_chains import ANSWER, PROMPTS, ZOOM, chain_rollouts
from support.written_rollouts import SAMPLING, written_groups
from zoom_iqa.base.types import ImagePart, Sample, rated_example
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.learning.old_log_probabilities import SamplerCheck
from zoom_iqa.learning.signals import SignalPasses
from zoom_iqa.learning.token_table import TokenTable, build_table
from zoom_iqa.learning.update import PolicyUpdate
from zoom_iqa.objectives.aggregation import SequenceMean
from zoom_iqa.objectives.filters.clip_cov import ClipCov
from zoom_iqa.objectives.filters.evidence import VIEWS, EvidenceFilter, Hidden, Shaping
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss
from zoom_iqa.objectives.signals import OLD, Signal
from zoom_iqa.objectives.views import CoarseCrop, hidden_mark
from zoom_iqa.parallel.reducer import LocalReducer
from zoom_iqa.policy.log_probabilities import Likelihood, TokenLogProbs
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.rollout.collect import collect_groups
from zoom_iqa.tasks.chain import ChainTask

NAMES: tuple[Hidden, ...] = ("coarse_crop", "no_crop", "blank_image")


def table_of(policy: Policy, *, images: int = 1) -> TokenTable:
    rollouts = chain_rollouts(policy, images=images)
    return build_table(rollouts, torch.linspace(-1, 1, len(rollouts)), policy=policy, views=VIEWS)


def likelihood_of(policy: Policy) -> Likelihood:
    return Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)


def test_views_change_the_turns_that_have_seen_what_they_hide(random_policy: Policy) -> None:
    table = table_of(random_policy)
    turns = [1, 2, 3, 1, 2, 1]  # of the sequences
    for name in NAMES:
        expected = [k for k, turn in enumerate(turns) if turn > 1 or name == "blank_image"]
        assert table.changed_by(name) == expected
        assert torch.equal(table.marks[hidden_mark(name)], table.tokens_of(expected))
        for seen, shown in zip(table.seen_as(name), table.sequences, strict=True):
            assert torch.equal(seen.prompt.ids_L, shown.prompt.ids_L)
            assert seen.completion_C is shown.completion_C
            assert [image.grid for image in seen.prompt.images] == [image.grid for image in shown.prompt.images]


def test_each_picture_of_a_view_is_made_once(random_policy: Policy) -> None:
    """All looks are at one place: three turns show its crop, one of them twice."""
    made: list[str] = []

    class Counted(CoarseCrop):
        def crop(self, crop: ImagePart, **where: Any) -> ImagePart | None:
            made.append(crop.key)
            return super().crop(crop, **where)

    rollouts = chain_rollouts(random_policy)
    shown = [
        part.key
        for r in rollouts
        for s in r.steps
        for m in s.request.prompt[1:]
        for part in m.parts
        if isinstance(part, ImagePart)
    ]
    build_table(rollouts, torch.zeros(len(rollouts)), policy=random_policy, views={"coarse": Counted()})
    assert len(set(shown)) == len(made) == 1
    assert len(shown) == 4


def test_a_coarse_crop_is_its_region_in_the_first_view(random_policy: Policy) -> None:
    """The policy sees the whole of 256 x 160 pixels as 160 x 96; the crop has more detail of its own."""
    rollout = chain_rollouts(random_policy)[0]
    original, crop = (
        part for message in rollout.steps[1].request.prompt for part in message.parts if isinstance(part, ImagePart)
    )
    first = random_policy.encode(rollout.steps[0].request.prompt).images[0]
    seen = (first.grid[2] * 8, first.grid[1] * 8)
    assert seen != original.image.size
    region = rollout.steps[0].looks[0].region
    assert region is not None
    small = original.image.resize(seen, resample=Image.Resampling.BICUBIC)
    coarse = VIEWS["coarse_crop"].crop(crop, region=region, first=lambda: small)
    assert coarse is not None
    assert coarse.image.size == crop.image.size
    whole = small.resize(original.image.size, resample=Image.Resampling.BICUBIC)
    box = tuple(round(e * s) for e, s in zip(region, original.image.size * 2, strict=True))
    difference = np.abs(np.asarray(whole.crop(box), dtype=float) - np.asarray(coarse.image, dtype=float))
    assert difference.mean() < 8  # of a noise image whose detail is 60 away
    assert np.abs(np.asarray(crop.image, dtype=float) - np.asarray(coarse.image, dtype=float)).mean() > 30


def test_each_crop_becomes_its_own_region(random_policy: Policy) -> None:
    """Looks at two quarters in one turn, then at a third: their coarse pictures stand in the order of the crops."""
    quarters = [(0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 0.5), (0.5, 0.5, 1.0, 1.0)]
    looks = [ZOOM.replace("[0.1, 0.2, 0.7, 0.8]", str(list(quarter))) for quarter in quarters]
    said = [looks[0] + looks[1].partition("</think>")[2], looks[2], ANSWER]
    engine = ScriptedEngine(
        script=lambda request: said[int(request.key[-1]) - 1], sampling=SAMPLING, policy=random_policy
    )
    image = noise_image(3, 256, 160)
    sample = Sample.of(rated_example(id="a", dataset="d", mos=3.0), image)
    task = ChainTask(prompts=PROMPTS, max_turns=4, max_crops=4, enlarge=1.0)
    (group,) = collect_groups([sample], task=task, engines={"policy": engine}, group_size=1, seed=0)
    table = build_table(group.rollouts, torch.ones(1), policy=random_policy, views=VIEWS)
    last = group.rollouts[0].steps[-1].request
    crops = [part for message in last.prompt[1:] for part in message.parts if isinstance(part, ImagePart)]
    _, rows, columns = table.sequences[0].prompt.images[0].grid
    first = image.resize((8 * columns, 8 * rows), resample=Image.Resampling.BICUBIC)
    coarse = [
        CoarseCrop().crop(crop, region=quarter, first=lambda: first)
        for crop, quarter in zip(crops, quarters, strict=True)
    ]
    keys = [image.key for image in table.sequences[2].prompt.images]
    seen = [image.key for image in table.seen_as("coarse_crop")[2].prompt.images]
    assert seen == [keys[0], *(one.key for one in coarse if one is not None)]
    assert len({*keys, *seen}) == 7


def test_other_tasks_crops_are_hidden_too(random_policy: Policy) -> None:
    rollouts = [r for group in written_groups(random_policy, images=1, group_size=4) for r in group.rollouts]
    table = build_table(rollouts, torch.zeros(len(rollouts)), policy=random_policy, views=VIEWS)
    turns = [turn for rollout in rollouts for turn in range(len(rollout.steps))]
    assert 1 in turns
    assert table.changed_by("no_crop") == [k for k, turn in enumerate(turns) if turn == 1]
    for k in table.changed_by("no_crop"):
        seen, shown = table.seen_as("no_crop")[k], table.sequences[k]
        assert seen.prompt.images[0] is shown.prompt.images[0]
        assert seen.prompt.images[1].pixels_PD.std() < 1.2  # grey but for the channels' own scales


@pytest.mark.parametrize("name", NAMES)
def test_signals_under_a_view_are_those_of_prompts_made_apart(name: Hidden, random_policy: Policy) -> None:
    likelihood = likelihood_of(random_policy)
    table = table_of(random_policy)
    with torch.no_grad():
        old_T = likelihood(table.sequences, entropy=False, select_S=None).logp_T
        apart = [likelihood([seen], entropy=False, select_S=None).logp_T for seen in table.seen_as(name)]
    passes = SignalPasses(policy=likelihood, reference=None, budget=10_000)
    found_T = passes.everywhere(table.with_signals({OLD.name: old_T}), Signal("policy", view=name))
    torch.testing.assert_close(found_T, torch.cat(apart), rtol=1e-4, atol=1e-4)
    assert (found_T - old_T)[table.marks[hidden_mark(name)]].abs().max() > 0.01


class Counting(Likelihood):
    """Counts what it is given."""

    sequences = 0

    def __call__(self, samples: Sequence[PromptCompletion], *, entropy: bool, select_S: Tensor | None) -> TokenLogProbs:
        type(self).sequences += len(samples)
        return super().__call__(samples, entropy=entropy, select_S=select_S)


def test_turns_before_the_first_crop_take_no_pass(random_policy: Policy) -> None:
    likelihood = Counting(policy=random_policy, temperature=1.0, features=None, logit_chunk=64)
    table = table_of(random_policy)
    table = table.with_signals({OLD.name: torch.zeros(len(table.trajectory_T))})
    Counting.sequences = 0
    found_T = SignalPasses(policy=likelihood, reference=None, budget=10_000).everywhere(
        table, Signal("policy", view="coarse_crop")
    )
    assert Counting.sequences == 3  # of six
    assert (found_T[~table.marks[hidden_mark("coarse_crop")]] == 0).all()


def updated(policy: Policy, table: TokenTable, filters: dict) -> tuple[Tensor, dict[str, float]]:
    """The gradient of one update, and what it logs."""
    twin = copy.copy(policy)
    twin.model = copy.deepcopy(policy.model)
    update = PolicyUpdate(
        loss=ClippedPolicyLoss(clip_low=0.2, clip_high=0.2),
        aggregation=SequenceMean(),
        filters=filters,
        penalties={},
        epochs=1,
        mini_batches=1,
        micro_batch_tokens=100_000,
        old_logp="recomputed",
        sampler_check=SamplerCheck(tolerance=1.0, every=1),
    )
    figures = update.run(
        table,
        likelihood=likelihood_of(twin),
        reference=None,
        backward=lambda loss: loss.backward(),
        optimizer_step=lambda finite: 1.0,
        step=0,
        reducer=LocalReducer(),
    )
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in twin.model.parameters()]
    return torch.cat([gradient.flatten() for gradient in gradients]), figures


def weighted_gradient(policy: Policy, table: TokenTable, coefficient_T: Tensor) -> Tensor:
    """Of -sum c log p: the policy loss where the ratio is 1."""
    twin = copy.copy(policy)
    twin.model = copy.deepcopy(policy.model)
    logp_T = likelihood_of(twin)(table.sequences, entropy=False, select_S=None).logp_T
    (-(coefficient_T * logp_T).sum()).backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in twin.model.parameters()]
    return torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("shaping", [None, Shaping(least=0.5, most=2.0)])
def test_the_mask_reaches_the_model(shaping: Shaping | None, random_policy: Policy) -> None:
    """The gradient is that of kept tokens alone, each at its weight and its shaped advantage."""
    table = table_of(random_policy, images=2)
    part = EvidenceFilter(view="coarse_crop", top=0.4, most_nats=10.0, shaping=shaping)
    gradient, figures = updated(random_policy, table, {"evidence": part})
    likelihood = likelihood_of(random_policy)
    with torch.no_grad():
        old_T = likelihood(table.sequences, entropy=False, select_S=None).logp_T
    passes = SignalPasses(policy=likelihood, reference=None, budget=100_000)
    signals = {OLD.name: old_T}
    (signal,) = part.signals
    signals[signal.name] = passes.everywhere(table.with_signals(signals), signal)
    weights_T = SequenceMean()(table.trajectory_T, n_trajectories=6, n_tokens=len(table.trajectory_T))
    batch = table.with_signals(signals).batch_of(torch.arange(len(table.trajectory_T)), weights_T)
    keep_T, _ = part.keep(batch, step=0, mini_batch=0, reducer=LocalReducer())
    factors_T = part.advantage_factors(batch, reducer=LocalReducer())
    assert 0 < int((~keep_T).sum()) < int(table.marks[hidden_mark("coarse_crop")].sum())
    assert (factors_T != 1).any() == (shaping is not None)
    advantages_T = table.advantages_T * factors_T
    expected = weighted_gradient(random_policy, table, weights_T * advantages_T * keep_T)
    assert ((gradient - expected).norm() / expected.norm()).item() < 1e-4
    assert figures["evidence/dropped"] == float((~keep_T).sum())
    everything = weighted_gradient(random_policy, table, weights_T * advantages_T)
    assert ((everything - expected).norm() / expected.norm()).item() > 0.05


def test_it_combines_with_clip_cov(random_policy: Policy) -> None:
    """A token must pass both: with all dropped by one, nothing is left."""
    table = table_of(random_policy, images=2)
    evidence = EvidenceFilter(view="no_crop", top=0.4, most_nats=10.0, shaping=None)
    everything = ClipCov(fraction=1.0, low=-1e9, high=1e9, seed=0)
    gradient, figures = updated(random_policy, table, {"evidence": evidence, "clip_cov": everything})
    assert gradient.abs().max() == 0
    assert figures["evidence/dropped"] > 0
    assert figures["clip_cov/selected"] == len(table.trajectory_T)


COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}


class Copying:
    """A toy model that copies the colour of the last image it is shown: surely where it says one, evenly elsewhere."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def __call__(self, samples: Sequence[PromptCompletion], *, entropy: bool, select_S: Tensor | None) -> TokenLogProbs:
        return TokenLogProbs(torch.cat([self._logp(sample) for sample in samples]), None, None)

    def passes_more(self, own: int) -> int:
        return 0

    def _logp(self, sample: PromptCompletion) -> Tensor:
        pixels_PD = sample.prompt.images[-1].pixels_PD
        red, blue = pixels_PD[:, : pixels_PD.shape[1] // 3].mean(), pixels_PD[:, -pixels_PD.shape[1] // 3 :].mean()
        shown = "red" if red > blue + 0.5 else "blue" if blue > red + 0.5 else None
        text = self._policy.decode(sample.completion_C.tolist())
        said = next((colour for colour in COLOURS if colour in text), None)
        spans = self._policy.token_bytes.spans(sample.completion_C.tolist())
        place = text.find(said) if said is not None else -1
        sure = -0.01 if shown == said else -3.0
        return torch.tensor(
            [sure if said is not None and place <= a < b <= place + len(said) else -1.0 for a, b in spans]
        )


def test_a_planted_dependency_is_found(random_policy: Policy) -> None:
    """The left half is red and the right half blue; the first view is grey all over but for that, the crop is red."""
    image = Image.new("RGB", (256, 160), COLOURS["blue"])
    image.paste(COLOURS["red"], (0, 0, 128, 160))
    said = ANSWER.replace("soft", "the patch is red and sharp")
    look = ZOOM.replace("[0.1, 0.2, 0.7, 0.8]", "[0.0, 0.0, 0.5, 1.0]")
    engine = ScriptedEngine(
        script=lambda request: look if request.key.endswith("turn1") else said, sampling=SAMPLING, policy=random_policy
    )
    task = ChainTask(prompts=PROMPTS, max_turns=4, max_crops=4, enlarge=1.0)
    sample = Sample.of(rated_example(id="a", dataset="d", mos=3.0), image)
    (group,) = collect_groups([sample], task=task, engines={"policy": engine}, group_size=1, seed=0)
    table = build_table(group.rollouts, torch.ones(1), policy=random_policy, views=VIEWS)
    toy = Copying(random_policy)
    old_T = toy(table.sequences, entropy=False, select_S=None).logp_T
    coloured = [
        a < said.find("red") + 3 and said.find("red") < b
        for a, b in random_policy.token_bytes.spans(table.sequences[1].completion_C.tolist())
    ]
    share = sum(coloured) / len(coloured)
    for name, depends in (("no_crop", True), ("blank_image", True), ("coarse_crop", False)):
        part = EvidenceFilter(view=name, top=share, most_nats=10.0, shaping=None)  # type: ignore[arg-type]
        (signal,) = part.signals
        passes = SignalPasses(policy=toy, reference=None, budget=10_000)  # type: ignore[arg-type]
        logp_T = passes.everywhere(table.with_signals({OLD.name: old_T}), signal)
        signals = {OLD.name: old_T, signal.name: logp_T}
        count = len(table.trajectory_T)
        batch = table.with_signals(signals).batch_of(torch.arange(count), torch.full((count,), 1 / count))
        answer_T = table.tokens_of([1])
        if depends:
            keep_T, _ = part.keep(batch, step=0, mini_batch=0, reducer=LocalReducer())
            assert keep_T[answer_T].tolist() == coloured
        else:  # a patch of one colour looks the same in the first view: looking closer told nothing new
            assert (part.dependency(batch) == 0).all()
