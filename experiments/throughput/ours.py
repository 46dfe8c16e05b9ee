r"""One side of the benchmark: our GRPO trainer, with its logger, callbacks and entropy, on the shared workload.

    python experiments/throughput/ours.py --setting A --out ours.json [--turns 2]
    python experiments/throughput/ours.py --setting A --chain 4 --share-growing 0 --out chain.json
    python experiments/throughput/ours.py --setting GPU --clock wall --cuda-graphs 1 --gradient-checkpointing 1 \
        --micro-batch-tokens 16384 --out gpu.json
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import chain
import lightning as L
import torch
from chain import ChainTask
from lightning.pytorch.loggers import CSVLogger
from models import build_policy
from needed import Needed
from products import ProductCounter
from torch.utils.data import DataLoader
from workload import (
    Memory,
    Phases,
    Workload,
    add_arguments,
    length_reward,
    noise_images,
    question,
    read_workload,
    single_thread,
    write_result,
)

import zoom_iqa.engines.native.prefill as prefill
import zoom_iqa.policy.log_probabilities as log_probabilities
import zoom_iqa.training.grpo as grpo
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, ImagePart, Message, Sample, TextPart, rated_example
from zoom_iqa.data.collation import as_list
from zoom_iqa.engines.native.engine import NativeEngine
from zoom_iqa.engines.patient import Patience, PatientEngine
from zoom_iqa.learning.old_log_probabilities import SamplerCheck
from zoom_iqa.learning.update import PolicyUpdate
from zoom_iqa.objectives.advantages import GroupAdvantages
from zoom_iqa.objectives.aggregation import TokenMean
from zoom_iqa.objectives.penalties.kl_reference import KLReference
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss
from zoom_iqa.objectives.rewards.rubric import RewardInputs
from zoom_iqa.objectives.schedules import Constant, Schedule
from zoom_iqa.parallel.placement import Replicated
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packed_layout import PackedLayout
from zoom_iqa.policy.policy import Policy
from zoom_iqa.rollout.recorder import RolloutRecorder
from zoom_iqa.tasks.prompts import PromptSet, build_turn1
from zoom_iqa.tasks.zoom import ZoomTask
from zoom_iqa.training.progress_callback import StageProgress


@dataclass(frozen=True)
class TextLength:
    """The reward both sides use."""

    weight: Schedule

    def reward(self, inputs: RewardInputs) -> torch.Tensor:
        texts = [[record.steps[-1].text for record in group] for group in inputs.records]
        return torch.tensor([[length_reward(text) for text in row] for row in texts], dtype=torch.float64)


class CroppingEngine(NativeEngine):
    """Makes every first turn ask for a crop, which random text never does."""

    def step(self) -> list[Generation]:
        return [_asking(generation) for generation in super().step()]


def _asking(generation: Generation) -> Generation:
    if not generation.key.endswith("turn1"):
        return generation
    answer = '<answer>{"bbox_2d": [0.1, 0.1, 0.6, 0.6], "rating": 3.00, "tool": "crop"}</answer>'
    return replace(generation, text=generation.text + answer)


class Forwarded:
    """Tokens that pass through the language model, by what they are for, a dictionary a step."""

    def __init__(self, needed: Needed) -> None:
        self.steps: list[dict[str, int]] = []
        self._now: dict[str, int] = {}
        self._needed = needed

    def count(self, module: Any, purpose: str) -> None:
        call = module.forward_packed

        def counted(
            model: Any, embedded_TH: torch.Tensor, positions_3T: torch.Tensor, layout: PackedLayout
        ) -> torch.Tensor:
            self._now[purpose] = self._now.get(purpose, 0) + len(embedded_TH)
            self._needed.packed(layout, len(embedded_TH))
            found: torch.Tensor = call(model, embedded_TH, positions_3T, layout)
            return found

        module.forward_packed = counted

    def lap(self) -> None:
        self.steps.append(self._now)
        self._now = {}


class Laps(L.Callback):
    """Tells where steps end."""

    def __init__(self, phases: Phases, forwarded: Forwarded) -> None:
        self._phases, self._forwarded = phases, forwarded

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._phases.restart()

    def on_train_batch_end(self, *args: Any) -> None:
        self._phases.lap()
        self._forwarded.lap()


class Images(L.LightningDataModule):
    def __init__(self, samples: list[Sample], batch_size: int) -> None:
        super().__init__()
        self._samples, self._batch_size = samples, batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self._samples, batch_size=self._batch_size, collate_fn=as_list)  # type: ignore[arg-type]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch


def build_prompts(work: Workload) -> PromptSet:
    sections = ["A", "B", "C", "D"]
    return PromptSet(
        questions=["?"],
        turn1="{question} " + question(work),
        turn2=question(work),
        sections_turn1=sections,
        sections_turn2=sections,
        original_label="Original image: ",
        crop_label="Cropped Image: ",
        terse=False,
    )


def build_module(work: Workload, args: argparse.Namespace, policy: Policy, micro_batch_tokens: int) -> grpo.GRPOModule:
    engine = CroppingEngine if args.turns == 2 and not args.chain else NativeEngine
    graphs = bool(args.cuda_graphs)
    sampling = SamplingParams(
        temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=work.completion, stop_strings=()
    )
    settings = grpo.GRPORecipe(
        task=ChainTask(question(work), args.chain) if args.chain else ZoomTask(prompts=build_prompts(work)),
        probes={},
        judge={},
        recorder=RolloutRecorder(every=10**6, keep=1),
        reward={"length": TextLength(Constant(value=1.0))},
        advantage=GroupAdvantages(normalize_std=True, eps=1e-4),
        update=PolicyUpdate(
            loss=ClippedPolicyLoss(clip_low=0.2, clip_high=0.2),
            aggregation=TokenMean(),
            filters={},
            penalties={"kl_reference": KLReference(beta=0.04)} if work.kl_to_reference else {},
            epochs=1,
            mini_batches=1,
            micro_batch_tokens=micro_batch_tokens,
            old_logp="sampled",
            sampler_check=SamplerCheck(tolerance=0.0, every=1),  # not used by sampled
        ),
        engine=lambda **parts: engine(token_budget=1_000_000, join_share=0.5, cuda_graphs=graphs, **parts),
        patience=Patience(timeout_s=float("inf"), attempts=1, wait_s=0.0),
        sampling=sampling,
        features_capacity=65536,
        logit_chunk=1024,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-5, weight_decay=0.0, fused=True),
        lr_factor=Constant(value=1.0),
        group_size=work.group,
        max_grad_norm=1.0,
        max_bad_steps=1,
        freeze_vision_tower=work.freeze_vision,
        seed=0,
    )
    return settings(policy=policy, placement=Replicated(), steps=args.steps + args.warmup)


def rollout_tokens(work: Workload, args: argparse.Namespace, policy: Policy, sample: Sample) -> int:
    """Tokens of a rollout after its first prompt; of the two turns, which share nothing, those of the first."""
    if not args.chain:
        return work.completion
    image = sample.images[0]
    first = chain.first_message(image, question(work))
    later = [chain.next_message(image, turn, turns=args.chain) for turn in range(1, args.chain)]
    answer = Message("assistant", (TextPart("7" * work.completion),))
    whole = (*first, *(message for new in later for message in (answer, new)))
    return len(policy.encode(whole).ids_L) - len(policy.encode(first).ids_L) + work.completion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--turns", type=int, choices=(1, 2), default=1, help="2: zoom")
    parser.add_argument("--chain", type=int, choices=range(1, chain.MOST_TURNS + 1), help="turns of a growing chain")
    parser.add_argument("--share-growing", type=int, choices=(0, 1), default=1, help="0: equal prompts alone")
    parser.add_argument("--cuda-graphs", type=int, choices=(0, 1), default=0)
    parser.add_argument("--gradient-checkpointing", type=int, choices=(0, 1), default=0)
    parser.add_argument("--count-products", type=int, choices=(0, 1), default=0, help="1: for limits.py; slower")
    parser.add_argument("--micro-batch-tokens", type=int, help="one prompt with its group if not given")
    args = parser.parse_args()
    single_thread()
    work = read_workload(args)
    policy = build_policy(work.shape, work.vocab)
    policy.stop_ids = ()  # every completion runs to its full length
    if args.chain:
        chain.say_digits_alone(policy)
    if not args.share_growing:
        chain.share_equal_prompts_alone()
    if args.gradient_checkpointing:
        policy.model.gradient_checkpointing_enable({"use_reentrant": False})
    count = work.prompts * (args.steps + args.warmup)
    samples = [
        Sample.of(rated_example(id=str(i), dataset="noise", mos=3.0), image)
        for i, image in enumerate(noise_images(work, count))
    ]
    first = build_turn1(build_prompts(work), question="?", image=ImagePart(samples[0].image, "first"))
    prompt_tokens = len(policy.encode(first).ids_L)
    one_group = prompt_tokens + work.group * rollout_tokens(work, args, policy, samples[0])
    module = build_module(work, args, policy, args.micro_batch_tokens or one_group)
    phases = Phases(args.clock)
    needed = Needed(policy.model.config, phases)
    forwarded = Forwarded(needed)
    forwarded.count(prefill, "prefill")
    forwarded.count(log_probabilities, "update")
    for owner, name, phase in (
        (module, "collect", "rollout"),
        (cast(PatientEngine, module._engines["policy"]).engine, "_admit", "prefill and vision"),
        (grpo, "build_table", "prepare"),
        (policy, "encode", "prepare"),
        (Likelihood, "__call__", "forward"),
        (module, "manual_backward", "backward"),
        (Likelihood, "finish_images", "backward"),  # through a tower that learns
        (module, "_optimizer_step", "optimizer"),
    ):
        phases.wrap(owner, name, phase)
    needed.watch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="auto", devices=1, max_epochs=1, logger=[CSVLogger(folder)], log_every_n_steps=1,
            callbacks=[Laps(phases, forwarded), StageProgress(figures=["reward/total"])], enable_model_summary=False,
            default_root_dir=Path(folder), enable_checkpointing=False,
        )  # fmt: skip
        memory = Memory()
        products = ProductCounter(phases)
        with products if args.count_products else nullcontext():
            trainer.fit(module, datamodule=Images(samples, work.prompts))
    write_result(
        args, work, phases, memory, prompt_tokens=prompt_tokens, turns=args.chain or args.turns,
        forwarded=forwarded.steps, needed=needed.by_phase(), products=[[*key, n] for key, n in products.counts.items()],
    )  # fmt: skip


if __name__ == "__main__":
    main()
