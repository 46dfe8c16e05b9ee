"""The other side of the benchmark: TRL's GRPOTrainer on the shared workload, with its defaults.

python experiments/throughput/trl_side.py --setting A --out trl.json [--gradient-checkpointing 0]
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from typing import Any

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from models import build_policy
from transformers import Qwen2_5_VLProcessor, TrainerCallback
from trl import GRPOConfig, GRPOTrainer
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


class Laps(TrainerCallback):
    def __init__(self, phases: Phases) -> None:
        self._phases = phases

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self._phases.restart()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self._phases.lap()


def reward(completions: list[Any], **rest: Any) -> list[float]:
    return [length_reward(completion[0]["content"]) for completion in completions]


def save_model(work: Workload, folder: str) -> Qwen2_5_VLProcessor:
    """The same model as a folder, and a processor of its tokenizer and image processor."""
    policy = build_policy(work.shape, work.vocab)
    policy.model.config.architectures = ["Qwen2_5_VLForConditionalGeneration"]
    policy.model.save_pretrained(folder)
    # without torchvision there is no video processor; none is called here, but the constructor checks for one
    Qwen2_5_VLProcessor.check_argument_for_proper_class = lambda *_: None  # type: ignore[method-assign]
    return Qwen2_5_VLProcessor(
        image_processor=policy.image_processor,
        tokenizer=policy.tokenizer,
        video_processor=None,
        chat_template=policy.tokenizer.chat_template,
    )


def make_dataset(work: Workload, count: int) -> Dataset:
    rows = []
    for image in noise_images(work, count):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        prompt = [{"role": "user", "content": "? " + question(work)}]
        rows.append({"prompt": prompt, "image": {"bytes": buffer.getvalue(), "path": None}})
    features = Features({"prompt": [{"role": Value("string"), "content": Value("string")}], "image": ImageFeature()})
    return Dataset.from_list(rows, features=features)


def make_trainer(args: argparse.Namespace, work: Workload, folder: str) -> GRPOTrainer:
    processor = save_model(work, f"{folder}/model")
    checkpointing = {} if args.gradient_checkpointing is None else {
        "gradient_checkpointing": bool(args.gradient_checkpointing)
    }  # fmt: skip
    batch = args.batch or work.prompts * work.group
    gpu = torch.cuda.is_available()
    config = GRPOConfig(
        output_dir=f"{folder}/out", use_cpu=not gpu, bf16=gpu, per_device_train_batch_size=batch,
        gradient_accumulation_steps=work.prompts * work.group // batch,
        num_generations=work.group, max_completion_length=work.completion,
        generation_kwargs={"min_new_tokens": work.completion}, beta=0.04 if work.kl_to_reference else 0.0,
        max_steps=args.steps + args.warmup, logging_steps=1, report_to="none", save_strategy="no", seed=0,
        learning_rate=1e-5, temperature=1.0, shuffle_dataset=False, **checkpointing,
        model_init_kwargs={"dtype": "bfloat16"} if gpu else None,
    )  # fmt: skip
    dataset = make_dataset(work, work.prompts * (args.steps + args.warmup))
    trainer = GRPOTrainer(
        model=f"{folder}/model", reward_funcs=reward, args=config, train_dataset=dataset, processing_class=processor
    )
    if work.freeze_vision:
        trainer.model.model.visual.requires_grad_(False)
    return trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--batch", type=int, help="sequences forwarded together; all if not given")
    parser.add_argument("--gradient-checkpointing", type=int, choices=(0, 1), help="TRL's default if not given")
    args = parser.parse_args()
    single_thread()
    work = read_workload(args)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(args, work, folder)
        phases = Phases(args.clock)
        trainer.add_callback(Laps(phases))
        lengths: list[int] = []
        trainer.model.model.language_model.register_forward_pre_hook(
            lambda module, args, kwargs: lengths.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
        )
        for owner, name, phase in (
            (trainer, "_tokenize_prompts", "prepare"),
            (trainer, "_generate_and_score_completions", "prepare"),
            (trainer, "_generate_single_turn", "rollout"),
            (
                trainer,
                "_get_per_token_logps_and_entropies",
                lambda: "forward" if torch.is_grad_enabled() else "forward without gradient",
            ),
            (trainer.accelerator, "backward", "backward"),
        ):
            phases.wrap(owner, name, phase)
        memory = Memory()
        trainer.train()
    write_result(args, work, phases, memory, prompt_tokens=lengths[0], turns=1)


if __name__ == "__main__":
    main()
